// libnvidia-ml.so.1 as tests need it: NVML's binary interface, answered from a scenario, a JSON
// file that FAKE_NVML names and that is looked at anew every few milliseconds. DRIVER is the year
// whose entry points it has: 2014, 2021 (r470) or, without it, 2023.
//
//   {"init": 0, "count": 0, "hang": "nvmlDeviceGetUUID", "driver": "550.54.14", "process_info": 24,
//    "gpus": [{"uuid": "GPU-0", "name": "…", "pci": "00000000:81:00.0", "minor": 0, "handle": 0,
//              "total": 80, "used": 2, "reserved": 1, "utilization": 3, "temperature": 40,
//              "power": 70500, "display": 0, "compute": [{"pid": 1, "memory": 2}], "graphics": [],
//              "mps": [], "mig": [{"uuid": "MIG-0", …}], "fail": {"nvmlDeviceGetMemoryInfo": 15}}]}
//
// "init", "count", "handle" and "fail" are return codes; memory is in MiB, -1 = not available.
// "process_info" is how long the entries of the newest lists of processes are. What is behind the
// entries that a caller has room for is not touched, as it is the caller's.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "interface.h"

#ifndef DRIVER
#define DRIVER 2023
#endif

using Json = nlohmann::json;
using fake::Code;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

/// Of the clock that costs nothing to read: it moves on every few milliseconds.
std::int64_t ticks() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

enum class Look { now, once_per_tick };

/// Parsed anew when the file is another one. It is looked at when a survey begins, and once per
/// tick: a survey makes some 250 calls, and what it costs is measured with this driver.
const Json& scenario(Look look = Look::once_per_tick) {
    static Json parsed = Json::object();
    static struct stat known {};
    static std::int64_t looked = -1;
    const std::int64_t tick = ticks();
    if (std::exchange(looked, tick) == tick && look != Look::now) return parsed;
    const char* path = std::getenv("FAKE_NVML");
    struct stat now {};
    if (stat(path ? path : "", &now) != 0) now = {};
    const bool same = now.st_ino == known.st_ino && now.st_size == known.st_size &&
                      now.st_mtim.tv_sec == known.st_mtim.tv_sec &&
                      now.st_mtim.tv_nsec == known.st_mtim.tv_nsec;
    if (same) return parsed;
    known = now;
    std::ifstream file(path ? path : "");
    parsed = file ? Json::parse(file) : Json::object();
    return parsed;
}

/// A device handle is 1 + index, an instance's 1000 * (1 + index) + 1 + its number.
void* to_handle(std::size_t number) {
    return reinterpret_cast<void*>(number);
}

/// Copies nothing: what a survey costs is measured with this driver.
const Json& device_of(void* handle) {
    const auto number = reinterpret_cast<std::size_t>(handle);
    const Json& gpus = scenario().at("gpus");
    if (number < 1000) return gpus.at(number - 1);
    return gpus.at(number / 1000 - 1).at("mig").at(number % 1000 - 1);
}

void hang_if_told(const char* function) {
    while (scenario().value("hang", "") == function)
        sleep(1);
}

/// Calls `answer` with the device, unless the scenario has the function fail.
template <typename Answer>
Code answered(const char* function, void* handle, Answer answer) {
    hang_if_told(function);
    try {
        const Json& device = device_of(handle);
        if (const auto failures = device.find("fail"); failures != device.end())
            if (const int code = failures->value(function, 0)) return code;
        return answer(device);
    } catch (const Json::exception&) {
        return fake::not_supported;
    }
}

Code copy_text(const std::string& text, char* out, unsigned size) {
    if (text.size() + 1 > size) return fake::insufficient_size;
    std::memcpy(out, text.c_str(), text.size() + 1);
    return fake::ok;
}

unsigned long long bytes(const Json& mebibytes) {
    const auto value = mebibytes.get<std::int64_t>();
    return value < 0 ? fake::not_available : static_cast<unsigned long long>(value) * mebibyte;
}

/// Entries of `size` bytes each.
Code list(std::size_t size, const char* function, const char* key, void* handle, unsigned* count,
          void* out) {
    return answered(function, handle, [&](const Json& device) {
        static const Json none = Json::array();
        const auto found = device.find(key);
        const Json& processes = found == device.end() ? none : *found;
        const unsigned room = *count;
        *count = static_cast<unsigned>(processes.size());
        if (room < *count) return fake::insufficient_size;
        for (std::size_t i = 0; i < processes.size(); ++i) {
            fake::ProcessInfo info{};
            info.pid = processes[i].at("pid").get<unsigned>();
            info.usedGpuMemory = bytes(processes[i].value("memory", Json(-1)));
            info.gpuInstanceId = info.computeInstanceId = 0xffffffff;
            std::memcpy(static_cast<char*>(out) + i * size, &info, size);
        }
        return fake::ok;
    });
}

template <typename Number>
Code number(const char* function, const char* key, void* handle, Number* out) {
    return answered(function, handle, [&](const Json& device) {
        *out = device.at(key).get<Number>();
        return fake::ok;
    });
}

/// "00000000:81:00.0" in the form of before 2018, "0000:81:00.0", with the words behind it that
/// belonged to the driver.
[[maybe_unused]] Code old_pci(const char* function, void* handle, fake::PciInfo* out) {
    return answered(function, handle, [&](const Json& gpu) {
        fake::PciInfo info{};
        for (unsigned& word : info.reserved)
            word = 0x41414141;
        const Code code = copy_text(gpu.at("pci").get<std::string>().substr(4), info.busIdLegacy,
                                    sizeof info.busIdLegacy);
        std::memcpy(out, &info, fake::old_pci_info);
        return code;
    });
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Code nvmlShutdown() {
    return fake::ok;
}
EXPORT const char* nvmlErrorString(Code code) {
    switch (code) {
        case 9:
            return "Driver Not Loaded";
        case 15:
            return "GPU is lost";
        case 18:
            return "Driver/library version mismatch";
        default:
            return "Unknown Error";
    }
}
EXPORT Code nvmlDeviceGetUUID(void* device, char* out, unsigned size) {
    return answered("nvmlDeviceGetUUID", device,
                    [&](const Json& gpu) { return copy_text(gpu.at("uuid"), out, size); });
}
EXPORT Code nvmlDeviceGetName(void* device, char* out, unsigned size) {
    return answered("nvmlDeviceGetName", device,
                    [&](const Json& gpu) { return copy_text(gpu.at("name"), out, size); });
}
EXPORT Code nvmlDeviceGetMemoryInfo(void* device, fake::Memory* out) {
    return answered("nvmlDeviceGetMemoryInfo", device, [&](const Json& gpu) {
        out->total = bytes(gpu.at("total"));
        out->used = bytes(gpu.at("used")) + bytes(gpu.value("reserved", Json(0)));
        out->free = out->total - out->used;
        return fake::ok;
    });
}
EXPORT Code nvmlDeviceGetUtilizationRates(void* device, fake::Utilization* out) {
    return number("nvmlDeviceGetUtilizationRates", "utilization", device, &out->gpu);
}
EXPORT Code nvmlDeviceGetTemperature(void* device, int, unsigned* out) {
    return number("nvmlDeviceGetTemperature", "temperature", device, out);
}
EXPORT Code nvmlDeviceGetPowerUsage(void* device, unsigned* out) {
    return number("nvmlDeviceGetPowerUsage", "power", device, out);
}
EXPORT Code nvmlSystemGetDriverVersion(char* out, unsigned size) {
    return copy_text(scenario().value("driver", "550.54.14"), out, size);
}
EXPORT Code nvmlDeviceGetDisplayActive(void* device, int* out) {
    return number("nvmlDeviceGetDisplayActive", "display", device, out);
}

#if DRIVER == 2014

EXPORT Code nvmlInit() {
    return scenario(Look::now).value("init", 0);
}
EXPORT Code nvmlDeviceGetCount(unsigned* count) {
    *count = static_cast<unsigned>(scenario(Look::now).value("gpus", Json::array()).size());
    return scenario().value("count", 0);
}
EXPORT Code nvmlDeviceGetHandleByIndex(unsigned index, void** device) {
    *device = to_handle(1 + index);
    return device_of(*device).value("handle", 0);
}
EXPORT Code nvmlDeviceGetPciInfo(void* device, fake::PciInfo* out) {
    return old_pci("nvmlDeviceGetPciInfo", device, out);
}
EXPORT Code nvmlDeviceGetComputeRunningProcesses(void* device, unsigned* count, void* out) {
    return list(16, "nvmlDeviceGetComputeRunningProcesses", "compute", device, count, out);
}

#else

EXPORT Code nvmlInit_v2() {
    hang_if_told("nvmlInit_v2");
    return scenario(Look::now).value("init", 0);
}
EXPORT Code nvmlDeviceGetCount_v2(unsigned* count) {
    hang_if_told("nvmlDeviceGetCount_v2");
    *count = static_cast<unsigned>(scenario(Look::now).value("gpus", Json::array()).size());
    return scenario().value("count", 0);
}
EXPORT Code nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
    *device = to_handle(1 + index);
    return device_of(*device).value("handle", 0);
}
EXPORT Code nvmlDeviceGetMinorNumber(void* device, unsigned* out) {
    return number("nvmlDeviceGetMinorNumber", "minor", device, out);
}
EXPORT Code nvmlDeviceGetMigMode(void* device, unsigned* now, unsigned* after_reset) {
    return answered("nvmlDeviceGetMigMode", device, [&](const Json& gpu) {
        *now = *after_reset = gpu.contains("mig") ? 1 : 0;
        return fake::ok;
    });
}
EXPORT Code nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* out) {
    *out = 7;
    return fake::ok;
}
EXPORT Code nvmlDeviceGetMigDeviceHandleByIndex(void* device, unsigned index, void** out) {
    return answered("nvmlDeviceGetMigDeviceHandleByIndex", device, [&](const Json& gpu) {
        if (index >= gpu.at("mig").size()) return fake::not_found;
        *out = to_handle(1000 * reinterpret_cast<std::size_t>(device) + 1 + index);
        return fake::ok;
    });
}

#if DRIVER == 2021

EXPORT Code nvmlDeviceGetPciInfo_v2(void* device, fake::PciInfo* out) {
    return old_pci("nvmlDeviceGetPciInfo_v2", device, out);
}
#define LIST(kind, key)                                                                        \
    EXPORT Code nvmlDeviceGet##kind##RunningProcesses_v2(void* device, unsigned* count,        \
                                                         void* out) {                          \
        return list(24, "nvmlDeviceGet" #kind "RunningProcesses_v2", key, device, count, out); \
    }

#else

EXPORT Code nvmlDeviceGetPciInfo_v3(void* device, fake::PciInfo* out) {
    return answered("nvmlDeviceGetPciInfo_v3", device, [&](const Json& gpu) {
        *out = {};
        return copy_text(gpu.at("pci"), out->busId, sizeof out->busId);
    });
}
EXPORT Code nvmlDeviceGetMemoryInfo_v2(void* device, fake::Memory2* out) {
    if (out->version != fake::memory_version) return fake::invalid_argument;
    return answered("nvmlDeviceGetMemoryInfo_v2", device, [&](const Json& gpu) {
        out->total = bytes(gpu.at("total"));
        out->used = bytes(gpu.at("used"));
        out->reserved = bytes(gpu.value("reserved", Json(0)));
        out->free = out->total - out->used - out->reserved;
        if (gpu.value("used_has_reserved", false)) out->used += out->reserved;
        return fake::ok;
    });
}
std::size_t newest_entry() {
    return scenario().value("process_info", std::size_t{24});
}
#define LIST(kind, key)                                                                        \
    EXPORT Code nvmlDeviceGet##kind##RunningProcesses_v3(void* device, unsigned* count,        \
                                                         void* out) {                          \
        return list(newest_entry(), "nvmlDeviceGet" #kind "RunningProcesses_v3", key, device,  \
                    count, out);                                                               \
    }                                                                                          \
    EXPORT Code nvmlDeviceGet##kind##RunningProcesses_v2(void* device, unsigned* count,        \
                                                         void* out) {                          \
        return list(24, "nvmlDeviceGet" #kind "RunningProcesses_v2", key, device, count, out); \
    }

#endif

LIST(Compute, "compute")
LIST(Graphics, "graphics")
LIST(MPSCompute, "mps")

#endif
