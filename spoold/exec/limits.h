// What the kernel keeps a job to, in the job's own cgroup (v2).
#pragma once

#include "libspool/record.h"

namespace spool::exec {

/// Sets the limits of the cgroup with this directory, in which no process is yet. Returns which the
/// kernel has taken, as bits of record::Limit: the others (no such controller here, no rights) are
/// not enforced, and the job runs all the same.
std::uint32_t set_limits(int cgroup, const record::Limits& limits);

/// Whether the kernel has killed processes of that cgroup for want of memory: bits of
/// record::ExitFlag.
std::uint32_t memory_kills(int cgroup);

}  // namespace spool::exec
