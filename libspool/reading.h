// What reader.cpp and find_job.cpp share: the published state, brought up to date with the
// directories.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libspool/layout.h"
#include "libspool/state.h"

namespace spool {

/// The state without `recent`. With `everything`, all waiting jobs are in it, however many; that
/// may take a second for 100,000 of them.
Result<SpoolState> read_state_and_files(Spool& spool, const Clock& clock, bool everything);

/// Unique names of all jobs that have a result in done/, in no order.
[[nodiscard]] std::vector<std::string> result_names(Spool& spool);
/// The error is ENOENT if it is not there.
[[nodiscard]] Result<JobResult> read_done(Spool& spool, const std::string& name);

}  // namespace spool
