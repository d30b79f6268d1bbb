// The daemon's side of the GPUs: who has which, what the pool is just now.
#include "daemon.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// As the kernel names a cgroup, from the path of its directory.
std::string cgroup_name(const std::string& directory) {
    constexpr std::string_view mount = "/sys/fs/cgroup";
    return directory.starts_with(mount) ? directory.substr(mount.size()) : directory;
}

}  // namespace

/// Jobs that may be using GPUs.
std::vector<spool::GpuJob> Daemon::gpu_jobs() const {
    std::vector<spool::GpuJob> jobs;
    for (const auto& [number, active] : active_->jobs()) {
        if (active.stage >= Stage::syncing_exit) continue;
        if (!active.binding && !active.content.started()) continue;
        const spool::GrantedGpus gpus = policy_.book().gpus(number);
        const spool::record::Run& run = active.content.run;
        spool::GpuJob job{number, active.job.name, spool::to_hex(active.job.token),
                          {},     gpus.devices,    gpus.memory};
        if (active.content.run_known())
            job.cgroup = cgroup_name(std::string(
                run.cgroup, std::min<std::size_t>(run.cgroup_length, sizeof run.cgroup)));
        jobs.push_back(std::move(job));
    }
    return jobs;
}

/// Takes what is new of the GPUs into the pool, and asks for more while jobs wait for them.
void Daemon::look_at_gpus() {
    next_gpu_look_.reset();
    if (std::exchange(gpus_changed_, false) && gpus_->update(gpu_jobs(), {})) set_pool();
    (void)gpus_->advance();
    if (!may_start() || !policy_.gpus_wanted() || all_gpus_held()) return;
    next_gpu_look_ = gpus_->ask_while_wanted();
}

/// Then only the end of a job of ours makes one free, and that is seen without asking.
bool Daemon::all_gpus_held() const {
    const spool::Pool& pool = policy_.pool();
    if (!pool.known || pool.gpu_slots.empty()) return false;
    for (std::size_t slot = 0; slot < pool.gpu_slots.size(); ++slot)
        if (policy_.book().holders(slot).empty()) return false;
    return true;
}

/// What has the GPUs that would suit a waiting job.
std::vector<std::string> Daemon::obstacles(std::uint64_t number) const {
    std::vector<std::string> out;
    for (const std::size_t index : policy_.suitable(number)) {
        const spool::GpuSlot& slot = policy_.pool().gpu_slots[index];
        const std::string what = spool::printable(slot.text);
        std::string jobs;
        for (const std::uint64_t holder : policy_.book().holders(index)) {
            const auto found = active_->jobs().find(holder);
            jobs += (jobs.empty() ? "" : ", ") + std::string("job ") + std::to_string(holder);
            if (found != active_->jobs().end())
                jobs += " (" + spool::printable(found->second.job.name) + ")";
        }
        if (!jobs.empty())
            out.push_back(what + " held by " + jobs);
        else if (slot.state != spool::GpuSlot::State::open)
            out.push_back(what + " " + slot.reason);
    }
    return out;
}

spool::GpuState Daemon::slot_state(std::size_t index) const {
    const spool::GpuSlot& slot = policy_.pool().gpu_slots[index];
    spool::GpuState out;
    out.slot = slot.text;
    out.jobs = policy_.book().holders(index);
    out.status = out.jobs.empty() ? spool::slot_state_name(slot.state) : "held";
    out.reason = slot.reason;
    out.devices = slot.devices;
    if (out.jobs.empty()) return out;
    out.job = out.jobs.front();
    if (const auto found = active_->jobs().find(out.jobs.front()); found != active_->jobs().end())
        out.name = found->second.job.name;
    return out;
}

/// All GPUs of the machine, with the jobs of ours that have them.
std::vector<spool::DeviceState> Daemon::device_states(
    const std::vector<spool::GpuState>& slots) const {
    std::vector<spool::DeviceState> out = gpus_->pool().devices;
    for (spool::DeviceState& device : out)
        for (const spool::GpuState& slot : slots) {
            if (std::find(slot.devices.begin(), slot.devices.end(), device.gpu.id) ==
                slot.devices.end())
                continue;
            for (const std::uint64_t job : slot.jobs)
                if (std::find(device.jobs.begin(), device.jobs.end(), job) == device.jobs.end())
                    device.jobs.push_back(job);
            if (!slot.jobs.empty()) device.status = "held";
        }
    return out;
}

}  // namespace spoold
