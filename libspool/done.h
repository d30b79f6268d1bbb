// The results in done/, read.
#pragma once

#include <string>
#include <vector>

#include "libspool/layout.h"
#include "libspool/result.h"

namespace spool {

/// Unique names of all jobs that have a result in done/, in no order.
[[nodiscard]] Result<std::vector<std::string>> result_names(Spool& spool);

/// done/<name>.json. The error has the code of the system call that failed (ENOENT: it is not
/// there), or none if the file is no result.
[[nodiscard]] Result<JobResult> read_done(const Spool& spool, const std::string& name);

}  // namespace spool
