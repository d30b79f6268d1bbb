// Whether a job is executed once more (docs/protocol.md, «Attempts»). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libspool/result.h"
#include "libspool/retry_rules.h"

namespace spool {

/// Of the attempts so far, those that further ones are counted by.
struct AttemptCounts {
    int retries = 0;  ///< after failures
    int losses = 0;   ///< after `lost`

    bool operator==(const AttemptCounts&) const = default;
};

struct NextAttempt {
    std::int64_t at = 0;   ///< not before: nanoseconds of the wall clock
    std::string why;       ///< "retry 1 of 3"
    AttemptCounts counts;  ///< with this one
    bool asked = false;    ///< the job asked for it by its exit code: no failure
};

/// The attempt that follows the one whose end `verdict` tells; nothing: that was the last one.
/// `same_boot`: the machine has not been started anew since it began.
[[nodiscard]] std::optional<NextAttempt> decide_next_attempt(const RetryRules& rules,
                                                             const AttemptCounts& counts,
                                                             const JobResult& verdict,
                                                             bool same_boot);

/// How an attempt is listed in the result of a job that went on after it.
[[nodiscard]] PastAttempt past_attempt(const JobResult& verdict, const NextAttempt& next);

/// What is kept of the earlier attempts of a job: the last ones.
inline constexpr std::size_t most_past_attempts = 50;

/// Of a name in a directory, in bytes.
inline constexpr std::size_t longest_name = 255;

/// "x.try2.log": where the log of an earlier attempt is.
[[nodiscard]] std::string attempt_log(const std::string& name, std::uint32_t attempt);
/// The name of the job whose earlier log this is; empty if it is none.
[[nodiscard]] std::string job_of_attempt_log(const std::string& file_name);

}  // namespace spool
