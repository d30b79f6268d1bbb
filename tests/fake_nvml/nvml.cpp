// libnvidia-ml.so.1 as tests need it: NVML's binary interface, answered from a scenario, a JSON
// file that FAKE_NVML names and that is looked at anew every few milliseconds. With OLD_DRIVER it
// has the entry points of 2014 alone.
//
//   {"init": 0, "count": 0, "hang": "nvmlDeviceGetUUID",
//    "gpus": [{"uuid": "GPU-0", "name": "…", "pci": "00000000:81:00.0", "minor": 0, "handle": 0,
//              "total": 80, "used": 2, "reserved": 1, "utilization": 3, "temperature": 40,
//              "power": 70500, "display": 0, "compute": [{"pid": 1, "memory": 2}], "graphics": [],
//              "mps": [], "mig": [{"uuid": "MIG-0", …}], "fail": {"nvmlDeviceGetMemoryInfo": 15}}]}
//
// "init", "count", "handle" and "fail" are return codes; memory is in MiB, -1 = not available.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "spoold/probe/nvml_abi.h"

using Json = nlohmann::json;
using spool::nvml::Return;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

/// Of the clock that costs nothing to read: it moves on every few milliseconds.
std::int64_t ticks() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

/// Parsed anew when the file is another one. It is looked at once per tick: a survey makes some
/// 250 calls, and what it costs is measured with this driver.
const Json& scenario() {
    static Json parsed = Json::object();
    static struct stat known {};
    static std::int64_t looked = -1;
    const std::int64_t tick = ticks();
    if (std::exchange(looked, tick) == tick) return parsed;
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
Return answered(const char* function, void* handle, Answer answer) {
    hang_if_told(function);
    try {
        const Json& device = device_of(handle);
        if (const auto failures = device.find("fail"); failures != device.end())
            if (const int code = failures->value(function, 0)) return static_cast<Return>(code);
        return answer(device);
    } catch (const Json::exception&) {
        return Return::not_supported;
    }
}

Return copy_text(const std::string& text, char* out, unsigned size) {
    if (text.size() + 1 > size) return Return::insufficient_size;
    std::memcpy(out, text.c_str(), text.size() + 1);
    return Return::success;
}

std::uint64_t bytes(const Json& mebibytes) {
    const auto value = mebibytes.get<std::int64_t>();
    return value < 0 ? spool::nvml::not_available : static_cast<std::uint64_t>(value) * mebibyte;
}

template <typename Info>
Return list(const char* function, const char* key, void* handle, unsigned* count, void* out) {
    return answered(function, handle, [&](const Json& device) {
        static const Json none = Json::array();
        const auto found = device.find(key);
        const Json& processes = found == device.end() ? none : *found;
        const unsigned room = *count;
        *count = static_cast<unsigned>(processes.size());
        if (room < *count) return Return::insufficient_size;
        for (std::size_t i = 0; i < processes.size(); ++i) {
            Info info{};
            info.pid = processes[i].at("pid").get<unsigned>();
            info.memory = bytes(processes[i].value("memory", Json(-1)));
            static_cast<Info*>(out)[i] = info;
        }
        return Return::success;
    });
}

template <typename Number>
Return number(const char* function, const char* key, void* handle, Number* out) {
    return answered(function, handle, [&](const Json& device) {
        *out = device.at(key).get<Number>();
        return Return::success;
    });
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Return nvmlShutdown() {
    return Return::success;
}
EXPORT const char* nvmlErrorString(Return code) {
    switch (code) {
        case Return::driver_not_loaded:
            return "Driver Not Loaded";
        case Return::gpu_is_lost:
            return "GPU is lost";
        case Return::lib_rm_version_mismatch:
            return "Driver/library version mismatch";
        default:
            return "Unknown Error";
    }
}
EXPORT Return nvmlDeviceGetUUID(void* device, char* out, unsigned size) {
    return answered("nvmlDeviceGetUUID", device,
                    [&](const Json& gpu) { return copy_text(gpu.at("uuid"), out, size); });
}
EXPORT Return nvmlDeviceGetName(void* device, char* out, unsigned size) {
    return answered("nvmlDeviceGetName", device,
                    [&](const Json& gpu) { return copy_text(gpu.at("name"), out, size); });
}
EXPORT Return nvmlDeviceGetMemoryInfo(void* device, spool::nvml::Memory* out) {
    return answered("nvmlDeviceGetMemoryInfo", device, [&](const Json& gpu) {
        out->total = bytes(gpu.at("total"));
        out->used = bytes(gpu.at("used")) + bytes(gpu.value("reserved", Json(0)));
        out->free = out->total - out->used;
        return Return::success;
    });
}
EXPORT Return nvmlDeviceGetUtilizationRates(void* device, spool::nvml::Utilization* out) {
    return number("nvmlDeviceGetUtilizationRates", "utilization", device, &out->gpu);
}
EXPORT Return nvmlDeviceGetTemperature(void* device, int, unsigned* out) {
    return number("nvmlDeviceGetTemperature", "temperature", device, out);
}
EXPORT Return nvmlDeviceGetPowerUsage(void* device, unsigned* out) {
    return number("nvmlDeviceGetPowerUsage", "power", device, out);
}
EXPORT Return nvmlDeviceGetDisplayActive(void* device, int* out) {
    return number("nvmlDeviceGetDisplayActive", "display", device, out);
}

#ifdef OLD_DRIVER

EXPORT Return nvmlInit() {
    return static_cast<Return>(scenario().value("init", 0));
}
EXPORT Return nvmlDeviceGetCount(unsigned* count) {
    *count = static_cast<unsigned>(scenario().value("gpus", Json::array()).size());
    return static_cast<Return>(scenario().value("count", 0));
}
EXPORT Return nvmlDeviceGetHandleByIndex(unsigned index, void** device) {
    *device = to_handle(1 + index);
    return static_cast<Return>(device_of(*device).value("handle", 0));
}
EXPORT Return nvmlDeviceGetComputeRunningProcesses(void* device, unsigned* count, void* out) {
    return list<spool::nvml::ProcessInfoV1>("nvmlDeviceGetComputeRunningProcesses", "compute",
                                            device, count, out);
}

#else

EXPORT Return nvmlInit_v2() {
    hang_if_told("nvmlInit_v2");
    return static_cast<Return>(scenario().value("init", 0));
}
EXPORT Return nvmlDeviceGetCount_v2(unsigned* count) {
    hang_if_told("nvmlDeviceGetCount_v2");
    *count = static_cast<unsigned>(scenario().value("gpus", Json::array()).size());
    return static_cast<Return>(scenario().value("count", 0));
}
EXPORT Return nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
    *device = to_handle(1 + index);
    return static_cast<Return>(device_of(*device).value("handle", 0));
}
EXPORT Return nvmlDeviceGetPciInfo_v3(void* device, spool::nvml::PciInfo* out) {
    return answered("nvmlDeviceGetPciInfo_v3", device, [&](const Json& gpu) {
        *out = {};
        return copy_text(gpu.at("pci"), out->bus_id, sizeof out->bus_id);
    });
}
EXPORT Return nvmlDeviceGetMinorNumber(void* device, unsigned* out) {
    return number("nvmlDeviceGetMinorNumber", "minor", device, out);
}
EXPORT Return nvmlDeviceGetMemoryInfo_v2(void* device, spool::nvml::MemoryV2* out) {
    if (out->version != (40 | 2u << 24)) return Return::invalid_argument;
    return answered("nvmlDeviceGetMemoryInfo_v2", device, [&](const Json& gpu) {
        out->total = bytes(gpu.at("total"));
        out->used = bytes(gpu.at("used"));
        out->reserved = bytes(gpu.value("reserved", Json(0)));
        out->free = out->total - out->used - out->reserved;
        return Return::success;
    });
}
EXPORT Return nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, void* out) {
    return list<spool::nvml::ProcessInfo>("nvmlDeviceGetComputeRunningProcesses_v3", "compute",
                                          device, count, out);
}
EXPORT Return nvmlDeviceGetGraphicsRunningProcesses_v3(void* device, unsigned* count, void* out) {
    return list<spool::nvml::ProcessInfo>("nvmlDeviceGetGraphicsRunningProcesses_v3", "graphics",
                                          device, count, out);
}
EXPORT Return nvmlDeviceGetMPSComputeRunningProcesses_v3(void* device, unsigned* count, void* out) {
    return list<spool::nvml::ProcessInfo>("nvmlDeviceGetMPSComputeRunningProcesses_v3", "mps",
                                          device, count, out);
}
EXPORT Return nvmlDeviceGetMigMode(void* device, unsigned* now, unsigned* after_reset) {
    return answered("nvmlDeviceGetMigMode", device, [&](const Json& gpu) {
        *now = *after_reset = gpu.contains("mig") ? 1 : 0;
        return Return::success;
    });
}
EXPORT Return nvmlDeviceGetMaxMigDeviceCount(void*, unsigned* out) {
    *out = 7;
    return Return::success;
}
EXPORT Return nvmlDeviceGetMigDeviceHandleByIndex(void* device, unsigned index, void** out) {
    return answered("nvmlDeviceGetMigDeviceHandleByIndex", device, [&](const Json& gpu) {
        if (index >= gpu.at("mig").size()) return Return::not_found;
        *out = to_handle(1000 * reinterpret_cast<std::size_t>(device) + 1 + index);
        return Return::success;
    });
}

#endif
