// Which slots together make up the GPUs that a job wants. A pure function.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace spool {

struct SlotCandidate {
    std::size_t slot = 0;              ///< its index in the pool
    std::vector<std::string> devices;  ///< its GPUs
};

/// How many GPUs jobs may have in all.
struct GpuLimit {
    std::size_t most = 0;
    std::set<std::string> held;  ///< that they have already

    [[nodiscard]] bool allows(const std::vector<std::string>& more) const;
};

/// Of `candidates`, the best first, those that together have `wanted` (> 0) GPUs, none of them
/// twice, and within the limit: with the fewest GPUs too many, then the fewest slots, then the
/// earliest candidates. In the order of the pool; nothing if there is no such choice. Among very
/// many slots that overlap in very many ways only the first 20,000 combinations are looked at.
[[nodiscard]] std::optional<std::vector<std::size_t>> choose_slots(
    const std::vector<SlotCandidate>& candidates, std::size_t wanted,
    const std::optional<GpuLimit>& limit = std::nullopt);

}  // namespace spool
