#include "daemon.h"

#include <sys/inotify.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

#include "libspool/launch_spec.h"
#include "libspool/names.h"
#include "libspool/outcome.h"
#include "libspool/system.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr auto rescan_interval = 30s;    ///< while events work
constexpr auto polling_interval = 2s;    ///< while they do not
constexpr auto scan_slice = 5ms;         ///< of a full scan, before other things have their turn
constexpr std::size_t claims_ahead = 8;  ///< while jobs are short
constexpr auto short_job = 100ms;

/// The driver that is there decides which variables bind a job to GPUs.
spool::GpuVendor gpu_vendor() {
    const bool amd = access("/dev/kfd", F_OK) == 0 && access("/dev/nvidiactl", F_OK) != 0;
    return amd ? spool::GpuVendor::amd : spool::GpuVendor::nvidia;
}

}  // namespace

Daemon::Daemon(spool::Files& files, const spool::Clock& clock, Options options)
    : files_(files), clock_(clock), options_(std::move(options)), boot_(spool::boot_id()) {}

int Daemon::run() {
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
    signals_.add(SIGHUP);
    signals_.add(SIGUSR1);
    std::function<void()> wait_for_signal = [&] {
        signals_.async_wait([&](const boost::system::error_code& error, int number) {
            if (error) return;
            on_signal(number);
            wait_for_signal();
        });
    };
    wait_for_signal();
    ask_for_pass();
    sd_notify(0, "READY=1");
    io_.run();
    sd_notify(0, "STOPPING=1");
    syncs_.reset();
    publish_state();
    log_notice("spoold ends; running jobs go on");
    return 0;
}

void Daemon::on_signal(int number) {
    if (number == SIGHUP) {
        config_changed_ = rescan_ = true;
        capture_environment();
    } else if (number == SIGUSR1) {
        draining_ = true;
    } else {
        ending_ = true;
    }
    state_changed_ = true;
    ask_for_pass();
}

void Daemon::on_events(const EventBatch& batch) {
    if (batch.lost) rescan_ = directories_lost_ = true;
    constexpr std::uint32_t written = IN_MODIFY | IN_CLOSE_WRITE;
    for (const Event& event : batch.events) {
        switch (event.place) {
            case Place::incoming: {
                const bool whole =
                    (event.mask & (IN_MOVED_TO | IN_CREATE)) != 0 && (event.mask & written) == 0;
                names_.emplace_back(event.name,
                                    whole ? spool::Hint::arrived_whole : spool::Hint::none);
                break;
            }
            case Place::records:
                if (event.name.find_first_not_of("0123456789") == std::string::npos &&
                    event.name.size() < 9)
                    records_.insert(static_cast<std::uint32_t>(std::stoul(event.name)));
                break;
            case Place::running:
                files_changed_ = true;
                break;
            case Place::control:
                requests_ = true;
                break;
            case Place::root:
                if (event.name == "config.json")
                    config_changed_ = true;
                else
                    directories_lost_ = true;
                break;
        }
    }
    ask_for_pass();
}

void Daemon::ask_for_pass() {
    if (pass_asked_) return;
    pass_asked_ = true;
    boost::asio::post(io_, [this] {
        pass_asked_ = false;
        pass();
    });
}

/// One round of work. Each step is cheap when there is nothing for it to do.
void Daemon::pass() {
    heal_directories();
    reload_if_changed();
    apply_requests();
    look_at_active();
    look_at_incoming();
    start_jobs();
    claim_ahead();
    publish_state();
    end_if_done();
    arm_timer();
}

void Daemon::look_at_active() {
    if (rescan_) active_->look_at_all();
    for (const std::uint32_t record : std::exchange(records_, {}))
        active_->look(record);
    const bool missing =
        std::any_of(active_->jobs().begin(), active_->jobs().end(),
                    [](const auto& entry) { return entry.second.missing_since.has_value(); });
    if (rescan_ || missing || std::exchange(files_changed_, false)) active_->look_at_files();
    active_->advance();
    if (!events_work_) active_->look_at_all();
}

void Daemon::look_at_incoming() {
    if (std::exchange(rescan_, false)) begin_rescan();
    for (const auto& [name, hint] : std::exchange(names_, {}))
        incoming_->look(name, hint);
    if (scanning_) {
        scanning_ = incoming_->continue_scan(scan_slice);
        if (scanning_) ask_for_pass();
    }
    incoming_->advance();
    take_incoming_changes();
}

void Daemon::begin_rescan() {
    next_rescan_ = clock_.monotonic() +
                   (events_work_ ? std::chrono::nanoseconds(rescan_interval) : polling_interval);
    paused_ = spool::pause_reason(spool_).value_or(paused_);
    spool::remove_old_replies(spool_, clock_);
    requests_ = true;
    auto begun = incoming_->begin_scan();
    troubles_.set("scan", begun ? "" : "incoming/ cannot be read: " + begun.error().text());
    scanning_ = begun.has_value();
    (void)spool::write_owner(
        spool_, spool::Owner{spool::host_name(), spool::machine_id(), spool::to_hex(boot_),
                             spool::format_time(started_at_), GPUSPOOL_VERSION, getpid(), 0});
}

void Daemon::take_incoming_changes() {
    auto changes = incoming_->take_changes();
    troubles_.set("numbers", changes ? "" : "jobs cannot be numbered: " + changes.error().text());
    if (!changes) {
        no_claims_before_ = clock_.monotonic() + 1s;
        return;
    }
    for (const std::uint64_t number : changes->unready)
        policy_.remove(number);
    for (const std::uint64_t number : changes->ready)
        enqueue(number);
    for (auto& rejected : changes->rejected)
        end_unstarted(rejected.file_name, rejected.number,
                      spool::rejected_result(rejected.number, rejected.file_name, rejected.error,
                                             clock_.wall()));
    for (const auto& withdrawn : changes->withdrawn) {
        policy_.remove(withdrawn.number);
        end_unstarted(
            {}, withdrawn.number,
            spool::withdrawn_result(withdrawn.number, withdrawn.file_name, clock_.wall()));
    }
    if (!changes->ready.empty() || !changes->unready.empty()) state_changed_ = true;
    if (!changes->numbered) return;
    // A number is shown only once it is certain that no later daemon gives it again.
    numbers_pending_ = state_changed_ = true;
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    syncs_->sync(std::move(barrier), [this](const SyncThread::Failures& failures) {
        numbers_pending_ = false;
        if (troubles_.set("number sync", failures.empty() ? ""
                                                          : "job numbers cannot be synced: " +
                                                                failures.begin()->second.text()))
            state_changed_ = true;
        ask_for_pass();
    });
}

void Daemon::enqueue(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job != nullptr && job->phase == spool::WaitingJob::Phase::ready)
        policy_.add(number, job->priority, job->need);
}

/// Ends a file that was never run: rejected or withdrawn.
void Daemon::end_unstarted(const std::string& file_name, std::uint64_t number,
                           spool::JobResult result) {
    result.host = spool::host_name();
    auto published = spool::publish_unstarted(
        spool_, file_name, result,
        [this](const std::string& name) { return active_->name_taken(name); });
    state_changed_ = true;
    if (!published) {
        troubles_.set("publish", "results cannot be written to done/: " + published.error().text());
        if (!file_name.empty()) incoming_->settle_again(number, spool::WaitReason::Kind::trouble);
        return;
    }
    if (!file_name.empty()) incoming_->forget(number);
    (void)history_->append(spool::write_line(spool::HistoryEntry{
        result.id, result.name, result.state, result.exit_code, result.ended_at}));
    log_info("job " + std::to_string(number) + " (" + result.name +
             "): " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    note_ended(result);
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, *published, barrier);
    barrier.add(spool_.incoming.get(), true);
    barrier.add(history_->handle(), false);
    auto kept = std::make_shared<spool::Published>(std::move(*published));
    syncs_->sync(std::move(barrier), [this, kept](const SyncThread::Failures& failures) {
        troubles_.set("result sync", failures.empty() ? ""
                                                      : "results could not be synced: " +
                                                            failures.begin()->second.text());
    });
}

std::optional<spool::WaitReason> Daemon::nothing_starts() const {
    using Kind = spool::WaitReason::Kind;
    if (paused_) return spool::WaitReason{Kind::paused, 0, 0, *paused_, {}};
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

void Daemon::start_jobs() {
    if (!may_start()) return;
    for (const spool::Start& start : policy_.decide()) {
        const bool claimed_already = active_->jobs().contains(start.job);
        if (claimed_already || claim(start.job))
            active_->bind(start.job, binding_of(start.grant));
        else
            policy_.release(start.job);
        state_changed_ = true;
    }
}

/// Claims short jobs before there is a slot for them, so that one barrier serves many.
void Daemon::claim_ahead() {
    const bool all_short = recent_durations_.size() >= 2 &&
                           std::all_of(recent_durations_.begin(), recent_durations_.end(),
                                       [](const auto& duration) { return duration < short_job; });
    if (!all_short || !may_start()) return;
    for (const std::uint64_t job : policy_.next(claims_ahead))
        if (!active_->jobs().contains(job) && active_->claimed_ahead() < claims_ahead)
            if (!claim(job)) policy_.remove(job);
}

bool Daemon::claim(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job == nullptr) return false;
    spool::ClaimRequest request;
    request.file_name = job->file_name;
    request.seen = job->stat;
    request.number = number;
    request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
        return launcher_->launch(identity, bytes, job->submitted_at);
    };
    request.name_taken = [&](const std::string& name) { return active_->name_taken(name); };
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
    active_->add(std::get<spool::ActiveJob>(std::move(*claimed)));
    return true;
}

Binding Daemon::binding_of(const spool::Grant& grant) const {
    Binding binding;
    for (const std::size_t slot : grant.gpu_slots)
        binding.gpus.push_back(policy_.pool().gpu_slots[slot].text);
    for (const auto& [key, value] : spool::gpu_environment(binding.gpus, gpu_vendor()))
        binding.environment.push_back(key + "=" + value);
    return binding;
}

/// For --once: whatever was there has been started, ended or found to have to wait.
bool Daemon::once_is_done() const {
    if (!launcher_->has_environment() || numbers_pending_) return false;
    const bool settling = std::any_of(
        incoming_->jobs().begin(), incoming_->jobs().end(),
        [](const auto& entry) { return entry.second.phase == spool::WaitingJob::Phase::settling; });
    return !settling &&
           std::none_of(active_->jobs().begin(), active_->jobs().end(), [](const auto& entry) {
               const Active& active = entry.second;
               return active.stage != Stage::running && active.stage != Stage::orphaned &&
                      !(active.stage == Stage::claimed && !active.binding);
           });
}

void Daemon::end_if_done() {
    const bool idle = active_->jobs().empty();
    if (draining_ && idle) {
        log_notice("drained: the last running job has ended");
        ending_ = true;
    }
    if (options_.once && !scanning_ && once_is_done()) ending_ = true;
    if (ending_) io_.stop();
}

void Daemon::arm_timer() {
    if (ending_) return;
    std::optional<std::chrono::nanoseconds> next = next_rescan_;
    const auto sooner = [&](std::optional<std::chrono::nanoseconds> time) {
        if (time && *time < *next) next = time;
    };
    sooner(incoming_->next_deadline());
    sooner(active_->advance());
    if (state_changed_) sooner(next_publication_);
    if (no_claims_before_ > clock_.monotonic()) sooner(no_claims_before_);
    if (!events_work_ && !active_->jobs().empty()) sooner(clock_.monotonic() + 100ms);
    timer_.expires_after(std::max(*next - clock_.monotonic(), 0ns));
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        if (clock_.monotonic() >= next_rescan_) rescan_ = true;
        ask_for_pass();
    });
}

}  // namespace spoold
