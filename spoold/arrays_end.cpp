// What became of tasks, and the end of an array. A part of `Arrays`.
#include "arrays.h"
#include "libspool/array_steps.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

std::chrono::nanoseconds Arrays::in_a_second() const {
    return clock_.monotonic() + 1s;
}

void Arrays::task_started(const spool::ActiveJob& job) {
    OpenArray* array = open_.of_task(job.number);
    if (array == nullptr) return;
    policy_.note(job.number, spool::Standing::running);
    begin(*array);
}

void Arrays::begin(OpenArray& array) {
    if (std::exchange(array.begun, true)) return;
    listener_.standing(array.record.number, array.record.name, spool::Standing::running);
}

/// Notes it in the record. What cannot be written is true all the same; then the task's own record
/// is kept, and so is the array.
bool Arrays::note_outcome(OpenArray& array, std::size_t place, spool::Outcome outcome) {
    const auto noted = spool::note_outcome(*spool_.files, array.record, place, outcome);
    if (!noted) {
        array.broken = true;
        array.record.outcomes[place] = outcome;
        ++array.record.counts[outcome];
        troubles_.set("array " + std::to_string(array.record.number),
                      "what became of a task of " + title(array) +
                          " cannot be noted: " + noted.error().text());
        array.next_try = in_a_second();
    }
    close_task(array, place);
    return noted.has_value();
}

void Arrays::close_task(OpenArray& array, std::size_t place) {
    const spool::ArrayRecord& record = array.record;
    policy_.close_task(record.number, record.number_of(place));
    policy_.note(record.number_of(place), spool::standing_of(*record.outcomes[place]));
    follow_up(record.number, record.tasks[place]);
}

void Arrays::task_ended(const spool::JobResult& result) {
    OpenArray* array = open_.find(result.id);
    if (array == nullptr) return;
    const auto place = spool::place_of(array->record.tasks, *result.task);
    if (!place || array->record.outcomes[*place]) return;
    (void)note_outcome(*array, *place, result.state);
}

bool Arrays::sync_with(const spool::ActiveJob& job, spool::SyncSet& barrier) const {
    const OpenArray* array = open_.of_task(job.number);
    if (array == nullptr) return true;
    barrier.add(array->record.file.get(), false);
    return !array->broken;
}

void Arrays::advance() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, array] : open_.all())
        numbers.push_back(number);
    for (const std::uint64_t number : numbers) {
        OpenArray& array = *open_.find(number);
        cancel_again(array);
        if (array.next_try && clock_.monotonic() < *array.next_try) continue;
        const bool again = std::exchange(array.next_try, std::nullopt).has_value();
        if (array.broken) note_outcomes_again(array);
        if (array.returning)
            give_back(array);
        else if (!array.ready && again)
            sync_opening(number);
        else if (array.ready && !array.published && !array.broken && array.record.has_ended() &&
                 !has_tasks(array))
            end(array);
    }
}

/// What could not be written when it happened.
void Arrays::note_outcomes_again(OpenArray& array) {
    std::vector<std::size_t> open;
    for (std::size_t place = 0; place < array.record.tasks.size(); ++place)
        if (!array.record.outcomes[place]) open.push_back(place);
    if (spool::note_rest(*spool_.files, array.record, spool::Outcome::lost, open)) {
        array.broken = false;
        troubles_.set("array " + std::to_string(array.record.number), "");
    } else {
        array.next_try = in_a_second();
    }
}

/// All of its tasks have ended, and none has a record any more.
void Arrays::end(OpenArray& array) {
    const auto names = syncs_.try_hold_names();
    if (!names) {  // directories are being synced
        array.next_try = clock_.monotonic() + 1ms;
        return;
    }
    spool::JobResult result = spool::array_result(array.record, clock_.wall());
    result.host = spool::host_name();
    auto published = spool::publish_array(spool_, array.record, result);
    troubles_.set(
        "publish",
        published ? "" : "results cannot be written to done/: " + published.error().text());
    if (!published) {
        array.next_try = in_a_second();
        return;
    }
    spool::remove_task_directories(spool_, array.record);
    array.published = std::move(*published);
    array.missing_since.reset();
    (void)history_.append_or_keep(spool::write_line(spool::history_entry(result)));
    log_info(title(array) + ": " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    listener_.ended(result);
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, *array.published, barrier);
    barrier.add(array.record.file.get(), false);
    barrier.add(history_.handle(), false);
    syncs_.sync(std::move(barrier), [this, number = array.record.number](const auto& failures) {
        ended(number, failures);
    });
}

void Arrays::task_not_synced(const spool::ActiveJob& job) {
    if (OpenArray* array = open_.of_task(job.number)) array->kept = true;
}

/// Without barrier 3, its own or that of a task, the record has the truth until a later daemon
/// publishes again.
void Arrays::ended(std::uint64_t number, const SyncThread::Failures& failures) {
    OpenArray* array = open_.find(number);
    if (array == nullptr) return;
    troubles_.set(
        "result sync",
        failures.empty() ? "" : "results could not be synced: " + failures.begin()->second.text());
    if (failures.empty() && !array->kept) (void)spool::remove_array_record(spool_, array->record);
    open_.erase(number);
    listener_.changed();
    listener_.has_work();
}

}  // namespace spoold
