// What is asked of open arrays, what is shown of them, and how they are found again after a
// restart.
#include <algorithm>

#include "daemon.h"
#include "libspool/array_steps.h"
#include "libspool/names.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

std::string counted_tasks(std::size_t count) {
    return std::to_string(count) + (count == 1 ? " task" : " tasks");
}

/// The answer to a request about several tasks, once all is said.
struct Answers {
    std::size_t left = 1;
    std::string problem;
};

}  // namespace

void Daemon::cancel_array(OpenArray& array, const std::string& reason, const RequestReply& reply) {
    const std::uint64_t number = array.record.number;
    if (array.published || array.returning) return reply(false, "has just ended");
    if (auto noted = spool::note_cancelled(files_, array.record, reason, clock_.wall()); !noted)
        return reply(false, noted.error().text());
    policy_.remove(number);
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_->sync(std::move(barrier), [this, number, reply](const SyncThread::Failures& failures) {
        reply(failures.empty(), failures.empty() ? "is being cancelled, with all its tasks"
                                                 : "is cancelled, but not durably: " +
                                                       failures.begin()->second.text());
        if (OpenArray* found = arrays_.find(number); found != nullptr && !found->published)
            end_tasks(*found);
        ask_for_pass();
    });
}

/// Of an array with a cancel page: what waits is cancelled at once, what runs is told. Repeated
/// until all have ended: a claim may be undone meanwhile, a mark may fail.
void Daemon::end_tasks(OpenArray& array) {
    const auto before = array.record.outcomes;
    const auto spared = active_places(array);
    const auto noted = spool::note_rest(files_, array.record, spool::Outcome::cancelled, spared);
    troubles_.set("cancel", noted ? "" : "an array cannot be cancelled: " + noted.error().text());
    array.next_cancel = clock_.monotonic() + 1s;
    if (!noted) return;
    for (std::size_t place = 0; place < before.size(); ++place)
        if (!before[place] && array.record.outcomes[place]) task_ended(array, place);
    const bool any = array.record.outcomes != before;
    for (const std::size_t place : spared) {
        const Active& active = active_->jobs().at(array.record.number_of(place));
        if (active.marking || active.content.cancelled()) continue;
        // Refuses what has ended; between two attempts a task has not.
        active_->cancel(active.job.number, *array.record.cancelled, [](const auto&) {});
    }
    if (!any) return;
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_->sync(std::move(barrier), [this](const auto&) { ask_for_pass(); });
    state_changed_ = true;
}

void Daemon::cancel_tasks(OpenArray& array, const spool::TaskList& tasks,
                          const RequestReply& reply) {
    if (array.published || array.returning) return reply(false, "has just ended");
    const std::uint64_t number = array.record.number;
    std::size_t ended = 0, unknown = 0, cancelled = 0;
    std::string unwritten;
    const auto answers = std::make_shared<Answers>();
    const auto answer = [this, answers, reply, total = tasks.size()](const std::string& problem) {
        if (!problem.empty()) answers->problem = problem;
        if (--answers->left > 0) return;
        const bool good = answers->problem.empty();
        reply(good,
              good ? counted_tasks(total) + " cancelled, or being cancelled" : answers->problem);
        ask_for_pass();
    };
    for (const std::uint32_t task : tasks) {
        const auto place = spool::place_of(array.record.tasks, task);
        if (!place) {
            ++unknown;
        } else if (array.record.outcomes[*place]) {
            ++ended;
        } else if (has_task(array, *place)) {
            ++answers->left;
            active_->cancel(array.record.number_of(*place), "cancelled by request",
                            [answer](const spool::Result<void>& marked) {
                                answer(marked ? "" : marked.error().text());
                            });
        } else if (const auto noted = spool::note_outcome(files_, array.record, *place,
                                                          spool::Outcome::cancelled)) {
            task_ended(array, *place);
            ++cancelled;
        } else {
            unwritten = noted.error().text();
        }
    }
    if (unknown > 0) answers->problem = "has no such task (" + counted_tasks(unknown) + ")";
    if (ended > 0) answers->problem = counted_tasks(ended) + " of these had ended already";
    if (!unwritten.empty()) answers->problem = "cannot be cancelled whole: " + unwritten;
    if (cancelled == 0) return answer("");
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_->sync(std::move(barrier), [answer](const SyncThread::Failures& failures) {
        answer(failures.empty() ? "" : failures.begin()->second.text());
    });
    log_info(counted_tasks(cancelled) + " of array " + std::to_string(number) + " cancelled");
    state_changed_ = true;
}

void Daemon::change_array(OpenArray& array, const spool::QueueWishes& wishes,
                          const std::string& done, const RequestReply& reply) {
    if (auto noted = spool::note_wishes(files_, array.record, wishes); !noted)
        return reply(false, "cannot be changed: " + noted.error().text());
    array.terms.priority = wishes.priority.value_or(array.terms.priority);
    array.terms.held = wishes.held.value_or(array.terms.held);
    policy_.set_priority(array.record.number, array.terms.priority);
    policy_.set_held(array.record.number, array.terms.held);
    state_changed_ = true;
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_->sync(std::move(barrier), [this, reply, done](const SyncThread::Failures& failures) {
        reply(failures.empty(),
              failures.empty() ? done
                               : "is changed, but not durably: " + failures.begin()->second.text());
        ask_for_pass();
    });
    ask_for_pass();
}

/// Before the records of their tasks are taken up.
void Daemon::recover_arrays(std::vector<spool::ArrayRecord> records) {
    for (spool::ArrayRecord& record : records) {
        OpenArray& array = take_array(std::move(record));
        array.begun = array.record.ended() != 0;
        if (array.begun)
            note_standing(array.record.number, array.record.name, spool::Standing::running);
        log_info("array " + std::to_string(array.record.number) + " (" + array.record.name +
                 ") goes on: " + std::to_string(array.record.ended()) + " of " +
                 counted_tasks(array.record.tasks.size()) + " have ended");
    }
}

/// After them.
void Daemon::resume_arrays() {
    for (auto& [number, array] : arrays_.all())
        note_leaders(array);
    for (auto& [number, array] : arrays_.all())
        resume_array(array);
}

/// A record of an earlier daemon has a task.
void Daemon::note_task_found(std::uint64_t task, bool runs) {
    OpenArray* array = arrays_.of_task(task);
    if (array == nullptr || !runs || std::exchange(array->begun, true)) return;
    note_standing(array->record.number, array->record.name, spool::Standing::running);
}

spool::WaitReason Daemon::reason_of(const OpenArray& array) const {
    using Kind = spool::WaitReason::Kind;
    if (auto nothing = nothing_starts()) return *nothing;
    if (auto reason = policy_.why(array.record.number)) {
        add_largest_gpu(*reason, array.terms.need);
        return *reason;
    }
    if (array.bare && !launcher_->has_environment()) return {Kind::environment, 0, 0, {}, {}};
    if (array.ready && !array.leaders.empty())
        return {Kind::dependency,
                0,
                0,
                "the tasks of job " + std::to_string(array.leaders.front()) + " to succeed",
                {}};
    return {Kind::next, 0, 0, {}, {}};
}

void Daemon::add_arrays(spool::SpoolState& state) const {
    for (const auto& [number, array] : arrays_.all()) {
        if (array.published || array.returning) continue;
        const spool::ArrayRecord& record = array.record;
        spool::ArrayState out;
        out.id = number;
        out.name = record.name;
        out.file = record.file_name;
        out.command = array.command;
        out.priority = array.terms.priority;
        out.submitted_at = record.submitted_at;
        out.started_at = record.opened_at;
        out.count = record.tasks.size();
        out.ended = record.counts;
        std::uint64_t held = 0;
        for (const std::size_t place : active_places(array))
            if (!record.outcomes[place]) ++held;
        out.running = held;
        out.waiting = out.count - record.ended() - held;
        if (out.waiting > 0) out.reason = reason_of(array);
        state.arrays.push_back(std::move(out));
    }
}

}  // namespace spoold
