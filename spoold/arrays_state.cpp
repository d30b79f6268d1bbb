// What is shown of open arrays. A part of `Arrays`.
#include <algorithm>

#include "arrays.h"

namespace spoold {

const spool::ArrayRecord* Arrays::find(std::uint64_t number) const {
    const OpenArray* array = open_.find(number);
    return array == nullptr ? nullptr : &array->record;
}

bool Arrays::busy() const {
    return std::any_of(open_.all().begin(), open_.all().end(), [](const auto& entry) {
        return !entry.second.ready || entry.second.record.has_ended();
    });
}

spool::WaitReason Arrays::reason_of(const OpenArray& array) const {
    using Kind = spool::WaitReason::Kind;
    if (auto reason = listener_.why_waits(array.record.number, array.terms.need)) return *reason;
    if (array.bare && !launcher_.has_environment()) return {Kind::environment, 0, 0, {}, {}};
    if (array.ready && !array.leaders.empty())
        return {Kind::dependency,
                0,
                0,
                "the tasks of job " + std::to_string(array.leaders.front()) + " to succeed",
                {}};
    return {Kind::next, 0, 0, {}, {}};
}

void Arrays::add_to(spool::SpoolState& state) const {
    for (const auto& [number, array] : open_.all()) {
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
