// Which tasks of arrays wait for the machine alone, and their claims. A part of `Arrays`.
#include "arrays.h"
#include "libspool/names.h"
#include "libspool/system.h"

namespace spoold {

/// Its tasks may be claimed from now on.
void Arrays::make_ready(OpenArray& array) {
    array.ready = true;
    judge_followers();
    if (array.record.cancelled) return end_tasks(array);
    for (std::size_t place = 0; !array.leaders.empty() && place < array.record.tasks.size();
         ++place)
        if (!array.record.outcomes[place] && !has_task(array, place) &&
            standings_.verdict(array, array.record.tasks[place]) == spool::Verdict::never)
            (void)note_outcome(array, place, spool::Outcome::cancelled);
    enqueue_tasks(array);
}

/// Whether a record has the task: it runs, is about to, or its result is on its way.
bool Arrays::has_task(const OpenArray& array, std::size_t place) const {
    return active_.jobs().contains(array.record.number_of(place));
}

bool Arrays::has_tasks(const OpenArray& array) const {
    const auto first = active_.jobs().lower_bound(array.record.first);
    return first != active_.jobs().end() && array.record.has(first->first);
}

std::vector<std::size_t> Arrays::active_places(const OpenArray& array) const {
    std::vector<std::size_t> places;
    for (auto job = active_.jobs().lower_bound(array.record.first);
         job != active_.jobs().end() && array.record.has(job->first); ++job)
        places.push_back(array.record.place_of_number(job->first));
    return places;
}

/// Whether its tasks wait for the machine, or for others, alone.
bool Arrays::tasks_may_go(const OpenArray& array) const {
    return array.ready && !array.record.cancelled && !array.missing_since &&
           (!array.bare || launcher_.has_environment());
}

/// Tells the queue which tasks wait for the machine alone.
void Arrays::enqueue_tasks(OpenArray& array) {
    if (!tasks_may_go(array)) return policy_.remove(array.record.number);
    spool::NumberSet waiting;
    const auto in_queue = [&](std::uint64_t task) {  // for a further attempt
        const Active& active = active_.jobs().at(task);
        return !active.binding && (active.stage == Stage::claimed ||
                                   (active.stage == Stage::retrying && active.queued));
    };
    for (std::size_t place = 0; place < array.record.tasks.size(); ++place)
        if (!array.record.outcomes[place] &&
            (!has_task(array, place) || in_queue(array.record.number_of(place))) &&
            standings_.verdict(array, array.record.tasks[place]) == spool::Verdict::met)
            waiting.insert(array.record.number_of(place));
    policy_.add_array(array.record.number, array.terms, std::move(waiting));
}

bool Arrays::claim(const spool::Start& start) {
    const OpenArray* array = open_.find(start.array);
    if (array == nullptr) return false;
    const spool::ArrayRecord& record = array->record;
    const std::size_t place = record.place_of_number(start.job);
    if (!tasks_may_go(*array) || record.outcomes[place]) return false;
    spool::ClaimRequest request;
    request.file_name = record.file_name;
    request.seen.device = record.device;
    request.seen.inode = record.inode;
    request.number = start.job;
    request.launch = [&](const spool::ClaimIdentity& identity, const std::string&) {
        return launcher_.launch_task(identity, {record, array->spec, array->whole});
    };
    const spool::ClaimIdentity identity{start.job, 1, record.name_of(place), record.extension,
                                        spool::random_token()};
    auto claimed =
        spool::claim_task(spool_, pool_, clock_, boot_, request, identity, record.job_file);
    troubles_.set("claim", claimed ? "" : "tasks cannot be claimed: " + claimed.error().text());
    if (!claimed) {
        listener_.claims_fail();
        return false;
    }
    active_.add(std::move(*claimed));
    return true;
}

void Arrays::claim_undone(std::uint64_t task) {
    const OpenArray* array = open_.of_task(task);
    if (array == nullptr || !tasks_may_go(*array)) return;
    if (!array->record.outcomes[array->record.place_of_number(task)])
        policy_.open_task(array->record.number, task, array->terms);
}

bool Arrays::queue_again(std::uint64_t task) {
    const OpenArray* array = open_.of_task(task);
    if (array != nullptr) policy_.open_task(array->record.number, task, array->terms);
    return array != nullptr;
}

bool Arrays::keeps_back(std::uint64_t task) const {
    const OpenArray* array = open_.of_task(task);
    return array != nullptr && (array->record.cancelled || array->missing_since);
}

void Arrays::environment_found() {
    for (auto& [number, array] : open_.all())
        enqueue_tasks(array);
}

}  // namespace spoold
