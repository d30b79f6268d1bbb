// The daemon's own code for active jobs, arrays and waiting jobs, on files in memory.
#pragma once

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>

#include "libspool/finish.h"
#include "libspool/incoming.h"
#include "libspool/outcome.h"
#include "libspool/recover.h"
#include "spoold/arrays.h"
#include "tests/power_cut_supervisors.h"

namespace test {

/// A daemon without its loop, its events and its scheduling: every ready job is started at once.
class PowerCutDaemon {
public:
    PowerCutDaemon(MemoryFiles& files, TestClock& clock, std::uint8_t boot, Truth& truth)
        : files_(files),
          clock_(clock),
          truth_(truth),
          spool_(open_spool_in_memory(files)),
          pool_(spool_),
          supervisors_(spool_, boot_id(boot), truth) {
        boot_ = boot_id(boot);
    }

    spool::Result<void> start();
    /// Works until nothing waits or runs, or the power is gone. False if it comes to no end.
    bool work();
    /// The same until something is so; false: that takes too long.
    bool work_until(const std::function<bool(const spoold::ActiveJobs&)>& so);
    /// What is not at its end, for a test's message.
    [[nodiscard]] std::string left() const;

private:
    static spool::record::BootId boot_id(std::uint8_t boot) {
        spool::record::BootId id{};
        id[0] = boot;
        return id;
    }
    void pass();
    void take_changes();
    bool end_unstarted(spool::JobResult result, const spool::UnstartedFile& file);
    void end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files);
    void finish_unstarted(const spool::JobResult& result, spool::Published published);
    void claim(std::uint64_t number);
    void note_shown();
    [[nodiscard]] bool idle() const;
    spoold::ActiveJobsListener listener();
    void make_arrays();
    void start_tasks();

    MemoryFiles& files_;
    TestClock& clock_;
    Truth& truth_;
    boost::asio::io_context io_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_ =
        boost::asio::make_work_guard(io_);
    spool::Spool spool_;
    spool::record::BootId boot_{};
    spool::RecordPool pool_;
    Supervisors supervisors_;
    std::set<std::uint64_t> used_, queue_, to_bind_;
    std::optional<spool::Journal> history_;
    std::optional<spool::Incoming> incoming_;
    std::optional<spoold::ActiveJobs> active_;
    spool::Policy policy_;  ///< for tasks alone
    spool::JobIndex index_;
    spoold::JobLauncher launcher_{spool_};
    spoold::Troubles troubles_;
    std::optional<spoold::Arrays> arrays_;
    std::optional<spoold::SyncThread> syncs_;
    int syncs_pending_ = 0, numbers_pending_ = 0;
};

inline spoold::Binding on_slot_0() {
    spoold::Binding binding;
    binding.gpus.texts = {"0"};
    return binding;
}

inline spoold::ActiveJobsListener PowerCutDaemon::listener() {
    spoold::ActiveJobsListener listener;
    listener.freed = listener.unbound = [this](std::uint64_t job) { policy_.release(job); };
    listener.not_started = [this](const spool::ActiveJob& job) {
        if (job.is_task()) arrays_->claim_undone(job.number);
    };
    listener.started = [this](const spool::ActiveJob& job) { arrays_->task_started(job); };
    listener.adopted = [](const spoold::Active&) {};
    listener.attempt_ended = [](const spool::JobResult&) {};
    listener.wants_slots = [this](const spoold::Active& active) {
        return to_bind_.insert(active.job.number).second;
    };
    listener.ended = [this](const spool::JobResult& result) {
        if (result.task) return arrays_->task_ended(result);
        used_.insert(result.id);
        if (!std::as_const(files_).is_off()) truth_.told.emplace(result.id, result.state);
    };
    listener.sync_with = [this](const spool::ActiveJob& job, spool::SyncSet& barrier) {
        return arrays_->sync_with(job, barrier);
    };
    listener.not_synced = [this](const spool::ActiveJob& job) { arrays_->task_not_synced(job); };
    listener.changed = [] {};
    listener.secrets = [](const spool::ActiveJob&) { return std::vector<std::string>(); };
    listener.trouble = [](const std::string&, const std::string&) {};
    return listener;
}

inline void PowerCutDaemon::make_arrays() {
    spoold::ArraysListener listener;
    listener.changed = listener.has_work = listener.claims_fail = [] {};
    listener.standing = [this](std::uint64_t number, const std::string& name,
                               spool::Standing standing) { index_.note(number, name, standing); };
    listener.opened = [this](std::uint64_t array) { policy_.release(array); };
    listener.ended = [this](const spool::JobResult& result) { used_.insert(result.id); };
    listener.judge_again = [](std::uint64_t) {};
    listener.why_waits = [](std::uint64_t, const spool::Need&) { return std::nullopt; };
    arrays_.emplace(spoold::ArrayParts{spool_, clock_, boot_, pool_, *history_, index_, *incoming_,
                                       policy_, *active_, launcher_, *syncs_, troubles_},
                    std::move(listener));
    spool::Pool pool;
    pool.amounts.cpu_slots = 2;
    policy_.set_pool(std::move(pool));
}

/// As spoold's Daemon::recover does it.
inline spool::Result<void> PowerCutDaemon::start() {
    syncs_.emplace(io_, files_);
    auto history = spool::load_history(spool_, history_);
    if (!history) return tl::unexpected(history.error());
    std::uint64_t highest = 0;
    for (const auto& entry : *history) {
        highest = std::max({highest, entry.number, entry.last_task});
        used_.insert(entry.number);
        for (auto task = entry.first_task; task != 0 && task <= entry.last_task; ++task)
            used_.insert(task);
    }
    if (auto set = launcher_.set_environment({}, "daemon"); !set) return set;
    auto recovery = spool::recover(
        spool_, pool_, clock_, boot_, [](const spool::RecordContent&) { return false; },
        [this](std::uint64_t number) { return used_.contains(number); });
    if (!recovery) return tl::unexpected(recovery.error());
    active_.emplace(spool_, clock_, boot_, pool_, *history_, *syncs_, supervisors_, listener());
    incoming_.emplace(
        spool_, clock_,
        [this](std::uint64_t number) { return used_.contains(number) || index_.used(number); },
        [this](const spool::FileStat& stat) {
            return active_->has_inode(stat.device, stat.inode) ||
                   arrays_->has_inode(stat.device, stat.inode);
        });
    make_arrays();
    arrays_->recover(std::move(recovery->arrays));
    for (auto& recovered : recovery->jobs) {
        const std::uint64_t number = recovered.job.number;
        highest = std::max(highest, number);
        const auto superseded = [&](const spool::HistoryEntry& end) {
            return end.number == number && spool::is_superseded(recovered.job, end);
        };
        if (std::any_of(history->begin(), history->end(), superseded) ||
            arrays_->is_superseded(recovered.job)) {
            (void)spool::release(spool_, recovered.job);
            continue;
        }
        const bool task = recovered.job.is_task();
        recovered.has_ended = task ? arrays_->has_ended(number) : used_.contains(number);
        used_.insert(number);
        arrays_->task_found(number, recovered.content.started());
        const bool starts = recovered.action == spool::RecoveryAction::start;
        active_->adopt(std::move(recovered));
        if (starts) active_->bind(number, on_slot_0());
    }
    arrays_->resume();
    highest = std::max(highest, index_.highest());
    auto ends = spool::recover_unstarted(
        spool_, [this](std::uint64_t number) { return used_.contains(number); });
    if (!ends) return tl::unexpected(ends.error());
    for (auto& end : *ends)
        finish_unstarted(end.result, std::move(end.published));
    if (auto loaded = incoming_->load(); !loaded) return loaded;
    for (const auto& [name, job] : incoming_->jobs())
        highest = std::max(highest, job.number);
    return spool::raise_counter(spool_, highest);
}

inline bool PowerCutDaemon::idle() const {
    if (!active_->jobs().empty() || syncs_pending_ + numbers_pending_ > 0) return false;
    if (!arrays_->empty()) return false;
    const auto entries = spool_.files->list(spool_.incoming.get());
    return entries && entries->empty() && incoming_->jobs().empty();
}

inline std::string PowerCutDaemon::left() const {
    std::string text =
        "syncs " + std::to_string(syncs_pending_) + ", numbers " + std::to_string(numbers_pending_);
    for (const auto& [number, active] : active_->jobs())
        text += ", job " + std::to_string(number) + " " + active.job.file_name + " at stage " +
                std::to_string(static_cast<int>(active.stage));
    for (const auto& [name, job] : incoming_->jobs())
        text += ", incoming " + name + " " + std::to_string(job.number) + " in phase " +
                std::to_string(static_cast<int>(job.phase)) + " for reason " +
                std::to_string(static_cast<int>(job.reason.kind));
    const auto entries = spool_.files->list(spool_.incoming.get());
    for (const auto& entry : entries.value_or(std::vector<spool::DirectoryEntry>{}))
        text += ", file " + entry.name;
    return text;
}

inline bool PowerCutDaemon::work() {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    do {
        pass();
        if (files_.is_off() || idle()) return true;
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
}

inline bool PowerCutDaemon::work_until(const std::function<bool(const spoold::ActiveJobs&)>& so) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!so(*active_) && std::chrono::steady_clock::now() < deadline)
        pass();
    return so(*active_);
}

inline void PowerCutDaemon::pass() {
    clock_.advance(60ms);
    if (incoming_->begin_scan())
        while (incoming_->continue_scan(1s)) {
        }
    incoming_->advance();
    take_changes();
    for (const std::uint64_t number : std::set<std::uint64_t>(queue_))
        if (active_->jobs().size() < 3) claim(number);
    for (const std::uint64_t number : std::exchange(to_bind_, {}))
        active_->bind(number, on_slot_0());
    start_tasks();
    supervisors_.end_one();
    active_->look_at_all();
    active_->advance();
    arrays_->advance();
    io_.run_one_for(200us);  // a sync may be on its way
    io_.poll();
}

inline void PowerCutDaemon::start_tasks() {
    if (active_->jobs().size() >= 3) return;
    for (const spool::Start& start : policy_.decide()) {
        const auto names = syncs_->try_hold_names();
        if (names && arrays_->claim(start) && active_->bind(start.job, on_slot_0())) continue;
        policy_.release(start.job);
        arrays_->claim_undone(start.job);
    }
}

inline void PowerCutDaemon::take_changes() {
    auto changes = incoming_->take_changes();
    if (!changes) return;
    for (const std::uint64_t number : changes->unready)
        queue_.erase(number);
    for (const std::uint64_t number : changes->ready)
        queue_.insert(number);
    for (const auto& gone : changes->withdrawn) {
        // Nobody removes anything here: it was lost.
        truth_.wrong.push_back(gone.file_name + " is gone from incoming/");
        end_unstarted(spool::withdrawn_result(gone.number, gone.file_name, clock_.wall()),
                      {false, {}});
    }
    if (!changes->numbered && numbers_pending_ == 0) return end_rejected(changes->rejected);
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    ++numbers_pending_;
    syncs_->sync(std::move(barrier), [this, changes = std::move(*changes)](const auto& failures) {
        --numbers_pending_;
        if (!failures.empty()) return;
        note_shown();
        end_rejected(changes.rejected);
    });
}

inline void PowerCutDaemon::end_rejected(
    const std::vector<spool::IncomingChanges::Rejected>& files) {
    for (const auto& file : files)
        end_unstarted(
            spool::rejected_result(file.number, file.file_name, file.error, clock_.wall()),
            {true, file.stat});
}

inline void PowerCutDaemon::note_shown() {
    for (const auto& [name, job] : incoming_->jobs()) {
        if (job.number == 0) continue;
        const auto [known, fresh] = truth_.shown.emplace(job.number, name);
        if (!fresh && known->second != name)
            truth_.wrong.push_back("number " + std::to_string(job.number) + " was shown for " +
                                   known->second + " and for " + name);
    }
}

inline bool PowerCutDaemon::end_unstarted(spool::JobResult result,
                                          const spool::UnstartedFile& file) {
    auto published = spool::publish_unstarted(
        spool_, result, file,
        [this](const std::string& name) { return active_->name_taken(name); });
    if (!published) {
        incoming_->settle_again(result.id, spool::WaitReason::Kind::trouble);
        return false;
    }
    incoming_->forget(result.id);
    finish_unstarted(result, std::move(*published));
    return true;
}

inline void PowerCutDaemon::finish_unstarted(const spool::JobResult& result,
                                             spool::Published published) {
    used_.insert(result.id);
    (void)history_->append(spool::write_line(spool::history_entry(result)));
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, published, barrier);
    barrier.add_directory(spool_.incoming.get());
    barrier.add(history_->handle(), false);
    auto kept = std::make_shared<spool::Published>(std::move(published));
    ++syncs_pending_;
    syncs_->sync(std::move(barrier), [this, kept](const auto&) { --syncs_pending_; });
}

inline void PowerCutDaemon::claim(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    const auto names = syncs_->try_hold_names();
    if (!names) return;
    queue_.erase(number);
    if (job == nullptr) return;
    if (job->terms.tasks != 0) {
        (void)arrays_->open(number);
        return;
    }
    spool::ClaimRequest request;
    request.file_name = job->file_name;
    request.seen = job->stat;
    request.number = number;
    request.launch = [](const spool::ClaimIdentity& identity, const std::string&) {
        spool::Launch launch;
        launch.arguments = {"/bin/true"};
        launch.directory = "/";
        if (identity.name.starts_with("retried")) launch.facts.rules.retries = 1;
        return launch;
    };
    request.name_taken = [this](const std::string& name) { return active_->name_taken(name); };
    truth_.taken.insert(dropped_name(job->file_name));
    auto claimed = spool::claim(spool_, pool_, clock_, boot_, request);
    if (!claimed || std::holds_alternative<spool::NotClaimed>(*claimed))
        return incoming_->settle_again(number, spool::WaitReason::Kind::settling);
    incoming_->forget(number);
    active_->add(std::get<spool::ActiveJob>(std::move(*claimed)));
    active_->bind(number, on_slot_0());
}

}  // namespace test
