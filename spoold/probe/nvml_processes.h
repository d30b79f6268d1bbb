// The processes on an NVIDIA GPU, from lists whose layout the driver does not tell.
#pragma once

#include <cstddef>

#include "libspool/gpu.h"
#include "spoold/probe/nvml_library.h"

namespace spool::probe {

/// How long each of `count` entries is of which the driver has written `written` bytes in all, and
/// which are said to be `documented` bytes long.
[[nodiscard]] std::size_t process_entry_size(std::size_t written, std::size_t count,
                                             std::size_t documented);

/// Appends what the newest lists tell that the driver has. `gpu.processes` stays absent where it
/// never tells of such a GPU; `gpu.problem` says why where it should and does not.
void add_processes(const nvml::Library& nvml, nvml::Device device, Gpu& gpu);

}  // namespace spool::probe
