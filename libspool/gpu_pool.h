// The pool's GPU slots: from what the drivers say, what the settings wish and who uses what. Pure
// functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libspool/gpu.h"
#include "libspool/gpu_slots.h"
#include "libspool/gpu_use.h"
#include "libspool/state.h"

namespace spool {

/// What is wished for.
struct GpuPoolWishes {
    /// Slots by hand; absent: every GPU that may be used, of NVIDIA's or, where there are none, of
    /// AMD's.
    std::optional<std::vector<std::string>> listed;
    bool bind_by_id = false;  ///< jobs are given UUIDs instead of indexes
    /// What the daemon itself may see: its CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES, where set.
    std::map<GpuVendor, std::string> visible;
    GpuRules rules;
    /// What the machine's owner lets jobs have; absent: all.
    std::optional<std::vector<std::string>> allowed;
    /// What GPUs or slots are called that are to be left alone, and why.
    std::map<std::string, std::string> drained;
};

/// How things stand.
struct GpuSituation {
    std::optional<GpuSurvey> survey;  ///< the newest; none: nobody has answered yet
    std::string blind;                ///< why the survey is not of this moment; empty: it is
    std::vector<GpuJob> jobs;         ///< that run
    std::map<std::string, std::string> elsewhere;  ///< GPUs that another spool has, and which one
};

struct GpuPool {
    std::vector<GpuSlot> gpu_slots;
    std::map<std::string, PoolGpu> gpus;  ///< by device
    bool known = true;                    ///< false: whether there are GPUs is not known
    std::string problem;                  ///< why not
    GpuVendor vendor = GpuVendor::nvidia;
    std::vector<DeviceState> devices;  ///< all GPUs of the machine; `jobs` are not filled in

    bool operator==(const GpuPool&) const = default;
};

[[nodiscard]] GpuPool make_gpu_pool(const GpuPoolWishes& wishes, const GpuSituation& situation);

/// A survey in which no GPU is lost: those of `known` that `now` does not list are kept, and are
/// not to be used.
[[nodiscard]] GpuSurvey remember_gpus(const GpuSurvey& known, GpuSurvey now);

/// What a wish or a person may call a GPU.
[[nodiscard]] PoolGpu pool_gpu(const Gpu& gpu);

}  // namespace spool
