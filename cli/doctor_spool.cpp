#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <cerrno>

#include "cli/doctor.h"
#include "cli/format.h"
#include "libspool/config.h"
#include "libspool/control.h"
#include "libspool/file_system.h"
#include "libspool/system.h"
#include "libspool/values.h"

namespace cli {
namespace {

using Level = Finding::Level;

std::string heartbeat_age(Context& context, const spool::Owner& owner) {
    return format_age(context.clock.wall() - owner.heartbeat);
}

Finding other_host(Context& context, const spool::Owner& owner, bool alive) {
    if (alive)
        return {Level::good,
                "the daemon on " + owner.host + " has this spool (heard of " +
                    heartbeat_age(context, owner) + ")",
                ""};
    return {Level::bad,
            "this spool is in the hands of " + owner.host + ", whose daemon was last heard of " +
                heartbeat_age(context, owner),
            "start spoold there; or use a spool of this host's own (export "
            "GPUSPOOL_DIR=$HOME/.gpuspool-" +
                spool::host_name() + "); or, if nothing of it runs on " + owner.host +
                " any more, take it over: spoold --take-over"};
}

}  // namespace

void check_daemon(Context& context, spool::Spool& spool, Findings& out) {
    const auto presence = spool::daemon_presence(spool, context.clock);
    const spool::Owner owner = spool::read_owner(spool).value_or(spool::Owner{});
    if (!presence) {
        out.push_back({Level::bad, presence.error().text(), ""});
        return;
    }
    switch (*presence) {
        case spool::DaemonPresence::running:
            out.push_back({Level::good, "spoold runs, process " + std::to_string(owner.pid), ""});
            return;
        case spool::DaemonPresence::stopped:
            out.push_back({Level::bad, "no daemon runs: jobs wait", how_to_start()});
            return;
        case spool::DaemonPresence::other_host_running:
        case spool::DaemonPresence::other_host_silent: {
            const bool alive = *presence == spool::DaemonPresence::other_host_running;
            out.push_back(other_host(context, owner, alive));
            return;
        }
    }
}

void check_configuration(spool::Spool& spool, Findings& out) {
    const std::string path = spool.path + "/config.json";
    const auto bytes = spool::read_whole(*spool.files, spool.root.get(), "config.json", 4u << 20);
    if (!bytes && bytes.error().code == ENOENT) return;
    if (!bytes) {
        out.push_back({Level::bad, path + ": " + bytes.error().text(), ""});
        return;
    }
    const auto config = spool::read_config(*bytes, path);
    if (!config) {
        out.push_back({Level::bad, config.error().text(),
                       "mend that line; until then the last good settings stay in force"});
        return;
    }
    for (const std::string& warning : config->warnings)
        out.push_back({Level::warning, warning, ""});
    if (config->warnings.empty()) out.push_back({Level::good, path + " is well formed", ""});
}

void check_disk(const spool::Spool& spool, Findings& out) {
    struct statvfs disk {};
    if (::fstatvfs(static_cast<int>(spool.root.get()), &disk) != 0) return;
    const std::uint64_t available = std::uint64_t(disk.f_bavail) * disk.f_frsize;
    const std::string text = spool::format_size(available) + " free where the spool is";
    constexpr std::uint64_t little = 64u << 20, tight = 1u << 30;
    if ((disk.f_flag & ST_RDONLY) != 0)
        out.push_back({Level::bad, "the file system of the spool is mounted read-only",
                       "mount it read-write; nothing is started until then"});
    else if (available < little)
        out.push_back({Level::bad, text,
                       "make room: old logs are in " + spool.path + "/done and may be removed"});
    else if (available < tight)
        out.push_back(
            {Level::warning, text, "old logs are in " + spool.path + "/done and may be removed"});
    else
        out.push_back({Level::good, text, ""});
    if (disk.f_files > 0 && disk.f_favail < 1000)
        out.push_back({Level::bad, "nearly no inodes are free where the spool is",
                       "remove small files there"});
}

void check_file_system(const spool::Spool& spool, Findings& out) {
    struct statfs found {};
    if (::fstatfs(static_cast<int>(spool.root.get()), &found) != 0) return;
    const auto type = static_cast<std::uint32_t>(found.f_type);
    if (const auto network = spool::network_file_system(type); !network.empty())
        out.push_back({Level::warning,
                       "the spool is on a network file system (" + std::string(network) +
                           "): changes are seen by polling, new files are taken after 2 s",
                       "a spool on a local disk is quicker: export GPUSPOOL_DIR=/var/tmp/…, a "
                       "directory of your own"});
    constexpr std::uint32_t tmpfs = 0x01021994;
    if (type == tmpfs)
        out.push_back({Level::warning, "the spool is in memory (tmpfs): it is gone after a reboot",
                       "put it on a disk: unset GPUSPOOL_DIR, or choose another"});
}

void check_clock(Context& context, spool::Spool& spool, Findings& out) {
    constexpr std::int64_t minute = 60'000'000'000, year_2024 = 1'704'067'200'000'000'000;
    const std::int64_t now = context.clock.wall();
    if (now < year_2024) {
        out.push_back({Level::warning,
                       "the clock of this machine is wrong (" +
                           std::to_string(now / 1'000'000'000) + " s since 1970)",
                       "timedatectl set-ntp true"});
        return;
    }
    // The newest thing that the spool's server has dated, beside this machine's time.
    const auto stat = spool.files->stat_at(spool.root.get(), ".spool");
    if (stat && stat->modified - now > minute)
        out.push_back({Level::warning,
                       "the spool's files are dated in the future: two clocks differ by " +
                           format_duration(stat->modified - now),
                       "timedatectl set-ntp true, here and on the file server"});
}

void check_queue(Context& context, spool::Spool& spool, Findings& out) {
    if (const auto paused = spool::pause_reason(spool); paused && *paused)
        out.push_back({Level::warning,
                       "the queue is paused" + ((*paused)->empty() ? "" : ": " + **paused),
                       "gpuspool resume"});
    const auto state = spool::read_spool(spool, context.clock);
    if (!state) {
        out.push_back({Level::bad, state.error().text(), ""});
        return;
    }
    for (const std::string& problem : state->daemon.problems)
        out.push_back({Level::bad, problem, ""});
    for (const spool::IgnoredState& entry : state->ignored)
        out.push_back({Level::warning, entry.path + ": " + entry.reason, ""});
}

}  // namespace cli
