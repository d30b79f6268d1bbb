// Open arrays in the queue: one entry with the numbers of the tasks that may go. A part of
// `Policy`.
#include <utility>

#include "libspool/policy.h"

namespace spool {

void Policy::add_array(std::uint64_t array, Terms terms, NumberSet tasks) {
    if (tasks.empty()) return remove(array);
    terms.after = {};
    remove(array);
    count_for_canary(terms, 1);
    turns_.insert({terms.priority, array});
    Waiting waiting{std::move(terms), std::nullopt, std::move(tasks)};
    place(array, waiting_.emplace(array, std::move(waiting)).first->second);
}

void Policy::open_task(std::uint64_t array, std::uint64_t task, const Terms& terms) {
    const auto found = waiting_.find(array);
    if (found != waiting_.end() && found->second.tasks) {
        found->second.tasks->insert(task);
        return;
    }
    NumberSet tasks;
    tasks.insert(task);
    add_array(array, terms, std::move(tasks));
}

void Policy::close_task(std::uint64_t array, std::uint64_t task) {
    const auto found = waiting_.find(array);
    if (found == waiting_.end() || !found->second.tasks) return;
    found->second.tasks->erase(task);
    if (found->second.tasks->empty()) remove(array);
}

void Policy::adopt_task(std::uint64_t array, std::uint64_t task) {
    if (!array_of_.emplace(task, array).second) return;
    ++started_tasks_[array];
    replace(array);
}

const NumberSet* Policy::open_tasks(std::uint64_t array) const {
    const auto found = waiting_.find(array);
    return found == waiting_.end() || !found->second.tasks ? nullptr : &*found->second.tasks;
}

int Policy::tasks_started(std::uint64_t array) const {
    const auto found = started_tasks_.find(array);
    return found == started_tasks_.end() ? 0 : found->second;
}

bool Policy::array_is_full(std::uint64_t job, const Waiting& waiting) const {
    return waiting.tasks && waiting.terms.array_limit != 0 &&
           tasks_started(job) >= waiting.terms.array_limit;
}

/// The number under which a turn is started: of an array that of its next task. What has nothing
/// more to start waits no longer.
std::uint64_t Policy::take_task(const Turn& turn) {
    Waiting& waiting = waiting_.at(turn.job);
    if (!waiting.tasks) {
        remove(turn.job);
        return turn.job;
    }
    const std::uint64_t canary = canaries_.on_trial({turn.job});
    const std::uint64_t task = canary != 0 ? canary : waiting.tasks->first();
    waiting.tasks->erase(task);
    array_of_[task] = turn.job;
    ++started_tasks_[turn.job];
    if (waiting.tasks->empty())
        remove(turn.job);
    else if (array_is_full(turn.job, waiting))
        replace(turn.job);
    return task;
}

/// A task has given back what it had: its array may start another.
void Policy::forget_task(std::uint64_t task) {
    const auto found = array_of_.find(task);
    if (found == array_of_.end()) return;
    const std::uint64_t array = found->second;
    array_of_.erase(found);
    if (--started_tasks_[array] == 0) started_tasks_.erase(array);
    replace(array);
}

}  // namespace spool
