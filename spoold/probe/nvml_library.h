// libnvidia-ml.so.1, loaded at run time, and its entry points.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"
#include "spoold/probe/nvml_abi.h"

namespace spool::nvml {

/// The entry points that list processes, all of one generation: `infos` has room for `count`
/// entries.
struct ProcessLists {
    using List = Return (*)(Device, unsigned* count, void* infos);
    List compute = nullptr, graphics = nullptr, mps = nullptr;
    std::size_t entry = 0;  ///< how long an entry is said to be
    bool newest = false;    ///< those of _v3, whose entries were once longer
};

/// nvmlDeviceGetPciInfo of one generation.
struct PciQuery {
    Return (*ask)(Device, PciInfo*) = nullptr;
    bool legacy = false;  ///< fills in `bus_id_legacy` alone
};

/// How long entries of the newest lists are, in a driver of this version ("535.54.03").
[[nodiscard]] std::size_t newest_process_info(std::string_view driver);

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

    Return (*driver_version)(char*, unsigned) = nullptr;
    /// Newest first: one may be there and say that it is not (function_not_found).
    std::vector<ProcessLists> process_lists;
    std::vector<PciQuery> pci;

    /// What has gone wrong, for people, with the remedy where there is one.
    [[nodiscard]] std::string text(Return code) const;

private:
    void* library_ = nullptr;
    bool initialised_ = false;

    template <typename Function>
    bool find(Function& function, std::initializer_list<const char*> names);
    bool find_all();
    void find_process_lists();
    void find_pci_queries();
    void note_version();
};

}  // namespace spool::nvml
