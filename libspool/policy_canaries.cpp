// Jobs of which the first one is tried alone. A part of `Policy`.
#include "libspool/policy.h"

namespace spool {

/// With whom a job shares a canary. An array that was not opened yet, and a job without a group,
/// shares one with nobody.
std::optional<Flock> Policy::flock_of(std::uint64_t job, bool canary,
                                      const std::string& group) const {
    if (!canary) return std::nullopt;
    const auto found = waiting_.find(job);
    if (found != waiting_.end() && found->second.tasks) return Flock{job};
    if (found != waiting_.end() && found->second.terms.tasks != 0) return std::nullopt;
    if (group.empty()) return std::nullopt;
    return Flock{0, group};
}

/// Of an array: unless the canary itself waits, for another attempt.
bool Policy::must_let_canary_go(std::uint64_t job, bool canary, const std::string& group) const {
    const auto flock = flock_of(job, canary, group);
    if (!flock || !canaries_.blocks(*flock, job)) return false;
    if (flock->array == 0) return true;
    return !waiting_.at(job).tasks->contains(canaries_.on_trial(*flock));
}

/// A group's trial holds as long as any of it waits or runs: the next batch has its own.
void Policy::count_for_canary(const Terms& terms, int change) {
    if (!terms.canary || terms.group.empty() || terms.tasks != 0) return;
    int& count = canary_groups_[terms.group];
    const Flock flock{0, terms.group};
    if (change > 0 && count == 0 && !group_sizes_.contains(terms.group) &&
        canaries_.has_passed(flock))
        canaries_.forget(flock);
    count += change;
    if (count == 0) canary_groups_.erase(terms.group);
}

void Policy::adopt_canary(std::uint64_t job, const Terms& terms, std::uint64_t array,
                          std::chrono::nanoseconds since) {
    if (!terms.canary) return;
    if (array != 0)
        canaries_.begin({array}, job);
    else if (!terms.group.empty())
        canaries_.begin({0, terms.group}, job);
    canaries_.runs(job, since);
}

}  // namespace spool
