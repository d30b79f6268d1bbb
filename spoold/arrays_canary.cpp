// Arrays of which the first task runs alone (`--canary`), and failed. A part of `Arrays`.
#include "arrays.h"
#include "libspool/array_steps.h"
#include "libspool/canaries.h"
#include "libspool/names.h"
#include "log.h"

namespace spoold {

std::string Arrays::canary_text(const OpenArray& array, std::size_t place) const {
    const spool::ArrayRecord& record = array.record;
    return "task " + std::to_string(record.number) + "_" + std::to_string(record.tasks[place]) +
           spool::canary_failed_text(spool_.path, record.name_of(place));
}

/// Until somebody has looked at it. What the disk refuses holds all the same.
void Arrays::hold_rest(OpenArray& array, std::size_t place) {
    const std::uint64_t number = array.record.number;
    if (array.record.has_ended() || array.record.cancelled) return;
    array.terms.held = true;
    array.why_held = canary_text(array, place);
    policy_.set_held(number, true);
    tell_held(array);
    log_warning(title(array) + " is held: " + array.why_held);
    spool::QueueWishes wishes = array.record.wishes;
    wishes.held = true;
    const auto noted = spool::note_wishes(*spool_.files, array.record, wishes);
    troubles_.set("canary sync", noted ? ""
                                       : "that an array is held cannot be noted for the next "
                                         "daemon: " +
                                             noted.error().text());
    if (!noted) return;
    spool::SyncSet barrier;
    barrier.add(array.record.file.get(), false);
    syncs_.sync(std::move(barrier), [this](const auto&) { listener_.has_work(); });
}

/// From what an earlier daemon has noted of its tasks.
void Arrays::recall_canary(OpenArray& array) {
    if (!array.terms.canary) return;
    const auto& outcomes = array.record.outcomes;
    std::optional<std::size_t> failed;
    for (std::size_t place = 0; place < outcomes.size(); ++place) {
        if (outcomes[place] == spool::Outcome::succeeded)
            return policy_.pass_canary(array.record.number);
        if (outcomes[place] == spool::Outcome::failed) failed = place;
    }
    if (!failed || !array.terms.held) return;
    array.why_held = canary_text(array, *failed);
    tell_held(array);
}

/// In the status, as long as it is so.
void Arrays::tell_held(OpenArray& array) {
    if (!array.terms.held) array.why_held.clear();
    const std::string number = std::to_string(array.record.number);
    troubles_.set("canary " + number, array.why_held.empty()
                                          ? ""
                                          : title(array) + " is held: " + array.why_held +
                                                "; to let the rest go: gpuspool release " + number);
    listener_.changed();
}

}  // namespace spoold
