// Facts about the machine and the user that more than one part needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libspool/error.h"
#include "libspool/record.h"

namespace spool {

/// Nanoseconds of the wall clock, for display. What is decided by time takes a Clock.
[[nodiscard]] std::int64_t wall_time();
[[nodiscard]] std::string host_name();
/// Bytes; without swap.
[[nodiscard]] std::uint64_t machine_memory();
/// /etc/machine-id; where there is none, the host name.
[[nodiscard]] Result<std::string> machine_id();
/// /proc/sys/kernel/random/boot_id, new at each boot.
[[nodiscard]] Result<record::BootId> boot_id();
/// $HOME, else from the password database.
[[nodiscard]] std::string home_directory();
/// Name of that user, else "user 1000". May ask a directory service.
[[nodiscard]] std::string user_name(std::uint32_t uid);
/// `path` made absolute by the current directory, with `.`, `..` and double slashes resolved in the
/// text.
[[nodiscard]] std::string absolute_path(const std::string& path);

[[nodiscard]] record::Token random_token();
/// 32 hexadecimal digits, random.
[[nodiscard]] std::string random_hex();
[[nodiscard]] std::string to_hex(const record::Token& token);

/// Whether any process has "GPUSPOOL_TOKEN=<token>" in its environment: finds what a dead
/// supervisor left behind, also what has left its session and closed everything. Only processes
/// that this user may look into are seen. True as well where that cannot be found out now.
[[nodiscard]] bool token_is_alive(const record::Token& token);
[[nodiscard]] bool has_token(int pid, const record::Token& token);
[[nodiscard]] std::vector<int> processes_with(const record::Token& token);

/// Start time of process `pid` in clock ticks since boot (field 22 of /proc/<pid>/stat), if it
/// exists.
[[nodiscard]] std::optional<std::uint64_t> process_start(int pid);
/// Whether that process of this start time is there, and no zombie.
[[nodiscard]] bool process_is_alive(int pid, std::uint64_t start);

}  // namespace spool
