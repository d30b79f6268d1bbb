// What the daemon publishes, and what it notes of jobs that end.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds publication_interval = 250ms, publication_retry = 1s;
constexpr std::size_t durations_remembered = 4;
constexpr int most_listed = 10;  ///< waiting jobs whose obstacles are published

std::string retry_text(const Retry& retry) {
    return "retrying: attempt " + std::to_string(retry.verdict.attempt) + " " +
           std::string(spool::outcome_name(retry.verdict.state)) +
           (retry.verdict.reason ? " (" + *retry.verdict.reason + ")" : "") + "; the next one, " +
           retry.next.why + ", at " + spool::format_time(retry.next.at);
}

spool::RunningState running_state(const Active& active) {
    const spool::RecordContent& content = active.content;
    spool::RunningState state;
    state.id = active.job.number;
    if (active.job.is_task()) {
        state.id = active.job.facts.array;
        state.task = active.job.facts.task;
        state.number = active.job.number;
    }
    state.name = active.job.name;
    state.command = active.job.facts.command;
    state.directory = active.job.directory;
    state.profile = active.job.facts.profile;
    state.submitted_at = active.job.facts.submitted_at;
    state.attempt = static_cast<int>(active.job.attempt);
    state.phase = "running";
    if (active.stage == Stage::retrying || (!active.binding && active.stage <= Stage::claimed)) {
        state.phase = "retrying";
        if (active.retry) state.detail = retry_text(*active.retry);
        return state;
    }
    if (content.run_known()) {
        state.started_at = content.run.started_at;
        state.gpus = spool::run_gpus(content.run).texts;
        state.pid = content.run.main_pid;
    } else if (active.binding) {
        state.gpus = active.binding->gpus.texts;
        state.phase = "starting";
    }
    if (content.ended()) {
        state.phase = "ending";
        const auto left = content.exit.leftovers;
        state.detail =
            "ending: " + std::to_string(left) + (left == 1 ? " process left" : " processes left");
    } else if (content.cancelled()) {
        state.phase = "cancelling";
    } else if (content.suspended() && active.stage == Stage::running) {
        state.phase = "suspended";
    } else if (active.stage == Stage::orphaned) {
        state.phase = "ending";
        state.detail = "its supervisor is dead; waiting for its processes to end";
    }
    return state;
}

}  // namespace

void Daemon::note_started(const spool::ActiveJob& job) {
    if (job.is_task())
        arrays_->task_started(job);
    else
        note_standing(job.number, job.name, spool::Standing::running);
    const auto active = active_->jobs().find(job.number);
    if (active == active_->jobs().end()) return;
    hooks_->call("job-started",
                 [&] { return spool::write_running(running_state(active->second)); });
}

void Daemon::note_ended(const spool::JobResult& result) {
    if (result.task)
        arrays_->task_ended(result);
    else
        note_standing(result.id, result.name, spool::standing_of(result.state));
    if (!result.task && !result.tasks) arrays_->job_ended(result.id);
    hooks_->call("job-ended",
                 [&] { return nlohmann::ordered_json::parse(spool::write_result(result)).dump(); });
    worked_ = true;
    if (!result.tasks) note_failures(result);
    if (!result.tasks) groups_.note_end(result);
    if (!result.task) recent_.push_front(result);
    if (recent_.size() > spool::SpoolState::max_recent) recent_.pop_back();
    if (result.started_at != 0 && !result.tasks) {
        recent_durations_.push_back(std::chrono::nanoseconds(result.ended_at - result.started_at));
        if (recent_durations_.size() > durations_remembered) recent_durations_.pop_front();
    }
    state_changed_ = true;
}

/// Of an attempt.
void Daemon::note_failures(const spool::JobResult& result) {
    const auto drained = gpus_->note_end(result);
    if (!drained) return;
    log_warning(*drained);
    gpus_changed_ = true;
}

spool::WaitReason Daemon::reason_of(const spool::WaitingJob& job) const {
    using Kind = spool::WaitReason::Kind;
    if (job.phase != spool::WaitingJob::Phase::ready) return job.reason;
    if (auto reason = why_waits(job.number, job.terms.need)) return *reason;
    if (job.bare && !launcher_->has_environment()) return {Kind::environment, 0, 0, {}, {}};
    return {Kind::next, 0, 0, {}, {}};
}

/// Of a job or an open array that is ready. Nothing: the queue knows no reason.
std::optional<spool::WaitReason> Daemon::why_waits(std::uint64_t number,
                                                   const spool::Need& need) const {
    if (auto nothing = nothing_starts()) return nothing;
    auto reason =
        policy_.why(number, [this](std::uint64_t job) { return arrays_->standings().label(job); });
    if (reason) add_largest_gpu(*reason, need);
    return reason;
}

spool::SpoolState Daemon::state() const {
    spool::SpoolState state;
    state.daemon.running = !ending_;
    state.daemon.host = spool::host_name();
    state.daemon.version = GPUSPOOL_VERSION;
    state.daemon.started_at = spool::format_time(started_at_);
    state.daemon.pid = getpid();
    state.daemon.paused = paused_.has_value();
    state.daemon.pause_reason = paused_.value_or("");
    state.daemon.draining = draining_;
    state.daemon.problems = troubles_.sentences();
    for (std::size_t slot = 0; slot < policy_.pool().gpu_slots.size(); ++slot)
        state.gpus.push_back(slot_state(slot));
    state.devices = device_states(state.gpus);
    if (const auto at = gpus_->surveyed_at(); at.count() != 0)
        state.surveyed_at = clock_.wall() - (clock_.monotonic() - at).count();
    state.cpu_slots = policy_.pool().amounts.cpu_slots;
    state.cpu_slots_used = policy_.cpu_slots_used();
    for (const auto& [number, active] : active_->jobs()) {
        if (active.stage >= Stage::syncing_exit) continue;
        if (active.stage == Stage::retrying || active.job.attempt > 1 || active.binding ||
            active.content.started()) {
            state.running.push_back(running_state(active));
            if (!active.binding && active.queued) add_wait(state.running.back());
        } else if (!active.job.is_task()) {
            ++state.waiting_count;
        }
    }
    arrays_->add_to(state);
    add_waiting(state);
    state.recent.assign(recent_.begin(), recent_.end());
    for (const std::string& name : incoming_->ignored())
        state.ignored.push_back({"incoming/" + name, spool::why_ignored(name)});
    return state;
}

/// Why a further attempt that is due does not begin.
void Daemon::add_wait(spool::RunningState& job) const {
    auto reason = nothing_starts();
    if (!reason) reason = policy_.why(job.id);  // of a task that of its array
    if (!reason) return;
    job.detail += (job.detail.empty() ? "retrying: " : ": ") + spool::wait_sentence(*reason);
}

/// Waiting jobs in the order in which they will start; those that are not ready come last.
void Daemon::add_waiting(spool::SpoolState& state) const {
    const auto add = [&](const spool::WaitingJob& job) {
        state.waiting.push_back({job.number, job.file_name, job.file_name, job.command,
                                 policy_.priority(job.number).value_or(job.terms.priority),
                                 job.submitted_at, reason_of(job), job.terms.tasks});
        if (const auto split = spool::split_job_name(job.file_name))
            state.waiting.back().name = split->stem;
    };
    for (const std::uint64_t number : policy_.queue(spool::SpoolState::max_waiting)) {
        if (const spool::WaitingJob* job = incoming_->find(number)) {
            add(*job);
        } else if (const auto claimed = active_->jobs().find(number);
                   claimed != active_->jobs().end() && !claimed->second.queued) {
            const spool::ActiveJob& ahead = claimed->second.job;
            state.waiting.push_back({number, ahead.name, ahead.file_name, ahead.facts.command, 0,
                                     ahead.facts.submitted_at,
                                     policy_.why(number).value_or(spool::WaitReason{})});
        }
    }
    for (const auto& [name, job] : incoming_->jobs()) {
        using Phase = spool::WaitingJob::Phase;
        if (job.phase == Phase::vanished || job.phase == Phase::rejected) continue;
        ++state.waiting_count;
        if (job.phase != Phase::ready && state.waiting.size() < spool::SpoolState::max_waiting)
            add(job);
    }
    add_obstacles(state);
}

/// What is in the way, for the first of those that wait for GPUs: it is the same for many.
void Daemon::add_obstacles(spool::SpoolState& state) const {
    int listed = 0;
    for (spool::WaitingState& job : state.waiting)
        if (job.reason.kind == spool::WaitReason::Kind::gpus && listed++ < most_listed)
            job.reason.obstacles = obstacles(job.id);
}

void Daemon::publish_state() {
    const auto now = clock_.monotonic();
    if (!state_changed_ || (!ending_ && (numbers_pending_ || now < next_publication_))) return;
    const auto written = spool::write_atomically(spool_, spool_.internal.get(), "state.json",
                                                 spool::write_state(state()), false);
    troubles_.set("state",
                  written ? "" : "the state cannot be published: " + written.error().text());
    // What a full disk has refused is still to be said.
    state_changed_ = !written;
    next_publication_ = now + (written ? publication_interval : publication_retry);
}

}  // namespace spoold
