#include "libspool/find_task.h"

#include <algorithm>
#include <cerrno>

#include "libspool/array_record.h"
#include "libspool/done.h"
#include "libspool/names.h"

namespace spool {
namespace {

template <typename State>
FoundJob task_of(const FoundJob& array, std::uint32_t task, State state) {
    return {array.id, task_name(array.name, task), array.file_name, std::move(state), task};
}

/// The end of a task that has no file: it never began, or somebody has removed it from done/.
JobResult result_without_file(const FoundJob& array, std::uint32_t task, Outcome outcome) {
    JobResult result;
    result.id = array.id;
    result.task = task;
    result.name = task_name(array.name, task);
    result.state = outcome;
    result.attempt = 0;
    if (outcome == Outcome::cancelled)
        result.reason = "cancelled before it started";
    else
        result.reason = "its own result is not in done/ any more";
    return result;
}

Error no_such_task(const FoundJob& array, std::uint32_t task, const std::string& tasks) {
    const std::string subject = std::to_string(array.id) + " (" + printable(array.name) + ")";
    const std::string why = tasks.empty() ? "job " + subject + " is no array"
                                          : "array " + subject + " has no task " +
                                                std::to_string(task) + ": it has " + tasks;
    return Error{{}, {}, why, ENOENT, std::nullopt};
}

FoundJob waiting_task(const FoundJob& array, const ArrayState& state, std::uint32_t task) {
    return task_of(array, task,
                   WaitingState{state.id, task_name(array.name, task), state.file, state.command,
                                state.priority, state.submitted_at, state.reason});
}

/// Of an open array. One without a result that is not shown to run waits.
Result<FoundJob> task_of_open(Spool& spool, const FoundJob& array, std::uint32_t task) {
    const auto record = load_array(spool, array_record_name(array.id), OpenMode::read);
    if (!record) return tl::unexpected(record.error());
    const auto place = place_of(record->tasks, task);
    if (!place) return tl::unexpected(no_such_task(array, task, tasks_text(record->tasks)));
    const auto& outcome = record->outcomes[*place];
    if (!outcome) return waiting_task(array, *array.array(), task);
    return task_of(array, task, result_without_file(array, task, *outcome));
}

Result<FoundJob> task_of_ended(const FoundJob& array, std::uint32_t task) {
    TaskList all;
    for (const auto& [outcome, text] : array.result()->tasks->by_outcome) {
        const auto list = parse_tasks(text);
        if (!list) continue;
        all.insert(all.end(), list->begin(), list->end());
        if (!place_of(*list, task)) continue;
        return task_of(array, task, result_without_file(array, task, outcome));
    }
    std::sort(all.begin(), all.end());
    return tl::unexpected(no_such_task(array, task, tasks_text(all)));
}

}  // namespace

Result<FoundJob> find_task(Spool& spool, const SpoolState& state, const FoundJob& array,
                           std::uint32_t task) {
    for (const RunningState& job : state.running)
        if (job.id == array.id && job.task == task) return task_of(array, task, job);
    const std::string name = task_name(array.name, task);
    if (auto result = read_done(spool, name); result && result->id == array.id)
        return task_of(array, task, std::move(*result));
    if (array.array()) return task_of_open(spool, array, task);
    if (array.waiting() && array.waiting()->tasks != 0)
        return task_of(array, task, *array.waiting());
    if (array.result() && array.result()->tasks) return task_of_ended(array, task);
    return tl::unexpected(no_such_task(array, task, {}));
}

}  // namespace spool
