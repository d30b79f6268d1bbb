#include "libspool/policy.h"

#include <algorithm>

namespace spool {
namespace {

bool overlaps(const std::vector<std::string>& devices, const std::set<std::string>& chosen) {
    return std::any_of(devices.begin(), devices.end(),
                       [&](const auto& device) { return chosen.contains(device); });
}

}  // namespace

GpuSlot make_gpu_slot(const std::string& text) {
    GpuSlot slot{text, {}};
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        const std::size_t first = text.find_first_not_of(' ', begin);
        if (first < comma)
            slot.devices.push_back(
                text.substr(first, text.find_last_not_of(' ', comma - 1) + 1 - first));
        begin = comma + 1;
    }
    return slot;
}

void Policy::set_pool(Pool pool) {
    pool_ = std::move(pool);
    holders_.assign(pool_.gpu_slots.size(), 0);
    // Slots of the same text first: what is gone holds only what nobody has by name.
    for (const auto& [job, granted] : granted_)
        for (const GpuSlot& slot : granted.gpu_slots)
            (void)hold_same(job, slot);
    hold_rest();
}

/// Gives `job` the free slot of this text.
bool Policy::hold_same(std::uint64_t job, const GpuSlot& slot) {
    for (std::size_t i = 0; i < holders_.size(); ++i)
        if (holders_[i] == 0 && pool_.gpu_slots[i].text == slot.text) {
            holders_[i] = job;
            return true;
        }
    return false;
}

/// Gives `job` the free slot of this text; where there is none, every free slot that shares a GPU
/// with it.
void Policy::hold(std::uint64_t job, const GpuSlot& slot) {
    if (hold_same(job, slot)) return;
    const std::set<std::string> devices(slot.devices.begin(), slot.devices.end());
    for (std::size_t i = 0; i < holders_.size(); ++i)
        if (holders_[i] == 0 && overlaps(pool_.gpu_slots[i].devices, devices)) holders_[i] = job;
}

/// Lets every job that has no slot of the text that it was given hold what shares a GPU with it.
void Policy::hold_rest() {
    for (const auto& [job, granted] : granted_)
        for (const GpuSlot& slot : granted.gpu_slots) {
            bool has = false;
            for (std::size_t i = 0; i < holders_.size() && !has; ++i)
                has = holders_[i] == job && pool_.gpu_slots[i].text == slot.text;
            if (!has) hold(job, slot);
        }
}

void Policy::add(std::uint64_t job, int priority, Need need) {
    remove(job);
    waiting_[job] = {priority, need};
    buckets_[need].insert({priority, job});
}

void Policy::remove(std::uint64_t job) {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    const auto bucket = buckets_.find(found->second.need);
    bucket->second.erase({found->second.priority, job});
    if (bucket->second.empty()) buckets_.erase(bucket);
    waiting_.erase(found);
}

bool Policy::wants_gpu(const Need& need) const {
    return need.gpus ? *need.gpus > 0 : !pool_.gpu_slots.empty();
}

/// Slots for `need`, of all or of the free ones: one slot where nothing was said, else the fewest
/// slots, smallest surplus first, that hold the wanted number of distinct GPUs. Lower indexes win
/// among equals, so the choice is stable.
std::optional<Grant> Policy::choose_slots(const Need& need, bool only_free) const {
    const auto usable = [&](std::size_t slot) { return !only_free || holders_[slot] == 0; };
    if (!need.gpus) {
        for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot)
            if (usable(slot)) return Grant{{slot}, 0};
        return std::nullopt;
    }
    const auto wanted = static_cast<std::size_t>(*need.gpus);
    Grant grant;
    std::set<std::string> chosen;
    while (chosen.size() < wanted) {
        const std::size_t missing = wanted - chosen.size();
        std::optional<std::size_t> best;
        const auto rank = [&](std::size_t slot) {
            const std::size_t count = pool_.gpu_slots[slot].devices.size();
            return count >= missing ? count - missing : 1000 + missing - count;
        };
        for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot) {
            const auto& devices = pool_.gpu_slots[slot].devices;
            if (!usable(slot) || devices.empty() || overlaps(devices, chosen)) continue;
            if (!best || rank(slot) < rank(*best)) best = slot;
        }
        if (!best) return std::nullopt;
        grant.gpu_slots.push_back(*best);
        const auto& devices = pool_.gpu_slots[*best].devices;
        chosen.insert(devices.begin(), devices.end());
    }
    std::sort(grant.gpu_slots.begin(), grant.gpu_slots.end());
    return grant;
}

bool Policy::possible(const Need& need) const {
    return wants_gpu(need) ? choose_slots(need, false).has_value() : pool_.cpu_slots > 0;
}

std::optional<Grant> Policy::fit(const Need& need) const {
    if (wants_gpu(need)) return choose_slots(need, true);
    if (cpu_used_ < pool_.cpu_slots) return Grant{{}, 1};
    return std::nullopt;
}

void Policy::take(std::uint64_t job, const Grant& grant) {
    Granted& granted = granted_[job];
    for (const std::size_t slot : grant.gpu_slots) {
        holders_[slot] = job;
        granted.gpu_slots.push_back(pool_.gpu_slots[slot]);
    }
    granted.cpu_slots = grant.cpu_slots;
    cpu_used_ += grant.cpu_slots;
}

std::vector<Start> Policy::decide() {
    std::vector<Start> starts;
    bool gpus_closed = false, cpus_closed = false;
    std::set<Need> hopeless;
    for (;;) {
        // The first of each bucket is the only one of its shape that may go; the earliest of these
        // decides.
        std::optional<Turn> first;
        Need need;
        for (const auto& [shape, bucket] : buckets_) {
            if (hopeless.contains(shape) || (wants_gpu(shape) ? gpus_closed : cpus_closed))
                continue;
            if (!first || *bucket.begin() < *first) {
                first = *bucket.begin();
                need = shape;
            }
        }
        if (!first) return starts;
        if (!possible(need)) {
            hopeless.insert(need);
        } else if (auto grant = fit(need)) {
            remove(first->job);
            take(first->job, *grant);
            starts.push_back({first->job, std::move(*grant)});
        } else {
            (wants_gpu(need) ? gpus_closed : cpus_closed) = true;
        }
    }
}

/// Visits waiting jobs in the order of their turn until `visit` returns false.
template <typename Visit>
void Policy::in_order(Visit visit) const {
    std::vector<std::pair<Bucket::const_iterator, std::map<Need, Bucket>::const_iterator>> heads;
    for (auto bucket = buckets_.begin(); bucket != buckets_.end(); ++bucket)
        heads.emplace_back(bucket->second.begin(), bucket);
    while (!heads.empty()) {
        const auto head =
            std::min_element(heads.begin(), heads.end(),
                             [](const auto& a, const auto& b) { return *a.first < *b.first; });
        if (!visit(head->first->job, head->second->first)) return;
        if (++head->first == head->second->second.end()) heads.erase(head);
    }
}

std::vector<std::uint64_t> Policy::next(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    if (count == 0) return jobs;
    in_order([&](std::uint64_t job, const Need& need) {
        if (possible(need)) jobs.push_back(job);
        return jobs.size() < count;
    });
    return jobs;
}

std::vector<std::uint64_t> Policy::queue(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    in_order([&](std::uint64_t job, const Need&) {
        if (jobs.size() < count) jobs.push_back(job);
        return jobs.size() < count;
    });
    return jobs;
}

void Policy::adopt(std::uint64_t job, const std::vector<std::string>& texts, int cpu_slots) {
    Granted& granted = granted_[job];
    granted.cpu_slots = cpu_slots;
    cpu_used_ += cpu_slots;
    for (const std::string& text : texts) {
        granted.gpu_slots.push_back(make_gpu_slot(text));
        hold(job, granted.gpu_slots.back());
    }
}

void Policy::release(std::uint64_t job) {
    const auto found = granted_.find(job);
    if (found == granted_.end()) return;
    std::replace(holders_.begin(), holders_.end(), job, std::uint64_t{0});
    cpu_used_ -= found->second.cpu_slots;
    granted_.erase(found);
    hold_rest();  // what it had may be shared with a job whose slot is gone from the pool
}

int Policy::most_gpus() const {
    std::set<std::string> devices;
    for (const GpuSlot& slot : pool_.gpu_slots)
        devices.insert(slot.devices.begin(), slot.devices.end());
    return static_cast<int>(devices.size());
}

std::optional<WaitReason> Policy::why(std::uint64_t job) const {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return std::nullopt;
    const Need& need = found->second.need;
    WaitReason reason;
    if (!wants_gpu(need)) {
        reason.kind = WaitReason::Kind::cpu_slots;
        reason.wanted = 1;
        reason.free = pool_.cpu_slots - cpu_used_;
        return reason;
    }
    reason.wanted = need.gpus.value_or(1);
    if (!possible(need)) {
        reason.kind = WaitReason::Kind::never_gpus;
        reason.free = most_gpus();
        return reason;
    }
    reason.kind = WaitReason::Kind::gpus;
    std::set<std::string> free;
    for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot)
        if (holders_[slot] == 0)
            free.insert(pool_.gpu_slots[slot].devices.begin(), pool_.gpu_slots[slot].devices.end());
    reason.free = static_cast<int>(free.size());
    return reason;
}

}  // namespace spool
