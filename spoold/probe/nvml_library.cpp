#include "spoold/probe/nvml_library.h"

#include <dlfcn.h>

namespace spool::nvml {
namespace {

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
    const char* text = error_string(code);
    return text ? text : "error " + std::to_string(static_cast<int>(code));
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
    find(pci, {"nvmlDeviceGetPciInfo_v3"});
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
    find_process_lists();
    return find(init, {"nvmlInit_v2", "nvmlInit"}) && find(shutdown, {"nvmlShutdown"}) &&
           find(error_string, {"nvmlErrorString"}) &&
           find(count, {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"}) &&
           find(handle, {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"}) &&
           find(uuid, {"nvmlDeviceGetUUID"}) && find(memory, {"nvmlDeviceGetMemoryInfo"});
}

/// All of one generation: the layout of what they fill in differs.
void Library::find_process_lists() {
    for (const std::string suffix : {"_v3", "_v2", ""}) {
        const std::string stem = "RunningProcesses" + suffix;
        if (!find(compute, {("nvmlDeviceGetCompute" + stem).c_str()})) continue;
        find(graphics, {("nvmlDeviceGetGraphics" + stem).c_str()});
        find(mps, {("nvmlDeviceGetMPSCompute" + stem).c_str()});
        old_processes = suffix.empty();
        return;
    }
}

}  // namespace spool::nvml
