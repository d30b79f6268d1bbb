// Values as users and Slurm write them: times, sizes, numbers. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// "90" (minutes, as Slurm reads it), "30:00", "2:00:00", "1-12", "1-12:30", "1-12:30:00"; "0",
/// "UNLIMITED" and "INFINITE" mean none (a zero duration). Also "90s", "15m", "2h", "1d".
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_time_limit(std::string_view text);

/// "10", "10s" (seconds), "500ms", "2m", "1h", "1d".
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "4096" (megabytes, as Slurm reads it), "10G", "10GB", "500M", "64K", "1T"; in bytes, powers of
/// 1024.
[[nodiscard]] std::optional<std::uint64_t> parse_memory(std::string_view text);

/// "1.5 GB"; powers of 1024.
[[nodiscard]] std::string format_size(std::uint64_t bytes);
/// "4G", "1500M": as parse_memory reads it, in the largest unit that divides it.
[[nodiscard]] std::string memory_text(std::uint64_t bytes);

[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);

/// The candidate nearest to `word` by edit distance, if it is near enough to be meant.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& candidates);

/// RFC 3339 in local time with milliseconds: "2026-11-21T09:30:00.123+01:00".
[[nodiscard]] std::string format_time(std::int64_t wall_nanoseconds);
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);

/// `arguments` as one line that a shell would split again as they are.
[[nodiscard]] std::string shell_quote(const std::vector<std::string>& arguments);

}  // namespace spool
