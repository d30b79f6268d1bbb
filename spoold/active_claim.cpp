// From the claim to barrier 1, and back where it fails (docs/protocol.md §5): a part of
// `ActiveJobs`.
#include <cerrno>

#include "active_jobs.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

void ActiveJobs::add(spool::ActiveJob job) {
    const std::uint64_t number = job.number;
    by_record_[job.record.index] = number;
    names_.insert(job.name);
    Active& active = jobs_[number];
    active.job = std::move(job);
    sync_claim(active);
}

/// Barrier 1.
void ActiveJobs::sync_claim(Active& active) {
    active.stage = Stage::syncing_claim;
    spool::SyncSet barrier;
    spool::add_claim_barrier(spool_, active.job, barrier);
    syncs_.sync(std::move(barrier), [this, number = active.job.number](const auto& failures) {
        claim_synced(number, failures);
    });
    listener_.changed();
}

/// Of a further attempt that an earlier daemon claimed, and whose predecessor is gone: it cannot be
/// undone, and is not started before the disk has it.
void ActiveJobs::sync_claim_again(Active& active) {
    active.stage = Stage::returning;
    active.binding.reset();
    active.queued = false;
    active.next_look = clock_.monotonic() + 1s;
    listener_.freed(active.job.number);
}

void ActiveJobs::claim_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    Active* active = find(number);
    if (active == nullptr) return;
    if (!failures.empty()) {
        // Nothing was executed: the file goes back, and what could not be synced is not trusted
        // again.
        if (active->ended_attempt) return undo_attempt(*active, failures);
        active->distrusted = failures.contains(active->job.record.file.get());
        listener_.trouble("claim",
                          "jobs cannot be claimed durably: " + failures.begin()->second.text());
        if (active->job.attempt > 1) return sync_claim_again(*active);
        return undo_claim(*active, failures.begin()->second.text());
    }
    listener_.trouble("claim", "");
    active->job.record.fresh = false;
    if (active->ended_attempt) release_ended_attempt(*active);
    active->stage = Stage::claimed;
    step(number);
}

/// May be repeated. Until it has succeeded the job counts neither as claimed nor as waiting.
void ActiveJobs::undo_claim(Active& active, const std::string& why) {
    const std::uint64_t number = active.job.number;
    if (active.job.attempt > 1) {  // it waits in running/
        if (active.stage == Stage::returning) return sync_claim(active);
        active.stage = Stage::claimed;
        return queue(active);
    }
    if (active.stage != Stage::returning)
        log_warning(title(active.job) + " goes back to the queue: " + why);
    const auto undone = spool::unclaim(spool_, active.job);
    if (!undone) {
        if (undone.error().code == EBUSY) {  // a supervisor was faster: the job runs
            active.stage = Stage::starting;
            active.next_look = clock_.monotonic() + 10ms;
            return;
        }
        listener_.trouble("unclaim",
                          "a job cannot be put back into the queue: " + undone.error().text());
        active.stage = Stage::returning;
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    listener_.trouble("unclaim", "");
    listener_.not_started(active.job);
    listener_.freed(number);
    finish(number, *undone && !active.distrusted);
}

void ActiveJobs::give_up_claims(const std::string& why) {
    std::vector<std::uint64_t> unbound;
    for (const auto& [number, active] : jobs_)
        if (active.stage == Stage::claimed && active.job.attempt == 1 && !active.binding &&
            !active.content.cancelled())
            unbound.push_back(number);
    for (const std::uint64_t number : unbound)
        undo_claim(jobs_.at(number), why);
}

}  // namespace spoold
