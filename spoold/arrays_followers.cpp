// What follows single tasks of arrays, and tasks that follow those of others. A part of `Arrays`.
#include <algorithm>

#include "arrays.h"
#include "libspool/array_spec.h"

namespace spoold {

void Arrays::note_follower(const spool::WaitingJob& job) {
    if (std::any_of(job.after.list.begin(), job.after.list.end(), [](const auto& condition) {
            return condition.job.find('_') != std::string::npos;
        }))
        followers_.insert(job.number);
}

void Arrays::judge_followers() {
    std::erase_if(followers_,
                  [this](std::uint64_t number) { return incoming_.find(number) == nullptr; });
    const std::vector<std::uint64_t> numbers(followers_.begin(), followers_.end());
    for (const std::uint64_t number : numbers)
        listener_.judge_again(number);
}

/// A task has ended: those that follow it go, or never can.
void Arrays::follow_up(std::uint64_t leader, std::uint32_t task) {
    for (auto& [number, array] : open_.all()) {
        if (std::find(array.leaders.begin(), array.leaders.end(), leader) == array.leaders.end())
            continue;
        const auto place = spool::place_of(array.record.tasks, task);
        if (!place || !array.ready || array.record.outcomes[*place] || has_task(array, *place))
            continue;
        const auto verdict = standings_.verdict(array, task);
        if (verdict == spool::Verdict::met && tasks_may_go(array))
            policy_.open_task(number, array.record.number_of(*place), array.terms);
        else if (verdict == spool::Verdict::never)
            (void)note_outcome(array, *place, spool::Outcome::cancelled);
    }
}

/// A job that is no array has ended: each task follows the whole of it.
void Arrays::job_ended(std::uint64_t leader) {
    for (auto& [number, array] : open_.all())
        if (array.ready &&
            std::find(array.leaders.begin(), array.leaders.end(), leader) != array.leaders.end())
            for (const std::uint32_t task : array.record.tasks)
                follow_up(leader, task);
}

}  // namespace spoold
