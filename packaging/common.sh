# What quickstart and uninstall share. Sourced by bash; needs $prefix.
# shellcheck shell=bash disable=SC2034,SC2154

spool=$(realpath -ms -- "${GPUSPOOL_DIR:-$HOME/.gpuspool}")
unit_file=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user/gpuspool.service
# What the machine says of itself is below this directory, for tests.
machine=${GPUSPOOL_MACHINE_ROOT:-}
state_directory=${XDG_STATE_HOME:-$HOME/.local/state}/gpuspool

step() { printf '== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# For a quoted word of a unit file, where % begins a specifier.
unit_escape() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g'; }

# Whether a user manager answers. A login by su or cron has one, but not its address.
user_systemd_works() {
    command -v systemctl >/dev/null || return 1
    if [[ -z ${XDG_RUNTIME_DIR:-} && -d /run/user/$UID ]]; then export XDG_RUNTIME_DIR=/run/user/$UID; fi
    systemctl --user show --property=Version >/dev/null 2>&1
}

# The process id of the daemon that owns the spool on this machine; empty if there is none.
daemon_pid() {
    "$prefix/bin/gpuspool" status --json 2>/dev/null | tr -d '\n' |
        sed -n 's/.*"daemon": *{\([^{}]*\)}.*/\1/p' | grep -E '"running": *true' |
        sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p'
}

daemon_is_running() { [[ -n $(daemon_pid) ]]; }

# Ends a daemon that was started from $prefix without systemd. Its jobs go on.
end_background_daemon() {
    local pid
    pid=$(daemon_pid) || return 0
    [[ -n $pid && $(readlink "/proc/$pid/exe") == "$prefix/bin/spoold"* ]] || return 0
    kill -TERM "$pid"
    wait_until 10 "! daemon_is_running" || fail "the daemon (process $pid) does not end"
}

# wait_until SECONDS CONDITION: false when the time is up.
wait_until() {
    local end=$((SECONDS + $1))
    until eval "$2"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}
