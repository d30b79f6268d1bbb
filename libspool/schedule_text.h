// When a job may start, as users and Slurm write it. Pure functions, but for the local time zone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libspool/job_spec.h"

namespace spool {

/// "afterok:12:prep,afterany:13" (all of them), "afterok:12?afternotok:13" (one of them),
/// "singleton"; after, afterok, afternotok, afterany, aftercorr.
[[nodiscard]] std::optional<AfterJobs> parse_after(std::string_view text);

/// What parse_after reads as the same.
[[nodiscard]] std::string after_text(const AfterJobs& after);

/// As nanoseconds of the wall clock, seen at `now`: "now+1hour", "now+90" (seconds), "16:00" (the
/// next one), "4:30pm", "2026-12-24", "2026-12-24T08:00:00" (local time, or with a zone),
/// "12/24/26-08:00", "today", "tomorrow", "midnight", "noon", "fika" (15:00), "teatime" (16:00).
[[nodiscard]] std::optional<std::int64_t> parse_begin(std::string_view text, std::int64_t now);

struct WarningSignal {
    int signal = 0;
    std::chrono::milliseconds before{60'000};
    bool operator==(const WarningSignal&) const = default;
};
/// "B:USR1@300", "SIGTERM@60", "10": [R:|B:]SIGNAL[@SECONDS before the time limit].
[[nodiscard]] std::optional<WarningSignal> parse_warning_signal(std::string_view text);

}  // namespace spool
