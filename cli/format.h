// How times, jobs and outcomes are written for people. Everything returned is safe for a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"
#include "libspool/reader.h"

namespace cli {

/// "0:07", "3:20", "1:02:03", "2d 03:00".
[[nodiscard]] std::string format_duration(std::int64_t nanoseconds);
/// "just now", "5 min ago", "3 h ago", "12 days ago".
[[nodiscard]] std::string format_age(std::int64_t nanoseconds);

/// "42", or "-" for a job that has no number yet.
[[nodiscard]] std::string number_text(std::uint64_t id);
/// "42_7" of a task.
[[nodiscard]] std::string number_text(std::uint64_t id, std::optional<std::uint64_t> task);
/// The name; of a task that of its array.
[[nodiscard]] std::string name_text(const std::string& name);
/// "3 running, 12 waiting, 85 done (2 failed)".
[[nodiscard]] std::string tasks_text(const spool::ArrayState& array);
/// "42 (x)", "42_7 (x)"; "(x)" without a number.
[[nodiscard]] std::string job_text(std::uint64_t id, const std::string& name);
/// What to type for exactly this job.
[[nodiscard]] std::string job_argument(const spool::FoundJob& job);

/// "0, 1", or "-" where there is none.
[[nodiscard]] std::string gpus_text(const std::vector<std::string>& gpus);

/// "succeeded", "failed (exit code 3)", "failed (signal 9, Killed)".
[[nodiscard]] std::string outcome_text(const spool::JobResult& result);
/// "job 42 (x) failed (exit code 3): exit code 3; it ran in …"; `after` stands before the colon.
[[nodiscard]] std::string end_text(const spool::JobResult& result, const std::string& after = {});
[[nodiscard]] Style outcome_style(spool::Outcome outcome);

/// Time from start to end; empty if either is not known.
[[nodiscard]] std::string run_time(const spool::JobResult& result);

/// What a job that has not ended is doing: the reason why it waits, or since when it runs.
[[nodiscard]] std::string activity_text(const spool::FoundJob& job, std::int64_t now);

}  // namespace cli
