// Suspending running jobs (docs/protocol.md, «Suspension»): a part of `ActiveJobs`.
#include "active_jobs.h"
#include "libspool/system.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// Whether its main process has ended. Its supervisor follows no wish any more, though it may be
/// seconds until the exit page says so.
bool is_over(const spool::RecordContent& content) {
    const spool::record::Run& run = content.run;
    return content.run_known() && run.main_pid > 0 && run.main_start != 0 &&
           !spool::process_is_alive(run.main_pid, run.main_start);
}

/// Why a job cannot be suspended or continued now; empty: it can.
std::string why_not(const Active* active, bool suspend) {
    if (active == nullptr || active->stage >= Stage::syncing_exit) return "has ended already";
    const bool executed = active->stage == Stage::running || active->stage == Stage::orphaned;
    if (!executed) return "is not executed just now; try again when it is";
    if (!suspend && active->stage == Stage::orphaned) return {};
    const spool::RecordContent& content = active->content;
    if (active->stage == Stage::orphaned || content.ended() || content.cancelled() ||
        is_over(content))
        return "is about to end";
    return {};
}

}  // namespace

void ActiveJobs::suspend(std::uint64_t number, bool suspended, CancelHandler done) {
    if (Active* seen = find(number)) look_at(*seen);
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
    syncs_.sync(std::move(barrier),
                [this, number, wish, before, done = std::move(done)](const auto& failures) {
                    done(wish_synced(number, wish, before, failures));
                    listener_.changed();
                });
}

/// Tells its supervisor. The job may have ended while the disk was waited for.
spool::Result<void> ActiveJobs::wish_synced(std::uint64_t number, spool::record::Wish wish,
                                            bool before, const SyncThread::Failures& failures) {
    Active* active = find(number);
    const bool same = active != nullptr && active->job.token == wish.token;
    const bool suspend = wish.suspended != 0;
    wish.suspended = before ? 1 : 0;
    if (same && !failures.empty())  // nobody was told
        (void)spool::write_wish(*spool_.files, active->job.record, wish);
    if (same) look_at(*active);
    if (!failures.empty()) return tl::unexpected(failures.begin()->second);
    const std::string why = suspend ? why_not(same ? find(number) : nullptr, true) : std::string();
    if (why.empty()) return {};
    return spool::content_error("job " + std::to_string(number), {}, why);
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
