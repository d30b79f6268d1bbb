// Whose first job runs alone (`--canary`): of an array, or of a group, one job is tried before the
// rest may go. Pure: times are those of the caller's monotonic clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "libspool/result.h"

namespace spool {

/// Jobs that have one canary: the tasks of an array, or the jobs of a group.
struct Flock {
    std::uint64_t array = 0;  ///< 0: of a group
    std::string group{};

    auto operator<=>(const Flock&) const = default;
};

/// What the end of a job says of the set-up that it shares with others.
enum class Trial { passed, failed, unknown };
/// Only a failure soon after the start speaks against the rest. Of one that was cancelled, lost or
/// interrupted nothing can be said: another one is tried.
[[nodiscard]] Trial trial_of(const JobResult& result);

/// " ran alone (--canary) and failed: see /home/u/.gpuspool/done/x.log", after which one it was.
[[nodiscard]] std::string canary_failed_text(const std::string& spool_path,
                                             const std::string& name);

class Canaries {
public:
    using Time = std::chrono::nanoseconds;
    /// Whoever has run so long has passed.
    static constexpr Time trial_time = std::chrono::seconds(60);

    /// Whether a job of the flock must wait for another one that is tried.
    [[nodiscard]] bool blocks(const Flock& flock, std::uint64_t job) const;
    /// The one that is tried; 0: none is.
    [[nodiscard]] std::uint64_t on_trial(const Flock& flock) const;

    /// A job of the flock starts, or was found running: it is on trial, unless one has passed. Two
    /// that run at once mean that one had.
    void begin(const Flock& flock, std::uint64_t job);
    /// It is executed, since then.
    void runs(std::uint64_t job, Time since);
    /// It is no longer executed, and what that says is still to come: its result, or another
    /// attempt.
    void pause(std::uint64_t job);
    /// The end of a job. False: it was not on trial.
    bool end(std::uint64_t job, Trial trial);
    void pass(const Flock& flock);
    void forget(const Flock& flock);
    [[nodiscard]] bool has_passed(const Flock& flock) const { return passed_.contains(flock); }

    /// Those that have run long enough have passed; whether there were any.
    bool advance(Time now);
    /// When the next one will have.
    [[nodiscard]] std::optional<Time> next() const;

private:
    struct OnTrial {
        std::uint64_t job = 0;
        std::optional<Time> since{};
    };
    std::map<Flock, OnTrial> trials_;
    std::map<std::uint64_t, Flock> by_job_;  ///< of those on trial
    std::set<Flock> passed_;
};

}  // namespace spool
