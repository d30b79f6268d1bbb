// A machine's GPUs as its drivers describe them at one moment. Plain data, and its JSON form: one
// line, which the probe writes and the daemon reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

enum class GpuVendor { nvidia, amd, intel };

/// A process that has a GPU open.
struct GpuProcess {
    enum class Kind { compute, graphics };
    int pid = 0;
    Kind kind = Kind::compute;
    std::optional<std::uint64_t> memory;  ///< bytes of the GPU's; none: the driver does not tell
    std::string program;                  ///< empty: it cannot be seen (of another container)
    std::string owner;                    ///< user name, else the number; empty: cannot be seen
    std::string token;                    ///< GPUSPOOL_TOKEN of its environment, where readable
    std::string cgroup;                   ///< its path in the cgroup v2 hierarchy

    bool operator==(const GpuProcess&) const = default;
};

struct Gpu {
    /// What it is known by, whatever its index: "GPU-…" and "MIG-…" as NVML says, else made from
    /// the PCI address.
    std::string id;
    GpuVendor vendor = GpuVendor::nvidia;
    int index = 0;          ///< among those of its vendor, in the order of their PCI addresses
    std::string pci;        ///< "0000:81:00.0"
    std::string name;       ///< of the product
    std::string parent;     ///< id of the GPU of which a MIG instance is a part
    bool display = false;   ///< a screen is attached, or a desktop draws on it
    bool permitted = true;  ///< this process may open it (the device cgroup allows it)
    bool computes = true;   ///< it has a compute driver: without one no job can use it
    bool divided = false;   ///< its MIG instances, if it has any, are used instead of it
    std::uint64_t memory_total = 0, memory_used = 0;  ///< bytes; used: by whomever
    /// Whether `memory_used` has what the driver keeps for itself in it.
    bool used_with_reserve = false;
    std::optional<int> utilisation;  ///< percent
    std::optional<int> temperature;  ///< degrees Celsius
    std::optional<int> power;        ///< watts
    /// Who uses it; none: the driver does not tell.
    std::optional<std::vector<GpuProcess>> processes;
    std::string problem;  ///< not empty: what it does is not known, and why
    /// `processes` has those that only draw as well; not every driver lists them.
    bool graphics_listed{};

    bool operator==(const Gpu&) const = default;
};

struct GpuSurvey {
    std::vector<Gpu> gpus;
    /// Drivers that are there and do not answer: one sentence each. Their GPUs may be missing.
    std::vector<std::string> problems;

    bool operator==(const GpuSurvey&) const = default;
};

/// One line, with its end.
[[nodiscard]] std::string write_survey(const GpuSurvey& survey);
[[nodiscard]] Result<GpuSurvey> read_survey(std::string_view line);

}  // namespace spool
