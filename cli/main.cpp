#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "cli/verbs.h"
#include "libspool/system.h"

namespace {

const char* const footer =
    "JOB is a number or a name; without one, the newest job is meant. A plain name means its "
    "newest job.\n"
    "Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 3 no such job; wait, submit -f: "
    "the job's own.\n"
    "The spool is ~/.gpuspool, or $GPUSPOOL_DIR, or --spool DIR.";

/// Takes what follows `--` away from the arguments of `submit`: it belongs to the job, whatever it
/// looks like.
cli::AfterDashes split_job_words(std::vector<std::string>& arguments) {
    std::size_t verb = 0;
    while (verb < arguments.size() && arguments[verb].starts_with('-'))
        verb += arguments[verb] == "--spool" ? 2 : 1;
    if (verb >= arguments.size() || arguments[verb] != "submit") return {};
    const auto dashes =
        std::find(arguments.begin() + static_cast<std::ptrdiff_t>(verb), arguments.end(), "--");
    if (dashes == arguments.end()) return {};
    cli::AfterDashes out{true, {dashes + 1, arguments.end()}};
    arguments.erase(dashes, arguments.end());
    return out;
}

void add_verbs(CLI::App& app, cli::Run& run, const cli::AfterDashes& after_dashes) {
    cli::add_status(app, run);
    cli::add_submit(app, run, after_dashes);
    cli::add_log(app, run);
    cli::add_cancel(app, run);
    cli::add_order(app, run);
    cli::add_edit(app, run);
    cli::add_wait(app, run);
    cli::add_retry(app, run);
    cli::add_list(app, run);
    cli::add_show(app, run);
    cli::add_pause(app, run);
    cli::add_resume(app, run);
    cli::add_drain(app, run);
    cli::add_gpus(app, run);
    cli::add_doctor(app, run);
}

/// What could not be printed was not done.
int checked(int code) {
    if (cli::flush_output()) return code;
    cli::complain(cli::output_problem());
    return code == cli::success ? cli::failure : code;
}

/// A file that is opened must not become what is printed to: what is closed is opened, so that its
/// use fails.
void occupy_standard_files() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0)
            (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/// A variable of the shell that is not set must not mean another spool than was meant.
bool names_no_spool(const CLI::Option& option, const cli::Context& context) {
    const char* set = std::getenv("GPUSPOOL_DIR");
    if (option.count() > 0 ? !context.path.empty() : set == nullptr || *set != '\0') return false;
    cli::complain(option.count() > 0
                      ? "--spool is empty: name a directory, or leave it away"
                      : "GPUSPOOL_DIR is set and empty: name a directory, or unset GPUSPOOL_DIR "
                        "for ~/.gpuspool");
    return true;
}

int usage(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return checked(app.exit(error));  // --help, --version
    cli::complain(error.what());
    cli::complain("see gpuspool --help, gpuspool VERB --help");
    return cli::usage_error;
}

}  // namespace

int main(int argc, char** argv) {
    occupy_standard_files();
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const cli::AfterDashes after_dashes = split_job_words(arguments);

    cli::Context context;
    context.out = cli::terminal_of(STDOUT_FILENO);
    context.err = cli::terminal_of(STDERR_FILENO);

    CLI::App app{"Runs dropped job files on this machine's GPUs.", "gpuspool"};
    app.footer(footer);
    app.set_version_flag("--version", "gpuspool " GPUSPOOL_VERSION);
    const CLI::Option* named =
        app.add_option("--spool", context.path, "The spool directory")->type_name("DIR");
    app.require_subcommand(0, 1);
    cli::Run run = [](cli::Context& with) { return cli::show_status(with, false); };
    add_verbs(app, run, after_dashes);

    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
        return usage(app, error);
    }
    if (names_no_spool(*named, context)) return cli::usage_error;
    if (!context.path.empty()) context.path = spool::absolute_path(context.path);
    return checked(run(context));
}
