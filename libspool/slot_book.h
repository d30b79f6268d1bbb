// Who holds which slots of the pool, and which of them a job could be given. A value without side
// effects.
//
// Of the slots that suit and are free a job gets those without a display first, then (if it shares)
// those with the least memory left that is enough, then those that come first in the pool; see
// slot_choice.h for which of them make up the wanted number of GPUs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libspool/gpu_slots.h"
#include "libspool/slot_choice.h"

namespace spool {

/// What a job was given: indexes into Pool::gpu_slots, memory on each GPU (0: whole GPUs), and how
/// many CPU slots.
struct Grant {
    std::vector<std::size_t> gpu_slots;
    std::uint64_t gpu_memory = 0;
    int cpu_slots = 0;
};

/// Indexes of slots.
using SlotSet = std::set<std::size_t>;

class SlotBook {
public:
    /// Which slots count when a choice is made.
    enum class Among {
        all,       ///< of the pool: can it ever be had?
        in_reach,  ///< that are free, or become so when jobs end
        unheld,    ///< that are free, or become so when jobs of other spools end
        free,      ///< now
    };

    /// How Pool::max_gpus counts when a choice is made.
    enum class Limit {
        none,   ///< not at all
        alone,  ///< as if no job had anything: can it ever be had?
        now,    ///< with what jobs have
    };

    /// A job keeps what it was given: slots of the same text and GPUs stay with it, and of a slot
    /// that is gone its GPUs keep every slot busy that shares one.
    void set_pool(Pool pool);
    [[nodiscard]] const Pool& pool() const { return pool_; }

    void take(std::uint64_t job, const Grant& grant);
    /// Takes what a job of an earlier daemon has.
    void adopt(std::uint64_t job, const GrantedGpus& gpus, int cpu_slots);
    void release(std::uint64_t job);

    [[nodiscard]] bool wants_gpu(const Need& need) const;
    /// What `need` would get among the slots that count and are not `reserved`. Slots with more
    /// GPUs than the limit leaves are passed by for others that suit.
    [[nodiscard]] std::optional<Grant> choose(const Need& need, Among among, Limit limit,
                                              const SlotSet& reserved = {}) const;
    /// Whether the pool has what is needed, within the limit, whoever holds it now.
    [[nodiscard]] bool possible(const Need& need) const;
    [[nodiscard]] int count_gpus(const Need& need, Among among) const;
    [[nodiscard]] SlotSet suitable(const Need& need) const;

    [[nodiscard]] int cpu_slots_used() const { return cpu_used_; }
    /// Whether a slot is some job's, and cannot be shared with others.
    [[nodiscard]] bool is_taken(std::size_t slot) const;
    /// The jobs that have a slot: one, or several that share it.
    [[nodiscard]] std::vector<std::uint64_t> holders(std::size_t slot) const;
    /// What a job has, or would have with this grant.
    [[nodiscard]] GrantedGpus gpus(std::uint64_t job) const;
    [[nodiscard]] GrantedGpus gpus(const Grant& grant) const;

private:
    /// A slot as it was granted, and where it is in the pool of now.
    struct Seat {
        GpuSlot slot;
        std::optional<std::size_t> index;
    };
    struct Granted {
        std::vector<Seat> seats;
        std::uint64_t gpu_memory = 0;
        int cpu_slots = 0;
    };
    struct Occupant {
        std::uint64_t job = 0;
        std::uint64_t gpu_memory = 0;  ///< 0: all of it
    };

    void seat(Granted& granted);
    void settle_occupants();
    [[nodiscard]] std::vector<SlotCandidate> candidates(const Need& need, Among among,
                                                        const SlotSet& reserved) const;
    [[nodiscard]] std::optional<GpuLimit> gpu_limit(Limit limit) const;
    [[nodiscard]] bool counts(std::size_t slot, const Need& need, Among among) const;
    [[nodiscard]] bool is_free(std::size_t slot, const Need& need) const;
    [[nodiscard]] bool has_display(std::size_t slot) const;
    [[nodiscard]] std::uint64_t memory_left(std::size_t slot) const;

    Pool pool_;
    std::vector<std::vector<Occupant>> occupants_;  ///< by slot
    int cpu_used_ = 0;
    std::map<std::uint64_t, Granted> granted_;
};

}  // namespace spool
