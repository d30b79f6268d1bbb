#include <dirent.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "cli/doctor.h"
#include "cli/lingering.h"
#include "libspool/programs.h"

namespace cli {
namespace {

using Level = Finding::Level;

std::size_t count_nvidia_devices() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/dev"), ::closedir);
    if (!directory) return 0;
    std::size_t count = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        if (name.starts_with("nvidia") && name.size() > 6 &&
            name.find_first_not_of("0123456789", 6) == name.npos)
            ++count;
    }
    return count;
}

}  // namespace

void check_inotify(Findings& out) {
    const int notify = ::inotify_init1(IN_CLOEXEC);
    const bool no_instance = notify < 0;
    const bool no_watch = !no_instance && ::inotify_add_watch(notify, "/", IN_CREATE) < 0;
    if (notify >= 0) ::close(notify);
    if (no_instance)
        out.push_back({Level::warning,
                       std::string("no inotify instance is left (") + std::strerror(errno) +
                           "): spoold polls every 2 s instead",
                       "sudo sysctl fs.inotify.max_user_instances=1024"});
    else if (no_watch)
        out.push_back({Level::warning, "no inotify watch is left: spoold polls every 2 s instead",
                       "sudo sysctl fs.inotify.max_user_watches=524288"});
    else
        out.push_back({Level::good, "inotify can be had", ""});
}

void check_limits(Findings& out) {
    out.push_back(
        {Level::good,
         "what jobs ask for with --cpus and --mem is counted; that they use no more is not "
         "enforced",
         ""});
}

void check_lingering(Findings& out) {
    if (!systemd_runs() || ::geteuid() == 0) return;
    if (is_lingering())
        out.push_back({Level::good, "lingering is on: jobs go on after you log out", ""});
    else
        out.push_back({Level::warning,
                       "lingering is off: systemd may end the daemon and its jobs when you log out",
                       "loginctl enable-linger"});
}

void check_supervisor(const std::vector<std::string>& problems, Findings& out) {
    // The daemon may have been told of another one (spoold --exec), and has said what is wrong.
    if (std::any_of(problems.begin(), problems.end(), [](const std::string& problem) {
            return problem.starts_with("jobs cannot be started");
        }))
        return;
    const std::string program =
        spool::find_program("spool-exec", "GPUSPOOL_EXEC", GPUSPOOL_LIBEXEC);
    if (::access(program.c_str(), X_OK) == 0)
        out.push_back({Level::good, "supervisor " + program, ""});
    else
        out.push_back(
            {Level::bad,
             "the supervisor of jobs, " + program + ", cannot be executed: " + std::strerror(errno),
             "install gpuspool again: packaging/quickstart"});
}

void check_gpus(const std::vector<spool::GpuState>& gpus, Findings& out) {
    const std::size_t devices = count_nvidia_devices();
    if (!gpus.empty())
        out.push_back({Level::good, std::to_string(gpus.size()) + " GPU slots in the pool", ""});
    else if (devices > 0)
        out.push_back(
            {Level::warning,
             "no GPU pool, but this machine has " + std::to_string(devices) + " NVIDIA devices",
             "name them: spoold --gpus 0,1, or \"gpus\": [\"0\", \"1\"] in config.json"});
    else
        out.push_back({Level::good, "no GPU pool: jobs run in CPU slots", ""});
}

}  // namespace cli
