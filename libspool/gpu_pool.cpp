#include "libspool/gpu_pool.h"

#include <algorithm>
#include <set>

#include "libspool/names.h"
#include "libspool/text.h"

namespace spool {
namespace {

using State = GpuSlot::State;

/// Whether it is the kind of name that a GPU has, so that one that is not found is missed.
bool looks_like_gpu(const std::string& device) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return std::all_of(device.begin(), device.end(), is_digit) || device.starts_with("GPU-") ||
           device.starts_with("MIG-") || device.find(':') != device.npos;
}

/// The worse of two states, with its reason.
void worsen(GpuSlot& slot, State state, const std::string& reason) {
    if (state <= slot.state) return;
    slot.state = state;
    slot.reason = reason;
}

class PoolMaker {
public:
    PoolMaker(const GpuPoolWishes& wishes, const GpuSituation& situation)
        : wishes_(wishes), situation_(situation) {
        if (situation.survey) survey_ = *situation.survey;
        if (!situation.blind.empty())
            for (Gpu& gpu : survey_.gpus)
                gpu.problem = situation.blind;
        for (const Gpu& gpu : survey_.gpus)
            if (gpu.divided || !gpu.parent.empty())
                divided_.insert(gpu.divided ? gpu.id : gpu.parent);
        pool_.vendor = vendor();
    }

    GpuPool make() {
        for (const Gpu& gpu : survey_.gpus)
            add_gpu(gpu);
        if (wishes_.listed)
            for (const std::string& text : *wishes_.listed)
                pool_.gpu_slots.push_back(listed_slot(text));
        else
            add_all();
        for (GpuSlot& slot : pool_.gpu_slots)
            judge(slot);
        for (const Gpu& gpu : survey_.gpus)
            add_device(gpu);
        return std::move(pool_);
    }

private:
    [[nodiscard]] GpuVendor vendor() const {
        const auto has = [&](GpuVendor vendor) {
            return std::any_of(survey_.gpus.begin(), survey_.gpus.end(), [&](const Gpu& gpu) {
                return gpu.vendor == vendor && gpu.computes;
            });
        };
        // Drivers that do not answer are NVIDIA's: its GPUs may be there and not be listed.
        const bool no_nvidia = !has(GpuVendor::nvidia) && survey_.problems.empty();
        return no_nvidia && has(GpuVendor::amd) ? GpuVendor::amd : GpuVendor::nvidia;
    }

    void add_gpu(const Gpu& gpu) {
        if (gpu.vendor != pool_.vendor || !gpu.computes) return;
        PoolGpu known = pool_gpu(gpu);
        known.memory = shared_memory(gpu, situation_.jobs, wishes_.rules);
        pool_.gpus[gpu.id] = std::move(known);
    }

    /// Why a GPU is not in a pool that lists none by hand; empty if it is.
    [[nodiscard]] std::string why_left_out(const Gpu& gpu) const {
        if (!gpu.computes) return "no compute driver (amdkfd) has it";
        if (gpu.vendor != pool_.vendor)
            return gpu.vendor == GpuVendor::intel ? "Intel's GPUs are shown, not given to jobs"
                                                  : "NVIDIA's GPUs are used where there are both";
        if (divided_.contains(gpu.id)) return why_divided(gpu);
        if (!gpu.permitted) return "spoold may not open it (permissions, or its device cgroup)";
        const auto visible = wishes_.visible.find(gpu.vendor);
        if (visible == wishes_.visible.end()) return {};
        const GpuSlot seen = make_gpu_slot(visible->second);
        const PoolGpu known = pool_gpu(gpu);
        const bool is_seen =
            std::any_of(seen.devices.begin(), seen.devices.end(),
                        [&](const std::string& name) { return is_called(known, name); });
        return is_seen ? "" : "spoold was started with a list of visible devices without it";
    }

    [[nodiscard]] std::string why_divided(const Gpu& gpu) const {
        const bool has_instances =
            std::any_of(survey_.gpus.begin(), survey_.gpus.end(),
                        [&](const Gpu& other) { return other.parent == gpu.id; });
        return has_instances ? "divided into MIG instances"
                             : "in MIG mode, and has no instances: make some with nvidia-smi mig";
    }

    void add_all() {
        pool_.known = situation_.survey && (!pool_.gpus.empty() || survey_.problems.empty());
        if (!pool_.known) pool_.problem = unknown_reason();
        for (const Gpu& gpu : survey_.gpus) {
            if (!why_left_out(gpu).empty()) continue;
            const bool by_id =
                !gpu.parent.empty() || (wishes_.bind_by_id && gpu.vendor == GpuVendor::nvidia);
            GpuSlot slot;
            slot.text = by_id ? gpu.id : std::to_string(gpu.index);
            slot.devices = {gpu.id};
            pool_.gpu_slots.push_back(std::move(slot));
        }
    }

    [[nodiscard]] std::string unknown_reason() const {
        return situation_.blind.empty() ? joined(survey_.problems, "; ") : situation_.blind;
    }

    /// A slot by hand, with the GPUs that its text names.
    GpuSlot listed_slot(const std::string& text) {
        GpuSlot slot = make_gpu_slot(text);
        for (std::string& device : slot.devices) {
            const auto found =
                std::find_if(pool_.gpus.begin(), pool_.gpus.end(),
                             [&](const auto& gpu) { return is_called(gpu.second, device); });
            if (found != pool_.gpus.end()) {
                device = found->first;
                continue;
            }
            // Where no driver tells of GPUs for jobs, a list by hand is taken at its word.
            if (!looks_like_gpu(device)) continue;
            const std::string unknown = unknown_reason();
            if (!situation_.survey)
                worsen(slot, State::unknown, unknown.empty() ? "not looked at yet" : unknown);
            else if (!pool_.gpus.empty() || !unknown.empty())
                worsen(slot, State::unknown,
                       unknown.empty() ? "this machine has no GPU " + printable(device) : unknown);
        }
        return slot;
    }

    [[nodiscard]] const Gpu* find(const std::string& device) const {
        const auto found = std::find_if(survey_.gpus.begin(), survey_.gpus.end(),
                                        [&](const Gpu& gpu) { return gpu.id == device; });
        return found == survey_.gpus.end() ? nullptr : &*found;
    }

    void judge(GpuSlot& slot) {
        for (const std::string& device : slot.devices) {
            if (const Gpu* gpu = find(device)) judge(slot, *gpu);
            const auto elsewhere = situation_.elsewhere.find(device);
            if (elsewhere != situation_.elsewhere.end())
                worsen(slot, State::elsewhere, elsewhere->second);
        }
        if (wishes_.allowed && !slot.devices.empty() && !is_allowed(slot))
            worsen(slot, State::drained, "kept from jobs by /etc/gpuspool/config.json");
        for (const auto& [name, why] : wishes_.drained)
            if (is_meant(slot, name))
                worsen(slot, State::drained, "drained" + (why.empty() ? "" : ": " + why));
    }

    void judge(GpuSlot& slot, const Gpu& gpu) const {
        // What another spool has is used by strangers, seen from here.
        if (situation_.elsewhere.contains(gpu.id)) return;
        const GpuUse use = gpu_use(gpu, situation_.jobs, wishes_.rules);
        if (use.kind == GpuUse::Kind::busy) worsen(slot, State::busy, use.reason);
        if (use.kind == GpuUse::Kind::unknown) worsen(slot, State::unknown, use.reason);
    }

    /// What is said of a GPU holds for its instances.
    [[nodiscard]] bool goes_by(const std::string& device, const std::string& name) const {
        const auto gpu = pool_.gpus.find(device);
        const PoolGpu unknown{{device}, {}, false, 0, 0};
        const Gpu* instance = find(device);
        const auto parent = instance ? pool_.gpus.find(instance->parent) : pool_.gpus.end();
        if (parent != pool_.gpus.end() && is_called(parent->second, name)) return true;
        return device == name || is_called(gpu != pool_.gpus.end() ? gpu->second : unknown, name);
    }

    [[nodiscard]] bool is_meant(const GpuSlot& slot, const std::string& name) const {
        return slot.text == name ||
               std::any_of(slot.devices.begin(), slot.devices.end(),
                           [&](const auto& device) { return goes_by(device, name); });
    }

    [[nodiscard]] bool is_allowed(const GpuSlot& slot) const {
        return std::all_of(slot.devices.begin(), slot.devices.end(), [&](const auto& device) {
            return std::any_of(wishes_.allowed->begin(), wishes_.allowed->end(),
                               [&](const std::string& name) { return goes_by(device, name); });
        });
    }

    void add_device(const Gpu& gpu) {
        DeviceState device;
        device.gpu = gpu;
        const auto slot = std::find_if(
            pool_.gpu_slots.begin(), pool_.gpu_slots.end(), [&](const GpuSlot& candidate) {
                const auto& devices = candidate.devices;
                return std::find(devices.begin(), devices.end(), gpu.id) != devices.end();
            });
        if (slot != pool_.gpu_slots.end()) {
            device.status = slot_state_name(slot->state);
            device.reason = slot->reason;
        } else {
            device.status = "unused";
            device.reason = wishes_.listed ? "not in the list of \"gpus\"" : why_left_out(gpu);
            if (!gpu.computes) device.reason = why_left_out(gpu);
        }
        pool_.devices.push_back(std::move(device));
    }

    const GpuPoolWishes& wishes_;
    const GpuSituation& situation_;
    GpuSurvey survey_;
    std::set<std::string> divided_;  ///< ids of GPUs that have MIG instances
    GpuPool pool_;
};

}  // namespace

PoolGpu pool_gpu(const Gpu& gpu) {
    PoolGpu out;
    out.names = {gpu.id};
    // The instances of a divided GPU have its index and its address.
    if (gpu.parent.empty()) {
        out.names.push_back(std::to_string(gpu.index));
        out.names.push_back(gpu.pci);
    }
    out.type = gpu.name;
    out.display = gpu.display;
    out.memory_total = gpu.memory_total;
    return out;
}

GpuPool make_gpu_pool(const GpuPoolWishes& wishes, const GpuSituation& situation) {
    return PoolMaker(wishes, situation).make();
}

/// Whether the driver lists it, and not as one that is divided.
static bool is_whole(const GpuSurvey& survey, const std::string& id) {
    return !id.empty() && std::any_of(survey.gpus.begin(), survey.gpus.end(), [&](const Gpu& gpu) {
        return gpu.id == id && !gpu.divided && gpu.problem.empty();
    });
}

GpuSurvey remember_gpus(const GpuSurvey& known, GpuSurvey now) {
    const std::string why =
        now.problems.empty() ? "its driver no longer lists it" : joined(now.problems, "; ");
    for (const Gpu& gpu : known.gpus) {
        const bool listed = std::any_of(now.gpus.begin(), now.gpus.end(),
                                        [&](const Gpu& other) { return other.id == gpu.id; });
        // One that was never more than an index was never known, and a GPU that is in one piece
        // again has no instances.
        if (listed || gpu.id.empty() || is_whole(now, gpu.parent)) continue;
        // One of which the driver says nothing but that it is lost is counted as before.
        const auto lost = std::find_if(now.gpus.begin(), now.gpus.end(), [&](const Gpu& other) {
            return other.id.empty() && gpu.parent.empty() && other.vendor == gpu.vendor &&
                   other.index == gpu.index;
        });
        if (lost != now.gpus.end()) {
            const std::string problem = lost->problem;
            *lost = gpu;
            lost->problem = problem;
            lost->processes.reset();
            continue;
        }
        now.gpus.push_back(gpu);
        now.gpus.back().problem = why;
        now.gpus.back().processes.reset();
    }
    std::stable_sort(now.gpus.begin(), now.gpus.end(), [](const Gpu& a, const Gpu& b) {
        return std::pair(a.vendor, a.pci) < std::pair(b.vendor, b.pci);
    });
    return now;
}

}  // namespace spool
