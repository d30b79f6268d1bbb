// NVIDIA's GPUs and MIG instances, as NVML tells of them.
#pragma once

#include <filesystem>
#include <vector>

#include "libspool/gpu.h"
#include "spoold/probe/nvml_library.h"

namespace spool::probe {

/// All of them, also those that this process may not open; of their processes only number, kind and
/// memory are filled in. An error means that the library must be loaded anew: the driver is not the
/// one that it was. `dev` is "/dev" but in tests.
Result<std::vector<Gpu>> survey_nvidia(const nvml::Library& nvml, const std::filesystem::path& dev);

}  // namespace spool::probe
