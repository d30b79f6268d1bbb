// Which of several records of one job counts after a start of the daemon (docs/protocol.md,
// «Attempts»): a part of the recovery.
#pragma once

#include <set>

#include "libspool/recover.h"

namespace spool {

/// Leaves one record for each job in `jobs`, in order of number. What else there is of further
/// attempts is marked free, and never in an order in which a loss of power could leave none of the
/// job's records. `broken`: the indexes of records whose body is not whole.
Result<void> settle_attempts(Spool& spool, RecordPool& pool, const record::BootId& boot,
                             const std::set<std::uint32_t>& broken, std::vector<Recovered>& jobs);

/// Whether a job file that no record names has logs of attempts, and so was executed.
Result<bool> has_attempt_logs(Spool& spool, const std::string& stem);

}  // namespace spool
