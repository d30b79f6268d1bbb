// Finding and ending all processes that came from one child, for children that run in no cgroup of
// their own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace spoold {

/// What shows that a process belongs to the tree; one sign is enough.
struct TreeSigns {
    pid_t root =
        0;  ///< it, and what descends from it. Must be a child of ours that is not reaped yet
    pid_t session = 0;  ///< what is in this session
    std::string mark;  ///< what has this KEY=VALUE in its environment: double forks in a session of
                       ///< their own
};

struct TreeProcess {
    pid_t pid = 0;
    std::uint64_t started = 0;  ///< clock ticks since boot: tells two users of one number apart
    bool operator==(const TreeProcess&) const = default;
};

/// All live processes of the tree, zombies and ourselves excluded.
[[nodiscard]] std::vector<TreeProcess> find_tree(const TreeSigns& signs);

/// Kills the tree: looks again until nothing new appears. Does not wait for the processes to be
/// gone.
void kill_tree(const TreeSigns& signs);

}  // namespace spoold
