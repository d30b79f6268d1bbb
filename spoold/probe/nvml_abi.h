// The part of NVML's binary interface that is used, in declarations of our own: nothing of NVIDIA's
// is needed to build. Names, layouts and numbers are those of nvml.h (NVML API reference, CUDA 12),
// compared with numbers by tests/unit_nvml_abi.cpp; what older drivers have is asked for where
// newer entry points are missing.
#pragma once

#include <cstddef>
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

/// nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3. Older entry points fill in no more than 52 bytes: the
/// same as far as `bus_id`, and there words of their own.
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

/// How an entry of a list of processes begins, in every version.
struct ProcessInfo {
    unsigned pid;
    std::uint64_t memory;
};
static_assert(sizeof(ProcessInfo) == 16);

/// How long it is: nvmlProcessInfo_v1_t of the entry points without a suffix ends here, that of _v2
/// and _v3 has two numbers of MIG instances more, and that of _v3 in drivers 535.43 to 535.86
/// another figure of memory.
constexpr std::size_t process_info_v1 = 16, process_info_v2 = 24, process_info_535 = 32;

}  // namespace spool::nvml
