// The log of one job, for those who read it while it grows.
#pragma once

#include <string>

#include "libspool/reader.h"

namespace cli {

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
    /// Whether the job has another log by now: that of a later attempt.
    [[nodiscard]] bool is_replaced(const spool::Spool& spool, const spool::FoundJob& job) const;
    /// Copies what is left of this one, and the whole logs of the attempts since; from then on it
    /// is that of the newest. False if stdout cannot be written.
    bool go_on_with_newest(const spool::Spool& spool, const spool::FoundJob& job);
    /// Copies what is there to stdout. False if stdout cannot be written.
    bool copy_new();

private:
    bool copy_attempts_since(const spool::Spool& spool, const std::string& name, int newest);

    int file_ = -1;
    std::string elsewhere_;
};

/// Why there is nothing to print of a job whose output goes elsewhere.
[[nodiscard]] std::string no_log_text(const spool::FoundJob& job, const Log& log);

}  // namespace cli
