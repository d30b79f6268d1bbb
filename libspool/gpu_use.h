// Free means free: whether a GPU may be given to a job, and who has it if not. Pure functions.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "libspool/gpu.h"

namespace spool {

/// A running job of this spool.
struct GpuJob {
    std::uint64_t number = 0;
    std::string name, token;
    std::string cgroup;             ///< its path in the hierarchy; empty: none
    std::vector<std::string> gpus;  ///< ids of what it was given
    std::uint64_t gpu_memory = 0;   ///< bytes that it asked for on each; 0: all
    std::string shown{};            ///< what people call it ("42_7"); empty: its number
};

struct GpuRules {
    /// How much of the memory a desktop may have on a GPU that counts as free.
    double desktop_share = 0.25;
    /// Bytes that no process explains and that do not matter; drivers keep some for themselves.
    /// "unexplained_memory" in config.json.
    std::uint64_t unexplained = 512u << 20;
    std::set<int> ignored_pids;
    std::set<std::string> ignored_programs;
};

struct GpuUse {
    enum class Kind {
        free,     ///< nobody but jobs that were given it
        busy,     ///< somebody else
        unknown,  ///< what it does cannot be told: nothing is started there
    };
    Kind kind = Kind::free;
    /// Who or what, and the remedy where there is one, for people; empty if it is free.
    std::string reason;

    bool operator==(const GpuUse&) const = default;
};

/// Bytes that jobs which share the GPU may ask for in all: what it has, without what others use and
/// what the jobs on it use beyond what they have asked for. What the driver keeps for itself, and
/// no process explains, counts for nobody, as far as it does not make a GPU busy either: a job may
/// ask for as much as the product has.
[[nodiscard]] std::uint64_t shared_memory(const Gpu& gpu, const std::vector<GpuJob>& jobs,
                                          const GpuRules& rules);

[[nodiscard]] GpuUse gpu_use(const Gpu& gpu, const std::vector<GpuJob>& jobs,
                             const GpuRules& rules);

}  // namespace spool
