// NVML's binary interface as its header (nvml.h of CUDA 12) and its history say it: numbers written
// down here by themselves, and not taken from the program that is tested, so that a mistake there
// is seen.
#pragma once

#include <cstddef>

namespace fake {

using Code = int;

// nvmlReturn_t
constexpr Code ok = 0, invalid_argument = 2, not_supported = 3, not_found = 6,
               insufficient_size = 7;

constexpr unsigned long long not_available = 0xffffffffffffffffULL;

/// nvmlPciInfo_t; what nvmlDeviceGetPciInfo and _v2 fill in ends with four reserved words instead
/// of `busId`.
struct PciInfo {
    char busIdLegacy[16];
    unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
    union {
        char busId[32];
        unsigned reserved[4];
    };
};
constexpr std::size_t old_pci_info = 52;
static_assert(sizeof(PciInfo) == 68 && offsetof(PciInfo, busId) == 36);

/// nvmlMemory_t
struct Memory {
    unsigned long long total, free, used;
};
static_assert(sizeof(Memory) == 24);

/// nvmlMemory_v2_t; the caller writes the version: its size, and 2 in the highest byte.
struct Memory2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};
static_assert(sizeof(Memory2) == 40 && offsetof(Memory2, total) == 8);
constexpr unsigned memory_version = 0x02000028;

/// nvmlUtilization_t
struct Utilization {
    unsigned gpu, memory;
};

/// nvmlProcessInfo_t: versions 1, 2 and 3 are its first 16, 24 and 32 bytes.
struct ProcessInfo {
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId, computeInstanceId;
    unsigned long long usedGpuCcProtectedMemory;
};
static_assert(sizeof(ProcessInfo) == 32 && offsetof(ProcessInfo, gpuInstanceId) == 16);

}  // namespace fake
