// From the end of a job to its released record: barrier 2, the result, barrier 3 (docs/protocol.md
// §5). A part of `ActiveJobs`.
#include <cerrno>

#include "active_jobs.h"
#include "libspool/done.h"
#include "libspool/outcome.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {
namespace {

using namespace std::chrono_literals;

constexpr auto result_delay = 100ms;          ///< how long barrier 3 waits for further results
constexpr std::size_t results_together = 64;  ///< at most

}  // namespace

void ActiveJobs::exited(Active& active) {
    const std::uint64_t number = active.job.number;
    active.stage = Stage::syncing_exit;
    active.next_look.reset();
    active.missing_since.reset();
    listener_.freed(number);
    listener_.changed();
    spool::SyncSet barrier;
    barrier.add(active.job.record.file.get(), false);
    syncs_.sync(std::move(barrier),
                [this, number](const auto& failures) { exit_synced(number, failures); });
}

void ActiveJobs::exit_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    // A result whose record may not survive is published all the same: what the page says is true,
    // and x.json is synced on its own.
    if (!failures.empty())
        listener_.trouble("record sync",
                          "a record could not be synced: " + failures.begin()->second.text());
    if (failures.empty() && goes_on(jobs_.at(number))) return;
    publish(number);
}

void ActiveJobs::publish(std::uint64_t number) {
    Active& active = jobs_.at(number);
    if (active.has_result) return release_published(number);
    const auto names = syncs_.try_hold_names();
    if (!names) {
        active.stage = Stage::publishing;
        active.next_look = clock_.monotonic() + 1ms;
        return;
    }
    spool::JobResult result =
        spool::decide_outcome(active.job, active.content, boot_, clock_.wall());
    result.host = spool::host_name();
    auto published = spool::publish(spool_, active.job, result);
    if (!published) {
        listener_.trouble("publish",
                          "results cannot be written to done/: " + published.error().text());
        active.stage = Stage::publishing;
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    listener_.trouble("publish", "");
    // A supervisor that died with its machine, or was killed, has not tidied up.
    if ((active.content.claim.flags & spool::record::writes_script) != 0)
        (void)spool_.files->remove(spool_.scripts.get(), active.job.job_file());
    active.stage = Stage::syncing_result;
    active.published = std::move(*published);
    if (!active.job.is_task())
        (void)history_.append_or_keep(spool::write_line(spool::history_entry(result)));
    log_info(title(active.job) + ": " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    listener_.ended(result);
    sync_result_soon(number);
}

void ActiveJobs::sync_result_soon(std::uint64_t number) {
    results_to_sync_.push_back(number);
    if (!results_due_) results_due_ = clock_.monotonic() + result_delay;
    if (results_to_sync_.size() >= results_together) sync_results();
}

/// Barrier 3. Nobody waits for it, the record has the truth meanwhile: so it is put off until there
/// are many.
void ActiveJobs::sync_results() {
    results_due_.reset();
    // Without its line in the history a job that has ended would be taken for one that waits.
    const auto written = history_.append_or_keep({});
    listener_.trouble("history",
                      written ? "" : "the history cannot be written: " + written.error().text());
    if (!written) {
        results_due_ = clock_.monotonic() + 1s;
        return;
    }
    spool::SyncSet barrier;
    std::vector<std::uint64_t> incomplete;
    for (const std::uint64_t number : results_to_sync_) {
        const Active& active = jobs_.at(number);
        spool::add_publish_barrier(spool_, *active.published, barrier);
        if (active.job.is_task() && !listener_.sync_with(active.job, barrier))
            incomplete.push_back(number);
    }
    barrier.add(history_.handle(), false);
    for (const std::uint64_t number : incomplete)
        jobs_.at(number).kept = true;
    syncs_.sync(std::move(barrier), [this, numbers = std::exchange(results_to_sync_, {})](
                                        const SyncThread::Failures& failures) {
        for (const std::uint64_t number : numbers)
            result_synced(number, failures);
    });
}

void ActiveJobs::result_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    const Active& active = jobs_.at(number);
    // Not on the disk for certain: the record keeps the truth until a later daemon publishes again.
    if (!failures.empty()) {
        listener_.trouble("result sync",
                          "results could not be synced: " + failures.begin()->second.text());
        listener_.not_synced(active.job);
        return finish(number, false);
    }
    listener_.trouble("result sync", "");
    if (active.kept) return finish(number, false);
    const bool released = spool::release(spool_, active.job).has_value();
    finish(number, released && !active.distrusted);
}

void ActiveJobs::finish(std::uint64_t number, bool reuse) {
    const auto found = jobs_.find(number);
    spool::ActiveJob job = std::move(found->second.job);
    if (put_back_.erase(number) > 0) tell_of_put_back();
    if (found->second.damaged) listener_.trouble(damage_of(job), "");
    jobs_.erase(found);
    by_record_.erase(job.record.index);
    names_.erase(names_.find(job.name));
    if (reuse)
        pool_.give_back(std::move(job.record));
    else
        pool_.discard(std::move(job.record));
    listener_.changed();
}

/// Its x.json was written, the free mark was not. That it can be read does not say that the disk
/// has it: barrier 3 comes first, as ever. What cannot be read now is tried again: until then the
/// record has the truth, and nothing of the job may be executed.
void ActiveJobs::release_published(std::uint64_t number) {
    Active& active = jobs_.at(number);
    const spool::ActiveJob& job = active.job;
    active.stage = Stage::publishing;
    auto json =
        spool::open_file(*spool_.files, spool_.done.get(), job.json_file(), spool::OpenMode::read);
    const auto result = spool::read_done(spool_, job.name);
    if (!json && json.error().code == ENOENT) {  // removed meanwhile
        active.has_result = false;
        return publish(number);
    }
    auto tasks = job.is_task()
                     ? spool::task_results(spool_, job.name.substr(0, job.name.rfind('/')))
                     : spool::Result<spool::OpenFile>(spool::OpenFile());
    const spool::Error* failed = !json     ? &json.error()
                                 : !result ? &result.error()
                                 : !tasks  ? &tasks.error()
                                           : nullptr;
    if (failed != nullptr) {
        active.next_look = clock_.monotonic() + 1s;
        return listener_.trouble("release", failed->text());
    }
    listener_.trouble("release", "");
    if (!job.is_task())
        (void)history_.append_or_keep(spool::write_line(spool::history_entry(*result)));
    listener_.ended(*result);
    active.published = spool::Published{job.name, std::move(*json), std::move(*tasks)};
    active.stage = Stage::syncing_result;
    sync_result_soon(number);
}

}  // namespace spoold
