#include "spoold/probe/nvml_library.h"

#include <dlfcn.h>

#include <array>
#include <charconv>
#include <utility>

namespace spool::nvml {
namespace {

/// "535.54.03" as 535 and 54; zeros of what is no version.
std::pair<int, int> read_version(std::string_view text) {
    std::pair<int, int> version{};
    const char* const end = text.data() + text.size();
    const auto major = std::from_chars(text.data(), end, version.first);
    if (major.ptr != end && *major.ptr == '.')
        (void)std::from_chars(major.ptr + 1, end, version.second);
    return version;
}

std::string_view remedy_of(Return code) {
    switch (code) {
        case Return::driver_not_loaded:
            return "load it (sudo modprobe nvidia), or restart the machine";
        case Return::lib_rm_version_mismatch:
            return "the driver was updated: restart the machine";
        case Return::gpu_is_lost:
            return "dmesg says why; restart the machine";
        case Return::reset_required:
            return "sudo nvidia-smi --gpu-reset, or restart the machine";
        default:
            return {};
    }
}

/// Of a library that dlopen has not found, nor one that it needs: then this begins with another
/// name.
bool is_not_installed(std::string_view failure, const std::string& file) {
    return failure.starts_with(file + ": cannot open shared object file: No such file");
}

}  // namespace

Result<std::unique_ptr<Library>> Library::load(const std::string& file) {
    auto library = std::make_unique<Library>();
    library->library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library->library_) {
        const char* said = dlerror();
        const std::string failure = said != nullptr ? said : file + ": cannot be loaded";
        if (is_not_installed(failure, file)) return nullptr;
        return content_error("NVIDIA's library NVML cannot be loaded, install its driver again", {},
                             failure);
    }
    if (!library->find_all())
        return content_error(file, {}, "is no NVML: it lacks entry points of 2014");
    const Return code = library->init();
    if (code == Return::success) {
        library->initialised_ = true;
        library->note_version();
        return library;
    }
    // The library is often installed where there is no GPU.
    if (code == Return::library_not_found || code == Return::not_found) return nullptr;
    return content_error("NVIDIA driver", {}, library->text(code));
}

Library::~Library() {
    if (initialised_) (void)shutdown();
    if (library_) dlclose(library_);
}

std::string Library::text(Return code) const {
    const char* said = error_string(code);
    std::string text = said ? said : "error " + std::to_string(static_cast<int>(code));
    if (const std::string_view remedy = remedy_of(code); !remedy.empty())
        text.append(": ").append(remedy);
    return text;
}

/// The first of `names` that the library has.
template <typename Function>
bool Library::find(Function& function, std::initializer_list<const char*> names) {
    for (const char* candidate : names)
        if (void* symbol = dlsym(library_, candidate)) {
            function = reinterpret_cast<Function>(symbol);
            return true;
        }
    return false;
}

bool Library::find_all() {
    find(name, {"nvmlDeviceGetName"});
    find(minor, {"nvmlDeviceGetMinorNumber"});
    find(memory_v2, {"nvmlDeviceGetMemoryInfo_v2"});
    find(utilization, {"nvmlDeviceGetUtilizationRates"});
    find(temperature, {"nvmlDeviceGetTemperature"});
    find(power, {"nvmlDeviceGetPowerUsage"});
    find(display_active, {"nvmlDeviceGetDisplayActive"});
    find(display_mode, {"nvmlDeviceGetDisplayMode"});
    find(mig_mode, {"nvmlDeviceGetMigMode"});
    find(mig_count, {"nvmlDeviceGetMaxMigDeviceCount"});
    find(mig_handle, {"nvmlDeviceGetMigDeviceHandleByIndex"});
    find(driver_version, {"nvmlSystemGetDriverVersion"});
    find_pci_queries();
    find_process_lists();
    return find(init, {"nvmlInit_v2", "nvmlInit"}) && find(shutdown, {"nvmlShutdown"}) &&
           find(error_string, {"nvmlErrorString"}) &&
           find(count, {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"}) &&
           find(handle, {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"}) &&
           find(uuid, {"nvmlDeviceGetUUID"}) && find(memory, {"nvmlDeviceGetMemoryInfo"});
}

void Library::find_process_lists() {
    for (const auto& [suffix, entry] :
         {std::pair("_v3", process_info_v2), std::pair("_v2", process_info_v2),
          std::pair("", process_info_v1)}) {
        const std::string stem = std::string("RunningProcesses") + suffix;
        ProcessLists lists;
        if (!find(lists.compute, {("nvmlDeviceGetCompute" + stem).c_str()})) continue;
        find(lists.graphics, {("nvmlDeviceGetGraphics" + stem).c_str()});
        find(lists.mps, {("nvmlDeviceGetMPSCompute" + stem).c_str()});
        lists.entry = entry;
        lists.newest = suffix == std::string_view("_v3");
        process_lists.push_back(lists);
    }
}

void Library::find_pci_queries() {
    for (const auto& [name, legacy] :
         {std::pair("nvmlDeviceGetPciInfo_v3", false), std::pair("nvmlDeviceGetPciInfo_v2", true),
          std::pair("nvmlDeviceGetPciInfo", true)}) {
        PciQuery query{nullptr, legacy};
        if (find(query.ask, {name})) pci.push_back(query);
    }
}

/// The driver must have been initialised.
void Library::note_version() {
    std::array<char, 80> version{};  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
    if (!driver_version || driver_version(version.data(), version.size()) != Return::success)
        return;
    version.back() = '\0';
    for (ProcessLists& lists : process_lists)
        if (lists.newest) lists.entry = newest_process_info(version.data());
}

std::size_t newest_process_info(std::string_view driver) {
    const auto version = read_version(driver);
    const bool withdrawn = version >= std::pair(535, 43) && version < std::pair(535, 98);
    return withdrawn ? process_info_535 : process_info_v2;
}

}  // namespace spool::nvml
