// Between two attempts of a job (docs/protocol.md, «Attempts»): a part of `ActiveJobs`.
#include <algorithm>

#include "active_jobs.h"
#include "libspool/next_attempt.h"
#include "libspool/outcome.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

/// After barrier 2: whether another attempt follows. If so, it waits for that.
bool ActiveJobs::goes_on(Active& active) {
    if (!active.job.facts.rules.any() || active.damaged || active.distrusted) return false;
    if (active.has_ended) return false;
    if (active.marking) {  // what its mark says decides
        active.stage = Stage::retrying;
        return true;
    }
    spool::JobResult verdict =
        spool::decide_outcome(active.job, active.content, boot_, clock_.wall());
    auto next = spool::decide_next_attempt(active.job.facts.rules, active.job.facts.counts, verdict,
                                           active.content.claim.boot_id == boot_);
    if (!next) return false;
    // A clock that was set back does not make it wait longer than it was to.
    const std::chrono::nanoseconds delay(next->at - verdict.ended_at),
        left(next->at - clock_.wall());
    log_info(title(active.job) + ": attempt " + std::to_string(active.job.attempt) + " " +
             std::string(spool::outcome_name(verdict.state)) +
             (verdict.reason ? ", " + *verdict.reason : "") +
             "; another one follows: " + next->why + ", " + spool::format_time(next->at));
    active.stage = Stage::retrying;
    active.binding.reset();
    active.queued = false;
    active.retry =
        Retry{std::move(verdict), std::move(*next),
              clock_.monotonic() + std::clamp<std::chrono::nanoseconds>(left, 0ns, delay), 0ns};
    active.next_look = active.retry->due;
    // While the attempt ended nobody looked.
    (void)file_is_missing(active);
    if (!active.retry->next.asked) listener_.attempt_ended(active.retry->verdict);
    listener_.changed();
    return true;
}

void ActiveJobs::step_retry(Active& active) {
    const std::uint64_t number = active.job.number;
    if (active.marking) return;
    const bool ends = active.content.cancelled() || (!active.retry && !goes_on(active));
    if (ends) {
        listener_.freed(number);
        return publish(number);
    }
    (void)file_is_missing(active);
    if (active.missing_since) {  // no attempt begins until it is known what that means
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    if (active.binding) return begin_attempt(active);
    if (clock_.monotonic() < active.retry->due) {
        active.next_look = active.retry->due;
        return;
    }
    if (!can_be_repeated(active)) {
        listener_.freed(number);
        return publish(number);
    }
    queue(active);
}

/// What is to be executed is in the record of the attempt that has ended.
bool ActiveJobs::can_be_repeated(Active& active) {
    const auto body = spool::read_body(*spool_.files, active.job.record, active.content.claim);
    if (body || body.error().code != 0) return true;
    log_warning(title(active.job) + " has no further attempt: " + body.error().text());
    active.has_ended = true;
    return false;
}

/// After a fault: it waits, longer each time.
void ActiveJobs::try_attempt_later(Active& active) {
    Retry& retry = *active.retry;
    active.stage = Stage::retrying;
    active.binding.reset();
    active.queued = false;
    retry.pause = std::clamp<std::chrono::nanoseconds>(2 * retry.pause, 1s, 64s);
    retry.due = clock_.monotonic() + retry.pause;
    active.next_look = retry.due;
    listener_.freed(active.job.number);
}

/// Asks for slots for a further attempt.
void ActiveJobs::queue(Active& active) {
    if (active.job.attempt == 1 && active.stage == Stage::claimed) return;
    if (active.queued) return;
    active.queued = listener_.wants_slots(active);
    if (!active.queued) active.next_look = clock_.monotonic() + 1s;
    listener_.changed();
}

void ActiveJobs::begin_attempt(Active& active) {
    const std::uint64_t number = active.job.number;
    const auto until = active.binding->valid_until;
    if (until && clock_.monotonic() > *until) return unbind(active);
    const auto names = syncs_.try_hold_names();
    if (!names) {
        active.next_look = clock_.monotonic() + 1ms;
        return;
    }
    auto next = spool::claim_next_attempt(
        spool_, pool_, clock_, boot_, active.job, active.retry->verdict, active.retry->next,
        [this](const std::string& name) { return name_taken(name); });
    if (!next) {
        listener_.trouble("attempt", "a further attempt of " + title(active.job) +
                                         " cannot be prepared: " + next.error().text());
        return try_attempt_later(active);
    }
    listener_.trouble("attempt", "");
    active.ended_attempt = std::exchange(active.job, std::move(*next));
    by_record_[active.job.record.index] = number;
    active.content = {};
    active.cancel_sent = false;
    active.wish_told.reset();
    sync_claim(active);
}

/// The verdict on it is in the record of the next one, on the disk.
void ActiveJobs::release_ended_attempt(Active& active) {
    spool::ActiveJob ended = std::move(*active.ended_attempt);
    active.ended_attempt.reset();
    active.retry.reset();
    by_record_.erase(ended.record.index);
    if (spool::release(spool_, ended))
        pool_.give_back(std::move(ended.record));
    else
        pool_.discard(std::move(ended.record));
}

/// Its claim did not reach the disk: what was before holds, and it is tried again.
void ActiveJobs::undo_attempt(Active& active, const SyncThread::Failures& failures) {
    log_warning(title(active.job) +
                " waits on for its next attempt: " + failures.begin()->second.text());
    const auto undone = spool::undo_next_attempt(spool_, active.job);
    if (!undone)
        listener_.trouble("attempt", "a record cannot be removed: " + undone.error().text());
    by_record_.erase(active.job.record.index);
    const bool sound = !failures.contains(active.job.record.file.get());
    if (sound && undone.value_or(false))
        pool_.give_back(std::move(active.job.record));
    else
        pool_.discard(std::move(active.job.record));
    active.job = std::move(*active.ended_attempt);
    active.ended_attempt.reset();
    if (auto content = spool::read_record(*spool_.files, active.job.record))
        active.content = std::move(*content);
    try_attempt_later(active);
}

}  // namespace spoold
