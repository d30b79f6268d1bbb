// gpuspool log: what a job has printed.
#include <cstdio>
#include <memory>

#include "cli/arguments.h"
#include "cli/follow.h"
#include "cli/format.h"
#include "cli/verbs.h"
#include "libspool/names.h"

namespace cli {
namespace {

struct LogOptions {
    std::string job;
    bool follow = false;
    long lines = -1;
};

void print_end(const Context& context, const spool::JobResult& result) {
    if (!context.err.is_terminal) return;
    const std::string time = run_time(result);
    complain(end_text(result, time.empty() ? "" : " after " + time));
}

int print_waiting(const spool::FoundJob& job) {
    complain("job " + job_text(job.id, job.name) +
             " waits: " + spool::printable(spool::wait_sentence(job.waiting()->reason)) +
             " (gpuspool log -f " + job_argument(job) + " follows it when it starts)");
    return success;
}

int print_once(Context& context, const spool::Spool& spool, const spool::FoundJob& job,
               long lines) {
    if (job.waiting()) return print_waiting(job);
    Log log;
    if (!log.open(spool, job) && !log.elsewhere().empty()) {
        complain(no_log_text(job, log));
        return failure;
    }
    if (!log.is_open()) {
        const std::string reason = job.result() && job.result()->reason
                                       ? ": " + spool::printable(*job.result()->reason)
                                       : "";
        complain("job " + job_text(job.id, job.name) + " has no log" + reason);
        return failure;
    }
    log.seek_to_last(lines);
    if (!log.copy_new()) return failure;
    if (job.result()) print_end(context, *job.result());
    return success;
}

int run_log(Context& context, const LogOptions& options) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    const auto job = spool::find_job(**spool, options.job, context.clock);
    if (!job) return report_search(job.error());
    if (job->array() || (job->result() && job->result()->tasks)) {
        complain("job " + job_text(job->id, job->name) +
                 " is an array: each task has a log of its own (gpuspool log " +
                 std::to_string(job->id) + "_0)");
        return failure;
    }
    if (!options.follow) return print_once(context, **spool, *job, options.lines);
    const Watched watched = follow_log(context, **spool, *job, options.lines);
    if (!watched.result) return watched.code;
    print_end(context, *watched.result);
    return success;
}

}  // namespace

void add_log(CLI::App& app, Run& run) {
    CLI::App* verb =
        app.add_subcommand("log", "Print a job's output; with -f, follow it to its end");
    const auto options = std::make_shared<LogOptions>();
    verb->add_option("job", options->job, "Number or name (default: the newest)")
        ->check(not_empty());
    verb->add_flag("-f,--follow", options->follow,
                   "Go on until the job ends; Ctrl-C only stops watching");
    verb->add_option("-n,--lines", options->lines, "Only the last N lines")
        ->check(CLI::Validator(
            [](const std::string& text) {
                const bool good = !text.empty() && text.size() < 19 &&
                                  text.find_first_not_of("0123456789") == std::string::npos;
                return good ? "" : "give a number from 0 up, not '" + text + "'";
            },
            "N", "count"));
    verb->callback([&run, options] {
        run = [options](Context& context) { return run_log(context, *options); };
    });
}

}  // namespace cli
