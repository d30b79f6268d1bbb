// AMD's and Intel's GPUs, as their kernel drivers describe them below /sys.
#pragma once

#include <filesystem>
#include <vector>

#include "libspool/gpu.h"

namespace spool::probe {

/// AMD's GPUs, in the order in which ROCm numbers them, with those of their processes that compute
/// (/sys/class/kfd). `sysfs` is "/sys" but in tests.
std::vector<Gpu> survey_amd(const std::filesystem::path& sysfs);

/// Intel's, with memory where the driver tells.
std::vector<Gpu> survey_intel(const std::filesystem::path& sysfs);

}  // namespace spool::probe
