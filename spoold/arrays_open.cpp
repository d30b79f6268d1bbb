// The opening of an array: its file goes to running/, or back. A part of `Arrays`.
#include "arrays.h"
#include "libspool/array_steps.h"
#include "libspool/job_file.h"
#include "libspool/launch_spec.h"
#include "libspool/names.h"
#include "log.h"

namespace spoold {

namespace {

std::vector<std::uint64_t> leaders_among(const spool::Dependencies& after) {
    std::vector<std::uint64_t> leaders;
    for (const spool::Dependency& condition : after.list)
        if (condition.after == spool::After::task_success) leaders.push_back(condition.job);
    return leaders;
}

}  // namespace

Arrays::Arrays(ArrayParts parts, ArraysListener listener)
    : spool_(parts.spool),
      clock_(parts.clock),
      boot_(parts.boot),
      pool_(parts.pool),
      history_(parts.history),
      index_(parts.index),
      incoming_(parts.incoming),
      policy_(parts.policy),
      active_(parts.active),
      launcher_(parts.launcher),
      syncs_(parts.syncs),
      troubles_(parts.troubles),
      listener_(std::move(listener)),
      standings_(spool_, index_, incoming_, active_, open_) {}

bool Arrays::open(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_.find(number);
    if (job == nullptr) return false;
    spool::OpenRequest request{job->file_name,
                               job->stat,
                               number,
                               job->submitted_at,
                               {job->wishes.priority, std::nullopt},
                               [this](const std::string& name) {
                                   return active_.name_taken(name) || open_.name_taken(name);
                               }};
    request.leaders = leaders_among(standings_.conditions(*job));
    auto opened = spool::open_array(spool_, clock_, request);
    troubles_.set("claim", opened ? "" : "arrays cannot be opened: " + opened.error().text());
    if (!opened) {
        listener_.claims_fail();
        incoming_.settle_again(number, spool::WaitReason::Kind::trouble);
        return false;
    }
    if (const auto* refused = std::get_if<spool::NotClaimed>(&*opened)) {
        incoming_.settle_again(number, *refused == spool::NotClaimed::open_for_writing
                                           ? spool::WaitReason::Kind::open
                                           : spool::WaitReason::Kind::settling);
        return false;
    }
    incoming_.forget(number);
    OpenArray& array = take(std::move(std::get<spool::ArrayRecord>(*opened)));
    note_leaders(array);
    log_info(title(array) + " is opened: " + std::to_string(array.record.tasks.size()) + " tasks");
    sync_opening(number);
    listener_.changed();
    return true;
}

void Arrays::sync_opening(std::uint64_t number) {
    spool::SyncSet barrier;
    incoming_.add_barrier(barrier);
    spool::add_open_barrier(spool_, barrier);
    syncs_.sync(std::move(barrier),
                [this, number](const auto& failures) { opened(number, failures); });
}

/// What the daemon keeps of an open array in memory.
OpenArray& Arrays::take(spool::ArrayRecord record) {
    OpenArray array;
    // Without an error: else it would be no array, and its record would not have been read.
    if (auto spec = spool::read_job_file(record.job_file, record.file_name))
        array.spec = std::move(*spec);
    array.whole = array_task_of(record, array.spec);
    array.terms = spool::terms_of(array.spec, record.submitted_at);
    array.bare = spool::needs_login_environment(array.spec);
    array.command = spool::command_line(array.spec, record.job_file).substr(0, 500);
    array.terms.priority = record.wishes.priority.value_or(array.terms.priority);
    array.terms.held = record.wishes.held.value_or(false);
    array.terms.begin = 0;
    array.record = std::move(record);
    const spool::ArrayRecord& known = array.record;
    listener_.standing(known.number, known.name, spool::Standing::waiting);
    index_.note_used(known.number);
    for (std::size_t place = 0; place < known.tasks.size(); ++place)
        index_.note_used(known.number_of(place));
    return open_.add(std::move(array));
}

/// Where the record does not say, by name too: all that it may name must be known.
void Arrays::note_leaders(OpenArray& array) {
    const spool::ArrayRecord& record = array.record;
    if (record.leaders) {
        array.leaders = *record.leaders;
        return;
    }
    const auto after = standings_.conditions(array.spec.after, record.number,
                                             spool::stem_of(record.file_name), true);
    array.leaders = leaders_among(after);
}

void Arrays::opened(std::uint64_t number, const SyncThread::Failures& failures) {
    listener_.opened(number);
    OpenArray* array = open_.find(number);
    if (array == nullptr) return;
    troubles_.set("claim", failures.empty() ? ""
                                            : "arrays cannot be opened durably: " +
                                                  failures.begin()->second.text());
    if (!failures.empty()) {
        listener_.claims_fail();
        // What was cancelled of it would be forgotten in the queue.
        if (!array->record.cancelled && array->record.ended() == 0) return give_back(*array);
        array->next_try = in_a_second();
        return;
    }
    make_ready(*array);
    listener_.has_work();
}

/// No task was claimed yet. May be repeated.
void Arrays::give_back(OpenArray& array) {
    spool::ArrayRecord& record = array.record;
    array.returning = true;
    const auto closed = spool::close_untouched(spool_, record);
    troubles_.set(
        "unclaim",
        closed ? "" : "an array cannot be put back into the queue: " + closed.error().text());
    array.next_try = in_a_second();
    if (!closed) return;
    log_warning(title(array) + " goes back to the queue");
    const spool::WaitingEntry entry{record.number,    record.device,       record.inode,
                                    record.file_name, record.submitted_at, record.wishes};
    open_.erase(record.number);
    incoming_.expect(entry);
    listener_.has_work();
}

}  // namespace spoold
