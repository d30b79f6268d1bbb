// What to start now, and why each other job waits. A value without clock, files or side effects.
//
// First come, first served within a priority, separately for GPUs and for CPU slots: a job that
// waits for GPUs holds back later jobs that want GPUs, but none that want only a CPU slot. A job
// that the pool can never satisfy holds back nobody.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libspool/state.h"

namespace spool {

/// One slot of the pool: a list of GPUs given verbatim ("0", "0,1", "" for none).
struct GpuSlot {
    std::string text;
    std::vector<std::string> devices;  ///< `text` split at commas
};
[[nodiscard]] GpuSlot make_gpu_slot(const std::string& text);

struct Pool {
    std::vector<GpuSlot> gpu_slots;
    int cpu_slots = 1;
};

/// What a job needs. `gpus` absent: one slot of the pool, whatever it holds, or a CPU slot where
/// there is no pool.
struct Need {
    std::optional<int> gpus;
    auto operator<=>(const Need&) const = default;
};

/// What a job was given: indexes into Pool::gpu_slots, and how many CPU slots.
struct Grant {
    std::vector<std::size_t> gpu_slots;
    int cpu_slots = 0;
};

struct Start {
    std::uint64_t job = 0;
    Grant grant;
};

class Policy {
public:
    /// A job keeps what it was given: slots of the same text stay with it, and of a slot that is
    /// gone its GPUs keep every slot busy that shares one.
    void set_pool(Pool pool);
    [[nodiscard]] const Pool& pool() const { return pool_; }

    void add(std::uint64_t job, int priority, Need need);
    void remove(std::uint64_t job);  ///< withdrawn, rejected, or no longer ready

    /// Jobs to be started now, in order. They are granted what they need and no longer wait.
    std::vector<Start> decide();
    /// Up to `count` waiting jobs that are next in line, in order, of those that can run at all.
    [[nodiscard]] std::vector<std::uint64_t> next(std::size_t count) const;

    /// Notes what a job of an earlier daemon already has: the texts of its slots (see `set_pool`),
    /// and CPU slots.
    void adopt(std::uint64_t job, const std::vector<std::string>& texts, int cpu_slots);
    void release(std::uint64_t job);  ///< its slots are free again

    [[nodiscard]] bool waits(std::uint64_t job) const { return waiting_.contains(job); }
    [[nodiscard]] std::optional<WaitReason> why(
        std::uint64_t job) const;  ///< nothing if it does not wait here
    [[nodiscard]] std::vector<std::uint64_t> queue(
        std::size_t count) const;  ///< the first in order of their turn
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    [[nodiscard]] int cpu_slots_used() const { return cpu_used_; }
    /// The job that has a slot, or 0.
    [[nodiscard]] std::uint64_t holder(std::size_t slot) const {
        return slot < holders_.size() ? holders_[slot] : 0;
    }

private:
    /// The order of turns: higher priority first, then lower number.
    struct Turn {
        int priority = 0;
        std::uint64_t job = 0;
        auto operator<=>(const Turn& other) const {
            if (priority != other.priority) return other.priority <=> priority;
            return job <=> other.job;
        }
        bool operator==(const Turn&) const = default;
    };
    struct Waiting {
        int priority = 0;
        Need need;
    };
    using Bucket = std::set<Turn>;

    [[nodiscard]] bool wants_gpu(const Need& need) const;
    [[nodiscard]] bool possible(const Need& need) const;
    [[nodiscard]] std::optional<Grant> fit(const Need& need) const;
    [[nodiscard]] std::optional<Grant> choose_slots(const Need& need, bool only_free) const;
    [[nodiscard]] int most_gpus() const;
    void take(std::uint64_t job, const Grant& grant);
    bool hold_same(std::uint64_t job, const GpuSlot& slot);
    void hold(std::uint64_t job, const GpuSlot& slot);
    void hold_rest();
    template <typename Visit>
    void in_order(Visit visit) const;

    Pool pool_;
    std::vector<std::uint64_t> holders_;  ///< by slot; 0 = free
    int cpu_used_ = 0;
    struct Granted {
        std::vector<GpuSlot> gpu_slots;
        int cpu_slots = 0;
    };
    std::map<std::uint64_t, Granted> granted_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::map<Need, Bucket>
        buckets_;  ///< by shape of the wish: one decision looks at the first of each
};

}  // namespace spool
