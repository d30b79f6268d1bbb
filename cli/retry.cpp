// gpuspool retry: an ended job again, as a new job.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>
#include <set>

#include "cli/arguments.h"
#include "cli/format.h"
#include "cli/job_options.h"
#include "cli/results.h"
#include "cli/verbs.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/submit.h"

namespace cli {
namespace {

struct RetryOptions {
    std::vector<std::string> jobs;
    bool failed = false;
};

bool wants_retry(spool::Outcome state) {
    using spool::Outcome;
    return state == Outcome::failed || state == Outcome::timeout || state == Outcome::lost ||
           state == Outcome::interrupted;
}

/// `only`: these tasks of an array, "3,7-9"; empty: all.
spool::Result<spool::Submission> submission_of(spool::Spool& spool, const spool::FoundJob& job,
                                               const std::string& only) {
    const std::string subject = "job " + job_text(job.id, job.name);
    if (!job.result()) return spool::content_error({}, {}, subject + " has not ended yet");
    if (job.file_name.empty())
        return spool::content_error({}, {},
                                    subject + " has no file in done/ any more; submit it anew");
    auto bytes =
        spool::read_whole(*spool.files, spool.done.get(), job.file_name, spool::max_job_file_size);
    if (!bytes && job.task)  // its array has not ended
        bytes = spool::read_whole(*spool.files, spool.running.get(), job.file_name,
                                  spool::max_job_file_size);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto spec = spool::read_job_file(*bytes, "done/" + spool::printable(job.file_name));
    if (!spec) return tl::unexpected(spec.error());
    spool::Submission out;
    out.bytes = std::move(*bytes);
    const auto task = spool::split_task_name(job.name);
    out.stem =
        spool::plain_name(task ? task->array : job.name);  // the third run of x is x~3, not x~2~2
    if (const auto name = spool::split_job_name(job.file_name)) out.extension = name->extension;
    out.info = spec->submit.value_or(spool::SubmitInfo{});
    out.info.retry_of = job.id;
    const std::string tasks = job.task ? std::to_string(*job.task) : only;
    if (tasks.empty()) return out;
    // The scripts may share out the work by the number of tasks: that stays what it was.
    if (out.info.array.empty()) out.info.array = spec->array.tasks;
    auto narrowed =
        with_options(out.bytes, {{{"array", spool::array_text({tasks, spec->array.limit})}}, {}});
    if (!narrowed) return tl::unexpected(narrowed.error());
    out.bytes = std::move(*narrowed);
    return out;
}

/// Of an array those tasks that are worth it; empty of other jobs.
std::string failed_tasks(const spool::FoundJob& job) {
    spool::TaskList all;
    if (!job.result() || !job.result()->tasks) return {};
    for (const auto& [outcome, text] : job.result()->tasks->by_outcome)
        if (const auto tasks = spool::parse_tasks(text); tasks && wants_retry(outcome))
            all.insert(all.end(), tasks->begin(), tasks->end());
    std::sort(all.begin(), all.end());
    return spool::tasks_text(all);
}

int retry(Context& context, spool::Spool& spool, const spool::FoundJob& job, bool failed) {
    auto submission = submission_of(spool, job, failed ? failed_tasks(job) : "");
    if (!submission) return report(submission.error());
    const auto submitted = spool::submit(spool, std::move(*submission), context.clock);
    if (!submitted) return report(submitted.error());
    std::printf("%llu\n", static_cast<unsigned long long>(submitted->number));
    std::fflush(stdout);
    if (context.err.is_terminal)
        complain("job " + job_text(job.id, job.name) + " is queued again as job " +
                 job_text(submitted->number,
                          submitted->file_name.substr(0, submitted->file_name.rfind('.'))));
    return success;
}

/// Numbers of jobs which a job that waits or runs was made from.
void add_retried(spool::Spool& spool, const spool::OpenFile& directory,
                 std::set<std::uint64_t>& out) {
    const auto entries = spool.files->list(directory.get());
    if (!entries) return;
    for (const spool::DirectoryEntry& entry : *entries) {
        if (spool::classify_name(entry.name) != spool::NameClass::job) continue;
        const auto bytes =
            spool::read_whole(*spool.files, directory.get(), entry.name, spool::max_job_file_size);
        if (!bytes) continue;
        const auto spec = spool::read_job_file(*bytes, entry.name);
        if (spec && spec->submit && spec->submit->retry_of) out.insert(*spec->submit->retry_of);
    }
}

/// All that failed and were not tried again since.
spool::Result<std::vector<std::string>> failed_jobs(spool::Spool& spool) {
    std::set<std::uint64_t> retried;
    add_retried(spool, spool.incoming, retried);
    add_retried(spool, spool.running, retried);
    const auto results = list_results(spool, std::numeric_limits<std::size_t>::max());
    if (!results) return tl::unexpected(results.error());
    for (const spool::JobResult& result : *results)
        if (result.retry_of) retried.insert(*result.retry_of);
    std::vector<std::string> out;
    for (auto result = results->rbegin(); result != results->rend(); ++result)
        if (wants_retry(result->state) && !retried.contains(result->id))
            out.push_back(std::to_string(result->id));
    return out;
}

int run_retry(Context& context, const RetryOptions& options) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    std::vector<std::string> jobs = options.jobs;
    if (options.failed) {
        const auto failed = failed_jobs(**spool);
        if (!failed) return report(failed.error());
        if (failed->empty()) complain("no failed job that was not tried again already");
        jobs = *failed;
    } else if (jobs.empty()) {
        jobs.emplace_back();
    }
    int code = success;
    for (const std::string& name : jobs) {
        const auto job = spool::find_job(**spool, name, context.clock);
        const int one =
            job ? retry(context, **spool, *job, options.failed) : report_search(job.error());
        if (one != success) code = one;
    }
    if (!jobs.empty() && !daemon_runs(context, **spool)) complain(why_no_daemon(context, **spool));
    return code;
}

}  // namespace

void add_retry(CLI::App& app, Run& run) {
    CLI::App* verb =
        app.add_subcommand("retry", "Queue ended jobs again, as new jobs; prints their numbers");
    const auto options = std::make_shared<RetryOptions>();
    CLI::Option* jobs =
        verb->add_option("jobs", options->jobs, "Numbers or names (default: the newest)")
            ->check(not_empty());
    verb->add_flag("--failed", options->failed,
                   "All that failed, ran out of time, were lost or interrupted, and were not tried "
                   "again since")
        ->excludes(jobs);
    verb->callback([&run, options] {
        run = [options](Context& context) { return run_retry(context, *options); };
    });
}

}  // namespace cli
