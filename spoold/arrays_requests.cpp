// What users ask of open arrays. A part of `Arrays`.
#include "arrays.h"
#include "libspool/array_steps.h"
#include "log.h"

namespace spoold {

namespace {

/// The answer to a request about several tasks, once all is said.
struct Answers {
    std::size_t left = 1;
    std::string problem;
};

}  // namespace

void Arrays::cancel(std::uint64_t number, const std::string& tasks, const RequestReply& reply) {
    OpenArray& array = *open_.find(number);
    const auto list = spool::parse_tasks(tasks);
    list ? cancel_tasks(array, *list, reply) : cancel_all(array, "cancelled by request", reply);
}

void Arrays::cancel_all(OpenArray& array, const std::string& reason, const RequestReply& reply) {
    const std::uint64_t number = array.record.number;
    if (array.published || array.returning) return reply(false, "has just ended");
    if (auto noted = spool::note_cancelled(*spool_.files, array.record, reason, clock_.wall());
        !noted)
        return reply(false, noted.error().text());
    policy_.remove(number);
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_.sync(std::move(barrier), [this, number, reply](const SyncThread::Failures& failures) {
        reply(failures.empty(), failures.empty() ? "is being cancelled, with all its tasks"
                                                 : "is cancelled, but not durably: " +
                                                       failures.begin()->second.text());
        if (OpenArray* found = open_.find(number); found != nullptr && !found->published)
            end_tasks(*found);
        listener_.has_work();
    });
}

/// Of an array with a cancel page: what waits is cancelled at once, what runs is told. Repeated
/// until all have ended: a claim may be undone meanwhile, a mark may fail.
void Arrays::end_tasks(OpenArray& array) {
    const auto before = array.record.outcomes;
    const auto spared = active_places(array);
    const auto noted =
        spool::note_rest(*spool_.files, array.record, spool::Outcome::cancelled, spared);
    troubles_.set("cancel", noted ? "" : "an array cannot be cancelled: " + noted.error().text());
    array.next_cancel = in_a_second();
    if (!noted) return;
    for (std::size_t place = 0; place < before.size(); ++place)
        if (!before[place] && array.record.outcomes[place]) close_task(array, place);
    const bool any = array.record.outcomes != before;
    for (const std::size_t place : spared) {
        const Active& active = active_.jobs().at(array.record.number_of(place));
        if (active.marking || active.content.cancelled()) continue;
        // Refuses what has ended; between two attempts a task has not.
        active_.cancel(active.job.number, *array.record.cancelled, [](const auto&) {});
    }
    if (!any) return;
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_.sync(std::move(barrier), [this](const auto&) { listener_.has_work(); });
    listener_.changed();
}

/// What a cancelled array has still open.
void Arrays::cancel_again(OpenArray& array) {
    const bool open = array.ready && array.record.cancelled && !array.record.has_ended();
    if (!open) return array.next_cancel.reset();
    if (array.next_cancel && clock_.monotonic() >= *array.next_cancel) end_tasks(array);
}

void Arrays::cancel_tasks(OpenArray& array, const spool::TaskList& tasks,
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
        listener_.has_work();
    };
    for (const std::uint32_t task : tasks) {
        const auto place = spool::place_of(array.record.tasks, task);
        if (!place) {
            ++unknown;
        } else if (array.record.outcomes[*place]) {
            ++ended;
        } else if (has_task(array, *place)) {
            ++answers->left;
            active_.cancel(array.record.number_of(*place), "cancelled by request",
                           [answer](const spool::Result<void>& marked) {
                               answer(marked ? "" : marked.error().text());
                           });
        } else if (const auto noted = spool::note_outcome(*spool_.files, array.record, *place,
                                                          spool::Outcome::cancelled)) {
            close_task(array, *place);
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
    syncs_.sync(std::move(barrier), [answer](const SyncThread::Failures& failures) {
        answer(failures.empty() ? "" : failures.begin()->second.text());
    });
    log_info(counted_tasks(cancelled) + " of array " + std::to_string(number) + " cancelled");
    listener_.changed();
}

spool::Result<std::uint64_t> Arrays::running_task(std::uint64_t number,
                                                  const std::string& tasks) const {
    const OpenArray& array = *open_.find(number);
    const auto why_not = [](const std::string& why) { return spool::content_error({}, {}, why); };
    const auto list = spool::parse_tasks(tasks);
    if (!list || list->size() != 1)
        return why_not("is an array: name a task of it that runs, such as " +
                       spool::job_number_text(number, array.record.tasks.front()));
    const auto place = spool::place_of(array.record.tasks, list->front());
    if (!place) return why_not("has no such task");
    if (array.record.outcomes[*place]) return why_not("has ended already");
    if (!has_task(array, *place))
        return why_not("does not run yet: gpuspool hold keeps its array from being started");
    return array.record.number_of(*place);
}

void Arrays::change(std::uint64_t number, const spool::QueueWishes& wishes, const std::string& done,
                    const RequestReply& reply) {
    OpenArray& array = *open_.find(number);
    if (auto noted = spool::note_wishes(*spool_.files, array.record, wishes); !noted)
        return reply(false, "cannot be changed: " + noted.error().text());
    array.terms.priority = wishes.priority.value_or(array.terms.priority);
    array.terms.held = wishes.held.value_or(array.terms.held);
    policy_.set_priority(number, array.terms.priority);
    policy_.set_held(number, array.terms.held);
    listener_.changed();
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    reply_when_synced(syncs_, std::move(barrier), reply, done, listener_.has_work);
    listener_.has_work();
}

}  // namespace spoold
