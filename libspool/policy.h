// What to start now, and why each other job waits. A value without clock, files or side effects.
//
// First come, first served within a priority, separately for GPUs and for CPU slots. A job that
// waits for GPUs keeps later jobs from all slots that would suit it; it keeps nobody from others,
// and nobody from CPU slots. A job that the pool can never satisfy, or only once strangers leave or
// a GPU is taken back into use, holds back nobody.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libspool/slot_book.h"
#include "libspool/state.h"

namespace spool {

struct Start {
    std::uint64_t job = 0;
    Grant grant;
};

class Policy {
public:
    void set_pool(Pool pool) { book_.set_pool(std::move(pool)); }
    [[nodiscard]] const Pool& pool() const { return book_.pool(); }

    void add(std::uint64_t job, int priority, Need need);
    void remove(std::uint64_t job);  ///< withdrawn, rejected, or no longer ready

    /// Jobs to be started now, in order. They are granted what they need and no longer wait.
    /// Without `gpus` only such as need none: what the pool says of GPUs is not of this moment.
    std::vector<Start> decide(bool gpus = true);
    /// Undoes a start, before the job's release: it waits again, at its old place.
    void take_back(std::uint64_t job);
    /// Whether any job waits for GPUs; the first of those that can have its turn
    /// and does not wait for others of ours alone (Pool::max_gpus).
    [[nodiscard]] bool gpus_wanted() const;
    [[nodiscard]] std::optional<std::uint64_t> first_for_gpus() const;
    /// Up to `count` waiting jobs that are next in line, in order, of those that can run at all.
    [[nodiscard]] std::vector<std::uint64_t> next(std::size_t count) const;

    void adopt(std::uint64_t job, const GrantedGpus& gpus, int cpu_slots) {
        book_.adopt(job, gpus, cpu_slots);
    }
    void release(std::uint64_t job);  ///< its slots are free again

    [[nodiscard]] bool waits(std::uint64_t job) const { return waiting_.contains(job); }
    [[nodiscard]] std::optional<WaitReason> why(
        std::uint64_t job) const;  ///< nothing if it does not wait here
    /// The slots that would suit a waiting job.
    [[nodiscard]] std::vector<std::size_t> suitable(std::uint64_t job) const;
    [[nodiscard]] std::vector<std::uint64_t> queue(
        std::size_t count) const;  ///< the first in order of their turn
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    [[nodiscard]] int cpu_slots_used() const { return book_.cpu_slots_used(); }
    /// Who holds what.
    [[nodiscard]] const SlotBook& book() const { return book_; }

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

    using Among = SlotBook::Among;
    using Limit = SlotBook::Limit;

    [[nodiscard]] bool in_reach(const Need& need) const;
    [[nodiscard]] std::optional<Grant> fit(const Need& need, const SlotSet& reserved) const;
    void reserve(const Need& need, SlotSet& reserved) const;
    template <typename Visit>
    void in_order(Visit visit) const;

    SlotBook book_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::map<std::uint64_t, Waiting> started_;  ///< until they are released
    std::map<Need, Bucket>
        buckets_;  ///< by shape of the wish: one decision looks at the first of each
};

}  // namespace spool
