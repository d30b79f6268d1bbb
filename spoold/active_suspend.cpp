// Suspending running jobs (docs/protocol.md, «Suspension»): a part of `ActiveJobs`.
#include "active_jobs.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// Why a job cannot be suspended or continued now; empty: it can.
std::string why_not(const Active* active, bool suspend) {
    if (active == nullptr || active->stage >= Stage::syncing_exit) return "has ended already";
    const bool executed = active->stage == Stage::running || active->stage == Stage::orphaned;
    if (!executed) return "is not executed just now; try again when it is";
    if (!suspend && active->stage == Stage::orphaned) return {};
    if (active->stage == Stage::orphaned || active->content.ended() || active->content.cancelled())
        return "is about to end";
    return {};
}

}  // namespace

void ActiveJobs::suspend(std::uint64_t number, bool suspended, CancelHandler done) {
    Active* active = find(number);
    if (const std::string why = why_not(active, suspended); !why.empty())
        return done(spool::content_error("job " + std::to_string(number), {}, why));
    const bool before = active->content.suspended();
    spool::record::Wish wish{};
    wish.token = active->job.token;
    wish.suspended = suspended ? 1 : 0;
    wish.at = clock_.wall();
    if (auto written = spool::write_wish(*spool_.files, active->job.record, wish); !written)
        return done(tl::unexpected(written.error()));
    spool::SyncSet barrier;
    barrier.add(active->job.record.file.get(), false);
    syncs_.sync(std::move(barrier), [this, number, wish, before, done = std::move(done)](
                                        const SyncThread::Failures& failures) mutable {
        Active* still = find(number);
        const bool same = still != nullptr && still->job.token == wish.token;
        wish.suspended = before ? 1 : 0;
        if (same && !failures.empty())  // nobody was told
            (void)spool::write_wish(*spool_.files, still->job.record, wish);
        if (same) look_at(*still);
        done(failures.empty() ? spool::Result<void>()
                              : tl::unexpected<spool::Error>(failures.begin()->second));
        listener_.changed();
    });
}

/// The supervisor may have been told by an earlier daemon, or not: being told twice changes
/// nothing.
void ActiveJobs::tell_wish(Active& active, bool alive) {
    const spool::RecordContent& content = active.content;
    if (!content.has_wish() || !content.started() || content.ended() || !alive) return;
    if (active.wish_told == content.suspended()) return;
    if (executor_.notify_wish(active.job, content))
        active.wish_told = content.suspended();
    else
        active.next_look = clock_.monotonic() + 1s;
}

}  // namespace spoold
