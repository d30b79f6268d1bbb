#include "libspool/attempts.h"

#include <algorithm>
#include <chrono>

namespace spool {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_delay = 10min;
constexpr std::chrono::milliseconds least_delay = 1s;  ///< from the second time on
/// A machine that ends its processes is about to go down.
constexpr std::chrono::milliseconds shutdown_time = 2min;

std::int64_t after(std::int64_t time, std::chrono::milliseconds delay) {
    return time + std::chrono::nanoseconds(delay).count();
}

/// Doubled for each time before; a delay that was asked for is never made shorter.
std::chrono::milliseconds back_off(const RetryRules& rules, int times_before) {
    const auto most = std::max(longest_delay, rules.retry_delay);
    const auto least = times_before == 0 ? 0ms : least_delay;
    auto delay = rules.retry_delay;
    for (int i = 0; i < times_before && delay < most; ++i)
        delay *= 2;
    return std::clamp<std::chrono::milliseconds>(delay, least, most);
}

bool is_chosen(const RetryRules& rules, const JobResult& verdict) {
    if (rules.retry_on.empty()) return true;
    const auto code = verdict.signal ? std::optional(128 + *verdict.signal) : verdict.exit_code;
    return code &&
           std::any_of(rules.retry_on.begin(), rules.retry_on.end(), [&](const ExitCodes& range) {
               return *code >= range.first && *code <= range.last;
           });
}

/// Who asks for many retries, and does not say how many attempts in all, means them.
int most_restarts(const RetryRules& rules) {
    return rules.max_restarts == RetryRules::usual_restarts
               ? std::max(rules.max_restarts, rules.retries)
               : rules.max_restarts;
}

bool asks_for_another(const RetryRules& rules, const JobResult& verdict) {
    return rules.requeue_exit != 0 && verdict.exit_code == rules.requeue_exit;
}

std::optional<NextAttempt> retry(const RetryRules& rules, AttemptCounts counts,
                                 const JobResult& verdict) {
    if (counts.retries >= rules.retries || !is_chosen(rules, verdict)) return std::nullopt;
    const auto delay = back_off(rules, counts.retries++);
    return NextAttempt{
        after(verdict.ended_at, delay),
        "retry " + std::to_string(counts.retries) + " of " + std::to_string(rules.retries), counts};
}

std::optional<NextAttempt> requeue(const RetryRules& rules, AttemptCounts counts,
                                   const JobResult& verdict, bool same_boot) {
    if (!rules.requeue) return std::nullopt;
    std::chrono::milliseconds delay{0};
    if (verdict.state == Outcome::lost)
        delay = back_off(rules, counts.losses++);
    else if (same_boot)
        delay = shutdown_time;
    return NextAttempt{after(verdict.ended_at, delay), "--requeue", counts};
}

}  // namespace

std::optional<NextAttempt> decide_next_attempt(const RetryRules& rules, const AttemptCounts& counts,
                                               const JobResult& verdict, bool same_boot) {
    if (verdict.attempt > most_restarts(rules)) return std::nullopt;
    switch (verdict.state) {
        case Outcome::failed:
        case Outcome::timeout:
            if (asks_for_another(rules, verdict))
                return NextAttempt{verdict.ended_at,
                                   "exit code " + std::to_string(rules.requeue_exit) +
                                       " asks for it (--requeue-exit)",
                                   counts, true};
            if (verdict.state == Outcome::timeout) return std::nullopt;
            return retry(rules, counts, verdict);
        case Outcome::lost:
        case Outcome::interrupted:
            return requeue(rules, counts, verdict, same_boot);
        case Outcome::succeeded:
        case Outcome::cancelled:
        case Outcome::rejected:
            break;
    }
    return std::nullopt;
}

PastAttempt past_attempt(const JobResult& verdict, const NextAttempt& next) {
    PastAttempt past;
    past.attempt = verdict.attempt;
    past.state = verdict.state;
    past.exit_code = verdict.exit_code;
    past.signal = verdict.signal;
    past.reason = verdict.reason;
    past.gpus = verdict.gpus;
    past.started_at = verdict.started_at;
    past.ended_at = verdict.ended_at;
    past.next = next.why;
    return past;
}

std::string attempt_log(const std::string& name, std::uint32_t attempt) {
    return name + ".try" + std::to_string(attempt) + ".log";
}

std::string job_of_attempt_log(const std::string& file_name) {
    constexpr std::string_view ending = ".log", mark = ".try";
    if (!file_name.ends_with(ending)) return {};
    const std::size_t end = file_name.size() - ending.size();
    std::size_t digits = end;
    while (digits > 0 && file_name[digits - 1] >= '0' && file_name[digits - 1] <= '9')
        --digits;
    if (digits == end || digits <= mark.size()) return {};
    const std::size_t begin = digits - mark.size();
    return file_name.compare(begin, mark.size(), mark) == 0 ? file_name.substr(0, begin)
                                                            : std::string();
}

}  // namespace spool
