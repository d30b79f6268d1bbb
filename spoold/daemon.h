// The daemon: watch → scan → decide → act, on one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "arrays.h"
#include "groups.h"
#include "hooks.h"
#include "job_launch.h"
#include "libspool/config.h"
#include "libspool/incoming.h"
#include "libspool/job_index.h"
#include "libspool/machine_rules.h"
#include "libspool/policy.h"
#include "local_executor.h"
#include "machine_gpus.h"
#include "options.h"
#include "requests.h"
#include "shared_gpus.h"
#include "sleep_inhibitor.h"
#include "spool_lock.h"
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
    void queue_again(std::uint64_t number, spool::Terms terms);
    void note_standing(std::uint64_t number, const std::string& name, spool::Standing standing);
    void end_hopeless();
    [[nodiscard]] std::optional<std::string> why_hopeless(const spool::WaitingJob& job) const;
    bool end_unstarted(spool::JobResult result, const spool::UnstartedFile& file);
    void give_up_claims();
    void forget_start(std::uint64_t number);
    void give_up(const spool::Start& start);
    [[nodiscard]] bool is_unopened_array(std::uint64_t number) const;
    [[nodiscard]] std::unique_lock<std::mutex> hold_names();
    bool claim(std::uint64_t number);
    [[nodiscard]] bool name_taken(const std::string& name) const;
    void end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files);
    void finish_unstarted(const spool::JobResult& result, spool::Published published);
    Binding binding_of(const spool::Start& start) const;

    // GPUs.
    [[nodiscard]] std::vector<spool::GpuJob> gpu_jobs() const;
    [[nodiscard]] bool all_gpus_held() const;
    void look_at_machine();
    bool update_pool();
    void look_at_other_spools();
    void wait_among_others();
    [[nodiscard]] std::vector<std::string> lockable(const std::vector<std::string>& devices) const;
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
    void carry_out(const spool::Request& request, const RequestReply& reply);
    [[nodiscard]] bool knows(std::uint64_t number) const;
    void apply_gpu_requests();
    void cancel(const spool::Request& request, const RequestReply& reply);
    void suspend(const spool::Request& request, const RequestReply& reply);
    void change_wishes(const spool::Request& request, const RequestReply& reply);
    [[nodiscard]] std::string why_not_waiting(std::uint64_t number) const;

    // Setting up.
    spool::Result<void> make_parts();
    spool::Result<void> recover();
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
    void make_requests();
    void make_arrays();

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
    [[nodiscard]] std::optional<spool::WaitReason> why_waits(std::uint64_t number,
                                                             const spool::Need& need) const;
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
    SpoolLock lock_{spool_, machine_id_};
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
    Groups groups_{spool_, clock_, policy_, troubles_, [this] {
                       state_changed_ = true;
                       ask_for_pass();
                   }};
    SharedGpus::Reasons others_turns_;  ///< free GPUs that are not ours to take now
    spool::MachineState machine_{spool::default_machine_files()};
    std::unique_ptr<spool::RecordPool> pool_;
    std::unique_ptr<JobLauncher> launcher_;
    std::unique_ptr<LocalExecutor> executor_;
    std::unique_ptr<Hooks> hooks_;
    std::unique_ptr<SleepInhibitor> inhibitor_;
    std::unique_ptr<ActiveJobs> active_;
    std::unique_ptr<Arrays> arrays_;
    std::optional<Watcher> watcher_;
    std::optional<std::pair<spool::Environment, std::string>>
        found_environment_;  ///< and its source
    std::chrono::nanoseconds next_environment_try_{0};
    std::string startup_stamp_;  ///< of the login shell's start-up files
    Scans scans_;
    std::unique_ptr<Requests> requests_;
    std::vector<std::pair<spool::Request, RequestReply>>
        gpu_requests_;                      ///< that wait for the first survey
    std::vector<spool::OpenFile> retired_;  ///< directories that were replaced
    /// Last member but one: it is joined before anything that it syncs goes.
    std::unique_ptr<SyncThread> syncs_;

    // What is to be looked at in the next pass.
    std::vector<std::pair<std::string, spool::Hint>> names_;
    std::unordered_set<std::uint32_t> records_;
    bool rescan_ = true, requests_came_ = true, files_changed_ = true, config_changed_ = false;
    bool gpus_changed_ = true;
    std::optional<std::chrono::nanoseconds> next_gpu_look_;
    bool directories_lost_ = false, state_changed_ = true, pass_asked_ = false;
    int numbers_pending_ = 0;  ///< barriers of job numbers that are on their way
    std::optional<std::string> paused_;
    std::optional<std::chrono::nanoseconds> busy_since_;  ///< for the machine's sleep
    std::chrono::nanoseconds last_busy_{0};
    bool worked_ = false;  ///< a job has ended since the queue was empty
    bool draining_ = false, ending_ = false, events_work_ = false, on_network_ = false;
    std::optional<std::chrono::nanoseconds> claim_again_;  ///< directories are being synced
    std::chrono::nanoseconds next_rescan_{0}, next_publication_{0}, no_claims_before_{0};
    /// Until the machine is kept awake, or is not any more.
    static constexpr std::chrono::nanoseconds sleep_delay = std::chrono::seconds(2);
};

}  // namespace spoold
