// Cancelling active jobs, by request and by deletion of their files (docs/protocol.md §7): a
// part of `ActiveJobs`.
#include <algorithm>
#include <cerrno>

#include "active_jobs.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// While the mark was written it has ended, or has gone back to the queue without it.
tl::unexpected<spool::Error> not_running() {
    return spool::content_error({}, {},
                                "has ended, or went back to the queue after a fault: cancel it "
                                "again if it still waits");
}

}  // namespace

void ActiveJobs::cancel(std::uint64_t number, const std::string& reason, CancelHandler done) {
    Active* active = find(number);
    const bool may_go_on =
        active != nullptr && active->stage == Stage::syncing_exit && active->job.facts.rules.any();
    if (active == nullptr || (active->stage >= Stage::syncing_exit && !may_go_on))
        return done(spool::content_error({}, {}, "has ended already"));
    if (active->stage == Stage::returning) return done(not_running());
    active->marking = may_go_on || active->stage == Stage::retrying;
    spool::record::Cancel page{};
    page.token = active->job.token;
    page.at = clock_.wall();
    page.reason_length = static_cast<std::uint32_t>(reason.copy(page.reason, sizeof page.reason));
    if (auto written =
            spool::write_page(*spool_.files, active->job.record, spool::record::cancel_page, page);
        !written) {
        active->marking = false;
        return done(tl::unexpected(written.error()));
    }
    spool::SyncSet barrier;
    barrier.add(active->job.record.file.get(), false);
    syncs_.sync(std::move(barrier), [this, number, token = active->job.token,
                                     done = std::move(done)](const auto& failures) {
        Active* still = find(number);
        const bool same = still != nullptr && still->job.token == token;
        if (same) still->marking = false;
        if (!failures.empty()) {
            done(tl::unexpected(failures.begin()->second));
            return step(number);
        }
        if (!same || still->stage == Stage::returning) return done(not_running());
        done({});
        take_mark(number);
    });
}

/// The mark is on the disk.
void ActiveJobs::take_mark(std::uint64_t number) {
    Active* active = find(number);
    if (active->stage > Stage::syncing_exit) return;
    if (auto content = spool::read_record(*spool_.files, active->job.record))
        (void)take_content(*active, std::move(*content));
    if (active->stage == Stage::syncing_exit) return;
    step(number);
    if (Active* running = find(number)) look_at(*running);
    listener_.changed();
}

/// Whether the absence of its file from running/ says that it is to end: it has not ended, or may
/// be executed again.
bool ActiveJobs::owns_file(const Active& active) {
    return active.stage < Stage::syncing_exit ||
           (active.stage == Stage::syncing_exit && active.job.facts.rules.any());
}

/// True once the file has been absent in two looks at least a second apart.
bool ActiveJobs::file_is_missing(Active& active) {
    if (active.job.is_task()) return false;  // the file is its array's
    const auto stat = spool_.files->stat_at(spool_.running.get(), active.job.job_file());
    if (stat || stat.error().code != ENOENT) {
        active.missing_since.reset();
        return false;
    }
    const auto now = clock_.monotonic();
    if (!active.missing_since) active.missing_since = now;
    return now - *active.missing_since >= 1s;
}

std::size_t ActiveJobs::look_at_files(std::size_t others) {
    std::vector<Active*> absent;
    Active* missing = nullptr;
    for (auto& [number, active] : jobs_) {
        if (active.job.is_task() || !owns_file(active) || active.content.cancelled()) {
            active.missing_since.reset();  // else a time that has passed would wake the loop
            continue;
        }
        if (file_is_missing(active)) missing = &active;
        if (active.missing_since) absent.push_back(&active);
    }
    const std::size_t count = absent.size();
    if (std::exchange(restoring_, false) && count != 0) {
        put_back(absent, "running/ was removed or moved with the files of jobs");
    } else if (missing != nullptr && count + others > 1) {
        // One file is deleted by somebody who wants that job to end; several are an accident, those
        // that went within the last second included: rm takes them one after another.
        put_back(absent, "several job files vanished from running/ at once");
    } else if (missing != nullptr) {
        // Where the mark cannot be written, the next try has its time too.
        missing->missing_since = clock_.monotonic();
        cancel(missing->job.number, "its file was removed from running/",
               [this, called = title(missing->job)](const spool::Result<void>& marked) {
                   if (!marked)
                       listener_.trouble("cancel",
                                         called + " cannot be cancelled: " + marked.error().text());
               });
    }
    return count;
}

void ActiveJobs::put_back(const std::vector<Active*>& absent, const std::string& what) {
    for (Active* active : absent) {
        const auto restored = spool::restore_job_file(spool_, active->job, spool_.running.get(),
                                                      active->job.job_file());
        if (!restored && restored.error().code != EEXIST)
            return listener_.trouble("put back", "job files cannot be put back into running/: " +
                                                     restored.error().text());
        active->missing_since.reset();
        put_back_.insert(active->job.number);
    }
    put_back_why_ = what;
    tell_of_put_back();
}

void ActiveJobs::tell_of_put_back() {
    std::string names;
    for (const std::uint64_t number : put_back_)
        names += " " + std::to_string(number);
    listener_.trouble("vanished", names.empty()
                                      ? ""
                                      : put_back_why_ +
                                            ": nothing was cancelled, they were put back; to "
                                            "cancel these jobs: gpuspool cancel" +
                                            names);
}

}  // namespace spoold
