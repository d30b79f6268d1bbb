#include "cli/follow.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "cli/format.h"
#include "cli/watch.h"
#include "libspool/names.h"

namespace cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds poll_interval{1000}, closest_looks{50};
/// A job that moves between directories, or was withdrawn and is not yet in done/, may be out of
/// sight that long.
constexpr std::chrono::seconds out_of_sight{4};

/// The job as it is now, found again by what names exactly this one.
class Tracked {
public:
    Tracked(Context& context, spool::Spool& spool, const spool::FoundJob& job)
        : context_(context), spool_(spool), job_(job), seen_(steady_clock::now()) {}

    [[nodiscard]] const spool::FoundJob& job() const { return job_; }

    /// Looks again. The error is final: the job is not to be found for longer than a move takes.
    spool::Result<void> look() {
        auto found = spool::find_job(
            spool_, job_.id != 0 ? spool::job_number_text(job_.id, job_.task) : job_.name,
            context_.clock);
        if (found) {
            job_ = std::move(*found);
            seen_ = steady_clock::now();
            return {};
        }
        if (found.error().code != ENOENT) return tl::unexpected(found.error());
        if (steady_clock::now() - seen_ < out_of_sight) return {};
        return tl::unexpected(
            spool::Error{{},
                         {},
                         "job " + job_text(job_.id, job_.name) + " is gone: its file was removed",
                         ENOENT,
                         std::nullopt});
    }

private:
    Context& context_;
    spool::Spool& spool_;
    spool::FoundJob job_;
    steady_clock::time_point seen_;
};

int say_stopped(const spool::FoundJob& job) {
    complain("stopped watching; job " + job_text(job.id, job.name) + " goes on (gpuspool cancel " +
             job_argument(job) + " ends it)");
    return stopped_watching;
}

/// Says why a job waits, once for each reason.
class Reasons {
public:
    void tell(const spool::FoundJob& job) {
        if (!job.waiting()) return;
        const std::string reason = spool::printable(spool::wait_sentence(job.waiting()->reason));
        if (reason != last_) complain("job " + job_text(job.id, job.name) + " waits: " + reason);
        last_ = reason;
    }

private:
    std::string last_;
};

/// Waits for a change, but not so often that a busy spool keeps us looking.
void pause_between_looks(Watcher& watcher) {
    const auto start = steady_clock::now();
    watcher.wait(poll_interval);
    const auto rest =
        std::chrono::duration_cast<milliseconds>(closest_looks - (steady_clock::now() - start));
    if (rest.count() > 0 && !interrupted()) std::this_thread::sleep_for(rest);
}

}  // namespace

Watched follow_log(Context& context, spool::Spool& spool, const spool::FoundJob& job, long lines) {
    catch_interrupt();
    Watcher watcher(spool);
    Tracked tracked(context, spool, job);
    Reasons reasons;
    Log log;
    bool told = false;
    while (true) {
        if (interrupted()) return {std::nullopt, say_stopped(tracked.job())};
        if (const auto looked = tracked.look(); !looked)
            return {std::nullopt, report_search(looked.error())};
        const spool::FoundJob now =
            tracked.job();  // before reading on: what it wrote before its end is all printed
        if (!log.is_open() && now.place() != spool::Place::waiting && log.open(spool, now)) {
            log.seek_to_last(lines);
            watcher.watch_file(log.descriptor());
        }
        if (!std::exchange(told, told || !log.elsewhere().empty()) && !log.elsewhere().empty())
            complain(no_log_text(now, log));
        if (log.is_open() && !log.copy_new()) return {std::nullopt, failure};
        if (log.is_open() && log.is_replaced(spool, now)) {
            if (!log.go_on_with_newest(spool, now)) return {std::nullopt, failure};
            watcher.watch_file(log.descriptor());
        }
        if (now.result()) return {*now.result(), success};
        reasons.tell(now);
        if (!interrupted()) pause_between_looks(watcher);
    }
}

Watched wait_for_end(Context& context, spool::Spool& spool, const spool::FoundJob& job) {
    catch_interrupt();
    Watcher watcher(spool);
    Tracked tracked(context, spool, job);
    Progress progress;
    while (!tracked.job().result()) {
        if (interrupted()) {
            progress.clear();
            return {std::nullopt, say_stopped(tracked.job())};
        }
        progress.show("job " + job_text(tracked.job().id, tracked.job().name) + ' ' +
                      activity_text(tracked.job(), context.clock.wall()));
        pause_between_looks(watcher);
        if (const auto looked = tracked.look(); !looked) {
            progress.clear();
            return {std::nullopt, report_search(looked.error())};
        }
    }
    return {*tracked.job().result(), success};
}

}  // namespace cli
