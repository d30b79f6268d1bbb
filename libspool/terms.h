// What a job asks of the queue, beside what it needs of the machine: when it may start, and before
// whom. Plain data.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libspool/gpu_slots.h"

namespace spool {

struct Dependency {
    After after = After::end;
    std::uint64_t job = 0;

    bool operator==(const Dependency&) const = default;
};

struct Dependencies {
    std::vector<Dependency> list;
    bool any = false;  ///< one of them is enough

    bool operator==(const Dependencies&) const = default;
};

struct Terms {
    int priority = 0;  ///< higher ones go first
    Need need;
    std::optional<std::chrono::nanoseconds> time_limit;
    std::string group;       ///< empty: none
    int group_limit = 0;     ///< starts while fewer of its group run; 0: however many do
    bool held = false;       ///< until somebody releases it
    std::int64_t begin = 0;  ///< not before: nanoseconds of the wall clock
    Dependencies after;
    std::size_t tasks = 0;  ///< of an array: how many it has; 0: it is none
    int array_limit = 0;    ///< so many of them at once; 0: however many
    bool canary = false;    ///< of its array, or else its group, the first one runs alone

    bool operator==(const Terms&) const = default;
};

/// What a job asks, submitted at a time of the wall clock. What it follows is not in it: names
/// become numbers only among other jobs.
[[nodiscard]] Terms terms_of(const JobSpec& spec, std::int64_t submitted_at);

}  // namespace spool
