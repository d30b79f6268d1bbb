// What an earlier daemon left is taken up: a part of `Daemon`.
#include <algorithm>

#include "daemon.h"
#include "libspool/names.h"
#include "libspool/orphans.h"
#include "libspool/own_files.h"
#include "log.h"

namespace spoold {

spool::Result<void> Daemon::recover() {
    auto history = spool::load_history(spool_, history_);
    if (!history) return tl::unexpected(history.error());
    std::uint64_t highest = 0;
    for (const spool::HistoryEntry& entry : *history) {
        index_.note(entry.number, entry.name, spool::standing_of(entry.state));
        highest = std::max(highest, entry.number);
        // Longer ones are no array's: the line is damaged.
        if (entry.last_task < entry.first_task ||
            entry.last_task - entry.first_task >= spool::most_tasks)
            continue;
        highest = std::max(highest, entry.last_task);
        for (std::uint64_t task = entry.first_task; task != 0 && task <= entry.last_task; ++task)
            index_.note_used(task);
    }
    auto recovery = spool::recover(
        spool_, *pool_, clock_, boot_,
        [](const auto& content) { return spool::attempt_is_alive(content.claim.token, content); },
        [this](std::uint64_t number) { return index_.used(number); });
    if (!recovery) return tl::unexpected(recovery.error());
    for (const std::string& problem : recovery->problems)
        troubles_.set(problem, problem);
    for (const std::string& name : recovery->requeued)
        log_warning("running/" + name +
                    " has no record: it was never executed and goes back to the queue");

    active_ = std::make_unique<ActiveJobs>(spool_, clock_, boot_, *pool_, *history_, *syncs_,
                                           *executor_, listener());
    make_arrays();
    arrays_->recover(std::move(recovery->arrays));
    highest = std::max(highest, index_.highest());
    for (spool::Recovered& recovered : recovery->jobs) {
        highest = std::max(highest, recovered.job.number);
        if (!drop_superseded(*history, recovered)) take_up(std::move(recovered));
    }
    arrays_->resume();
    auto ends = spool::recover_unstarted(
        spool_, [this](std::uint64_t number) { return index_.used(number); });
    if (!ends) return tl::unexpected(ends.error());
    for (spool::UnstartedEnd& end : *ends)
        finish_unstarted(end.result, std::move(end.published));
    if (auto loaded = incoming_->load(); !loaded) return loaded;
    for (const auto& [name, job] : incoming_->jobs()) {
        highest = std::max(highest, job.number);
        index_.note(job.number, spool::stem_of(name), spool::Standing::waiting);
    }
    if (auto raised = spool::raise_counter(spool_, highest); !raised) return raised;
    for (const spool::WaitingEntry& entry : recovery->undone)
        incoming_->expect(entry);
    return {};
}

/// The truth about its job is in the history and in done/.
bool Daemon::drop_superseded(const std::vector<spool::HistoryEntry>& history,
                             spool::Recovered& recovered) {
    using enum spool::RecoveryAction;
    if (recovered.action == adopt || recovered.action == await_tree) return false;
    const bool superseded =
        arrays_->is_superseded(recovered.job) ||
        std::any_of(history.begin(), history.end(), [&](const spool::HistoryEntry& end) {
            return end.number == recovered.job.number && spool::is_superseded(recovered.job, end);
        });
    if (!superseded) return false;
    (void)spool::release(spool_, recovered.job);
    pool_->give_back(std::move(recovered.job.record));
    return true;
}

/// A job of an earlier daemon: one that was never started waits for its turn once more.
void Daemon::take_up(spool::Recovered recovered) {
    const std::uint64_t number = recovered.job.number;
    recovered.has_ended =
        recovered.job.is_task() ? arrays_->has_ended(number) : index_.used(number);
    if (recovered.job.is_task() && recovered.has_ended &&
        recovered.action == spool::RecoveryAction::start)
        recovered.action = spool::RecoveryAction::finish;
    const bool runs = recovered.content.started();
    if (recovered.job.is_task())
        arrays_->task_found(number, runs);
    else
        index_.note(number, recovered.job.name,
                    runs ? spool::Standing::running : spool::Standing::waiting);
    index_.note_used(number);
    const bool starts = recovered.action == spool::RecoveryAction::start;
    const bool holds = recovered.action == spool::RecoveryAction::adopt ||
                       recovered.action == spool::RecoveryAction::await_tree;
    const bool first = starts && recovered.job.attempt == 1;  // further ones ask for slots
    const auto terms = terms_of(recovered.job, recovered.content.claim);
    // What cannot be read any more goes back, and is judged anew.
    if (first && !terms) recovered.action = spool::RecoveryAction::undo;
    active_->adopt(std::move(recovered));
    if (first && terms) queue_again(number, *terms);
    if (holds) adopt_binding(active_->jobs().at(number));
}

/// What a running job of an earlier daemon holds, as its run page says.
void Daemon::adopt_binding(const Active& active) {
    if (!active.content.run_known()) return;
    auto gpus = spool::run_gpus(active.content.run);
    std::vector<std::string> locked;
    if (gpus.devices.empty() && !gpus.texts.empty()) {  // their ids were too long for the run page
        locked = shared_->locked_by(active.job.number);
        std::size_t count = 0;
        for (const std::string& text : gpus.texts)
            count += spool::make_gpu_slot(text).devices.size();
        if (locked.size() == count) gpus.devices = locked;
    }
    const auto read = terms_of(active.job, active.content.claim);
    if (!read)
        log_warning(title(active.job) + ": what it asked for is not known: " + read.error().text());
    const spool::Terms terms = read.value_or(spool::Terms());
    const auto ran_for = std::chrono::nanoseconds(clock_.wall() - active.content.run.started_at);
    spool::Tenure tenure{clock_.monotonic() - ran_for};
    if (terms.time_limit) tenure.until = tenure.since + *terms.time_limit;
    policy_.adopt(active.job.number, terms.group, gpus,
                  {gpus.texts.empty() ? 1 : 0, terms.need.cpus, terms.need.memory}, tenure);
    arrays_->task_adopted(active.job.number);
    if (locked.empty()) locked = lockable(policy_.book().gpus(active.job.number).devices);
    // Its supervisor holds the lock; from now on so do we.
    const auto taken = shared_->take(active.job.number, locked);
    if (!taken || *taken)
        log_warning(title(active.job) + " still runs on a GPU that cannot be locked for it: " +
                    (taken ? **taken : taken.error().text()));
    log_info(title(active.job) + " still runs: adopted");
}

}  // namespace spoold
