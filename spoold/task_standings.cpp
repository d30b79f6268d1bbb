#include "task_standings.h"

#include "libspool/array_spec.h"
#include "libspool/done.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace spoold {

namespace {

/// What became of a task, by the lists of its array.
std::optional<spool::Outcome> outcome_in(const std::map<spool::Outcome, spool::TaskList>& tasks,
                                         std::uint32_t task) {
    for (const auto& [outcome, list] : tasks)
        if (spool::place_of(list, task)) return outcome;
    return std::nullopt;
}

}  // namespace

spool::Standing TaskStandings::of(std::uint64_t number) const {
    const OpenArray* array = arrays_.of_task(number);
    if (array == nullptr) return index_.standing(number);
    const std::size_t place = array->record.place_of_number(number);
    return of_task(array->record.number, array->record.tasks[place]);
}

std::string TaskStandings::label(std::uint64_t number) const {
    const OpenArray* array = arrays_.of_task(number);
    if (array == nullptr) return std::to_string(number);
    const std::size_t place = array->record.place_of_number(number);
    return spool::job_number_text(array->record.number, array->record.tasks[place]);
}

spool::Standing TaskStandings::of_task(std::uint64_t number, std::uint32_t task) const {
    using enum spool::Standing;
    if (const OpenArray* array = arrays_.find(number)) {
        const auto place = spool::place_of(array->record.tasks, task);
        if (!place) return unknown;
        if (const auto& outcome = array->record.outcomes[*place])
            return spool::standing_of(*outcome);
        const auto job = active_.jobs().find(array->record.number_of(*place));
        const bool runs = job != active_.jobs().end() && job->second.content.started();
        return runs ? running : waiting;
    }
    if (incoming_.find(number) != nullptr) return waiting;
    if (active_.jobs().contains(number)) return index_.standing(number);
    const Ended* array = ended(number);
    if (array == nullptr) return index_.standing(number) == succeeded ? succeeded : unknown;
    if (array->tasks.empty()) return index_.standing(number);
    const auto outcome = outcome_in(array->tasks, task);
    return outcome ? spool::standing_of(*outcome) : unknown;
}

/// Null if its result cannot be read; without tasks if it is no array.
const TaskStandings::Ended* TaskStandings::ended(std::uint64_t array) const {
    if (ended_.array == array) return &ended_;
    const auto result = spool::read_done(spool_, index_.name_of(array));
    if (!result || result->id != array) return nullptr;
    ended_ = {array, {}};
    if (result->tasks)
        for (const auto& [outcome, text] : result->tasks->by_outcome)
            ended_.tasks[outcome] = spool::parse_tasks(text).value_or(spool::TaskList());
    return &ended_;
}

/// A condition on the task that is called "42_7" or "x_7", unless a job has that very name.
std::optional<spool::Dependency> TaskStandings::task_condition(const spool::AfterJob& condition,
                                                               std::uint64_t before) const {
    const auto reference = spool::parse_task_reference(condition.job);
    if (!reference || reference->tasks.size() != 1 || index_.newest_before(before, condition.job))
        return std::nullopt;
    const std::uint32_t task = reference->tasks.front();
    const auto said = spool::parse_integer(reference->array);
    const auto number = said && *said > 0 ? std::optional(static_cast<std::uint64_t>(*said))
                                          : index_.newest_before(before, reference->array);
    if (!number) return std::nullopt;
    if (const OpenArray* array = arrays_.find(*number)) {
        const auto place = spool::place_of(array->record.tasks, task);
        return spool::Dependency{condition.after, place ? array->record.number_of(*place) : 0};
    }
    // Its tasks have no numbers yet: looked at again when it is opened, or will never be. Until
    // then nothing but its success, which cannot come first, would let the other one go.
    const spool::WaitingJob* waiting = incoming_.find(*number);
    if (waiting != nullptr && waiting->terms.tasks != 0)
        return spool::Dependency{spool::After::success, *number};
    const bool met = spool::judge(condition.after, of_task(*number, task)) == spool::Verdict::met;
    return spool::Dependency{spool::After::end, met ? *number : 0};
}

spool::Dependencies TaskStandings::conditions(const spool::AfterJobs& after, std::uint64_t number,
                                              const std::string& name, bool of_array) const {
    auto out = index_.resolve(after, number, name);
    for (std::size_t i = 0; i < after.list.size(); ++i) {
        spool::Dependency& condition = out.list[i];
        if (condition.job == 0)
            condition = task_condition(after.list[i], number).value_or(condition);
        if (condition.after == spool::After::task_success && !of_array)
            condition.after = spool::After::success;
    }
    return out;
}

spool::Dependencies TaskStandings::conditions(const spool::WaitingJob& job) const {
    return conditions(job.after, job.number, spool::stem_of(job.file_name), job.terms.tasks != 0);
}

spool::Verdict TaskStandings::verdict(const OpenArray& array, std::uint32_t task) const {
    spool::Verdict verdict = spool::Verdict::met;
    for (const std::uint64_t leader : array.leaders) {
        if (leader == 0) {  // it was known when the array was opened: nothing is given up for that
            verdict = spool::Verdict::open;
            continue;
        }
        const auto one = spool::judge(spool::After::success, of_task(leader, task));
        if (one == spool::Verdict::never) return one;
        if (one == spool::Verdict::open) verdict = one;
    }
    return verdict;
}

}  // namespace spoold
