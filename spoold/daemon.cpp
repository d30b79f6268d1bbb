#include "daemon.h"

#include <sys/inotify.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

#include "cgroup.h"
#include "libspool/system.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds rescan_interval = 30s;  ///< while events work
constexpr std::chrono::nanoseconds network_interval =
    5s;  ///< on a file system that others change too
constexpr std::chrono::nanoseconds polling_interval = 2s;  ///< while they do not
constexpr auto scan_slice = 5ms;  ///< of a full scan, before other things have their turn

spool::Hint hint_of(std::uint32_t mask) {
    if ((mask & (IN_MODIFY | IN_CLOSE_WRITE)) != 0) return spool::Hint::none;
    if ((mask & IN_MOVED_TO) != 0) return spool::Hint::renamed;
    return (mask & IN_CREATE) != 0 ? spool::Hint::linked : spool::Hint::none;
}

}  // namespace

Daemon::Daemon(spool::Files& files, const spool::Clock& clock, Options options)
    : files_(files), clock_(clock), options_(std::move(options)) {}

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
    // A supervisor that is about to start wants to find it.
    if (active_->none_has_supervisor()) remove_job_cgroup(job_cgroup_);
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
    bool concerns_us = batch.lost;
    for (const Event& event : batch.events)
        concerns_us = take_event(event) || concerns_us;
    if (concerns_us) ask_for_pass();
}

/// Whether it needs a pass. Most events are echoes of what the daemon did itself.
bool Daemon::take_event(const Event& event) {
    switch (event.place) {
        case Place::incoming:
            if ((event.mask & ~(IN_MOVED_FROM | IN_DELETE)) == 0 && !incoming_->knows(event.name))
                return false;
            names_.emplace_back(event.name, hint_of(event.mask));
            return true;
        case Place::records: {
            const auto record = spool::record_index(event.name);
            if (!record || !active_->awaits_supervisor(*record)) return false;
            records_.insert(*record);
            return true;
        }
        case Place::running:
            if ((event.mask & (IN_MOVED_FROM | IN_DELETE)) != 0
                    ? !active_->holds_file(event.name) && !arrays_->holds_file(event.name)
                    : !active_->misses_file(event.name) && !arrays_->misses_file())
                return false;
            files_changed_ = true;
            return true;
        case Place::control:
            requests_came_ = true;
            return true;
        case Place::internal:
            directories_lost_ = true;
            return true;
        case Place::root:
            (event.name == "config.json" ? config_changed_ : directories_lost_) = true;
            return true;
    }
    return false;
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
    const SyncThread::Together together(*syncs_);
    heal_directories();
    reload_if_changed();
    use_found_environment();
    apply_requests();
    look_at_active();
    arrays_->advance();
    look_at_incoming();
    end_hopeless();
    look_at_gpus();
    start_jobs();
    claim_ahead();
    tell_queue_empty();
    keep_awake();
    publish_state();
    end_if_done();
    arm_timer();
}

void Daemon::look_at_active() {
    if (rescan_) active_->look_at_all();
    if (rescan_) groups_.keep_again();
    for (const std::uint32_t record : std::exchange(records_, {}))
        active_->look(record);
    const bool missing =
        arrays_->misses_file() ||
        std::any_of(active_->jobs().begin(), active_->jobs().end(),
                    [](const auto& entry) { return entry.second.missing_since.has_value(); });
    if (rescan_ || missing || std::exchange(files_changed_, false)) {
        const std::size_t arrays = arrays_->look_at_files();
        arrays_->settle_missing_files(arrays + active_->look_at_files(arrays));
    }
    active_->advance();
    if (!events_work_) active_->look_at_all();
}

void Daemon::look_at_incoming() {
    if (std::exchange(rescan_, false)) begin_rescan();
    for (const auto& [name, hint] : std::exchange(names_, {}))
        incoming_->look(name, hint);
    if (scans_.under_way) {
        scans_.under_way = incoming_->continue_scan(scan_slice);
        if (!scans_.under_way) scans_.done = scans_.begun;
        if (scans_.under_way) ask_for_pass();
    }
    incoming_->advance();
    take_incoming_changes();
    const auto away = incoming_->away();
    if (troubles_.set("moved",
                      away == 0 ? ""
                                : "incoming/ was moved away with " + std::to_string(away) +
                                      " waiting " + (away == 1 ? "job" : "jobs") +
                                      ": nothing of it starts until it is moved back (mv -T); to "
                                      "withdraw a job remove its file there"))
        state_changed_ = true;
    requests_->apply_deferred();
}

void Daemon::begin_rescan() {
    const std::chrono::nanoseconds interval = !events_work_ ? polling_interval
                                              : on_network_ ? network_interval
                                                            : rescan_interval;
    next_rescan_ = clock_.monotonic() + interval;
    paused_ = spool::pause_reason(spool_).value_or(paused_);
    spool::remove_old_replies(spool_, clock_);
    notice_changed_startup_files();
    if (!directories_lost_) heal_files();
    shared_->keep_directory();
    requests_came_ = true;
    auto begun = incoming_->begin_scan();
    troubles_.set("scan", begun ? "" : "incoming/ cannot be read: " + begun.error().text());
    scans_.under_way = begun.has_value();
    if (begun) ++scans_.begun;
    const auto alive = spool::write_owner(
        spool_, spool::Owner{spool::host_name(), machine_id_, spool::to_hex(boot_),
                             spool::format_time(started_at_), GPUSPOOL_VERSION, getpid(), 0});
    troubles_.set("heartbeat",
                  alive ? "" : ".spool/owner cannot be written: " + alive.error().text());
}

void Daemon::arm_timer() {
    if (ending_) return;
    std::optional<std::chrono::nanoseconds> next = next_rescan_;
    const auto sooner = [&](std::optional<std::chrono::nanoseconds> time) {
        if (time && *time < *next) next = time;
    };
    sooner(incoming_->next_deadline());
    sooner(active_->advance());
    sooner(arrays_->next_look());
    sooner(gpus_->advance());
    sooner(next_gpu_look_);
    if (shared_->keeps_off()) sooner(shared_->look_again());
    if (machine_.drain() && policy_.waiting() > 0) sooner(clock_.monotonic() + 1s);
    if (state_changed_) sooner(next_publication_);
    for (const auto since : {busy_since_, busy_since_ ? std::optional(last_busy_) : std::nullopt})
        if (since && *since + sleep_delay > clock_.monotonic()) sooner(*since + sleep_delay);
    if (found_environment_) sooner(next_environment_try_);
    if (const auto begin = policy_.next_begin())  // not later than a minute: clocks are set
        sooner(clock_.monotonic() +
               std::clamp<std::chrono::nanoseconds>(
                   std::chrono::nanoseconds(*begin - clock_.wall()), 1ms, 60s));
    if (no_claims_before_ > clock_.monotonic()) sooner(no_claims_before_);
    sooner(std::exchange(claim_again_, std::nullopt));
    if (!events_work_ && !active_->jobs().empty()) sooner(clock_.monotonic() + 100ms);
    // A timer that is due earlier stays as it is: a wake-up for nothing, and a new look here, cost
    // less than setting it anew in every pass.
    // (Compared by the timer's own clock, which stands still while the machine sleeps.)
    const std::chrono::nanoseconds wait = std::max(*next - clock_.monotonic(), 0ns);
    if (timer_set_ && timer_.expiry() <= std::chrono::steady_clock::now() + wait) return;
    timer_set_ = true;
    timer_.expires_after(wait);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        timer_set_ = false;
        if (clock_.monotonic() >= next_rescan_) rescan_ = true;
        ask_for_pass();
    });
}

}  // namespace spoold
