// Who has a GPU open, as the kernel's graphics drivers tell in /proc/<pid>/fdinfo (Linux 5.19 and
// newer). Of others' processes only root may see it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "libspool/gpu.h"

namespace spool::probe {

/// By PCI address. A process computes if it has used an engine that does nothing else; its memory
/// is what it has of the GPU's own, where the driver counts that (Linux 6.5, i915; 6.8, xe).
[[nodiscard]] std::map<std::string, std::vector<GpuProcess>> drm_clients(
    const std::filesystem::path& proc);

}  // namespace spool::probe
