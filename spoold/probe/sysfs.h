// AMD's and Intel's GPUs, as their kernel drivers describe them below /sys.
#pragma once

#include <filesystem>
#include <vector>

#include "libspool/gpu.h"

namespace spool::probe {

/// AMD's GPUs, in the order in which ROCm numbers them, with those of their processes that compute
/// (/sys/class/kfd). `sysfs` is "/sys" and `dev` is "/dev" but in tests.
std::vector<Gpu> survey_amd(const std::filesystem::path& sysfs, const std::filesystem::path& dev);

/// Intel's, with memory where the driver tells.
std::vector<Gpu> survey_intel(const std::filesystem::path& sysfs);

}  // namespace spool::probe
