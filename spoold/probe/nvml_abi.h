// The part of NVML's binary interface that is used, in declarations of our own: nothing of NVIDIA's
// is needed to build. Names, layouts and numbers are those of nvml.h (NVML API reference, CUDA 12);
// what a driver of 2019 (r430) has is asked for first where newer entry points are missing.
#pragma once

#include <cstdint>

namespace spool::nvml {

enum class Return : int {
    success = 0,
    uninitialized = 1,
    invalid_argument = 2,
    not_supported = 3,
    no_permission = 4,
    not_found = 6,
    insufficient_size = 7,
    driver_not_loaded = 9,
    timeout = 10,
    library_not_found = 12,
    function_not_found = 13,
    gpu_is_lost = 15,
    reset_required = 16,
    lib_rm_version_mismatch = 18,
    unknown = 999,
};

using Device = void*;

constexpr std::uint64_t not_available = ~std::uint64_t{0};  ///< NVML_VALUE_NOT_AVAILABLE
constexpr int temperature_gpu = 0;                          ///< NVML_TEMPERATURE_GPU

/// nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3.
struct PciInfo {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};
static_assert(sizeof(PciInfo) == 68);

/// nvmlMemory_t: `used` has what the driver keeps for itself in it.
struct Memory {
    std::uint64_t total, free, used;
};

/// nvmlMemory_v2_t: without it.
struct MemoryV2 {
    unsigned version;
    std::uint64_t total, reserved, free, used;
    static constexpr unsigned current = 40 | 2u << 24;
};
static_assert(sizeof(MemoryV2) == 40);

struct Utilization {
    unsigned gpu, memory;
};

/// nvmlProcessInfo_v1_t, of the entry points without a suffix.
struct ProcessInfoV1 {
    unsigned pid;
    std::uint64_t memory;
};
static_assert(sizeof(ProcessInfoV1) == 16);

/// nvmlProcessInfo_t of the entry points _v2 and _v3.
struct ProcessInfo {
    unsigned pid;
    std::uint64_t memory;
    unsigned gpu_instance, compute_instance;
};
static_assert(sizeof(ProcessInfo) == 24);

}  // namespace spool::nvml
