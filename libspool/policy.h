// What to start now, and why each other job waits. A value without clock, files or side effects.
//
// Jobs have their turn by priority, then by number. One that must wait for what others have keeps
// what it will need, and later ones go before it only where that cannot delay it (reservations.h).
// What the pool can never give, or only once strangers leave or a GPU is taken back into use, holds
// back nobody; nor does a job that waits for anything else than the machine: that is held, whose
// time has not come, that follows another job, or whose group is full.
//
// An array that is open is one of these jobs, however many of its tasks wait: it starts them one
// after the other, each under a number of its own.
//
// Jobs that ask for the same share their fate, so they are kept together, and a decision looks at
// the first of each kind alone: it costs the same however many there are.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libspool/dependency_book.h"
#include "libspool/number_set.h"
#include "libspool/reservations.h"
#include "libspool/slot_book.h"
#include "libspool/state.h"
#include "libspool/terms.h"

namespace spool {

struct Start {
    std::uint64_t job = 0;
    Grant grant;
    std::uint64_t array = 0;  ///< whose task it is; 0: it is none
};

/// The time of a decision on two clocks.
struct Moment {
    std::chrono::nanoseconds monotonic{0};  ///< CLOCK_BOOTTIME: for time limits
    std::int64_t wall = 0;                  ///< nanoseconds: for begin times
};

class Policy {
public:
    void set_pool(Pool pool) { book_.set_pool(std::move(pool)); }
    [[nodiscard]] const Pool& pool() const { return book_.pool(); }

    /// `standing` tells of the jobs that it follows.
    void add(std::uint64_t job, Terms terms, const DependencyBook::Lookup& standing);
    /// An open array, with the numbers of its tasks that may go; what it followed is over.
    void add_array(std::uint64_t array, Terms terms, NumberSet tasks);
    /// One more of its tasks may go. The terms are those of `add_array`.
    void open_task(std::uint64_t array, std::uint64_t task, const Terms& terms);
    /// A waiting task does not go any more.
    void close_task(std::uint64_t array, std::uint64_t task);
    /// A task that runs, beside `adopt`.
    void adopt_task(std::uint64_t array, std::uint64_t task);
    /// The numbers of the tasks of an array that may go; null if it has none.
    [[nodiscard]] const NumberSet* open_tasks(std::uint64_t array) const;
    /// How many of its tasks have what they need.
    [[nodiscard]] int tasks_started(std::uint64_t array) const;

    void remove(std::uint64_t job);  ///< withdrawn, rejected, or no longer ready
    /// Of a job that waits, or of one that was started, should that be taken back.
    void set_priority(std::uint64_t job, int priority);
    void set_held(std::uint64_t job, bool held);
    /// No job of the group starts, and why; nothing: they do again.
    void hold_group(const std::string& group, std::optional<std::string> reason);

    /// A job has come so far: those that follow it may go, or never can.
    void note(std::uint64_t job, Standing standing);
    /// Waiting jobs whose dependencies can never be met, or form a circle. They are still there
    /// until they are removed.
    [[nodiscard]] const std::set<std::uint64_t>& hopeless() const { return hopeless_; }
    [[nodiscard]] const DependencyBook& dependencies() const { return dependencies_; }

    /// Jobs to be started now, in order. They are granted what they need and no longer wait.
    /// Without `gpus` only such as need none: what the pool says of GPUs is not of this moment.
    std::vector<Start> decide(Moment now = {}, bool gpus = true);
    /// Undoes a start, before the job's release: it waits again, at its old place.
    void take_back(std::uint64_t job);
    /// When a job's begin time comes, on the wall clock: then it is time for a decision.
    [[nodiscard]] std::optional<std::int64_t> next_begin() const;

    /// Whether any job that could go waits for GPUs; the first of those that can have its turn
    /// and does not wait for others of ours alone (Pool::max_gpus).
    [[nodiscard]] bool gpus_wanted() const;
    [[nodiscard]] std::optional<std::uint64_t> first_for_gpus() const;
    /// Up to `count` waiting jobs that are next in line, in order, of those that can run at all,
    /// arrays and their tasks left out.
    [[nodiscard]] std::vector<std::uint64_t> next(std::size_t count) const;

    void adopt(std::uint64_t job, const std::string& group, const GrantedGpus& gpus,
               const Amounts& amounts, Tenure tenure = {});
    void release(std::uint64_t job);  ///< what it had is free again

    [[nodiscard]] bool waits(std::uint64_t job) const { return waiting_.contains(job); }
    /// What people call a job.
    using Label = std::function<std::string(std::uint64_t job)>;
    /// Nothing if it does not wait here.
    [[nodiscard]] std::optional<WaitReason> why(
        std::uint64_t job,
        const Label& label = [](std::uint64_t number) { return std::to_string(number); }) const;
    /// The slots that would suit a waiting job.
    [[nodiscard]] std::vector<std::size_t> suitable(std::uint64_t job) const;
    /// The first in order of their turn, whatever they wait for.
    [[nodiscard]] std::vector<std::uint64_t> queue(std::size_t count) const;
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
    /// Of a waiting job; the highest of all.
    [[nodiscard]] std::optional<int> priority(std::uint64_t job) const;
    [[nodiscard]] int highest_priority() const;
    [[nodiscard]] int cpu_slots_used() const { return book_.amounts_used().cpu_slots; }
    /// Who holds what.
    [[nodiscard]] const SlotBook& book() const { return book_; }
    /// What the last decision kept for whom.
    [[nodiscard]] const Reservations& reservations() const { return reservations_; }

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
    /// Jobs of one shape can all start, or none can.
    struct Shape {
        Need need;
        std::optional<std::chrono::nanoseconds> time_limit;
        std::string group;
        int group_limit = 0;
        auto operator<=>(const Shape&) const = default;
    };
    using Bucket = std::map<Shape, std::set<Turn>>::iterator;
    struct Waiting {
        Terms terms;
        /// Where it is; nothing while it waits for anything else than the machine.
        std::optional<Bucket> bucket;
        std::optional<NumberSet> tasks{};  ///< of an open array: those that may go
    };

    using Among = SlotBook::Among;
    using Limit = SlotBook::Limit;

    [[nodiscard]] static Shape shape_of(const Terms& terms);
    [[nodiscard]] static std::chrono::nanoseconds end_of(const Shape& shape, Moment now);
    [[nodiscard]] bool may_go(std::uint64_t job, const Waiting& waiting) const;
    [[nodiscard]] bool group_is_full(const Shape& shape, const Turn& turn) const;
    [[nodiscard]] bool in_reach(const Need& need) const;
    [[nodiscard]] std::optional<WaitReason> why_not_yet(std::uint64_t job, const Waiting& waiting,
                                                        const Label& label) const;
    [[nodiscard]] WaitReason why_no_room(const Terms& terms) const;
    [[nodiscard]] std::optional<WaitReason> why_amounts(const Need& need) const;
    void place(std::uint64_t job, Waiting& waiting);
    void unplace(std::uint64_t job, Waiting& waiting);
    void replace(std::uint64_t job);
    template <typename Change>
    void change_started(std::uint64_t job, Change change);
    void wake(Moment now);
    [[nodiscard]] bool array_is_full(std::uint64_t job, const Waiting& waiting) const;
    Start start(const Turn& turn, Grant grant, Moment now);
    std::uint64_t take_task(const Turn& turn);
    void forget_task(std::uint64_t task);
    template <typename Visit>
    void in_order(Visit visit) const;

    SlotBook book_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::set<Turn> turns_;  ///< of all that wait
    std::map<Shape, std::set<Turn>> buckets_;
    std::map<Turn, Bucket> heads_;  ///< the first of each bucket
    DependencyBook dependencies_;
    std::set<std::uint64_t> hopeless_;
    std::set<std::pair<std::int64_t, std::uint64_t>> begins_;  ///< of jobs whose time has not come
    std::int64_t wall_ = 0;                                    ///< at the last decision
    std::chrono::nanoseconds monotonic_{0};                    ///< the same
    std::map<std::string, std::string> held_groups_;           ///< and why
    std::map<std::uint64_t, std::string> groups_;              ///< of running jobs
    std::map<std::string, int> group_sizes_;                   ///< how many of each run
    /// Places in groups, that the last decision kept for jobs that wait for the machine.
    std::map<std::string, std::vector<Turn>> kept_places_;
    std::map<std::uint64_t, Terms> started_;           ///< until they are released
    std::map<std::uint64_t, std::uint64_t> array_of_;  ///< by task that was started
    std::map<std::uint64_t, int> started_tasks_;       ///< by array
    Reservations reservations_;
};

}  // namespace spool
