// The two append-only files from which readers take numbers: .spool/waiting and .spool/history
// (docs/protocol.md §3, §11). Both are hints for readers: a line that is torn, not JSON or
// contradicted by the directories is passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libspool/layout.h"

namespace spool {

struct WaitingLine {
    std::uint64_t number = 0, device = 0, inode = 0;
    std::string file_name;  ///< in incoming/
};
/// Oldest first. Empty if the file cannot be read.
[[nodiscard]] std::vector<WaitingLine> read_waiting_lines(Spool& spool);

struct HistoryLine {
    std::uint64_t number = 0;
    std::string name;  ///< unique name
};
/// The last `limit` jobs that ended, newest first.
[[nodiscard]] std::vector<HistoryLine> read_last_history(Spool& spool, std::size_t limit);
/// The line of job `number`.
[[nodiscard]] std::optional<HistoryLine> find_in_history(Spool& spool, std::uint64_t number);
/// The highest number that anything in the spool names: what is left to go by where the counter was
/// lost.
[[nodiscard]] std::uint64_t highest_known_number(Spool& spool);
/// The line with the highest number.
[[nodiscard]] std::optional<HistoryLine> newest_in_history(Spool& spool);

}  // namespace spool
