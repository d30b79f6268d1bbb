// Watching one job: its log as it grows, and its end.
#pragma once

#include <optional>

#include "cli/context.h"
#include "cli/open_log.h"

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

}  // namespace cli
