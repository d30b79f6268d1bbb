// A place for the jobs' cgroups, where the daemon may make some.
#pragma once

#include <string>

namespace spoold {

/// The directory below which each job gets a cgroup of its own: in the daemon's own cgroup v2, if
/// that can be written (a delegated systemd unit, a container, root). Made if it is not there;
/// cgroups that dead supervisors left empty in it are removed. Empty where there is none: then a
/// job's processes are found through their supervisor.
[[nodiscard]] std::string prepare_job_cgroup(const std::string& spool_identity);

/// Removes it and what ended jobs left in it, as far as nothing lives there.
void remove_job_cgroup(const std::string& directory);

}  // namespace spoold
