// What readers take from the journals: which numbers the files in incoming/ have, and which jobs
// ended last (docs/protocol.md §3, §11). Hints only: a line that is torn, damaged or contradicted
// by the directories is passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libspool/journal.h"

namespace spool {

/// Oldest first. Empty if the file cannot be read.
[[nodiscard]] std::vector<WaitingEntry> read_waiting_entries(Spool& spool);

/// The highest number that anything in the spool names: what is left to go by where the counter was
/// lost.
[[nodiscard]] std::uint64_t highest_known_number(Spool& spool);

/// The last `limit` jobs that ended, newest first.
[[nodiscard]] std::vector<HistoryEntry> read_last_history(Spool& spool, std::size_t limit);
/// The entry of job `number`.
[[nodiscard]] std::optional<HistoryEntry> find_in_history(Spool& spool, std::uint64_t number);
/// The entry with the highest number.
[[nodiscard]] std::optional<HistoryEntry> newest_in_history(Spool& spool);

}  // namespace spool
