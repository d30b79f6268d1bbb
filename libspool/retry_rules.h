// What a job file says of further attempts. Plain data.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spool {

struct ExitCodes {
    int first = 0, last = 0;

    bool operator==(const ExitCodes&) const = default;
};

struct RetryRules {
    static constexpr int usual_restarts = 100;

    int retries = 0;  ///< `--retries=`: so many attempts after failures
    /// `--retry-on=`: only after these exit codes; empty: after any failure.
    std::vector<ExitCodes> retry_on;
    std::chrono::milliseconds retry_delay{10'000};  ///< `--retry-delay=`: before the first of them
    bool requeue = false;                           ///< `--requeue`: after `lost` and `interrupted`
    int requeue_exit = 0;               ///< `--requeue-exit=`: the job asks for it; 0: none does
    int max_restarts = usual_restarts;  ///< `--max-restarts=`: attempts after the first, in all

    /// Whether a further attempt may come at all.
    [[nodiscard]] bool any() const { return retries != 0 || requeue || requeue_exit != 0; }
    bool operator==(const RetryRules&) const = default;
};

/// "1,75-78"; each from 1 to 255.
[[nodiscard]] std::optional<std::vector<ExitCodes>> parse_exit_codes(std::string_view text);
/// What parse_exit_codes reads as the same.
[[nodiscard]] std::string exit_codes_text(const std::vector<ExitCodes>& codes);

}  // namespace spool
