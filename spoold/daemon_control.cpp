// Requests from control/ (docs/protocol.md §9).
#include <algorithm>

#include "daemon.h"
#include "libspool/outcome.h"
#include "log.h"

namespace spoold {

/// The event that tells of a request may come later than what starts its job.
bool Daemon::control_has_changed() {
    const auto stat = files_.stat(spool_.control.get());
    return stat && std::exchange(control_changed_at_, stat->modified) != stat->modified;
}

void Daemon::apply_requests() {
    const bool changed = control_has_changed();
    if (!std::exchange(requests_, false) && !changed) return;
    const auto paused = spool::pause_reason(spool_);
    if (paused && *paused != paused_) {
        paused_ = *paused;
        state_changed_ = true;
        log_notice(paused_ ? "paused: nothing is started" : "resumed");
    }
    auto requests = spool::read_requests(spool_);
    troubles_.set("control", requests ? "" : "control/ cannot be read: " + requests.error().text());
    if (!requests) return;
    for (const spool::Request& request : *requests)
        apply(request);
}

void Daemon::answer(const spool::Request& request, const spool::Reply& reply) {
    const auto answered = spool::answer(spool_, request, reply);
    troubles_.set("reply",
                  answered ? "" : "a request cannot be answered: " + answered.error().text());
    if (answered) {
        requests_in_hand_.erase(request.nonce);
        owed_replies_.erase(request.nonce);
    } else {
        owed_replies_[request.nonce] = reply;
    }
    state_changed_ = true;
}

void Daemon::apply(const spool::Request& request) {
    if (const auto owed = owed_replies_.find(request.nonce); owed != owed_replies_.end())
        return answer(request, spool::Reply(owed->second));
    if (!requests_in_hand_.insert(request.nonce).second) return;
    if (!must_be_deferred(request)) return carry_out(request);
    deferred_.push_back({request, scans_begun_ + 1, std::nullopt});
    if (!scanning_) rescan_ = true;
}

/// Whether it is known where the job waits, or what became of it.
bool Daemon::knows(std::uint64_t number) const {
    if (const spool::WaitingJob* job = incoming_->find(number))
        return job->phase != spool::WaitingJob::Phase::vanished;
    return active_->jobs().contains(number) || arrays_->find(number) != nullptr ||
           index_.used(number);
}

bool Daemon::must_be_deferred(const spool::Request& request) {
    if (!request.job || !spool::is_job_verb(request.verb) || knows(*request.job)) return false;
    // A number that was never given is nobody's.
    const auto counter = spool::counter_value(spool_);
    return !counter || *request.job <= std::max(*counter, index_.highest());
}

/// Whether every file has been read that was in incoming/ when the request came.
bool Daemon::looked_through(Deferred& deferred) const {
    if (scans_done_ < deferred.scan) return false;
    if (!deferred.unread) deferred.unread = incoming_->unread();
    std::erase_if(*deferred.unread,
                  [this](const std::string& name) { return !incoming_->is_unread(name); });
    return deferred.unread->empty();
}

void Daemon::apply_deferred() {
    for (Deferred& deferred : std::exchange(deferred_, {})) {
        if (knows(*deferred.request.job) || looked_through(deferred))
            carry_out(deferred.request);
        else
            deferred_.push_back(std::move(deferred));
    }
    // A scan that cannot be made is tried again in its time.
    if (deferred_.empty() || scanning_ || troubles_.has("scan")) return;
    if (deferred_.back().scan <= scans_begun_) return;
    rescan_ = true;
    ask_for_pass();
}

void Daemon::carry_out(const spool::Request& request) {
    const auto reply = [this, request](bool ok, const std::string& message) {
        answer(request, {ok, message});
    };
    if (request.verb == "cancel" && request.job) return cancel(request, reply);
    if ((request.verb == "suspend" || request.verb == "continue") && request.job)
        return suspend(*request.job, request.verb == "suspend", reply);
    if (spool::is_job_verb(request.verb) && request.job) return change_wishes(request, reply);
    if (request.verb == "drain" || request.verb == "undrain") {
        draining_ = request.verb == "drain";
        return reply(
            true, draining_
                      ? "draining: nothing more is started, spoold ends with the last running job"
                      : "no longer draining");
    }
    if (request.verb.starts_with("group-")) return change_group(request, reply);
    if (request.verb.starts_with("gpu-")) {
        gpu_requests_.push_back(request);
        return apply_gpu_requests();
    }
    if (request.verb == "reload") {
        config_changed_ = rescan_ = true;
        capture_environment();
        ask_for_pass();
        return reply(true, "reading the settings and the login environment again");
    }
    reply(false, "this spoold does not know the request '" + request.verb + "'");
}

/// They wait until it is known which GPUs there are, and all in their order.
void Daemon::apply_gpu_requests() {
    if (gpu_requests_.empty() || !gpus_->settled()) return;
    for (const spool::Request& request : std::exchange(gpu_requests_, {}))
        answer(request, gpus_->apply(request));
    gpus_changed_ = true;
}

void Daemon::cancel(const spool::Request& request, const RequestReply& reply) {
    const std::uint64_t number = *request.job;
    if (arrays_->find(number) != nullptr) return arrays_->cancel(number, request.tasks, reply);
    if (!request.tasks.empty())
        return reply(false, is_unopened_array(number)
                                ? "has not begun: change --array in its file, or cancel all of it"
                                : "has no tasks, or has ended already");
    if (const spool::WaitingJob* job = incoming_->find(number)) {
        if (job->away)
            return reply(false,
                         "is in the incoming/ that was moved away: remove its file there, or move "
                         "that directory back");
        spool::JobResult result = spool::withdrawn_result(number, job->file_name, clock_.wall());
        result.command = job->command;
        result.submitted_at = job->submitted_at;
        result.reason = "cancelled before it started";
        const bool gone = end_unstarted(std::move(result), {});
        return reply(gone, gone ? "cancelled before it started"
                                : "could not be moved to done/; see gpuspool status");
    }
    if (!active_->jobs().contains(number)) return reply(false, why_not_waiting(number));
    active_->cancel(
        number, "cancelled by request", [this, reply](const spool::Result<void>& marked) {
            reply(marked.has_value(), marked ? "is being cancelled" : marked.error().text());
            ask_for_pass();
        });
}

void Daemon::suspend(std::uint64_t number, bool suspended, const RequestReply& reply) {
    if (incoming_->find(number) != nullptr)
        return reply(false, "does not run yet: gpuspool hold keeps it from being started");
    if (!active_->jobs().contains(number))
        return reply(false, index_.used(number) ? "has ended already" : "is not known");
    active_->suspend(number, suspended, [reply, suspended](const spool::Result<void>& noted) {
        const std::string done =
            suspended ? "stands still: gpuspool continue lets it go on" : "goes on";
        reply(noted.has_value(), noted ? done : noted.error().text());
    });
}

}  // namespace spoold
