#include "gpu_watch.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "libspool/gpu_pool.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_answer = 4 << 20;
constexpr std::chrono::nanoseconds first_back_off = 1s, longest_back_off = 60s;

std::string how_it_ended(std::optional<int> status) {
    if (!status) return "spool-probe, which asks the GPUs' drivers, has ended";
    if (WIFSIGNALED(*status))
        return "spool-probe, which asks the GPUs' drivers, was ended by signal " +
               std::to_string(WTERMSIG(*status));
    return "spool-probe, which asks the GPUs' drivers, has ended with exit code " +
           std::to_string(WEXITSTATUS(*status));
}

}  // namespace

GpuWatch::GpuWatch(boost::asio::io_context& io, const spool::Clock& clock, GpuWatchOptions options,
                   std::function<void()> changed)
    : io_(io),
      clock_(clock),
      options_(std::move(options)),
      changed_(std::move(changed)),
      pipe_(io) {}

void GpuWatch::ask() {
    last_asked_ = clock_.monotonic();
    if (asked_at_ || last_asked_ < not_before_) return;
    if (!pipe_.is_open()) {
        // One that does not end hangs in the driver: so would the next.
        if (process_ && last_asked_ < closed_at_ + options_.answer_time) return;
        if (process_) return fail("spool-probe does not end: it hangs in a driver");
        if (auto started = start(); !started) return fail(started.error().text());
    }
    if (send(pipe_.native_handle(), "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
        const int code = errno;
        return fail(spool::system_error("ask", options_.program, code).value().text());
    }
    asked_at_ = last_asked_;
}

spool::Result<void> GpuWatch::start() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return spool::system_error("socketpair", {}, errno);
    ProcessOptions options;
    options.arguments = {options_.program};
    options.stdin_fd = options.stdout_fd = ends[1];
    options.stderr_fd = STDERR_FILENO;
    options.new_session = true;
    auto started = spoold::start(io_, options);
    ::close(ends[1]);
    if (!started) {
        ::close(ends[0]);
        return tl::unexpected(started.error());
    }
    boost::system::error_code error;
    (void)pipe_.assign(ends[0], error);
    if (error) {
        ::close(ends[0]);
        return spool::system_error("watch the answers of", options_.program, error.value());
    }
    process_.emplace(std::move(*started));
    process_->async_wait(
        [this, process = ++processes_](std::optional<int> status) { on_ended(process, status); });
    answered_ = false;
    received_.clear();
    wait_for_answer();
    return {};
}

void GpuWatch::wait_for_answer() {
    pipe_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this, process = processes_](const boost::system::error_code& error) {
                         if (error || process != processes_ || !pipe_.is_open()) return;
                         read_answer();
                         if (pipe_.is_open()) wait_for_answer();
                     });
}

void GpuWatch::read_answer() {
    char buffer[16384];
    for (;;) {
        const ssize_t count = recv(pipe_.native_handle(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return;           // nothing more now
        if (count == 0) return close();  // its end says why
        received_.append(buffer, static_cast<std::size_t>(count));
        const std::size_t end = received_.find('\n');
        if (end != received_.npos) take(received_.substr(0, end));
        if (end != received_.npos) received_.erase(0, end + 1);
        if (received_.size() > longest_answer) return fail("spool-probe's answer has no end");
        if (!pipe_.is_open()) return;
    }
}

void GpuWatch::take(const std::string& line) {
    if (!asked_at_) return;
    auto survey = spool::read_survey(line);
    if (!survey) return fail(survey.error().text());
    survey_ = survey_ ? spool::remember_gpus(*survey_, std::move(*survey)) : std::move(*survey);
    surveyed_at_ = *asked_at_;
    answered_at_ = clock_.monotonic();
    asked_at_.reset();
    answered_ = true;
    back_off_ = 0s;
    problem_.clear();
    changed_();
}

/// Ends the process. The next question starts another one, after a while.
void GpuWatch::fail(const std::string& problem) {
    problem_ = problem;
    asked_at_.reset();
    back_off_ = std::clamp<Time>(2 * back_off_, first_back_off, longest_back_off);
    not_before_ = clock_.monotonic() + back_off_;
    if (process_) (void)process_->signal(SIGKILL);
    close();
    changed_();
}

void GpuWatch::on_ended(unsigned process, std::optional<int> status) {
    if (process != processes_) return;
    process_.reset();
    const bool unasked = asked_at_.has_value();
    close();
    if (unasked) fail(how_it_ended(status));
}

void GpuWatch::close() {
    closed_at_ = clock_.monotonic();
    boost::system::error_code ignored;
    (void)pipe_.close(ignored);
}

std::optional<GpuWatch::Time> GpuWatch::advance() {
    const Time now = clock_.monotonic();
    if (asked_at_) {
        const Time limit = answered_ ? options_.answer_time : options_.first_answer_time;
        if (now < *asked_at_ + limit) return *asked_at_ + limit;
        fail("the GPUs' drivers have not answered for " +
             std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) +
             " s; they are asked again");
    }
    if (now < not_before_) return not_before_;
    if (!pipe_.is_open()) return std::nullopt;
    if (now < last_asked_ + options_.idle_time) return last_asked_ + options_.idle_time;
    close();  // at the end of its input it ends
    return std::nullopt;
}

void GpuWatch::forget_lost_gpus() {
    if (!survey_) return;
    survey_.reset();
    surveyed_at_ = 0s;
}

}  // namespace spoold
