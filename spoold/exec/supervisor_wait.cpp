// The supervisor's long wait: signals in, deadlines out. Nothing here allocates.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "spoold/exec/limits.h"
#include "spoold/exec/supervisor.h"

namespace spool::exec {

namespace {

constexpr std::int64_t shutdown_window =
    2 * second;  ///< a death so long before a SIGTERM belongs to it
constexpr std::int64_t shutdown_memory = 120 * second;  ///< and a failure so long after it
constexpr std::int64_t kill_interval = 100 * millisecond;
constexpr std::int64_t cgroup_interval = 200 * millisecond;
constexpr std::int64_t retry_interval = second;

std::int64_t after(std::int64_t now, std::uint64_t milliseconds) {
    constexpr std::uint64_t limit = INT64_MAX / millisecond / 4;
    return now +
           static_cast<std::int64_t>(milliseconds < limit ? milliseconds : limit) * millisecond;
}

/// As a machine that goes down ends its processes, and shells pass it on.
bool ended_as_at_shutdown(int status) {
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 128 + SIGTERM || WEXITSTATUS(status) == 128 + SIGHUP;
    const int number = WTERMSIG(status);
    return number == SIGTERM || number == SIGHUP || number == SIGKILL;
}

}  // namespace

void Supervisor::watch() {
    reap();
    advance();
    while (!finished()) {
        wait_for_signal();
        reap();
        advance();
    }
}

/// Takes one signal. Of several the lowest number comes first: SIGTERM before SIGCHLD.
void Supervisor::wait_for_signal() {
    arm_timer();
    sigset_t all;
    sigfillset(&all);
    const std::int64_t next = next_deadline();
    int number;
    if (next == armed_) {
        number = sigwaitinfo(&all, nullptr);
    } else {
        // No timer was to be had: as exact as a machine that never sleeps allows.
        const std::int64_t left = next > boot_time() ? next - boot_time() : 1;
        const timespec wait{left / second, left % second};
        number = sigtimedwait(&all, nullptr, &wait);
    }
    if (number > 0) on_signal(number);
}

/// Sets a timer of the kernel that counts a sleep of the machine too, which no waiting call does.
void Supervisor::arm_timer() {
    const std::int64_t next = next_deadline();
    if (next == armed_) return;
    if (!has_timer_) {
        sigevent event{};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGALRM;
        has_timer_ = syscall(SYS_timer_create, CLOCK_BOOTTIME, &event, &timer_) == 0;
        if (!has_timer_) return;
    }
    itimerspec time{};
    if (next != never) {
        const std::int64_t at = next > 0 ? next : 1;
        time.it_value = {at / second, at % second};
    }
    if (syscall(SYS_timer_settime, timer_, TIMER_ABSTIME, &time, nullptr) == 0) armed_ = next;
}

std::int64_t Supervisor::next_deadline() const {
    std::int64_t next = never;
    for (const std::int64_t at : {warn_at_, limit_at_, kill_at_, leftovers_at_, judge_at_,
                                  write_at_, look_at_, note_at_, go_on_at_})
        next = at < next ? at : next;
    return next;
}

void Supervisor::on_signal(int number) {
    if (number == SIGALRM) armed_ = never;
    if (number == SIGTERM) note_termination();
    if (number == SIGRTMIN + 1) follow_wish();
    if (number != SIGRTMIN || finished() || !record_.cancelled()) return;
    exit_.flags |= record::cancelled;
    written_ = false;
    begin_stop(boot_time());
}

void Supervisor::note_termination() {
    if (terminated_ == never) terminated_ = boot_time();
    go_on(boot_time());
}

/// The wish may be one that was followed already.
void Supervisor::follow_wish() {
    const bool may = !main_ended_ && stop_ == Stop::none && terminated_ == never;
    if (!may) return;
    go_on_at_ = never;
    if (record_.suspended() == suspended_) return;
    suspended_ ? go_on(boot_time()) : suspend(boot_time());
}

/// What it may still run does not become less meanwhile.
void Supervisor::suspend(std::int64_t now) {
    if (note_at_ != never) note_main();
    suspended_ = true;
    suspended_at_ = now;
    warn_then_ = warn_at_;
    limit_then_ = limit_at_;
    warn_at_ = limit_at_ = never;
    tree_.suspend();
}

void Supervisor::go_on(std::int64_t now) {
    if (!suspended_) return;
    go_on_at_ = tree_.go_on() ? never : now + retry_interval;
    if (go_on_at_ != never) return;
    suspended_ = false;
    const std::int64_t missed = now - suspended_at_;
    warn_at_ = warn_then_ == never ? never : warn_then_ + missed;
    limit_at_ = limit_then_ == never ? never : limit_then_ + missed;
}

/// Everything that has ended. No child left means that no descendant is left: orphans become ours.
void Supervisor::reap() {
    look_at_ = never;
    while (!tree_empty_) {
        int status;
        const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid == 0) return;
        if (pid > 0) {
            if (pid == main_) on_main_ended(status);
        } else if (errno == ECHILD) {
            tree_empty_ = !tree_.cgroup() || tree_.cgroup_empty();
            if (tree_empty_)
                written_ = false;
            else
                look_at_ = boot_time() + cgroup_interval;
            return;
        }
    }
}

void Supervisor::on_main_ended(int status) {
    // Another signal, or the start, may have led here past a SIGTERM that came before the end.
    sigset_t pending;
    if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM)) note_termination();
    ended_ = boot_time();
    go_on(ended_);
    exit_.ended_at = wall_time();
    exit_.wait_status = status;
    main_ended_ = true;
    warn_at_ = limit_at_ = warn_then_ = limit_then_ = note_at_ = never;
    const Failure failure = launch_->failure_of_child();
    exit_.failed_step = failure.step;
    exit_.error = failure.error;
    if (status != 0 && tree_.cgroup() >= 0) exit_.flags |= memory_kills(tree_.cgroup());
    main_ = 0;
}

/// All that is due now, in the order in which it can follow from one another.
void Supervisor::advance() {
    const std::int64_t now = boot_time();
    if (now >= note_at_) note_main();
    if (now >= go_on_at_) go_on(now);
    enforce_limit(now);
    go_on_stopping(now);
    if (main_ended_ && !judged_ && verdict_is_due(now)) judge();
    end_leftovers(now);
    report(now);
}

void Supervisor::enforce_limit(std::int64_t now) {
    if (now >= warn_at_) {
        warn_at_ = never;
        tree_.signal_catchers(static_cast<int>(record_.claim().warn_signal));
    }
    if (now < limit_at_) return;
    limit_at_ = never;
    exit_.flags |= record::timed_out;
    begin_stop(now);
}

void Supervisor::begin_stop(std::int64_t now) {
    go_on(now);
    warn_at_ = limit_at_ = warn_then_ = limit_then_ = leftovers_at_ = never;
    if (stop_ != Stop::none || tree_empty_) return;
    // With its number the page says that the job ran before it was stopped.
    if (note_at_ != never) note_main();
    stop_ = Stop::polite;
    tree_.terminate();
    kill_at_ = after(now, record_.claim().grace);
}

/// Until the tree is empty: what was being born at one look is there at the next.
void Supervisor::go_on_stopping(std::int64_t now) {
    if (tree_empty_) kill_at_ = never;
    if (now < kill_at_) return;
    stop_ = Stop::killing;
    tree_.kill();
    kill_at_ = boot_time() + kill_interval;
}

/// A job that ended as at a shutdown is judged when our own SIGTERM has had its time to come.
bool Supervisor::verdict_is_due(std::int64_t now) {
    const bool known = exit_.failed_step != record::Step::none || stop_ != Stop::none ||
                       terminated_ != never || killed_for_memory() ||
                       !ended_as_at_shutdown(exit_.wait_status);
    if (known || now >= ended_ + shutdown_window || record_.cancelled()) return true;
    judge_at_ = ended_ + shutdown_window;
    return false;
}

void Supervisor::judge() {
    judged_ = true;
    judge_at_ = never;
    if (record_.cancelled()) exit_.flags |= record::cancelled;
    if (interrupted()) exit_.flags |= record::interrupted;
    if (tree_empty_ || stop_ != Stop::none) return;
    exit_.leftovers = tree_.count();
    if (exit_.flags & record::cancelled) return begin_stop(boot_time());
    if (!(record_.claim().flags & record::wait_for_leftovers))
        leftovers_at_ = after(ended_, record_.claim().leftover_grace);
}

/// Its main process itself.
bool Supervisor::killed_for_memory() const {
    return (exit_.flags & record::killed_for_memory) != 0 && WIFSIGNALED(exit_.wait_status) &&
           WTERMSIG(exit_.wait_status) == SIGKILL;
}

bool Supervisor::interrupted() const {
    const bool ours = stop_ != Stop::none || exit_.flags & record::cancelled;
    if (ours || exit_.failed_step != record::Step::none || exit_.wait_status == 0) return false;
    if (terminated_ == never || killed_for_memory()) return false;
    if (terminated_ <= ended_) return ended_ - terminated_ <= shutdown_memory;
    return ended_as_at_shutdown(exit_.wait_status) && terminated_ - ended_ <= shutdown_window;
}

void Supervisor::end_leftovers(std::int64_t now) {
    if (tree_empty_) leftovers_at_ = never;
    if (now < leftovers_at_) return;
    exit_.flags |= record::leftovers_killed;
    begin_stop(now);
    go_on_stopping(now);
}

/// Writes the exit page when it says something new. A disk that refuses is asked again every
/// second.
void Supervisor::report(std::int64_t now) {
    if (!judged_ || written_ || (write_at_ != never && now < write_at_)) return;
    // A complete exit page lets the job's name be given to another: nothing of it is touched after.
    if (tree_empty_) clean_up();
    exit_.token = record_.claim().token;
    exit_.phase = tree_empty_ ? record::Phase::complete : record::Phase::leftovers;
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    exit_.user_microseconds = usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec;
    exit_.system_microseconds = usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec;
    exit_.max_rss_kilobytes = static_cast<std::uint64_t>(usage.ru_maxrss);
    written_ = record_.write(exit_) == 0;
    write_at_ = written_ ? never : now + retry_interval;
    if (written_ && ended_ - started_ > second) record_.sync();
}

bool Supervisor::finished() const {
    return judged_ && tree_empty_ && written_;
}

}  // namespace spool::exec
