// What is done for each request (docs/protocol.md §9): a part of `Daemon`.
#include <algorithm>

#include "daemon.h"
#include "libspool/names.h"
#include "libspool/outcome.h"
#include "libspool/settings.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

void Daemon::apply_requests() {
    const bool changed = requests_->have_changed();
    if (!std::exchange(requests_came_, false) && !changed) return;
    const auto paused = spool::pause_reason(spool_);
    if (paused && *paused != paused_) {
        paused_ = *paused;
        state_changed_ = true;
        log_notice(paused_ ? "paused: nothing is started" : "resumed");
    }
    requests_->apply();
}

/// Whether it is known where the job waits, or what became of it.
bool Daemon::knows(std::uint64_t number) const {
    if (const spool::WaitingJob* job = incoming_->find(number))
        return job->phase != spool::WaitingJob::Phase::vanished;
    return active_->jobs().contains(number) || arrays_->find(number) != nullptr ||
           index_.used(number);
}

void Daemon::carry_out(const spool::Request& request, const RequestReply& reply) {
    if (request.verb == "cancel" && request.job) return cancel(request, reply);
    if ((request.verb == "suspend" || request.verb == "continue") && request.job)
        return suspend(request, reply);
    if (spool::is_job_verb(request.verb) && request.job) return change_wishes(request, reply);
    if (request.verb == "drain" || request.verb == "undrain") {
        draining_ = request.verb == "drain";
        return reply(
            true, draining_
                      ? "draining: nothing more is started, spoold ends with the last running job"
                      : "no longer draining");
    }
    if (request.verb.starts_with("group-")) return groups_.change(request, reply);
    if (request.verb.starts_with("gpu-")) {
        gpu_requests_.emplace_back(request, reply);
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
    for (const auto& [request, reply] : std::exchange(gpu_requests_, {})) {
        const spool::Reply answer = gpus_->apply(request);
        reply(answer.ok, answer.message);
    }
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

void Daemon::suspend(const spool::Request& request, const RequestReply& reply) {
    std::uint64_t number = *request.job;
    const bool suspended = request.verb == "suspend";
    if (arrays_->find(number) != nullptr) {
        const auto task = arrays_->running_task(number, request.tasks);
        if (!task) return reply(false, task.error().message);
        number = *task;
    }
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

std::string Daemon::why_not_waiting(std::uint64_t number) const {
    if (active_->jobs().contains(number)) return "does not wait: it has been started";
    return index_.used(number) ? "has ended already" : "is not known";
}

void Daemon::change_wishes(const spool::Request& request, const RequestReply& reply) {
    const std::uint64_t number = *request.job;
    const spool::WaitingJob* job = incoming_->find(number);
    const spool::ArrayRecord* array = arrays_->find(number);
    if (job == nullptr && array == nullptr) return reply(false, why_not_waiting(number));
    spool::QueueWishes wishes = array != nullptr ? array->wishes : job->wishes;
    std::string done;
    if (request.verb == "hold" || request.verb == "release") {
        wishes.held = request.verb == "hold";
        done = *wishes.held ? "is held: gpuspool release lets it go" : "is released";
    } else {
        const auto priority = request.verb == "top" ? std::int64_t{policy_.highest_priority()} + 1
                                                    : spool::parse_integer(request.subject);
        if (!priority || std::abs(*priority) > spool::most_priority)
            return reply(false, "has its priority still: '" + spool::printable(request.subject) +
                                    "' is no number from -1000000000 to 1000000000");
        wishes.priority = static_cast<int>(*priority);
        done = "has priority " + std::to_string(*priority);
    }
    if (array != nullptr) return arrays_->change(number, wishes, done, reply);
    if (auto noted = incoming_->set_wishes(number, wishes); !noted)
        return reply(false, "cannot be changed: " + noted.error().text());
    enqueue(number);
    state_changed_ = true;
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    reply_when_synced(*syncs_, std::move(barrier), reply, done, [this] { ask_for_pass(); });
    ask_for_pass();
}

}  // namespace spoold
