// Who the processes on a GPU are, from /proc.
#pragma once

#include <filesystem>

#include "libspool/gpu.h"

namespace spool::probe {

/// Fills in program, owner, token and cgroup, as far as this process may see them. `proc` is
/// "/proc" but in tests.
void identify(const std::filesystem::path& proc, GpuProcess& process);

/// All of them; each process is looked at once, however many GPUs it uses.
void identify_all(const std::filesystem::path& proc, std::vector<Gpu>& gpus);

}  // namespace spool::probe
