// gpuspool submit: a command, a file or the standard input becomes a waiting job.
#include "libspool/submit.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/exit_code.h"
#include "cli/follow.h"
#include "cli/format.h"
#include "cli/job_options.h"
#include "cli/lingering.h"
#include "cli/verbs.h"
#include "libspool/environment.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"

namespace cli {
namespace {

/// An option that is a setting of the job: the value goes there as it is.
struct SettingOption {
    const char *flags, *setting, *help;
};
constexpr SettingOption setting_options[] = {
    {"-g,--gpus", "gpus", "GPUs (default 1 where there is a pool; 0: none)"},
    {"--gpu-mem", "gpu-mem", "Memory of each GPU, as 10G: shares it with other such jobs"},
    {"--gpu-type", "gpu-type", "Kind of GPU, as a100"},
    {"--gpu-ids", "gpu-ids", "Only these: indexes, UUIDs, PCI addresses"},
    {"--gpu-avoid", "gpu-avoid", "Not these"},
    {"--cpus", "cpus", "CPU cores"},
    {"--mem", "mem", "Memory, as 16G"},
    {"--labels", "labels", "Labels that the machine must have"},
    {"-p,--priority", "priority", "Higher ones start first (default 0)"},
    {"--time", "time", "Time limit, as 90 (minutes), 2:00:00, 1-12, 30s, 2h"},
    {"--signal", "signal", "Warning before the time limit, as USR1@300 (seconds)"},
    {"--begin", "begin", "Not before, as now+2hours, 16:00, 2026-12-24T08:00"},
    {"-d,--dependency", "dependency",
     "afterok:JOB, afternotok:JOB, afterany:JOB, after:JOB, singleton"},
    {"-a,--array", "array", "Tasks of an array, as 0-99 or 1,3,5-9; 0-99%4: at most 4 at once"},
    {"--group", "group", "Name of a group; NAME%N: at most N of it at once"},
    {"--retries", "retries", "So many further attempts after failures"},
    {"--retry-on", "retry-on", "Only after these exit codes, as 1,75-78"},
    {"--retry-delay", "retry-delay", "Before the first of them (10s); doubles each time"},
    {"--requeue-exit", "requeue-exit", "Exit code with which the job asks to be run again"},
    {"--max-restarts", "max-restarts", "Attempts after the first, whatever their reason (100)"},
    {"--output", "output", "File that gets the output"},
};

struct SubmitOptions {
    std::string file, name, directory;
    std::string values[std::size(setting_options)];  ///< of the setting options; empty: not given
    std::vector<std::string> environment;
    bool hold = false, requeue = false, no_environment = false, follow = false;
    AfterDashes after_dashes;
};

tl::unexpected<spool::Error> misuse(const std::string& message) {
    return spool::content_error({}, {}, message);
}

spool::Result<JobOptions> job_options(const SubmitOptions& options) {
    JobOptions out;
    for (std::size_t i = 0; i < std::size(setting_options); ++i)
        if (!options.values[i].empty())
            out.settings.emplace_back(setting_options[i].setting, options.values[i]);
    if (options.hold) out.settings.emplace_back("hold", "yes");
    if (options.requeue) out.settings.emplace_back("requeue", "yes");
    if (!options.directory.empty())
        out.settings.emplace_back("chdir", spool::absolute_path(options.directory));
    for (const std::string& entry : options.environment) {
        const auto equals = entry.find('=');
        if (equals == entry.npos || equals == 0)
            return misuse("--env " + spool::printable(entry) + ": write NAME=VALUE");
        out.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    for (const auto& [name, value] : out.environment)
        if (spool::looks_secret(name, value))
            complain("warning: " + spool::printable(name) +
                     " looks like a secret; with --env it is written into the job file");
    return out;
}

spool::Result<std::string> read_input(const std::string& file) {
    const bool standard = file == "-";
    const int descriptor =
        standard ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return spool::system_error("open", file, errno);
    std::string out;
    char block[65536];
    ssize_t got = 0;
    while (out.size() <= spool::max_job_file_size &&
           (got = ::read(descriptor, block, sizeof block)) > 0)
        out.append(block, static_cast<std::size_t>(got));
    const int code = errno;
    ::close(descriptor);
    if (got < 0) return spool::system_error("read", file, code);
    return out;
}

/// Programs of other languages would be run by the shell, line by line.
bool is_foreign_program(const std::string& file, const std::string& bytes) {
    if (bytes.starts_with("#!")) return false;
    static constexpr std::string_view endings[] = {".py", ".ipynb", ".R", ".jl",
                                                   ".pl", ".rb",    ".m"};
    return std::any_of(std::begin(endings), std::end(endings),
                       [&](std::string_view ending) { return file.ends_with(ending); });
}

spool::Result<spool::Submission> from_command(const SubmitOptions& options, const JobOptions& job) {
    spool::Submission out;
    auto bytes = command_job(options.after_dashes.words, job);
    if (!bytes) return tl::unexpected(bytes.error());
    out.bytes = std::move(*bytes);
    out.stem = name_of_command(options.after_dashes.words);
    return out;
}

spool::Result<spool::Submission> from_file(const SubmitOptions& options, const JobOptions& job) {
    const auto content = read_input(options.file);
    if (!content) return tl::unexpected(content.error());
    if (is_foreign_program(options.file, *content))
        return misuse(spool::printable(options.file) +
                      " is no shell script: submit the command that runs it, as in gpuspool submit "
                      "-- python " +
                      spool::printable(options.file));
    spool::Submission out;
    auto bytes = with_options(*content, job);
    if (!bytes) {
        bytes.error().path = options.file;
        return tl::unexpected(bytes.error());
    }
    out.bytes = std::move(*bytes);
    out.info.arguments = options.after_dashes.words;
    const std::string base = spool::base_name(options.file);
    if (const auto name = spool::split_job_name(base)) {
        out.stem = name->stem;
        out.extension = name->extension;
    } else {
        out.stem = options.file == "-" ? "stdin" : base;
    }
    const auto spec = spool::read_new_job_file(out.bytes, options.file);
    if (!spec) return tl::unexpected(spec.error());
    if (!spec->name.empty()) out.stem = spec->name;
    if (spec->kind == spool::JobSpec::Kind::command && !out.info.arguments.empty())
        return misuse("arguments after -- are for scripts; " + spool::printable(options.file) +
                      " is JSON with a \"command\" of its own");
    return out;
}

/// The directory of this process; an error where it has been removed, or cannot be named.
spool::Result<std::string> current_directory() {
    std::error_code error;
    const std::string path = std::filesystem::current_path(error).string();
    if (!error && path.starts_with('/')) return path;
    return tl::unexpected(
        spool::Error{"find the current directory",
                     {},
                     (error ? error.message() : std::string("it cannot be reached")) +
                         ": the job would run there; cd to a directory that is there, or name "
                         "one with --chdir /...",
                     error.value(),
                     std::nullopt});
}

/// Where the job runs, if nothing in it says otherwise.
spool::Result<std::string> job_directory(const SubmitOptions& options) {
    if (options.directory.starts_with('/')) return spool::absolute_path(options.directory);
    return current_directory();
}

bool has_control_characters(const std::string& text) {
    return std::any_of(text.begin(), text.end(),
                       [](unsigned char c) { return c < 32 || c == 127; });
}

/// What is wrong with the command line, beside what its parser knows.
spool::Result<JobOptions> checked_options(const SubmitOptions& options) {
    const AfterDashes& after = options.after_dashes;
    if (options.file.empty() && !after.given)
        return misuse(
            "say what to run: gpuspool submit -- COMMAND…, gpuspool submit FILE, or gpuspool "
            "submit - for standard input");
    if (options.file.empty() && (after.words.empty() || after.words.front().empty()))
        return misuse("there is no command after --");
    if (has_control_characters(options.name))
        return misuse("--name " + spool::printable(options.name) +
                      ": a name must not have control characters");
    auto job = job_options(options);
    if (!job) return job;
    // What a file says may go with them.
    if (const auto good = command_job({"true"}, *job, spool::Contradictions::allowed); !good)
        return tl::unexpected(good.error());
    return job;
}

/// Records the directory and, unless it is not wanted, the environment of this process.
spool::Result<void> capture(spool::Spool& spool, const SubmitOptions& options,
                            spool::SubmitInfo& info) {
    auto directory = job_directory(options);
    if (!directory) return tl::unexpected(directory.error());
    info.directory = std::move(*directory);
    if (options.no_environment) return {};
    spool::CapturedEnvironment captured = spool::filter_environment(spool::own_environment());
    auto stored = spool::store_environment(spool, captured.kept);
    if (!stored) return tl::unexpected(stored.error());
    info.environment = std::move(*stored);
    info.secrets = std::move(captured.secrets);
    if (info.secrets.empty()) return {};
    complain(
        "not recorded, because they look like secrets (filled in from your login environment at "
        "the start): " +
        spool::printable(spool::joined(info.secrets, ", ")));
    return {};
}

/// The daemon of this machine would take the job with it when the user logs out.
void warn_of_logout(spool::Spool& spool) {
    const auto owner = spool::read_owner(spool);
    const auto here = spool::machine_id();
    if (owner && here && owner->machine_id == *here && ends_at_logout(owner->pid))
        complain(
            "warning: lingering is off: systemd may end the daemon and its jobs when you log out; "
            "loginctl enable-linger keeps them");
}

void tell(Context& context, spool::Spool& spool, const spool::Submitted& submitted) {
    const std::string name = submitted.file_name.substr(0, submitted.file_name.rfind('.'));
    if (!daemon_runs(context, spool))
        return complain("job " + job_text(submitted.number, name) +
                        " waits: " + why_no_daemon(context, spool));
    if (context.err.is_terminal)
        complain("job " + job_text(submitted.number, name) + " is queued; gpuspool log -f " +
                 std::to_string(submitted.number) + " shows what it prints");
    warn_of_logout(spool);
}

int follow(Context& context, spool::Spool& spool, std::uint64_t number) {
    const auto job = spool::find_job(spool, std::to_string(number), context.clock);
    if (!job) return report_search(job.error());
    const Watched watched = follow_log(context, spool, *job, -1);
    if (!watched.result) return watched.code;
    const spool::JobResult& result = *watched.result;
    if (result.state != spool::Outcome::succeeded || context.err.is_terminal)
        complain(end_text(result));
    return exit_code_of(result);
}

int run_submit(Context& context, const SubmitOptions& options) {
    if (const auto directory = job_directory(options); !directory) return report(directory.error());
    const auto job = checked_options(options);
    if (!job) {
        (void)report(job.error());
        return usage_error;
    }
    auto submission = options.file.empty() ? from_command(options, *job) : from_file(options, *job);
    if (!submission) return report(submission.error());
    if (!options.name.empty()) submission->stem = options.name;

    const auto spool = context.open(spool::IfMissing::create);
    if (!spool) return report(spool.error());
    if (const auto captured = capture(**spool, options, submission->info); !captured)
        return report(captured.error());
    const auto submitted = spool::submit(**spool, std::move(*submission), context.clock);
    if (!submitted) return report(submitted.error());
    std::printf("%llu\n", static_cast<unsigned long long>(submitted->number));
    if (!flush_output()) {
        complain("job " + std::to_string(submitted->number) +
                 " IS queued, only its number could not be printed: do not submit it again");
        return failure;
    }
    tell(context, **spool, *submitted);
    return options.follow ? follow(context, **spool, submitted->number) : success;
}

}  // namespace

void add_submit(CLI::App& app, Run& run, const AfterDashes& after_dashes) {
    CLI::App* verb = app.add_subcommand(
        "submit", "Queue a command (-- COMMAND…), a file, or standard input (-)");
    const auto options = std::make_shared<SubmitOptions>();
    options->after_dashes = after_dashes;
    verb->add_option("file", options->file,
                     "A job file: shell script or JSON; - is standard input");
    verb->add_option("-n,--name", options->name, "Name of the job");
    for (std::size_t i = 0; i < std::size(setting_options); ++i)
        verb->add_option(setting_options[i].flags, options->values[i], setting_options[i].help);
    verb->add_flag("--hold", options->hold, "Wait until gpuspool release");
    verb->add_flag("--requeue", options->requeue, "Run it again after a reboot, or if it is lost");
    verb->add_option("--chdir", options->directory, "Where it runs (default: here)");
    verb->add_option("--env", options->environment, "NAME=VALUE; may be repeated")
        ->allow_extra_args(false);
    verb->add_flag("--no-env", options->no_environment,
                   "Do not record this environment; the login environment is used");
    verb->add_flag("-f,--follow", options->follow, "Show the log, and exit with the job's code");
    verb->footer(std::string("gpuspool submit [OPTIONS] -- COMMAND…\ngpuspool submit [OPTIONS] "
                             "FILE [-- ARGUMENTS…]\n"
                             "gpuspool submit [OPTIONS] - < FILE\n\n") +
                 exit_code_help);
    verb->callback([&run, options] {
        run = [options](Context& context) { return run_submit(context, *options); };
    });
}

}  // namespace cli
