// What becomes of files that no record names: a part of the recovery.
#pragma once

#include <set>
#include <string>

#include "libspool/recover.h"

namespace spool {

/// Job files in running/ go back to incoming/; those that may have been executed stay, are
/// reported, and are added to `named` (names of jobs).
Result<void> return_unclaimed(Spool& spool, std::set<std::string>& named, Recovery& recovery);

/// Empty directories of tasks: of arrays that were about to be opened, or have ended. Others would
/// take their names for used.
void remove_empty_task_directories(Spool& spool, const std::set<std::string>& named);

/// Logs of claims that were undone are empty, or links, and go; one with content is kept, in done/.
void settle_logs(Spool& spool, const std::set<std::string>& named);

void remove_unnamed_scripts(Spool& spool, const std::set<std::string>& kept);

/// A command may be writing a temporary file just now: only old ones are nobody's.
void remove_old_temporaries(Spool& spool, std::int64_t now);

}  // namespace spool
