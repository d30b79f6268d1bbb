// What every verb works with: the spool, the clock, the terminal; and how it reports failures.
#pragma once

#include <optional>
#include <string>

#include "cli/terminal.h"
#include "libspool/layout.h"
#include "libspool/posix_files.h"
#include "libspool/reader.h"

namespace cli {

/// Exit codes of the command itself; `wait` and `submit -f` exit with the job's (exit_code.h).
enum ExitCode : int {
    success = 0,
    failure = 1,
    usage_error = 2,
    no_such_job = 3,
    stopped_watching = 130
};

class Context {
public:
    spool::PosixFiles files;
    spool::SystemClock clock;
    std::string path;  ///< of the spool; empty: the default
    Terminal out, err;

    /// Opens the spool on first use.
    spool::Result<spool::Spool*> open(spool::IfMissing if_missing = spool::IfMissing::fail);

private:
    std::optional<spool::Spool> spool_;
};

/// Prints "gpuspool: …" to stderr; a line feed is added.
void complain(const std::string& text);
/// Why standard output could not be written, up to now; empty if all of it was.
[[nodiscard]] const std::string& output_problem();
/// Notes that writing to standard output has failed with `code`.
void note_output_failure(int code);
/// Flushes standard output; false if anything could not be written.
bool flush_output();
/// Prints the error; the exit code that it means.
int report(const spool::Error& error);
/// Like `report`, for the error of find_job.
int report_search(const spool::Error& error);

/// What to type to start the daemon here.
[[nodiscard]] std::string how_to_start();

/// Whether a daemon runs, as far as can be seen from here.
[[nodiscard]] bool daemon_runs(Context& context, spool::Spool& spool);
/// "the daemon on HOST was last heard of …", if the spool is that of another host and silent.
[[nodiscard]] std::string silent_host(Context& context, spool::Spool& spool);
/// Where no daemon runs: what is the matter, and what to do.
[[nodiscard]] std::string why_no_daemon(Context& context, spool::Spool& spool);

}  // namespace cli
