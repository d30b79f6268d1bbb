// Which waiting jobs wait for which others. A value without side effects: it is told what becomes
// of jobs, and says whose conditions that changes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "libspool/terms.h"

namespace spool {

/// How far a job has come.
enum class Standing {
    unknown,  ///< there is no such job
    waiting,
    running,
    succeeded,
    failed,  ///< ended in any other way, or never started
};

enum class Verdict { met, open, never };

/// One condition against what is known of its job.
[[nodiscard]] Verdict judge(After after, Standing standing);

class DependencyBook {
public:
    using Lookup = std::function<Standing(std::uint64_t job)>;

    /// `standing` tells of the jobs that `job` depends on, as they are now. What `job` depended on
    /// before is forgotten.
    void add(std::uint64_t job, const Dependencies& after, const Lookup& standing);
    void remove(std::uint64_t job);

    /// Takes note; the jobs whose verdict is another one now, in order.
    std::vector<std::uint64_t> note(std::uint64_t job, Standing standing);

    [[nodiscard]] Verdict verdict(std::uint64_t job) const;
    /// What it waits for; or what can never be any more. Nothing if its conditions are met.
    [[nodiscard]] std::optional<Dependency> obstacle(std::uint64_t job) const;
    /// The jobs, from `job` on, each of which depends on the next and the last one on `job`; empty
    /// if there is no such circle.
    [[nodiscard]] std::vector<std::uint64_t> circle(std::uint64_t job) const;

private:
    struct Predecessor {
        Standing standing = Standing::unknown;
        std::set<std::uint64_t> followers;
    };
    [[nodiscard]] Verdict judge_one(const Dependency& dependency) const;

    std::map<std::uint64_t, Dependencies> after_;        ///< by follower
    std::map<std::uint64_t, Predecessor> predecessors_;  ///< those that somebody follows
};

}  // namespace spool
