// spoold: watches a spool directory and runs the jobs that are dropped into it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdlib>

#include "daemon.h"
#include "libspool/config.h"
#include "libspool/posix_files.h"
#include "libspool/system.h"
#include "log.h"

namespace {

/// spool-exec: as told, else beside this program (a build tree), else where it is installed.
std::string find_spool_exec(const std::string& told) {
    if (!told.empty()) return spool::absolute_path(told);
    if (const char* set = std::getenv("GPUSPOOL_EXEC"); set != nullptr && *set != '\0') return set;
    char self[PATH_MAX] = {};
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) {
        const std::string directory = std::string(self).substr(0, std::string(self).rfind('/'));
        for (const char* place : {"/spool-exec", "/../libexec/gpuspool/spool-exec"})
            if (access((directory + place).c_str(), X_OK) == 0)
                return spool::absolute_path(directory + place);
    }
    return GPUSPOOL_LIBEXEC "/spool-exec";
}

bool is_setuid() {
    return getuid() != geteuid() || getgid() != getegid();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "Runs the jobs that are dropped into a spool directory (~/.gpuspool, or $GPUSPOOL_DIR)."};
    spoold::Options options;
    std::vector<std::string> gpus;
    int cpu_slots = 0;
    std::string spool_path, spool_exec;
    bool foreground = false;
    auto* gpus_option =
        app.add_option(
               "--gpus", gpus,
               "the GPU slots: each argument is one, given verbatim to CUDA_VISIBLE_DEVICES (0,1 "
               "2,3 = two slots with two GPUs); a single argument is split at commas")
            ->expected(1, 1024);
    auto* cpu_option =
        app.add_option("--cpu-slots", cpu_slots, "how many jobs without a GPU run at once")
            ->check(CLI::Range(0, 65536));
    app.add_option("--spool", spool_path, "the spool directory");
    app.add_option("--exec", spool_exec, "the program spool-exec");
    app.add_flag("--foreground", foreground,
                 "stay in the foreground (it always does; for service files)");
    app.add_flag("--once", options.once,
                 "start what can be started, publish what has ended, and exit");
    app.add_flag("--take-over", options.take_over, "take a spool that belonged to another host");
    app.set_version_flag("--version", "spoold " GPUSPOOL_VERSION);
    CLI11_PARSE(app, argc, argv);

    if (is_setuid()) {
        spoold::log_error("refuses to run setuid or setgid");
        return 1;
    }
    if (geteuid() == 0) spoold::log_warning("runs as root: so will every job");
    options.spool_path =
        spool_path.empty() ? spool::default_spool_path() : spool::absolute_path(spool_path);
    options.spool_exec = find_spool_exec(spool_exec);
    if (gpus_option->count() > 0) options.gpus = spool::gpu_slots_from_arguments(gpus);
    if (cpu_option->count() > 0) options.cpu_slots = cpu_slots;
    // Job environments are made anew; what is in ours about the spool must be the truth.
    setenv("GPUSPOOL_DIR", options.spool_path.c_str(), 1);

    spool::PosixFiles files;
    const spool::SystemClock clock;
    spoold::Daemon daemon(files, clock, std::move(options));
    if (const auto opened = daemon.open(); !opened) {
        spoold::log_error(opened.error().text());
        return 1;
    }
    return daemon.run();
}
