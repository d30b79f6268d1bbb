// The daemon's side of the GPUs: who has which, what the pool is just now.
#include <algorithm>

#include "daemon.h"
#include "libspool/array_spec.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "libspool/values.h"
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
        if (active.stage == Stage::retrying && !active.binding) continue;
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
    look_at_machine();
    const bool wanted = may_start() && policy_.gpus_wanted();
    if (!wanted) shared_->rest();
    const bool looks = wanted && !all_gpus_held();
    if (looks) look_at_other_spools();
    if (update_pool() && looks) {
        // Which GPUs conflict with others' may have changed with them.
        look_at_other_spools();
        (void)update_pool();
    }
    // Before anything is started on what the user has taken out of use.
    apply_gpu_requests();
    (void)update_pool();
    if (!gpu_requests_.empty()) next_gpu_look_ = gpus_->ask_while_wanted();
    (void)gpus_->advance();
    if (policy_.waiting() > 0) gpus_->ask_for_new();
    if (!looks) others_turns_.clear();
    if (!looks && troubles_.set("lock files", "")) state_changed_ = true;
    if (looks) {
        next_gpu_look_ = gpus_->ask_while_wanted();
        wait_among_others();
        if (const auto again = shared_->look_again())
            next_gpu_look_ = std::min(*next_gpu_look_, *again);
    }
    set_pool();
}

/// True if the pool is another one.
bool Daemon::update_pool() {
    if (!std::exchange(gpus_changed_, false)) return false;
    if (!gpus_->update(gpu_jobs(), shared_->elsewhere())) return false;
    troubles_.set("gpus", gpus_->problem());
    troubles_.set("failed gpus", gpus_->failed_gpus());
    troubles_.set("gpus_drained", gpus_->unknown_drained());
    shared_->know(gpus_->pool().devices);
    others_turns_.clear();
    set_pool();
    state_changed_ = true;
    return true;
}

/// Root's rules for all spools. They concern nobody while nothing waits.
void Daemon::look_at_machine() {
    if (policy_.waiting() == 0) return;
    const auto gpus_before = machine_.rules().gpus;
    const auto drain_before = machine_.drain();
    machine_.look();
    std::string problems;
    for (const std::string& problem : machine_.problems())
        problems += (problems.empty() ? "" : "; ") + problem;
    if (troubles_.set("machine", problems) || machine_.drain() != drain_before)
        state_changed_ = true;
    if (machine_.rules().gpus != gpus_before) set_gpu_wishes();
}

void Daemon::look_at_other_spools() {
    if (gpus_->pool().gpus.empty()) return;
    const auto before = shared_->elsewhere();
    const auto looked = shared_->look();
    troubles_.set("gpu locks",
                  looked ? ""
                         : "what GPUs others have is not known, and no job is started on one: " +
                               looked.error().text());
    if (troubles_.set("lock files", spool::joined(shared_->problems(), "; ")))
        state_changed_ = true;
    if (shared_->elsewhere() != before) gpus_changed_ = true;
}

/// Says to other spools what we wait for, and learns which free GPUs are theirs.
void Daemon::wait_among_others() {
    others_turns_.clear();
    const auto first = policy_.first_for_gpus();
    if (!first || gpus_->pool().gpus.empty()) return shared_->rest();
    const auto reason = policy_.why(*first);
    const auto& all_slots = gpus_->pool().gpu_slots;
    std::vector<std::vector<std::string>> suitable;
    for (const std::size_t slot : policy_.suitable(*first))
        if (slot < all_slots.size()) suitable.push_back(lockable(all_slots[slot].devices));
    const auto wish = spool::wish_for_slots(reason ? reason->wanted : 1, suitable);
    std::vector<std::string> all, free;
    for (std::size_t slot = 0; slot < all_slots.size(); ++slot) {
        const auto devices = lockable(all_slots[slot].devices);
        all.insert(all.end(), devices.begin(), devices.end());
        if (all_slots[slot].state == spool::GpuSlot::State::open &&
            policy_.book().holders(slot).empty())
            free.insert(free.end(), devices.begin(), devices.end());
    }
    others_turns_ = shared_->wait_for(wish, all, free);
}

/// What is known of the GPUs is of this moment, and no other spool has just been faster.
bool Daemon::gpus_may_start() const {
    return gpus_->fresh() && !shared_->keeps_off() && !troubles_.has("gpu locks");
}

/// Those that every spool of the machine calls by the same name.
std::vector<std::string> Daemon::lockable(const std::vector<std::string>& devices) const {
    std::vector<std::string> out;
    for (const std::string& device : devices)
        if (gpus_->pool().gpus.contains(device) || device.starts_with("GPU-") ||
            device.starts_with("MIG-") || device.starts_with("AMD-"))
            out.push_back(device);
    return out;
}

/// Makes sure that no other spool of the machine uses a job's GPUs. If one does the job waits on.
bool Daemon::lock_gpus(const spool::Start& start) {
    auto taken = shared_->take(start.job, lockable(policy_.book().gpus(start.grant).devices),
                               machine_.rules().limit_of(user_));
    troubles_.set("gpu lock", taken ? "" : "GPUs cannot be locked: " + taken.error().text());
    if (taken && !*taken) return true;
    if (!taken) no_claims_before_ = clock_.monotonic() + 1s;
    policy_.take_back(start.job);
    gpus_changed_ = state_changed_ = true;
    return false;
}

/// Then only the end of a job of ours makes one free, and that is seen without asking.
bool Daemon::all_gpus_held() const {
    const spool::Pool& pool = policy_.pool();
    if (!pool.known || pool.gpu_slots.empty()) return false;
    for (std::size_t slot = 0; slot < pool.gpu_slots.size(); ++slot)
        if (!policy_.book().is_taken(slot)) return false;
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
            jobs += (jobs.empty() ? "job " : ", job ") + arrays_->standings().label(holder);
            if (found == active_->jobs().end()) continue;
            const std::string& name = found->second.job.name;
            const auto task = spool::split_task_name(name);
            jobs += " (" + spool::printable(task ? task->array : name) + ")";
        }
        if (!jobs.empty())
            out.push_back(std::string(what).append(" held by ").append(jobs));
        else if (slot.state != spool::GpuSlot::State::open)
            out.push_back(std::string(what).append(" ").append(slot.reason));
        else if (const std::string lack = lack_of_memory(number, slot); !lack.empty())
            out.push_back(std::string(what).append(" ").append(lack));
    }
    return out;
}

/// What strangers leave of a GPU that is otherwise free; empty where that is enough.
std::string Daemon::lack_of_memory(std::uint64_t number, const spool::GpuSlot& slot) const {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job == nullptr) return {};
    for (const std::string& device : slot.devices) {
        const auto gpu = policy_.pool().gpus.find(device);
        if (gpu == policy_.pool().gpus.end()) continue;
        if (gpu->second.memory >= job->terms.need.gpu_memory) continue;
        return "has " + spool::format_size(gpu->second.memory) + " of its " +
               spool::format_size(gpu->second.memory_total) +
               " to share: others use the rest (gpuspool gpus)";
    }
    return {};
}

/// More memory than any GPU of the pool has will not come by waiting: with the figure.
void Daemon::add_largest_gpu(spool::WaitReason& reason, const spool::Need& need) const {
    std::uint64_t largest = 0;
    for (const auto& [device, gpu] : policy_.pool().gpus)
        largest = std::max(largest, gpu.memory_total);
    if (reason.kind == spool::WaitReason::Kind::never_gpus && largest != 0 &&
        need.gpu_memory > largest)
        reason.detail += " (the largest here has " + spool::format_size(largest) + ")";
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
    out.label = arrays_->standings().label(*out.job);
    if (const auto found = active_->jobs().find(out.jobs.front()); found != active_->jobs().end())
        out.name = found->second.job.name;
    else if (const auto* array = arrays_->find(*out.job))  // that is being opened
        out.name = array->name;
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
