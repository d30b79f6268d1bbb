#include "spoold/probe/nvml.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "spoold/probe/device_nodes.h"
#include "spoold/probe/nvml_processes.h"

namespace spool::probe {

using nvml::Device;
using nvml::Library;
using nvml::Return;

namespace {

/// The value that an entry point fills in last; none if there is no such one, or it does not tell.
template <typename Value, typename Function, typename... Arguments>
std::optional<Value> ask(Function function, Arguments... arguments) {
    Value value{};
    if (!function || function(arguments..., &value) != Return::success) return std::nullopt;
    return value;
}

std::string ask_text(Return (*function)(Device, char*, unsigned), Device device) {
    std::array<char, 96> text{};  // NVML_DEVICE_UUID_V2_BUFFER_SIZE, …_NAME_V2_BUFFER_SIZE
    if (!function || function(device, text.data(), text.size()) != Return::success) return {};
    text.back() = '\0';
    return text.data();
}

/// As the kernel writes it: NVML says "00000000:81:00.0", in capitals.
std::string as_kernel_writes(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t domain = text.find(':');
    if (domain != std::string::npos && domain > 4 && text.starts_with("0000"))
        text.erase(0, domain - 4);
    return text;
}

std::string pci_address(const Library& nvml, Device device) {
    for (const nvml::PciQuery& query : nvml.pci) {
        nvml::PciInfo info{};
        if (query.ask(device, &info) != Return::success) continue;
        const char* text = query.legacy ? info.bus_id_legacy : info.bus_id;
        const std::size_t most = query.legacy ? sizeof info.bus_id_legacy : sizeof info.bus_id;
        return as_kernel_writes(std::string(text, strnlen(text, most)));
    }
    return {};
}

/// Return::success, or why the memory is not known.
Return add_memory(const Library& nvml, Device device, Gpu& gpu) {
    nvml::MemoryV2 exact{};
    exact.version = nvml::MemoryV2::current;
    if (nvml.memory_v2 && nvml.memory_v2(device, &exact) == Return::success) {
        gpu.memory_total = exact.total;
        // Some headers say that `used` has `reserved` in it; drivers leave it out.
        const std::uint64_t not_used = exact.free + exact.reserved;
        gpu.memory_used = std::min(exact.used, exact.total - std::min(exact.total, not_used));
        return Return::success;
    }
    nvml::Memory memory{};
    const Return code = nvml.memory(device, &memory);
    if (code != Return::success) return code;
    gpu.memory_total = memory.total;
    gpu.memory_used = memory.used;
    gpu.used_with_reserve = true;
    return code;
}

void add_readings(const Library& nvml, Device device, Gpu& gpu) {
    if (const auto utilization = ask<nvml::Utilization>(nvml.utilization, device))
        gpu.utilisation = static_cast<int>(utilization->gpu);
    if (const auto celsius = ask<unsigned>(nvml.temperature, device, nvml::temperature_gpu))
        gpu.temperature = static_cast<int>(*celsius);
    if (const auto milliwatts = ask<unsigned>(nvml.power, device))
        gpu.power = static_cast<int>((*milliwatts + 500) / 1000);
    gpu.display = ask<int>(nvml.display_active, device).value_or(0) != 0 ||
                  ask<int>(nvml.display_mode, device).value_or(0) != 0;
}

/// A GPU, or a MIG instance, of which `like` has what the library says of the whole GPU alone.
Gpu describe(const Library& nvml, Device device, Gpu like) {
    Gpu gpu = std::move(like);
    gpu.vendor = GpuVendor::nvidia;
    gpu.id = ask_text(nvml.uuid, device);
    if (const std::string name = ask_text(nvml.name, device); !name.empty()) gpu.name = name;
    if (gpu.id.empty()) gpu.problem = "it has no UUID";
    add_readings(nvml, device, gpu);
    add_processes(nvml, device, gpu);
    const Return memory = add_memory(nvml, device, gpu);
    // One that shares the machine's memory never tells how much; its processes say who uses it.
    const bool shares_memory = memory == Return::not_supported && gpu.processes;
    if (memory != Return::success && !shares_memory)
        gpu.problem = "its memory is not known: " + nvml.text(memory);
    return gpu;
}

bool is_divided(const Library& nvml, Device device) {
    unsigned now = 0, after_reset = 0;
    return nvml.mig_mode && nvml.mig_mode(device, &now, &after_reset) == Return::success &&
           now == 1;
}

/// The instances of a GPU that is divided. Numbers without an instance are not found.
void add_instances(const Library& nvml, Device device, const Gpu& whole, std::vector<Gpu>& out) {
    const unsigned count = ask<unsigned>(nvml.mig_count, device).value_or(0);
    for (unsigned i = 0; i < count; ++i) {
        const auto instance = ask<Device>(nvml.mig_handle, device, i);
        if (!instance) continue;
        Gpu like;
        like.index = whole.index;
        like.pci = whole.pci;
        like.name = whole.name;
        like.parent = whole.id;
        like.permitted = whole.permitted;
        out.push_back(describe(nvml, *instance, std::move(like)));
    }
}

Gpu unknown_gpu(const Library& nvml, unsigned index, Return code) {
    Gpu gpu;
    gpu.index = static_cast<int>(index);
    gpu.problem = nvml.text(code);
    return gpu;
}

/// Errors after which nothing that the library says can be relied on.
bool is_fatal(Return code) {
    return code == Return::uninitialized || code == Return::driver_not_loaded ||
           code == Return::lib_rm_version_mismatch;
}

}  // namespace

Result<std::vector<Gpu>> survey_nvidia(const Library& nvml, const std::filesystem::path& dev) {
    const auto failed = [&](Return code) {
        return content_error("NVIDIA driver", {}, nvml.text(code));
    };
    unsigned count = 0;
    if (const Return code = nvml.count(&count); code != Return::success) return failed(code);
    std::vector<Gpu> gpus;
    for (unsigned index = 0; index < count; ++index) {
        Device device = nullptr;
        const Return code = nvml.handle(index, &device);
        if (is_fatal(code)) return failed(code);
        // One that may not even be asked for is withheld from this process.
        if (code == Return::no_permission) continue;
        if (code != Return::success) {
            gpus.push_back(unknown_gpu(nvml, index, code));
            continue;
        }
        Gpu like;
        like.index = static_cast<int>(index);
        like.pci = pci_address(nvml, device);
        if (const auto minor = ask<unsigned>(nvml.minor, device))
            like.permitted = may_open_node(dev, "nvidia", std::to_string(*minor));
        gpus.push_back(describe(nvml, device, std::move(like)));
        if (is_divided(nvml, device)) {
            gpus.back().divided = true;
            const Gpu whole = gpus.back();
            add_instances(nvml, device, whole, gpus);
        }
    }
    return gpus;
}

}  // namespace spool::probe
