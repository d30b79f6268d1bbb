#include "libspool/slot_book.h"

#include <algorithm>
#include <tuple>

namespace spool {
namespace {

bool overlap(const std::vector<std::string>& some, const std::vector<std::string>& others) {
    return std::any_of(some.begin(), some.end(), [&](const auto& device) {
        return std::find(others.begin(), others.end(), device) != others.end();
    });
}

/// Whether a slot that was granted is this one of the pool. What was granted while only its text
/// was known is known by that.
bool is_same(const GpuSlot& granted, const GpuSlot& slot) {
    if (granted.text != slot.text) return false;
    return granted.devices == slot.devices ||
           granted.devices == make_gpu_slot(granted.text).devices;
}

void add(GrantedGpus& gpus, const GpuSlot& slot) {
    gpus.texts.push_back(slot.text);
    gpus.devices.insert(gpus.devices.end(), slot.devices.begin(), slot.devices.end());
}

}  // namespace

void SlotBook::set_pool(Pool pool) {
    if (pool == pool_ && occupants_.size() == pool_.gpu_slots.size()) return;
    pool_ = std::move(pool);
    for (auto& [job, granted] : granted_)
        for (Seat& seat : granted.seats)
            seat.index.reset();
    settle_occupants();
}

/// Finds the slots of a grant in the pool of now. What is gone stays without an index.
void SlotBook::seat(Granted& granted) {
    const auto taken = [&](std::size_t slot) {
        for (const auto& [job, other] : granted_)
            for (const Seat& seat : other.seats)
                if (seat.index == slot && (granted.gpu_memory == 0 || other.gpu_memory == 0))
                    return true;
        return false;
    };
    for (Seat& seat : granted.seats)
        for (std::size_t slot = 0; slot < pool_.gpu_slots.size() && !seat.index; ++slot)
            if (is_same(seat.slot, pool_.gpu_slots[slot]) && !taken(slot)) {
                seat.index = slot;
                seat.slot = pool_.gpu_slots[slot];
            }
}

/// Who has each slot. A job whose slot is gone from the pool has every slot that shares a GPU with
/// it and that no other job has.
void SlotBook::settle_occupants() {
    // One after the other: a seat that is taken is taken for those that come later.
    for (auto& [job, granted] : granted_)
        seat(granted);
    occupants_.assign(pool_.gpu_slots.size(), {});
    for (const auto& [job, granted] : granted_)
        for (const Seat& seat : granted.seats)
            if (seat.index) occupants_[*seat.index].push_back({job, granted.gpu_memory});
    for (const auto& [job, granted] : granted_)
        for (const Seat& seat : granted.seats)
            for (std::size_t slot = 0; slot < occupants_.size() && !seat.index; ++slot)
                if (occupants_[slot].empty() &&
                    overlap(pool_.gpu_slots[slot].devices, seat.slot.devices))
                    occupants_[slot].push_back({job, 0});
}

bool SlotBook::wants_gpu(const Need& need) const {
    if (need.gpus) return *need.gpus > 0;
    return need.has_wish() || !pool_.gpu_slots.empty() || !pool_.known;
}

/// Bytes that jobs that share can have, on the GPU of the slot that has the fewest.
std::uint64_t SlotBook::memory_for_jobs(std::size_t slot) const {
    std::uint64_t least = UINT64_MAX;
    for (const std::string& device : pool_.gpu_slots[slot].devices) {
        const auto gpu = pool_.gpus.find(device);
        least = std::min(least, gpu == pool_.gpus.end() ? 0 : gpu->second.memory);
    }
    return least;
}

/// Bytes that no job that shares has asked for, on the GPU of the slot that has the fewest.
std::uint64_t SlotBook::memory_left(std::size_t slot) const {
    std::uint64_t least = UINT64_MAX;
    for (const std::string& device : pool_.gpu_slots[slot].devices) {
        const auto gpu = pool_.gpus.find(device);
        std::uint64_t left = gpu == pool_.gpus.end() ? 0 : gpu->second.memory;
        for (std::size_t other = 0; other < occupants_.size(); ++other)
            if (overlap(pool_.gpu_slots[other].devices, {device}))
                for (const Occupant& occupant : occupants_[other])
                    left -= std::min(left, occupant.gpu_memory);
        least = std::min(least, left);
    }
    return least;
}

bool SlotBook::is_free(std::size_t slot, const Need& need) const {
    if (pool_.gpu_slots[slot].state != GpuSlot::State::open) return false;
    const auto& occupants = occupants_[slot];
    if (need.gpu_memory == 0) return occupants.empty();
    return std::all_of(occupants.begin(), occupants.end(),
                       [](const Occupant& occupant) { return occupant.gpu_memory != 0; }) &&
           memory_left(slot) >= need.gpu_memory;
}

bool SlotBook::counts(std::size_t slot, const Need& need, Among among) const {
    using State = GpuSlot::State;
    if (!suits(pool_, pool_.gpu_slots[slot], need)) return false;
    const State state = pool_.gpu_slots[slot].state;
    switch (among) {
        case Among::all:
            return true;
        case Among::in_reach:
            return state == State::elsewhere ||
                   (state == State::open && memory_for_jobs(slot) >= need.gpu_memory);
        case Among::unheld:
            return state == State::elsewhere || is_free(slot, need);
        case Among::free:
            break;
    }
    return is_free(slot, need);
}

bool SlotBook::has_display(std::size_t slot) const {
    const auto& devices = pool_.gpu_slots[slot].devices;
    return std::any_of(devices.begin(), devices.end(), [&](const auto& device) {
        const auto gpu = pool_.gpus.find(device);
        return gpu != pool_.gpus.end() && gpu->second.display;
    });
}

/// The slots that count, the best first.
std::vector<SlotCandidate> SlotBook::candidates(const Need& need, Among among,
                                                const SlotSet& reserved) const {
    struct Ranked {
        bool display;
        std::uint64_t left;
        SlotCandidate candidate;
    };
    std::vector<Ranked> ranked;
    for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot) {
        if (reserved.contains(slot) || !counts(slot, need, among)) continue;
        const bool shared = need.gpu_memory != 0 && !occupants_[slot].empty();
        ranked.push_back({has_display(slot),
                          shared ? memory_left(slot) : UINT64_MAX,
                          {slot, pool_.gpu_slots[slot].devices}});
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
        return a.display != b.display ? b.display : a.left < b.left;
    });
    std::vector<SlotCandidate> out;
    out.reserve(ranked.size());
    for (Ranked& entry : ranked)
        out.push_back(std::move(entry.candidate));
    return out;
}

std::optional<GpuLimit> SlotBook::gpu_limit(Limit limit) const {
    if (limit == Limit::none || !pool_.max_gpus) return std::nullopt;
    GpuLimit out{static_cast<std::size_t>(*pool_.max_gpus), {}};
    if (limit == Limit::alone) return out;
    for (const auto& [job, granted] : granted_)
        for (const Seat& seat : granted.seats)
            out.held.insert(seat.slot.devices.begin(), seat.slot.devices.end());
    return out;
}

/// Slots for `need`: one where no number was said, else those that make it up.
std::optional<Grant> SlotBook::choose(const Need& need, Among among, Limit limit,
                                      const SlotSet& reserved) const {
    const auto found = candidates(need, among, reserved);
    const auto most = gpu_limit(limit);
    std::optional<std::vector<std::size_t>> slots;
    if (const auto wanted = need.wanted_gpus()) {
        slots = choose_slots(found, *wanted, most);
    } else {
        const auto fits = std::find_if(found.begin(), found.end(), [&](const auto& candidate) {
            return !most || most->allows(candidate.devices);
        });
        if (fits != found.end()) slots.emplace({fits->slot});
    }
    if (!slots) return std::nullopt;
    return Grant{std::move(*slots), need.gpu_memory, amounts(need)};
}

bool SlotBook::possible(const Need& need) const {
    if (missing_label(pool_, need) || !amounts(need).within(pool_.amounts)) return false;
    if (!wants_gpu(need) || !pool_.known) return true;
    return choose(need, Among::all, Limit::alone).has_value();
}

Amounts SlotBook::amounts(const Need& need) const {
    return {wants_gpu(need) ? 0 : 1, need.cpus, need.memory};
}

Amounts SlotBook::amounts_left() const {
    Amounts left = pool_.amounts;
    left -= used_;
    return left;
}

bool SlotBook::has_room() const {
    if (used_.cpu_slots < pool_.amounts.cpu_slots) return true;
    for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot)
        if (pool_.gpu_slots[slot].state == GpuSlot::State::open && !is_taken(slot)) return true;
    return false;
}

void SlotBook::take(std::uint64_t job, const Grant& grant, Tenure tenure) {
    Granted& granted = granted_[job];
    granted.gpu_memory = grant.gpu_memory;
    for (const std::size_t slot : grant.gpu_slots) {
        occupants_[slot].push_back({job, grant.gpu_memory});
        granted.seats.push_back({pool_.gpu_slots[slot], slot});
    }
    granted.amounts = grant.amounts;
    granted.tenure = tenure;
    used_ += grant.amounts;
}

/// The GPUs of all its slots were noted together: each slot gets back as many as its text names.
void SlotBook::adopt(std::uint64_t job, const GrantedGpus& gpus, const Amounts& amounts,
                     Tenure tenure) {
    Granted& granted = granted_[job];
    granted.gpu_memory = gpus.memory;
    granted.amounts = amounts;
    granted.tenure = tenure;
    used_ += amounts;
    auto next = gpus.devices.begin();
    for (const std::string& text : gpus.texts) {
        GpuSlot slot = make_gpu_slot(text);
        const auto count = static_cast<std::ptrdiff_t>(slot.devices.size());
        if (gpus.devices.end() - next >= count) {
            slot.devices.assign(next, next + count);
            next += count;
        }
        granted.seats.push_back({std::move(slot), std::nullopt});
    }
    settle_occupants();
}

void SlotBook::release(std::uint64_t job) {
    const auto found = granted_.find(job);
    if (found == granted_.end()) return;
    used_ -= found->second.amounts;
    granted_.erase(found);
    const bool all_seated = std::all_of(granted_.begin(), granted_.end(), [](const auto& entry) {
        const auto& seats = entry.second.seats;
        return std::all_of(seats.begin(), seats.end(),
                           [](const Seat& seat) { return seat.index.has_value(); });
    });
    // One whose slot is gone may have had to wait for what is free now.
    if (!all_seated) return settle_occupants();
    for (auto& occupants : occupants_)
        std::erase_if(occupants, [&](const Occupant& occupant) { return occupant.job == job; });
}

std::vector<SlotBook::Holder> SlotBook::by_end() const {
    std::vector<std::pair<std::chrono::nanoseconds, Holder>> sorted;
    for (const auto& [job, granted] : granted_)
        sorted.push_back({granted.tenure.since, {job, granted.tenure.until}});
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return std::tuple(a.second.second, a.first, a.second.first) <
               std::tuple(b.second.second, b.first, b.second.first);
    });
    std::vector<Holder> out;
    out.reserve(sorted.size());
    for (const auto& [since, holder] : sorted)
        out.push_back(holder);
    return out;
}

bool SlotBook::is_taken(std::size_t slot) const {
    return slot < occupants_.size() &&
           std::any_of(occupants_[slot].begin(), occupants_[slot].end(),
                       [](const Occupant& occupant) { return occupant.gpu_memory == 0; });
}

std::vector<std::uint64_t> SlotBook::holders(std::size_t slot) const {
    std::vector<std::uint64_t> jobs;
    if (slot < occupants_.size())
        for (const Occupant& occupant : occupants_[slot])
            jobs.push_back(occupant.job);
    return jobs;
}

GrantedGpus SlotBook::gpus(std::uint64_t job) const {
    GrantedGpus out;
    const auto found = granted_.find(job);
    if (found == granted_.end()) return out;
    out.memory = found->second.gpu_memory;
    for (const Seat& seat : found->second.seats)
        add(out, seat.slot);
    return out;
}

GrantedGpus SlotBook::gpus(const Grant& grant) const {
    GrantedGpus out;
    out.memory = grant.gpu_memory;
    for (const std::size_t slot : grant.gpu_slots)
        add(out, pool_.gpu_slots[slot]);
    return out;
}

/// How many GPUs there are among the slots that count.
int SlotBook::count_gpus(const Need& need, Among among) const {
    std::set<std::string> devices;
    for (const SlotCandidate& candidate : candidates(need, among, {}))
        devices.insert(candidate.devices.begin(), candidate.devices.end());
    return static_cast<int>(devices.size());
}

SlotSet SlotBook::suitable(const Need& need) const {
    SlotSet slots;
    for (std::size_t slot = 0; slot < pool_.gpu_slots.size(); ++slot)
        if (suits(pool_, pool_.gpu_slots[slot], need)) slots.insert(slot);
    return slots;
}

}  // namespace spool
