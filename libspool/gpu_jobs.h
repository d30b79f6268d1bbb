// The running jobs of a spool that may use GPUs, as their records tell: for readers, without a
// daemon.
#pragma once

#include <string>
#include <vector>

#include "libspool/gpu_use.h"
#include "libspool/layout.h"
#include "libspool/record.h"

namespace spool {

/// The cgroup of the job, as the kernel names it in /proc; empty without one.
[[nodiscard]] std::string run_cgroup(const record::Run& run);

/// Whatever was started and has not ended. Of what was given by hand `gpus` has the names.
[[nodiscard]] std::vector<GpuJob> read_gpu_jobs(Spool& spool);

}  // namespace spool
