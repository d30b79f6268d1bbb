// Arrays from the opening to the end: the daemon's part of docs/protocol.md §14.
#include <algorithm>

#include "daemon.h"
#include "libspool/array_steps.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

std::string title(const spool::ArrayRecord& array) {
    return "array " + std::to_string(array.number) + " (" + array.name + ")";
}

}  // namespace

bool Daemon::name_taken(const std::string& name) const {
    return active_->name_taken(name) || arrays_.name_taken(name);
}

/// The turn of an array has come: its file goes to running/. Names are held meanwhile.
void Daemon::open_array(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job == nullptr) return;
    spool::OpenRequest request{job->file_name,
                               job->stat,
                               number,
                               job->submitted_at,
                               {job->wishes.priority, std::nullopt},
                               [this](const std::string& name) { return name_taken(name); }};
    auto opened = spool::open_array(spool_, clock_, request);
    troubles_.set("claim", opened ? "" : "arrays cannot be opened: " + opened.error().text());
    if (!opened) {
        no_claims_before_ = clock_.monotonic() + 1s;
        return incoming_->settle_again(number, spool::WaitReason::Kind::trouble);
    }
    if (const auto* refused = std::get_if<spool::NotClaimed>(&*opened))
        return incoming_->settle_again(number, *refused == spool::NotClaimed::open_for_writing
                                                   ? spool::WaitReason::Kind::open
                                                   : spool::WaitReason::Kind::settling);
    incoming_->forget(number);
    OpenArray& array = take_array(std::move(std::get<spool::ArrayRecord>(*opened)));
    note_leaders(array);
    log_info(title(array.record) + " is opened: " + std::to_string(array.record.tasks.size()) +
             " tasks");
    sync_opening(number);
    state_changed_ = true;
}

void Daemon::sync_opening(std::uint64_t number) {
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    spool::add_open_barrier(spool_, barrier);
    syncs_->sync(std::move(barrier),
                 [this, number](const auto& failures) { array_opened(number, failures); });
}

/// What the daemon keeps of an open array in memory.
OpenArray& Daemon::take_array(spool::ArrayRecord record) {
    OpenArray array;
    if (const auto spec = spool::read_job_file(record.job_file, record.file_name)) {
        array.terms = spool::terms_of(*spec, record.submitted_at);
        array.bare = spool::needs_login_environment(*spec);
        array.command = spool::command_line(*spec, record.job_file).substr(0, 500);
    }
    array.terms.priority = record.wishes.priority.value_or(array.terms.priority);
    array.terms.held = record.wishes.held.value_or(false);
    array.terms.begin = 0;
    array.record = std::move(record);
    const spool::ArrayRecord& known = array.record;
    note_standing(known.number, known.name, spool::Standing::waiting);
    index_.note_used(known.number);
    for (std::size_t place = 0; place < known.tasks.size(); ++place)
        index_.note_used(known.number_of(place));
    return arrays_.add(std::move(array));
}

/// By name too: all that it may name must be known.
void Daemon::note_leaders(OpenArray& array) {
    const spool::ArrayRecord& record = array.record;
    const auto spec = spool::read_job_file(record.job_file, record.file_name);
    if (!spec) return;
    const auto after =
        conditions(spec->after, record.number, spool::stem_of(record.file_name), true);
    for (const spool::Dependency& condition : after.list)
        if (condition.after == spool::After::task_success) array.leaders.push_back(condition.job);
}

void Daemon::array_opened(std::uint64_t number, const SyncThread::Failures& failures) {
    OpenArray* array = arrays_.find(number);
    if (array == nullptr) return;
    troubles_.set("claim", failures.empty() ? ""
                                            : "arrays cannot be opened durably: " +
                                                  failures.begin()->second.text());
    if (!failures.empty()) {
        no_claims_before_ = clock_.monotonic() + 1s;
        // What was cancelled of it would be forgotten in the queue.
        if (!array->record.cancelled && array->record.ended() == 0) return return_array(*array);
        array->next_try = clock_.monotonic() + 1s;
        return;
    }
    resume_array(*array);
    ask_for_pass();
}

/// No task was claimed yet. May be repeated.
void Daemon::return_array(OpenArray& array) {
    spool::ArrayRecord& record = array.record;
    array.returning = true;
    const auto closed = spool::close_untouched(spool_, record);
    troubles_.set(
        "unclaim",
        closed ? "" : "an array cannot be put back into the queue: " + closed.error().text());
    array.next_try = clock_.monotonic() + 1s;
    if (!closed) return;
    log_warning(title(record) + " goes back to the queue");
    const spool::WaitingEntry entry{record.number,    record.device,       record.inode,
                                    record.file_name, record.submitted_at, record.wishes};
    arrays_.erase(record.number);
    incoming_->expect(entry);
    ask_for_pass();
}

/// Its tasks may be claimed from now on.
void Daemon::resume_array(OpenArray& array) {
    array.ready = true;
    enqueue_followers_of_tasks();
    if (array.record.cancelled) return end_tasks(array);
    for (std::size_t place = 0; !array.leaders.empty() && place < array.record.tasks.size();
         ++place)
        if (!array.record.outcomes[place] && !has_task(array, place) &&
            task_verdict(array, array.record.tasks[place]) == spool::Verdict::never)
            (void)note_outcome(array, place, spool::Outcome::cancelled);
    enqueue_tasks(array);
}

/// Whether a record has the task: it runs, is about to, or its result is on its way.
bool Daemon::has_task(const OpenArray& array, std::size_t place) const {
    return active_->jobs().contains(array.record.number_of(place));
}

bool Daemon::has_tasks(const OpenArray& array) const {
    const auto first = active_->jobs().lower_bound(array.record.first);
    return first != active_->jobs().end() && array.record.has(first->first);
}

std::vector<std::size_t> Daemon::active_places(const OpenArray& array) const {
    std::vector<std::size_t> places;
    for (auto job = active_->jobs().lower_bound(array.record.first);
         job != active_->jobs().end() && array.record.has(job->first); ++job)
        places.push_back(array.record.place_of_number(job->first));
    return places;
}

/// Whether its tasks wait for the machine, or for others, alone.
bool Daemon::tasks_may_go(const OpenArray& array) const {
    return array.ready && !array.record.cancelled && !array.missing_since &&
           (!array.bare || launcher_->has_environment());
}

/// Tells the queue which tasks wait for the machine alone.
void Daemon::enqueue_tasks(OpenArray& array) {
    if (!tasks_may_go(array)) return policy_.remove(array.record.number);
    spool::NumberSet waiting;
    const auto in_queue = [&](std::uint64_t task) {  // for a further attempt
        const Active& active = active_->jobs().at(task);
        return !active.binding && (active.stage == Stage::claimed ||
                                   (active.stage == Stage::retrying && active.queued));
    };
    for (std::size_t place = 0; place < array.record.tasks.size(); ++place)
        if (!array.record.outcomes[place] &&
            (!has_task(array, place) || in_queue(array.record.number_of(place))) &&
            task_verdict(array, array.record.tasks[place]) == spool::Verdict::met)
            waiting.insert(array.record.number_of(place));
    policy_.add_array(array.record.number, array.terms, std::move(waiting));
}

/// Names are held meanwhile. False if the task does not start now.
bool Daemon::claim_task(const spool::Start& start) {
    const OpenArray* array = arrays_.find(start.array);
    if (array == nullptr) return false;
    const spool::ArrayRecord& record = array->record;
    const std::size_t place = record.place_of_number(start.job);
    if (!tasks_may_go(*array) || record.outcomes[place]) return false;
    spool::ClaimRequest request;
    request.file_name = record.file_name;
    request.seen.device = record.device;
    request.seen.inode = record.inode;
    request.number = start.job;
    request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
        return launcher_->launch(identity, bytes, record.submitted_at, &record);
    };
    const spool::ClaimIdentity identity{start.job, 1, record.name_of(place), record.extension,
                                        spool::random_token()};
    auto claimed =
        spool::claim_task(spool_, *pool_, clock_, boot_, request, identity, record.job_file);
    troubles_.set("claim", claimed ? "" : "tasks cannot be claimed: " + claimed.error().text());
    if (!claimed) {
        no_claims_before_ = clock_.monotonic() + 1s;
        return false;
    }
    active_->add(std::move(*claimed));
    return true;
}

/// Its claim was undone: it waits again.
void Daemon::reopen_task(std::uint64_t task) {
    const OpenArray* array = arrays_.of_task(task);
    if (array == nullptr || !tasks_may_go(*array)) return;
    if (!array->record.outcomes[array->record.place_of_number(task)])
        policy_.open_task(array->record.number, task, array->terms);
}

void Daemon::note_task_started(const spool::ActiveJob& job) {
    OpenArray* array = arrays_.of_task(job.number);
    if (array == nullptr) return;
    policy_.note(job.number, spool::Standing::running);
    if (std::exchange(array->begun, true)) return;
    note_standing(array->record.number, array->record.name, spool::Standing::running);
}

/// Notes it in the record. What cannot be written is true all the same; then the task's own record
/// is kept, and so is the array.
bool Daemon::note_outcome(OpenArray& array, std::size_t place, spool::Outcome outcome) {
    const auto noted = spool::note_outcome(files_, array.record, place, outcome);
    if (!noted) {
        array.broken = true;
        array.record.outcomes[place] = outcome;
        ++array.record.counts[outcome];
        troubles_.set("array " + std::to_string(array.record.number),
                      "what became of a task of " + title(array.record) +
                          " cannot be noted: " + noted.error().text());
        array.next_try = clock_.monotonic() + 1s;
    }
    task_ended(array, place);
    return noted.has_value();
}

void Daemon::task_ended(OpenArray& array, std::size_t place) {
    const spool::ArrayRecord& record = array.record;
    policy_.close_task(record.number, record.number_of(place));
    policy_.note(record.number_of(place), spool::standing_of(*record.outcomes[place]));
    follow_up(record.number, record.tasks[place]);
}

void Daemon::note_task_ended(const spool::JobResult& result) {
    OpenArray* array = arrays_.find(result.id);
    if (array == nullptr) return;
    const auto place = spool::place_of(array->record.tasks, *result.task);
    if (!place || array->record.outcomes[*place]) return;
    (void)note_outcome(*array, *place, result.state);
}

/// Opens, ends and tries again what is due.
void Daemon::advance_arrays() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, array] : arrays_.all())
        numbers.push_back(number);
    for (const std::uint64_t number : numbers) {
        OpenArray& array = *arrays_.find(number);
        cancel_again(array);
        if (array.next_try && clock_.monotonic() < *array.next_try) continue;
        const bool again = std::exchange(array.next_try, std::nullopt).has_value();
        if (array.broken) note_outcomes_again(array);
        if (array.returning)
            return_array(array);
        else if (!array.ready && again)
            sync_opening(number);
        else if (array.ready && !array.published && !array.broken && array.record.has_ended() &&
                 !has_tasks(array))
            end_array(array);
    }
}

/// What could not be written when it happened.
void Daemon::note_outcomes_again(OpenArray& array) {
    std::vector<std::size_t> open;
    for (std::size_t place = 0; place < array.record.tasks.size(); ++place)
        if (!array.record.outcomes[place]) open.push_back(place);
    if (spool::note_rest(files_, array.record, spool::Outcome::lost, open)) {
        array.broken = false;
        troubles_.set("array " + std::to_string(array.record.number), "");
    } else {
        array.next_try = clock_.monotonic() + 1s;
    }
}

/// What a cancelled array has still open.
void Daemon::cancel_again(OpenArray& array) {
    const bool open = array.ready && array.record.cancelled && !array.record.has_ended();
    if (!open) return array.next_cancel.reset();
    if (array.next_cancel && clock_.monotonic() >= *array.next_cancel) end_tasks(array);
}

/// All of its tasks have ended, and none has a record any more.
void Daemon::end_array(OpenArray& array) {
    const auto names = hold_names();
    if (!names) return;
    spool::JobResult result = spool::array_result(array.record, clock_.wall());
    result.host = spool::host_name();
    auto published = spool::publish_array(spool_, array.record, result);
    troubles_.set(
        "publish",
        published ? "" : "results cannot be written to done/: " + published.error().text());
    if (!published) {
        array.next_try = clock_.monotonic() + 1s;
        return;
    }
    spool::remove_task_directories(spool_, array.record);
    array.published = std::move(*published);
    array.missing_since.reset();
    (void)history_->append_or_keep(spool::write_line(spool::history_entry(result)));
    log_info(title(array.record) + ": " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    note_ended(result);
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, *array.published, barrier);
    barrier.add(array.record.file.get(), false);
    barrier.add(history_->handle(), false);
    syncs_->sync(std::move(barrier), [this, number = array.record.number](const auto& failures) {
        array_ended(number, failures);
    });
}

/// Without barrier 3 the record has the truth until a later daemon publishes again.
void Daemon::array_ended(std::uint64_t number, const SyncThread::Failures& failures) {
    OpenArray* array = arrays_.find(number);
    if (array == nullptr) return;
    troubles_.set(
        "result sync",
        failures.empty() ? "" : "results could not be synced: " + failures.begin()->second.text());
    if (failures.empty()) (void)spool::remove_array_record(spool_, array->record);
    arrays_.erase(number);
    state_changed_ = true;
    ask_for_pass();
}

/// How many files of arrays are not in running/.
std::size_t Daemon::look_at_array_files() {
    std::size_t absent = 0;
    for (auto& [number, array] : arrays_.all()) {
        const auto stat = files_.stat_at(spool_.running.get(), array.record.job_file_name());
        const bool missing = !stat && stat.error().code == ENOENT;
        const bool matters = array.ready && !array.published && !array.record.cancelled;
        if (!missing || !matters) {
            if (!array.missing_since) continue;
            array.missing_since.reset();
            if (matters) enqueue_tasks(array);
            continue;
        }
        // No task begins until it is known what that means.
        if (!array.missing_since) {
            array.missing_since = clock_.monotonic();
            policy_.remove(number);
        }
        ++absent;
    }
    return absent;
}

/// One that is deleted is to be cancelled; several, or all with running/ itself, are an accident
/// (docs/protocol.md §7, 2).
void Daemon::look_at_missing_arrays(std::size_t absent) {
    const bool accident = std::exchange(restoring_arrays_, false) || absent > 1;
    for (auto& [number, array] : arrays_.all()) {
        if (!array.missing_since) continue;
        if (accident) {
            put_array_file_back(array);
        } else if (clock_.monotonic() - *array.missing_since >= 1s) {
            array.missing_since = clock_.monotonic();
            cancel_array(array, "its file was removed from running/", [](bool, const auto&) {});
        }
    }
}

void Daemon::put_array_file_back(OpenArray& array) {
    const auto restored = spool::restore_array_file(spool_, array.record);
    troubles_.set("put back", restored ? ""
                                       : "files of arrays cannot be put back into running/: " +
                                             restored.error().text());
    if (!restored) {
        array.missing_since = clock_.monotonic();
        restoring_arrays_ = true;
        return;
    }
    array.missing_since.reset();
    enqueue_tasks(array);
    log_warning("several files vanished from running/ at once: that of " + title(array.record) +
                " was put back; to cancel it: gpuspool cancel " +
                std::to_string(array.record.number));
}

}  // namespace spoold
