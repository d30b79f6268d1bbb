// libnvidia-ml.so.1, loaded at run time, and its entry points.
#pragma once

#include <memory>
#include <string>

#include "libspool/error.h"
#include "spoold/probe/nvml_abi.h"

namespace spool::nvml {

/// The entry points, under their names without version. Null where the driver has none.
struct Library {
    /// Loads and initialises. Null where there is no such library, that is no NVIDIA driver; one
    /// that is there and cannot be loaded, or a driver that does not work, is an error.
    static Result<std::unique_ptr<Library>> load(const std::string& file);
    ~Library();
    Library() = default;
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    Return (*init)() = nullptr;
    Return (*shutdown)() = nullptr;
    const char* (*error_string)(Return) = nullptr;
    Return (*count)(unsigned*) = nullptr;
    Return (*handle)(unsigned, Device*) = nullptr;
    Return (*uuid)(Device, char*, unsigned) = nullptr;
    Return (*name)(Device, char*, unsigned) = nullptr;
    Return (*pci)(Device, PciInfo*) = nullptr;
    Return (*minor)(Device, unsigned*) = nullptr;
    Return (*memory)(Device, Memory*) = nullptr;
    Return (*memory_v2)(Device, MemoryV2*) = nullptr;
    Return (*utilization)(Device, Utilization*) = nullptr;
    Return (*temperature)(Device, int, unsigned*) = nullptr;
    Return (*power)(Device, unsigned*) = nullptr;  ///< milliwatts
    Return (*display_active)(Device, int*) = nullptr;
    Return (*display_mode)(Device, int*) = nullptr;
    Return (*mig_mode)(Device, unsigned* now, unsigned* after_reset) = nullptr;
    Return (*mig_count)(Device, unsigned*) = nullptr;
    Return (*mig_handle)(Device, unsigned, Device*) = nullptr;

    using ProcessList = Return (*)(Device, unsigned* count, void* infos);
    ProcessList compute = nullptr, graphics = nullptr, mps = nullptr;
    bool old_processes = false;  ///< they fill in ProcessInfoV1, else ProcessInfo

    [[nodiscard]] std::string text(Return code) const;

private:
    void* library_ = nullptr;
    bool initialised_ = false;

    template <typename Function>
    bool find(Function& function, std::initializer_list<const char*> names);
    bool find_all();
    void find_process_lists();
};

}  // namespace spool::nvml
