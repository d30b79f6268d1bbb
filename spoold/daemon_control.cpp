// Requests from control/ (docs/protocol.md §9).
#include "daemon.h"
#include "libspool/outcome.h"
#include "log.h"

namespace spoold {

void Daemon::apply_requests() {
    if (!std::exchange(requests_, false)) return;
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
    const auto reply = [this, request](bool ok, const std::string& message) {
        answer(request, {ok, message});
    };
    if (request.verb == "cancel" && request.job) return cancel(*request.job, reply);
    const bool on_wishes = request.verb == "priority" || request.verb == "top" ||
                           request.verb == "hold" || request.verb == "release";
    if (on_wishes && request.job) return change_wishes(request, reply);
    if (request.verb == "drain" || request.verb == "undrain") {
        draining_ = request.verb == "drain";
        return reply(
            true, draining_
                      ? "draining: nothing more is started, spoold ends with the last running job"
                      : "no longer draining");
    }
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

void Daemon::cancel(std::uint64_t number, const RequestReply& reply) {
    if (const spool::WaitingJob* job = incoming_->find(number)) {
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

}  // namespace spoold
