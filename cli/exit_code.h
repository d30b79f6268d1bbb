// The exit code that `gpuspool wait` and `submit -f` make of a job's outcome (docs/cli.md, "Exit
// codes").
#pragma once

#include "libspool/result.h"

namespace cli {

/// succeeded 0; failed its own code, 128 + signal, or 127 if it could not be started; timeout 124;
/// cancelled 125; lost and interrupted 126 (how it ended is not known); rejected 127.
[[nodiscard]] int exit_code_of(const spool::JobResult& result);

/// The same table for --help.
inline constexpr const char* exit_code_help =
    "Exit code: the job's own; 128 + N if signal N ended it; 124 time limit, 125 cancelled, 126 "
    "lost or\n"
    "interrupted, 127 rejected or not to be started; 3 no such job; 130 stopped watching (Ctrl-C).";

}  // namespace cli
