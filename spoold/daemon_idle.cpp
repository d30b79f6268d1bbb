// What is done when there is nothing to do, and when there is again: a part of `Daemon`.
#include <algorithm>

#include "daemon.h"
#include "log.h"

namespace spoold {

void Daemon::tell_queue_empty() {
    const bool empty = incoming_->jobs().empty() && active_->jobs().empty() && arrays_->empty() &&
                       !scans_.under_way;
    if (!empty || !std::exchange(worked_, false)) return;
    hooks_->call("queue-empty", [] { return std::string("{}"); });
}

/// The machine does not go to sleep under running jobs. A lock for each of many short ones would
/// cost more than they do.
void Daemon::keep_awake() {
    const auto now = clock_.monotonic();
    if (config_.inhibit_sleep && !active_->none_bound()) {
        if (!busy_since_) busy_since_ = now;
        last_busy_ = now;
    } else if (now - last_busy_ >= sleep_delay) {
        busy_since_.reset();
    }
    if (!busy_since_)
        inhibitor_->let_sleep();
    else if (now - *busy_since_ >= sleep_delay)
        inhibitor_->keep_awake();
}

/// For --once: whatever was there has been started, ended or found to have to wait.
bool Daemon::once_is_done() const {
    if (!launcher_->has_environment() || numbers_pending_) return false;
    if (requests_->any_deferred() || !gpu_requests_.empty()) return false;
    if (may_start() && policy_.gpus_wanted() && !all_gpus_held() && !gpus_->fresh()) return false;
    const bool settling = std::any_of(
        incoming_->jobs().begin(), incoming_->jobs().end(),
        [](const auto& entry) { return entry.second.phase == spool::WaitingJob::Phase::settling; });
    return !settling && !arrays_->busy() &&
           std::none_of(active_->jobs().begin(), active_->jobs().end(), [](const auto& entry) {
               const Active& active = entry.second;
               return active.stage != Stage::running && active.stage != Stage::orphaned &&
                      !(active.stage == Stage::retrying && !active.binding) &&
                      !(active.stage == Stage::claimed && !active.binding);
           });
}

void Daemon::end_if_done() {
    if (!hooks_->is_idle() && (draining_ || options_.once)) return;  // comes back when they are
    if (draining_ && active_->none_bound()) {
        log_notice("drained: the last running job has ended");
        ending_ = true;
    }
    if (options_.once && !scans_.under_way && once_is_done()) ending_ = true;
    if (ending_) io_.stop();
}

}  // namespace spoold
