// The arrays that an earlier daemon left open. A part of `Arrays`.
#include "arrays.h"
#include "libspool/done.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

void Arrays::recover(std::vector<spool::ArrayRecord> records) {
    for (spool::ArrayRecord& record : records) {
        OpenArray& array = take(std::move(record));
        array.begun = array.record.ended() != 0;
        if (array.begun)
            listener_.standing(array.record.number, array.record.name, spool::Standing::running);
        log_info(title(array) + " goes on: " + std::to_string(array.record.ended()) + " of " +
                 counted_tasks(array.record.tasks.size()) + " have ended");
    }
}

bool Arrays::has_ended(std::uint64_t task) const {
    const OpenArray* array = open_.of_task(task);
    return array != nullptr && array->record.outcomes[array->record.place_of_number(task)];
}

bool Arrays::is_superseded(const spool::ActiveJob& job) const {
    if (!has_ended(job.number)) return false;
    const auto result = spool::read_done(spool_, job.name);
    return result && result->task && result->token != spool::to_hex(job.token) &&
           result->id == open_.of_task(job.number)->record.number;
}

void Arrays::resume() {
    for (auto& [number, array] : open_.all())
        note_leaders(array);
    for (auto& [number, array] : open_.all())
        make_ready(array);
}

void Arrays::task_found(std::uint64_t task, bool runs) {
    OpenArray* array = open_.of_task(task);
    if (array != nullptr && runs) begin(*array);
}

void Arrays::task_adopted(std::uint64_t task) {
    if (const OpenArray* array = open_.of_task(task))
        policy_.adopt_task(array->record.number, task);
}

}  // namespace spoold
