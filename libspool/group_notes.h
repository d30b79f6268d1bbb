// Groups of which no job starts: held by the user, or because their jobs fail one after another.
// Pure functions, and the reading and writing of .spool/groups.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libspool/layout.h"
#include "libspool/result.h"

namespace spool {

struct HeldGroup {
    std::string reason;  ///< for people
    std::int64_t since = 0;

    bool operator==(const HeldGroup&) const = default;
};
using HeldGroups = std::map<std::string, HeldGroup>;

[[nodiscard]] std::string write_groups(const HeldGroups& groups);
[[nodiscard]] Result<HeldGroups> read_groups(std::string_view bytes, const std::string& path);

/// The file of the spool; without one no group is held.
Result<HeldGroups> load_groups(Spool& spool);
/// Durably.
Result<void> store_groups(Spool& spool, const HeldGroups& groups);

/// Counts failures in a row by group.
class GroupFailures {
public:
    static constexpr std::size_t most = 5;

    /// Takes note of the end of a job; why its group is to be held now, if it is.
    std::optional<std::string> note(const JobResult& result);
    void forget(const std::string& group) { jobs_.erase(group); }

private:
    std::map<std::string, std::vector<std::uint64_t>> jobs_;
};

/// "gpuspool release --group=sweep", for a shell.
[[nodiscard]] std::string release_command(const std::string& group);

}  // namespace spool
