// Whether jobs end when their user logs out.
#pragma once

#include <string_view>

namespace cli {

/// Whether systemd keeps this user's services after logout.
[[nodiscard]] bool is_lingering();
[[nodiscard]] bool systemd_runs();

/// Whether `cgroup`, the text of /proc/PID/cgroup, is that of a service which the user's own
/// systemd started.
[[nodiscard]] bool is_user_service(std::string_view cgroup);

/// Whether systemd ends that process of this machine, and what it started, at logout.
[[nodiscard]] bool ends_at_logout(int pid);

}  // namespace cli
