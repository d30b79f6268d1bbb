// Watching one job: its log as it grows, and its end.
#pragma once

#include <optional>
#include <string>

#include "cli/context.h"

namespace cli {

/// How watching ended.
struct Watched {
    std::optional<spool::JobResult> result;  ///< the job has ended
    int code = success;  ///< else: the exit code to leave with; already explained on stderr
};

/// Prints the log of `job` (the last `lines` lines of what is there, all if negative) and what is
/// added, until the job ends or Ctrl-C. Of a waiting job the reason is printed, on stderr, each
/// time it changes.
Watched follow_log(Context& context, spool::Spool& spool, const spool::FoundJob& job, long lines);

/// Waits until the job ends, or Ctrl-C, without printing its log.
Watched wait_for_end(Context& context, spool::Spool& spool, const spool::FoundJob& job);

/// An open log: in running/ or done/. It is followed through its descriptor when it moves.
class Log {
public:
    /// Opens the log of `job` if there is one.
    bool open(const spool::Spool& spool, const spool::FoundJob& job);
    ~Log();
    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    [[nodiscard]] bool is_open() const { return file_ >= 0; }
    /// What the output went to instead, if that was no file, so that there is nothing to print.
    [[nodiscard]] const std::string& elsewhere() const { return elsewhere_; }
    [[nodiscard]] int descriptor() const { return file_; }
    /// Moves to the start of the last `lines` lines; negative: to the beginning.
    void seek_to_last(long lines);
    /// Whether the job has another log by now: that of its next attempt.
    [[nodiscard]] bool is_replaced(const spool::Spool& spool, const spool::FoundJob& job) const;
    void close();
    /// Copies what is there to stdout. False if stdout cannot be written.
    bool copy_new();

private:
    int file_ = -1;
    std::string elsewhere_;
};

/// Why there is nothing to print of a job whose output goes elsewhere.
[[nodiscard]] std::string no_log_text(const spool::FoundJob& job, const Log& log);

}  // namespace cli
