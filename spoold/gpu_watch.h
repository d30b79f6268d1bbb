// Asks the drivers of the GPUs, through a process of its own (spool-probe): one that hangs or
// crashes does neither to the daemon. The process is started by the first question and ended when
// nobody has asked for a while, so that an idle daemon keeps no driver busy and no library loaded.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "libspool/files.h"
#include "libspool/gpu.h"
#include "process.h"

namespace spoold {

struct GpuWatchOptions {
    std::string program;  ///< path of spool-probe
    /// How long an answer may take. The first one of a process loads the driver, which takes many
    /// seconds where nothing else keeps it loaded.
    std::chrono::nanoseconds answer_time = std::chrono::seconds(5);
    std::chrono::nanoseconds first_answer_time = std::chrono::seconds(60);
    std::chrono::nanoseconds idle_time = std::chrono::seconds(30);
};

class GpuWatch {
public:
    using Time = std::chrono::nanoseconds;  ///< of the monotonic clock

    /// `changed` is called from the loop when an answer has come, or none will.
    GpuWatch(boost::asio::io_context& io, const spool::Clock& clock, GpuWatchOptions options,
             std::function<void()> changed);

    /// Asks, unless a question is on its way or the last process has only just failed.
    void ask();
    /// Sees to deadlines; returns the next one.
    std::optional<Time> advance();

    /// The newest answer; GPUs that an earlier one had are not lost (see `remember_gpus`).
    [[nodiscard]] const std::optional<spool::GpuSurvey>& survey() const { return survey_; }
    /// When the question was put to which it is the answer.
    [[nodiscard]] Time surveyed_at() const { return surveyed_at_; }
    [[nodiscard]] Time answered_at() const { return answered_at_; }
    [[nodiscard]] bool is_asking() const { return asked_at_.has_value(); }
    /// Why the survey is not what the drivers say now; empty while they answer.
    [[nodiscard]] const std::string& problem() const { return problem_; }
    /// GPUs that have gone are no longer missed.
    void forget_lost_gpus();

private:
    spool::Result<void> start();
    void wait_for_answer();
    void read_answer();
    void take(const std::string& line);
    void fail(const std::string& problem);
    void on_ended(unsigned process, std::optional<int> status);
    void close();

    boost::asio::io_context& io_;
    const spool::Clock& clock_;
    GpuWatchOptions options_;
    std::function<void()> changed_;

    std::optional<ChildProcess> process_;  ///< until it has been reaped
    unsigned processes_ = 0;               ///< how many there have been: tells old news from new
    boost::asio::posix::stream_descriptor pipe_;
    std::string received_;
    bool answered_ = false;  ///< this process has answered before
    std::optional<Time> asked_at_;
    Time last_asked_{0}, not_before_{0}, back_off_{0}, closed_at_{0};

    std::optional<spool::GpuSurvey> survey_;
    Time surveyed_at_{0}, answered_at_{0};
    std::string problem_;
};

}  // namespace spoold
