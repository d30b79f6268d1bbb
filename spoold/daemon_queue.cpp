// The queue's side of the daemon: what has come into incoming/, what is claimed and started, what
// ends without having run.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daemon.h"
#include "libspool/launch_spec.h"
#include "libspool/names.h"
#include "libspool/outcome.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t claims_ahead = 32;  ///< while jobs are short
constexpr auto short_job = 100ms;

}  // namespace

void Daemon::take_incoming_changes() {
    auto changes = incoming_->take_changes();
    troubles_.set("numbers", changes ? "" : "jobs cannot be numbered: " + changes.error().text());
    if (!changes) {
        no_claims_before_ = clock_.monotonic() + 1s;
        return;
    }
    for (const std::uint64_t number : changes->found)
        if (const spool::WaitingJob* job = incoming_->find(number))
            note_standing(number, spool::stem_of(job->file_name), spool::Standing::waiting);
    for (const std::uint64_t number : changes->unready)
        policy_.remove(number);
    for (const std::uint64_t number : changes->ready)
        enqueue(number);
    if (!changes->ready.empty()) arrays_->judge_followers();  // of an array that is none any more
    for (const auto& withdrawn : changes->withdrawn)
        end_unstarted(spool::withdrawn_result(withdrawn.number, withdrawn.file_name, clock_.wall()),
                      {false, {}});
    if (!changes->ready.empty() || !changes->unready.empty()) state_changed_ = true;
    const bool must_wait = numbers_pending_ > 0 && !changes->rejected.empty();
    if (!changes->numbered && !must_wait) return end_rejected(changes->rejected);
    // A number is shown, in the state or in a result, only once it is certain that no later daemon
    // gives it again.
    ++numbers_pending_;
    state_changed_ = true;
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    syncs_->sync(std::move(barrier), [this, rejected = std::move(changes->rejected)](
                                         const SyncThread::Failures& failures) {
        --numbers_pending_;
        if (failures.empty())
            end_rejected(rejected);
        else
            for (const auto& file : rejected)
                incoming_->settle_again(file.number, spool::WaitReason::Kind::trouble);
        if (troubles_.set("number sync", failures.empty() ? ""
                                                          : "job numbers cannot be synced: " +
                                                                failures.begin()->second.text()))
            state_changed_ = true;
        ask_for_pass();
    });
}

void Daemon::end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files) {
    for (const auto& file : files)
        end_unstarted(
            spool::rejected_result(file.number, file.file_name, file.error, clock_.wall()),
            {true, file.stat});
}

/// Ends a file that was never run: rejected, withdrawn or cancelled. False if it waits on: the
/// result could not be written, or the file is not the one that was judged.
bool Daemon::end_unstarted(spool::JobResult result, const spool::UnstartedFile& file) {
    result.host = spool::host_name();
    auto published = spool::publish_unstarted(
        spool_, result, file, [this](const std::string& name) { return name_taken(name); });
    state_changed_ = true;
    if (!published && published.error().code == ESTALE) {
        incoming_->settle_again(result.id, spool::WaitReason::Kind::settling);
        return false;
    }
    if (!published) {
        troubles_.set("publish", "results cannot be written to done/: " + published.error().text());
        incoming_->settle_again(result.id, spool::WaitReason::Kind::trouble);
        return false;
    }
    const bool of_array = is_unopened_array(result.id);
    incoming_->forget(result.id);
    policy_.remove(result.id);
    log_info("job " + std::to_string(result.id) + " (" + result.name +
             "): " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    finish_unstarted(result, std::move(*published));
    if (of_array) arrays_->judge_followers();
    return true;
}

/// Barrier 3 of a file that never ran.
void Daemon::finish_unstarted(const spool::JobResult& result, spool::Published published) {
    (void)history_->append_or_keep(spool::write_line(spool::history_entry(result)));
    note_ended(result);
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, published, barrier);
    barrier.add_directory(spool_.incoming.get());
    barrier.add(history_->handle(), false);
    auto kept = std::make_shared<spool::Published>(std::move(published));
    syncs_->sync(std::move(barrier), [this, kept](const SyncThread::Failures& failures) {
        troubles_.set("result sync", failures.empty() ? ""
                                                      : "results could not be synced: " +
                                                            failures.begin()->second.text());
    });
}

std::optional<spool::WaitReason> Daemon::nothing_starts() const {
    using Kind = spool::WaitReason::Kind;
    if (paused_) return spool::WaitReason{Kind::paused, 0, 0, *paused_, {}};
    if (machine_.drain())
        return spool::WaitReason{Kind::machine_drained, 0, 0, *machine_.drain(), {}};
    if (draining_) return spool::WaitReason{Kind::draining, 0, 0, {}, {}};
    if (no_claims_before_ > clock_.monotonic())
        return spool::WaitReason{Kind::trouble,
                                 0,
                                 0,
                                 troubles_.sentences().empty() ? "the spool cannot be written"
                                                               : troubles_.sentences().front(),
                                 {}};
    return std::nullopt;
}

bool Daemon::may_start() const {
    return !ending_ && !nothing_starts() && active_->all_bindings_known();
}

/// Claims that were made ahead go back while nothing is started: what waits belongs into incoming/.
void Daemon::give_up_claims() {
    if (paused_ || draining_ || machine_.drain()) active_->give_up_claims("nothing is started now");
}

void Daemon::start_jobs() {
    give_up_claims();
    if (!may_start()) return;
    for (const spool::Start& start :
         policy_.decide({clock_.monotonic(), clock_.wall()}, gpus_may_start())) {
        const bool claimed_already = active_->jobs().contains(start.job);
        // Before the GPUs are locked: other spools see each lock, however short.
        std::unique_lock<std::mutex> names;
        if (!claimed_already && !(names = hold_names())) {
            policy_.take_back(start.job);
            continue;
        }
        state_changed_ = true;
        if (is_unopened_array(start.job)) {
            if (!arrays_->open(start.job)) forget_start(start.job);
            continue;
        }
        if (!start.grant.gpu_slots.empty() && !lock_gpus(start)) continue;
        if (!claimed_already && !(start.array != 0 ? arrays_->claim(start) : claim(start.job)))
            give_up(start);
        else if (!active_->bind(start.job, binding_of(start)))
            forget_start(start.job);
    }
}

bool Daemon::is_unopened_array(std::uint64_t number) const {
    const spool::WaitingJob* job = incoming_->find(number);
    return job != nullptr && job->terms.tasks != 0;
}

/// It could not be claimed: a task waits on, a file is looked at again.
void Daemon::give_up(const spool::Start& start) {
    if (start.array == 0) return forget_start(start.job);
    forget_start(start.job);
    arrays_->claim_undone(start.job);
}

/// What was granted is free again.
void Daemon::forget_start(std::uint64_t number) {
    shared_->release(number);
    policy_.release(number);
}

/// Claims short jobs before there is a slot for them, so that one barrier serves many.
void Daemon::claim_ahead() {
    const bool all_short = recent_durations_.size() >= 2 &&
                           std::all_of(recent_durations_.begin(), recent_durations_.end(),
                                       [](const auto& duration) { return duration < short_job; });
    // Not one by one as each is started, but when half have gone: a barrier of four costs little
    // more than one of one.
    if (!all_short || !may_start() || active_->claimed_ahead() > claims_ahead / 2) return;
    for (const std::uint64_t job : policy_.next(claims_ahead)) {
        if (active_->jobs().contains(job)) continue;
        const auto names = hold_names();
        if (!names) return;
        if (!claim(job)) policy_.remove(job);
    }
}

/// Empty while directories are being synced: a claim must wait until that is over.
std::unique_lock<std::mutex> Daemon::hold_names() {
    auto names = syncs_->try_hold_names();
    // The end of that sync may ask for a pass, or not.
    if (!names) claim_again_ = clock_.monotonic() + 1ms;
    return names;
}

bool Daemon::name_taken(const std::string& name) const {
    return active_->name_taken(name) || arrays_->name_taken(name);
}

/// Names are held meanwhile. False if the job does not go to running/ now.
bool Daemon::claim(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job == nullptr) return false;
    spool::ClaimRequest request;
    request.file_name = job->file_name;
    request.seen = job->stat;
    request.number = number;
    request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
        auto launch = launcher_->launch(identity, bytes, job->submitted_at);
        launch.facts.wishes.priority = job->wishes.priority;
        return launch;
    };
    request.name_taken = [&](const std::string& name) { return name_taken(name); };
    auto claimed = spool::claim(spool_, *pool_, clock_, boot_, request);
    if (!claimed) {
        troubles_.set("claim", "jobs cannot be claimed: " + claimed.error().text());
        no_claims_before_ = clock_.monotonic() + 1s;
        incoming_->settle_again(number, spool::WaitReason::Kind::trouble);
        return false;
    }
    troubles_.set("claim", "");
    if (const auto* refused = std::get_if<spool::NotClaimed>(&*claimed)) {
        incoming_->settle_again(number, *refused == spool::NotClaimed::open_for_writing
                                            ? spool::WaitReason::Kind::open
                                            : spool::WaitReason::Kind::settling);
        return false;
    }
    incoming_->forget(number);
    auto& active = std::get<spool::ActiveJob>(*claimed);
    note_standing(number, active.name, spool::Standing::waiting);
    active_->add(std::move(active));
    return true;
}

Binding Daemon::binding_of(const spool::Start& start) const {
    Binding binding;
    binding.gpus = policy_.book().gpus(start.grant);
    binding.gpu_lock = shared_->descriptor(start.job);
    if (!binding.gpus.devices.empty()) binding.valid_until = gpus_->fresh_until();
    for (const auto& [key, value] :
         spool::gpu_environment(binding.gpus.texts, gpus_->pool().vendor))
        binding.environment.push_back(std::string(key).append("=").append(value));
    return binding;
}

}  // namespace spoold
