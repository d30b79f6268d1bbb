// spoold: watches a spool directory and runs the jobs that are dropped into it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "daemon.h"
#include "libspool/config.h"
#include "libspool/posix_files.h"
#include "libspool/programs.h"
#include "libspool/system.h"
#include "log.h"

namespace {

bool is_setuid() {
    return getuid() != geteuid() || getgid() != getegid();
}

/// What was said on the command line.
struct CommandLine {
    spoold::Options options;
    std::vector<std::string> gpus;
    std::optional<int> cpu_slots;
    std::string spool_path, spool_exec;
    bool foreground = false;

    void describe(CLI::App& app) {
        app.add_option(
               "--gpus", gpus,
               "the GPU slots: each argument is one, given verbatim to CUDA_VISIBLE_DEVICES (0,1 "
               "2,3 = two slots with two GPUs); a single argument is split at commas; auto = all "
               "that the drivers list")
            ->expected(1, 1024);
        app.add_option("--cpu-slots", cpu_slots, "how many jobs without a GPU run at once")
            ->check(CLI::Range(0, 65536));
        app.add_option("--spool", spool_path, "the spool directory");
        app.add_option("--exec", spool_exec, "the program spool-exec");
        app.add_flag("--foreground", foreground,
                     "stay in the foreground (it always does; for service files)");
        app.add_flag("--once", options.once,
                     "start what can be started, publish what has ended, and exit");
        app.add_flag("--take-over", options.take_over,
                     "take a spool that belonged to another host");
        app.set_version_flag("--version", "spoold " GPUSPOOL_VERSION);
    }

    /// A variable of the shell that is not set must not mean another spool than was meant.
    [[nodiscard]] bool names_no_spool(const CLI::Option& option) const {
        const char* set = std::getenv("GPUSPOOL_DIR");
        return option.count() > 0 ? spool_path.empty() : set != nullptr && *set == '\0';
    }

    /// What is wrong with `gpus`, if anything.
    [[nodiscard]] std::string problem() const {
        if (gpus == std::vector<std::string>{"auto"}) return {};
        for (const std::string& slot : gpus)
            if (std::string wrong = spool::slot_problem(slot); !wrong.empty())
                return "--gpus: " + wrong;
        return {};
    }

    spoold::Options complete() {
        options.spool_path =
            spool_path.empty() ? spool::default_spool_path() : spool::absolute_path(spool_path);
        options.spool_exec = spool_exec.empty() ? spool::find_program("spool-exec", "GPUSPOOL_EXEC",
                                                                      GPUSPOOL_LIBEXEC)
                                                : spool::absolute_path(spool_exec);
        options.spool_probe =
            spool::find_program("spool-probe", "GPUSPOOL_PROBE", GPUSPOOL_LIBEXEC);
        options.automatic_gpus = gpus == std::vector<std::string>{"auto"};
        if (!gpus.empty() && !options.automatic_gpus)
            options.gpus = spool::gpu_slots_from_arguments(gpus);
        options.cpu_slots = cpu_slots;
        return options;
    }
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "Runs the jobs that are dropped into a spool directory (~/.gpuspool, or $GPUSPOOL_DIR)."};
    CommandLine command_line;
    command_line.describe(app);
    const CLI::Option* named = app.get_option("--spool");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }

    if (command_line.names_no_spool(*named)) {
        spoold::log_error(
            "the name of the spool is empty (--spool, or GPUSPOOL_DIR in the environment): name a "
            "directory, or leave both away for ~/.gpuspool");
        return 2;
    }

    if (is_setuid()) {
        spoold::log_error("refuses to run setuid or setgid");
        return 1;
    }
    if (const std::string problem = command_line.problem(); !problem.empty()) {
        spoold::log_error(problem);
        return 2;
    }
    if (geteuid() == 0) spoold::log_warning("runs as root: so will every job");
    const spoold::Options options = command_line.complete();
    // Job environments are made anew; what is in ours about the spool must be the truth.
    setenv("GPUSPOOL_DIR", options.spool_path.c_str(), 1);

    spool::PosixFiles files;
    const spool::SystemClock clock;
    spoold::Daemon daemon(files, clock, options);
    if (const auto opened = daemon.open(); !opened) {
        spoold::log_error(opened.error().text());
        return 1;
    }
    return daemon.run();
}
