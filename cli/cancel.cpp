// gpuspool cancel: a waiting job is withdrawn, a running one is ended.
#include <cerrno>
#include <cstdio>
#include <memory>

#include "cli/arguments.h"
#include "cli/format.h"
#include "cli/requests.h"
#include "cli/verbs.h"

namespace cli {
namespace {

/// Without a daemon nobody can take the file meanwhile; and if one has just started, the file is
/// gone and it is asked.
spool::Result<bool> withdraw(spool::Spool& spool, const spool::FoundJob& job) {
    const auto removed = spool.files->remove(spool.incoming.get(), job.file_name);
    if (!removed && removed.error().code == ENOENT) return false;
    if (!removed) return tl::unexpected(removed.error());
    return spool.files->sync(spool.incoming.get(), true).map([] { return true; });
}

/// "42_[3-5]"
int cancel_tasks(Context& context, spool::Spool& spool, const spool::TaskReference& tasks,
                 std::vector<Asked>& asked) {
    const auto job = find_numbered(context, spool, tasks.array);
    if (!job) return report_search(job.error());
    spool::Request wish{{}, "cancel", job->id, 0};
    wish.tasks = spool::tasks_text(tasks.tasks);
    const auto request = spool::send_request(spool, wish, context.clock);
    if (!request) return report(request.error());
    asked.push_back({*request, "array " + job_text(job->id, job->name)});
    return success;
}

/// Cancels one job at once or asks for it; a request that was sent is added to `asked`.
int cancel(Context& context, spool::Spool& spool, const std::string& name,
           std::vector<Asked>& asked) {
    if (const auto several = spool::parse_task_reference(name);
        several && name.ends_with(']') && !find_numbered(context, spool, name))
        return cancel_tasks(context, spool, *several, asked);
    const auto job = find_numbered(context, spool, name);
    if (!job) return report_search(job.error());
    const std::string subject = "job " + job_text(job->id, job->name);
    if (job->result()) {
        complain(subject + " has ended already: " + outcome_text(*job->result()));
        return failure;
    }
    if (job->waiting() && !job->task && (job->id == 0 || !daemon_runs(context, spool))) {
        const auto withdrawn = withdraw(spool, *job);
        if (!withdrawn) return report(withdrawn.error());
        if (*withdrawn) {
            std::printf("%s: withdrawn\n", subject.c_str());
            return success;
        }
    }
    if (job->id == 0) {
        complain(subject + " has no number yet; try again");
        return failure;
    }
    spool::Request wish{{}, "cancel", job->id, 0};
    if (job->task) wish.tasks = std::to_string(*job->task);
    const auto request = spool::send_request(spool, wish, context.clock);
    if (!request) return report(request.error());
    asked.push_back({*request, subject});
    return success;
}

int run_cancel(Context& context, std::vector<std::string> jobs) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    if (jobs.empty()) jobs.emplace_back();
    std::vector<Asked> asked;
    int code = success;
    for (const std::string& job : jobs)
        if (const int one = cancel(context, **spool, job, asked); one != success) code = one;
    const int replies = print_replies(context, **spool, asked);
    return code != success ? code : replies;
}

}  // namespace

void add_cancel(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand(
        "cancel", "Withdraw a waiting job; end a running one with all its processes");
    const auto jobs = std::make_shared<std::vector<std::string>>();
    verb->add_option("jobs", *jobs, "Numbers or names (default: the newest)")->check(not_empty());
    verb->callback(
        [&run, jobs] { run = [jobs](Context& context) { return run_cancel(context, *jobs); }; });
}

}  // namespace cli
