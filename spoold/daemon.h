// The daemon: watch → scan → decide → act, on one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_set>

#include "active_jobs.h"
#include "hooks.h"
#include "job_launch.h"
#include "libspool/config.h"
#include "libspool/control.h"
#include "libspool/group_notes.h"
#include "libspool/incoming.h"
#include "libspool/job_index.h"
#include "libspool/machine_rules.h"
#include "libspool/policy.h"
#include "local_executor.h"
#include "machine_gpus.h"
#include "open_arrays.h"
#include "options.h"
#include "shared_gpus.h"
#include "sleep_inhibitor.h"
#include "sync_thread.h"
#include "troubles.h"
#include "watcher.h"

namespace spoold {

class Daemon {
public:
    Daemon(spool::Files& files, const spool::Clock& clock, Options options);

    /// Takes the spool: lock, owner, recovery, watches. An error is the reason to exit with.
    spool::Result<void> open();
    /// Works until it is told to end. Returns the exit code.
    int run();

private:
    using RequestReply = std::function<void(bool ok, const std::string& message)>;

    // The loop. Everything that happens only marks what is to be looked at, and asks for a pass.
    void on_events(const EventBatch& batch);
    bool take_event(const Event& event);
    void on_signal(int number);
    void ask_for_pass();
    void pass();

    // The steps of a pass, in order.
    void reload_if_changed();
    void heal_directories();
    void heal_files();
    spool::Result<bool> holds_records();
    void apply_requests();
    void look_at_incoming();
    void look_at_active();
    void look_at_gpus();
    void start_jobs();
    void claim_ahead();
    void publish_state();
    void arm_timer();
    void tell_queue_empty();
    void keep_awake();
    void end_if_done();

    // Incoming jobs.
    void take_incoming_changes();
    void enqueue(std::uint64_t number);
    void note_standing(std::uint64_t number, const std::string& name, spool::Standing standing);
    void end_hopeless();
    [[nodiscard]] std::optional<std::string> why_hopeless(std::uint64_t number,
                                                          const spool::WaitingJob& job) const;
    bool end_unstarted(spool::JobResult result, const spool::UnstartedFile& file);
    void give_up_claims();
    void forget_start(std::uint64_t number);
    void give_up(const spool::Start& start);
    [[nodiscard]] bool is_unopened_array(std::uint64_t number) const;
    [[nodiscard]] std::unique_lock<std::mutex> hold_names();
    bool claim(std::uint64_t number);
    void end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files);
    void finish_unstarted(const spool::JobResult& result, spool::Published published);
    Binding binding_of(const spool::Start& start) const;

    // Arrays (docs/protocol.md §14).
    void open_array(std::uint64_t number);
    OpenArray& take_array(spool::ArrayRecord record);
    void array_opened(std::uint64_t number, const SyncThread::Failures& failures);
    void return_array(OpenArray& array);
    void queue_again(std::uint64_t number, spool::Terms terms);
    void enqueue_tasks(OpenArray& array);
    [[nodiscard]] bool tasks_may_go(const OpenArray& array) const;
    bool claim_task(const spool::Start& start);
    void advance_arrays();
    void end_array(OpenArray& array);
    void array_ended(std::uint64_t number, const SyncThread::Failures& failures);
    void note_task_started(const spool::ActiveJob& job);
    void note_task_ended(const spool::JobResult& result);
    void task_ended(OpenArray& array, std::size_t place);
    bool note_outcome(OpenArray& array, std::size_t place, spool::Outcome outcome);
    [[nodiscard]] bool has_task(const OpenArray& array, std::size_t place) const;
    [[nodiscard]] bool has_tasks(const OpenArray& array) const;
    [[nodiscard]] std::vector<std::size_t> active_places(const OpenArray& array) const;
    void reopen_task(std::uint64_t task);
    std::size_t look_at_array_files();
    void look_at_missing_arrays(std::size_t absent);
    void put_array_file_back(OpenArray& array);
    void note_leaders(OpenArray& array);
    void note_outcomes_again(OpenArray& array);
    void sync_opening(std::uint64_t number);
    void cancel_array(OpenArray& array, const std::string& reason, const RequestReply& reply);
    void end_tasks(OpenArray& array);
    void cancel_again(OpenArray& array);
    void cancel_tasks(OpenArray& array, const spool::TaskList& tasks, const RequestReply& reply);
    void change_array(OpenArray& array, const spool::QueueWishes& wishes, const std::string& done,
                      const RequestReply& reply);
    void recover_arrays(std::vector<spool::ArrayRecord> records);
    void resume_array(OpenArray& array);
    void resume_arrays();
    void note_task_found(std::uint64_t task, bool runs);
    void add_arrays(spool::SpoolState& state) const;
    [[nodiscard]] spool::WaitReason reason_of(const OpenArray& array) const;
    [[nodiscard]] bool name_taken(const std::string& name) const;
    // What follows tasks, and tasks that follow others.
    [[nodiscard]] spool::Dependencies conditions(const spool::AfterJobs& after,
                                                 std::uint64_t number, const std::string& name,
                                                 bool of_array) const;
    [[nodiscard]] std::optional<spool::Dependency> task_condition(const spool::AfterJob& condition,
                                                                  std::uint64_t before) const;
    void enqueue_followers_of_tasks();
    [[nodiscard]] spool::Standing standing(std::uint64_t number) const;
    [[nodiscard]] spool::Standing task_standing(std::uint64_t array, std::uint32_t task) const;
    [[nodiscard]] spool::Verdict task_verdict(const OpenArray& array, std::uint32_t task) const;
    void follow_up(std::uint64_t leader, std::uint32_t task);
    void follow_up_all(std::uint64_t leader);

    // GPUs.
    [[nodiscard]] std::vector<spool::GpuJob> gpu_jobs() const;
    [[nodiscard]] bool all_gpus_held() const;
    void look_at_machine();
    bool update_pool();
    void look_at_other_spools();
    void wait_among_others();
    bool lock_gpus(const spool::Start& start);
    [[nodiscard]] bool gpus_may_start() const;
    [[nodiscard]] std::vector<std::string> obstacles(std::uint64_t number) const;
    [[nodiscard]] std::string lack_of_memory(std::uint64_t number,
                                             const spool::GpuSlot& slot) const;
    void add_largest_gpu(spool::WaitReason& reason, const spool::Need& need) const;
    [[nodiscard]] spool::GpuState slot_state(std::size_t index) const;
    [[nodiscard]] std::vector<spool::DeviceState> device_states(
        const std::vector<spool::GpuState>& slots) const;

    // Requests.
    void apply(const spool::Request& request);
    void carry_out(const spool::Request& request);
    /// A request about a job of which nothing is known yet: its file may be there all the same. It
    /// is carried out once incoming/ has been looked through, before that job can be started.
    struct Deferred {
        spool::Request request;
        std::uint64_t scan = 0;  ///< through when that one is, and `unread` has been read
        std::optional<std::set<std::string>> unread;
    };
    [[nodiscard]] bool control_has_changed();
    [[nodiscard]] bool must_be_deferred(const spool::Request& request);
    [[nodiscard]] bool knows(std::uint64_t number) const;
    [[nodiscard]] bool looked_through(Deferred& deferred) const;
    void apply_deferred();
    void apply_gpu_requests();
    void answer(const spool::Request& request, const spool::Reply& reply);
    void cancel(const spool::Request& request, const RequestReply& reply);
    void suspend(std::uint64_t number, bool suspended, const RequestReply& reply);
    void change_wishes(const spool::Request& request, const RequestReply& reply);
    [[nodiscard]] std::string why_not_waiting(std::uint64_t number) const;

    // Groups.
    void load_groups();
    spool::Result<void> keep_groups();
    void tell_policy(const std::string& group);
    spool::Result<void> hold_group(const std::string& group, const std::string& reason);
    void note_group(const spool::JobResult& result);
    void change_group(const spool::Request& request, const RequestReply& reply);

    // Setting up.
    spool::Result<void> take_lock();
    spool::Result<bool> lock_spool(spool::Handle file);
    bool owner_is_dead();
    spool::Result<void> check_owner();
    spool::Result<void> make_parts();
    spool::Result<void> recover();
    [[nodiscard]] bool task_has_ended(std::uint64_t task) const;
    [[nodiscard]] bool is_superseded_task(const spool::ActiveJob& job) const;
    bool drop_superseded(const std::vector<spool::HistoryEntry>& history,
                         spool::Recovered& recovered);
    void take_up(spool::Recovered recovered);
    void adopt_binding(const Active& active);
    [[nodiscard]] spool::Result<spool::Terms> terms_of(const spool::ActiveJob& job,
                                                       const spool::record::Claim& claim) const;
    void load_config();
    void set_gpu_wishes();
    void set_pool();
    void capture_environment();
    void use_found_environment();
    void notice_changed_startup_files();
    void watch();
    void begin_rescan();
    ActiveJobsListener listener();

    // State.
    void note_ended(const spool::JobResult& result);
    void note_started(const spool::ActiveJob& job);
    void note_failures(const spool::JobResult& result);
    bool wants_slots(const Active& active);
    void add_wait(spool::RunningState& job) const;
    void add_waiting(spool::SpoolState& state) const;
    void add_obstacles(spool::SpoolState& state) const;
    spool::SpoolState state() const;
    spool::WaitReason reason_of(const spool::WaitingJob& job) const;
    [[nodiscard]] bool may_start() const;
    [[nodiscard]] bool once_is_done() const;
    [[nodiscard]] std::optional<spool::WaitReason> nothing_starts() const;

    spool::Files& files_;
    const spool::Clock& clock_;
    Options options_;
    spool::record::BootId boot_{};
    std::string machine_id_, user_;
    std::string job_cgroup_;  ///< empty: there is none
    std::int64_t started_at_ = 0;

    boost::asio::io_context io_{1};
    boost::asio::steady_timer timer_{io_};
    bool timer_set_ = false;
    boost::asio::signal_set signals_{io_};
    spool::Spool spool_;
    spool::OpenFile lock_;
    spool::Config config_;
    Troubles troubles_;

    std::optional<spool::Journal> history_;
    spool::JobIndex index_;
    std::deque<spool::JobResult> recent_;
    std::deque<std::chrono::nanoseconds> recent_durations_;
    std::unique_ptr<spool::Incoming> incoming_;
    spool::Policy policy_;
    std::unique_ptr<MachineGpus> gpus_;
    std::unique_ptr<SharedGpus> shared_;
    spool::HeldGroups held_groups_;
    bool groups_known_ = false;  ///< groups.json was read: it may be written
    bool groups_kept_ = true;    ///< it says what held_groups_ does
    spool::GroupFailures group_failures_;
    SharedGpus::Reasons others_turns_;  ///< free GPUs that are not ours to take now
    spool::MachineState machine_{spool::default_machine_files()};
    std::unique_ptr<spool::RecordPool> pool_;
    std::unique_ptr<JobLauncher> launcher_;
    std::unique_ptr<LocalExecutor> executor_;
    std::unique_ptr<Hooks> hooks_;
    std::unique_ptr<SleepInhibitor> inhibitor_;
    std::unique_ptr<ActiveJobs> active_;
    OpenArrays arrays_;
    std::set<std::uint64_t> task_followers_;  ///< waiting jobs that may follow single tasks
    std::optional<Watcher> watcher_;
    std::optional<std::pair<spool::Environment, std::string>>
        found_environment_;  ///< and its source
    std::chrono::nanoseconds next_environment_try_{0};
    std::string startup_stamp_;                 ///< of the login shell's start-up files
    std::set<std::string> requests_in_hand_;    ///< nonces of requests that are being carried out
    std::vector<spool::Request> gpu_requests_;  ///< that wait for the first survey
    std::map<std::string, spool::Reply> owed_replies_;  ///< of what was done; by nonce
    std::vector<Deferred> deferred_;
    std::int64_t control_changed_at_ = 0;             ///< mtime of control/ when it was read
    std::uint64_t scans_begun_ = 0, scans_done_ = 0;  ///< of incoming/, whole ones
    std::vector<spool::OpenFile> retired_;            ///< directories that were replaced
    /// Last member but one: it is joined before anything that it syncs goes.
    std::unique_ptr<SyncThread> syncs_;

    // What is to be looked at in the next pass.
    std::vector<std::pair<std::string, spool::Hint>> names_;
    std::unordered_set<std::uint32_t> records_;
    bool rescan_ = true, scanning_ = false, requests_ = true, files_changed_ = true,
         config_changed_ = false;
    bool gpus_changed_ = true;
    std::optional<std::chrono::nanoseconds> next_gpu_look_;
    bool restoring_arrays_ = false;  ///< files of arrays that are missing are put back
    bool directories_lost_ = false, state_changed_ = true, pass_asked_ = false;
    int numbers_pending_ = 0;  ///< barriers of job numbers that are on their way
    std::optional<std::string> paused_;
    std::optional<std::chrono::nanoseconds> busy_since_;  ///< for the machine's sleep
    std::chrono::nanoseconds last_busy_{0};
    bool worked_ = false;  ///< a job has ended since the queue was empty
    bool draining_ = false, ending_ = false, events_work_ = false, on_network_ = false;
    std::optional<std::chrono::nanoseconds> claim_again_;  ///< directories are being synced
    std::chrono::nanoseconds next_rescan_{0}, next_publication_{0}, no_claims_before_{0};
};

}  // namespace spoold
