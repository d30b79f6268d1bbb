// gpuspool wait: until jobs have ended; the exit code is theirs.
#include <algorithm>
#include <memory>

#include "cli/arguments.h"
#include "cli/exit_code.h"
#include "cli/follow.h"
#include "cli/format.h"
#include "cli/verbs.h"

namespace cli {
namespace {

int wait_for(Context& context, spool::Spool& spool, const spool::FoundJob& job) {
    const Watched watched = wait_for_end(context, spool, job);
    if (!watched.result) return watched.code;
    complain(end_text(*watched.result));
    return exit_code_of(*watched.result);
}

int run_wait(Context& context, std::vector<std::string> names) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    if (names.empty()) names.emplace_back();
    std::vector<spool::FoundJob>
        jobs;  // all of them, before the first may end and make a name mean another
    for (const std::string& name : names) {
        auto job = spool::find_job(**spool, name, context.clock);
        if (!job) return report_search(job.error());
        jobs.push_back(std::move(*job));
    }
    const bool any_active =
        std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return !job.result(); });
    if (any_active && !daemon_runs(context, **spool)) complain(why_no_daemon(context, **spool));
    int code = success;
    for (const spool::FoundJob& job : jobs) {
        const int one = wait_for(context, **spool, job);
        if (code == success) code = one;
        if (one == stopped_watching) return one;
    }
    return code;
}

}  // namespace

void add_wait(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand(
        "wait", "Wait until jobs have ended; exit with the (first failed) job's code");
    const auto jobs = std::make_shared<std::vector<std::string>>();
    verb->add_option("jobs", *jobs, "Numbers or names (default: the newest)")->check(not_empty());
    verb->footer(exit_code_help);
    verb->callback(
        [&run, jobs] { run = [jobs](Context& context) { return run_wait(context, *jobs); }; });
}

}  // namespace cli
