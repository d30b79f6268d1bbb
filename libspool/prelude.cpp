#include "libspool/prelude.h"

#include <algorithm>

namespace spool {

// Start-up files of others must not fail under the job's -e and -u; these are switched off
// meanwhile.
const std::string_view prelude_text =
    R"BASH(# Written by spoold; read by bash before a job that uses conda or modules.
# It makes them available as a terminal would, then activates what the job's directives ask for.

__gpuspool_flags=$-
set +eu

# Nested shells read the BASH_ENV that was there before, as this one would have.
if [[ -n ${GPUSPOOL_BASH_ENV+x} ]]; then
    export BASH_ENV=$GPUSPOOL_BASH_ENV
    unset GPUSPOOL_BASH_ENV
    eval "__gpuspool_file=\"$BASH_ENV\""
    [[ -n $__gpuspool_file && -r $__gpuspool_file ]] && . "$__gpuspool_file"
else
    unset BASH_ENV
fi

__gpuspool_fail() {
    echo "gpuspool: $1" >&2
    exit 1
}

__gpuspool_wants() { [[ " ${GPUSPOOL_PRELUDE-} " == *" $1 "* ]]; }
__gpuspool_has() { [[ $(type -t "$1") == function ]]; }

# conda: a function that conda.sh defines; the programs are in ROOT/bin or ROOT/condabin.
if { __gpuspool_wants conda || __gpuspool_wants mamba; } && ! __gpuspool_has conda; then
    __gpuspool_file=${CONDA_EXE:-$(type -P conda)}
    if [[ -r ${__gpuspool_file%/*/*}/etc/profile.d/conda.sh ]]; then
        . "${__gpuspool_file%/*/*}/etc/profile.d/conda.sh"
    elif [[ -x $__gpuspool_file ]]; then
        eval "$("$__gpuspool_file" shell.bash hook)"
    fi
fi
if __gpuspool_wants mamba && ! __gpuspool_has mamba; then
    __gpuspool_file=${CONDA_EXE:-$(type -P mamba)}
    if [[ -r ${__gpuspool_file%/*/*}/etc/profile.d/mamba.sh ]]; then
        . "${__gpuspool_file%/*/*}/etc/profile.d/mamba.sh"
    fi
fi
# micromamba, and mamba from version 2: one program that prints its function.
if { __gpuspool_wants micromamba || __gpuspool_wants mamba; } &&
    ! __gpuspool_has micromamba && ! __gpuspool_has mamba; then
    __gpuspool_file=${MAMBA_EXE:-$(type -P micromamba || type -P mamba)}
    [[ -x $__gpuspool_file ]] && eval "$("$__gpuspool_file" shell hook -s bash)"
fi

# module and ml: functions of Lmod or Environment Modules, from where these say that they are, else the usual places.
if __gpuspool_wants module && ! __gpuspool_has module; then
    for __gpuspool_file in "${LMOD_PKG:+$LMOD_PKG/init/bash}" \
        "${LMOD_CMD:+${LMOD_CMD%/libexec/lmod}/init/bash}" "${MODULESHOME:+$MODULESHOME/init/bash}" \
        /etc/profile.d/{lmod,z00_lmod,00-modulepath,modules,z01_modules}.sh \
        /usr/share/{lmod/lmod,lmod,modules,Modules}/init/bash; do
        [[ -n $__gpuspool_file && -r $__gpuspool_file ]] || continue
        . "$__gpuspool_file"
        __gpuspool_has module && break
    done
fi

# srun in a script for sbatch, and where there is no Slurm: the program alone, once, as no cluster knows of this job. Its
# options end at the first word that is none.
if __gpuspool_wants srun && ! __gpuspool_has srun && { [[ -n ${SLURM_JOB_ID-} ]] || ! type -P srun >/dev/null; }; then
    srun() {
        local tasks=1
        while (($#)); do
            case $1 in
            --)
                shift
                break ;;
            --ntasks=* | -n[0-9]*) tasks=${1##*[=n]} ;;
            --ntasks | -n) tasks=${2-1} && shift ;;
            --*=*) ;;
            --bcast | --contiguous | --disable-status | --exact | --exclusive | --hold | --immediate | --interactive | \
                --kill-on-bad-exit | --label | --multi-prog | --no-allocate | --no-kill | --overcommit | --overlap | \
                --oversubscribe | --preserve-env | --propagate | --pty | --quiet | --reboot | --resv-ports | --share | \
                --spread-job | --test-only | --unbuffered | --use-min-nodes | --verbose | --x11) ;;
            --*) (($# > 1)) && shift ;;
            -[EHIKOQXZklsuv]*) ;;
            -?) (($# > 1)) && shift ;;
            -?*) ;;
            *) break ;;
            esac
            shift
        done
        [[ $tasks == 1 ]] || echo "gpuspool: srun: runs one task, not $tasks: this is no cluster" >&2
        (($#)) || {
            echo "gpuspool: srun: no program is named" >&2
            return 1
        }
        (exec -- "$@")
    }
fi

# The directives --modules, --conda-env and --venv.
if [[ -n ${GPUSPOOL_MODULES-} ]]; then
    __gpuspool_has module ||
        __gpuspool_fail "--modules=${GPUSPOOL_MODULES//$'\n'/,}: there is no 'module' command on this machine (neither Lmod nor Environment Modules was found)"
    while IFS= read -r __gpuspool_item <&9; do
        module load "$__gpuspool_item" ||
            __gpuspool_fail "--modules: module '$__gpuspool_item' could not be loaded (see 'module avail')"
    done 9<<<"$GPUSPOOL_MODULES"
fi
if [[ -n ${GPUSPOOL_CONDA_ENV-} ]]; then
    __gpuspool_file=
    for __gpuspool_item in conda micromamba mamba; do
        __gpuspool_has "$__gpuspool_item" && __gpuspool_file=$__gpuspool_item && break
    done
    [[ -n $__gpuspool_file ]] ||
        __gpuspool_fail "--conda-env=$GPUSPOOL_CONDA_ENV: no conda, mamba or micromamba was found (is 'conda init' done for your shell?)"
    "$__gpuspool_file" activate "$GPUSPOOL_CONDA_ENV" ||
        __gpuspool_fail "--conda-env: environment '$GPUSPOOL_CONDA_ENV' could not be activated (see '$__gpuspool_file env list')"
fi
if [[ -n ${GPUSPOOL_VENV-} ]]; then
    [[ -r $GPUSPOOL_VENV/bin/activate ]] ||
        __gpuspool_fail "--venv=$GPUSPOOL_VENV: there is no bin/activate in it (looked from $PWD)"
    . "$GPUSPOOL_VENV/bin/activate" ||
        __gpuspool_fail "--venv: '$GPUSPOOL_VENV' could not be activated"
fi

unset GPUSPOOL_PRELUDE GPUSPOOL_MODULES GPUSPOOL_CONDA_ENV GPUSPOOL_VENV __gpuspool_file __gpuspool_item
unset -f __gpuspool_fail __gpuspool_wants __gpuspool_has
case $__gpuspool_flags in
*e*u* | *u*e*) unset __gpuspool_flags && set -eu ;;
*e*) unset __gpuspool_flags && set -e ;;
*u*) unset __gpuspool_flags && set -u ;;
*) unset __gpuspool_flags ;;
esac
)BASH";

std::vector<std::string> mentioned_tools(std::string_view script) {
    constexpr std::string_view separators = " \t\n;|&()`{}\"'$<>";
    std::vector<std::string> out;
    const auto add = [&](std::string_view tool) {
        if (std::find(out.begin(), out.end(), tool) == out.end()) out.emplace_back(tool);
    };
    for (std::size_t begin = 0; begin < script.size();) {
        const std::size_t end = std::min(script.find_first_of(separators, begin), script.size());
        const std::string_view word = script.substr(begin, end - begin);
        if (word == "conda" || word == "mamba" || word == "micromamba" || word == "module")
            add(word);
        if (word == "srun") add(word);
        if (word == "ml") add("module");
        begin = end + 1;
    }
    return out;
}

}  // namespace spool
