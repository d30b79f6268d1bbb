#include <algorithm>
#include <cerrno>

#include "libspool/array_record.h"
#include "libspool/current_state.h"
#include "libspool/done.h"
#include "libspool/find_task.h"
#include "libspool/job_file.h"
#include "libspool/journal_reader.h"
#include "libspool/names.h"
#include "libspool/reader.h"
#include "libspool/values.h"

namespace spool {
namespace {

/// The job file of that name in running/ or done/; empty if it is not there.
std::string job_file_in(Spool& spool, const OpenFile& directory, const std::string& name) {
    for (const std::string_view extension : job_extensions)
        if (std::string file_name = name + std::string(extension);
            spool.files->stat_at(directory.get(), file_name))
            return file_name;
    return {};
}

FoundJob found(const WaitingState& job) {
    return {job.id, job.name, job.file, job};
}

/// A job or an array in running/.
template <typename State>
FoundJob found(Spool& spool, const State& job) {
    return {job.id, job.name, job_file_in(spool, spool.running, job.name), job};
}

FoundJob found(Spool& spool, JobResult result, const std::string& name) {
    const std::uint64_t id = result.id;
    return {id, name, job_file_in(spool, spool.done, name), std::move(result)};
}

std::vector<std::string> ended_names(Spool& spool) {
    return result_names(spool).value_or(std::vector<std::string>());
}

std::optional<std::uint64_t> as_number(const std::string& text) {
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != text.npos)
        return std::nullopt;
    return std::stoull(text);
}

/// A later number is newer; a job that has none yet is newer than all that have one.
bool is_newer(const FoundJob& a, const FoundJob& b) {
    if (a.id - 1 != b.id - 1) return a.id - 1 > b.id - 1;
    const WaitingState *first = a.waiting(), *second = b.waiting();
    if (first && second) return first->submitted_at > second->submitted_at;
    return a.place() > b.place();  // it moved on while we looked
}

void keep_newer(std::optional<FoundJob>& best, FoundJob candidate) {
    if (!best || is_newer(candidate, *best)) best = std::move(candidate);
}

template <typename Accept>
std::optional<FoundJob> newest_active(Spool& spool, const SpoolState& state, Accept accept) {
    std::optional<FoundJob> best;
    for (const WaitingState& job : state.waiting)
        if (accept(job.id, job.name)) keep_newer(best, found(job));
    for (const RunningState& job : state.running)
        if (!job.task && accept(job.id, job.name)) keep_newer(best, found(spool, job));
    for (const ArrayState& array : state.arrays)
        if (accept(array.id, array.name)) keep_newer(best, found(spool, array));
    return best;
}

std::optional<FoundJob> ended_with_number(Spool& spool, std::uint64_t number) {
    if (const auto line = find_in_history(spool, number))
        if (auto result = read_done(spool, line->name); result && result->id == number)
            return found(spool, std::move(*result), line->name);
    for (const std::string& name : ended_names(spool))
        if (auto result = read_done(spool, name); result && result->id == number)
            return found(spool, std::move(*result), name);
    return std::nullopt;
}

template <typename Accept>
std::optional<FoundJob> newest_ended(Spool& spool, Accept accept) {
    std::optional<FoundJob> best;
    for (const std::string& name : ended_names(spool)) {
        if (!accept(std::uint64_t(0), name)) continue;
        if (auto result = read_done(spool, name))
            keep_newer(best, found(spool, std::move(*result), name));
    }
    return best;
}

std::optional<FoundJob> newest_ended(Spool& spool) {
    if (const auto line = newest_in_history(spool))
        if (auto result = read_done(spool, line->name); result && result->id == line->number)
            return found(spool, std::move(*result), line->name);
    return newest_ended(spool, [](std::uint64_t, const std::string&) { return true; });
}

std::optional<FoundJob> look_up(Spool& spool, const SpoolState& state, const std::string& job) {
    if (job.empty()) {
        auto best =
            newest_active(spool, state, [](std::uint64_t, const std::string&) { return true; });
        if (auto ended = newest_ended(spool)) keep_newer(best, std::move(*ended));
        return best;
    }
    if (const auto number = as_number(job)) {
        auto best = newest_active(
            spool, state, [&](std::uint64_t id, const std::string&) { return id == *number; });
        if (!best)
            best = ended_with_number(spool, *number);
        else if (auto ended = read_done(spool, best->name); ended && ended->id == *number)
            best = found(spool, std::move(*ended),
                         std::string(best->name));  // it moved on while we looked
        if (best) return best;
    }
    const bool exact = plain_name(job) != job;
    const auto accept = [&](std::uint64_t, const std::string& name) {
        return name == job || (!exact && plain_name(name) == job);
    };
    auto best = newest_active(spool, state, accept);
    if (auto ended = newest_ended(spool, accept)) keep_newer(best, std::move(*ended));
    return best;
}

tl::unexpected<Error> no_such_job(Spool& spool, const SpoolState& state, const std::string& job) {
    const auto newest = look_up(spool, state, "");
    if (!newest)
        return tl::unexpected(
            Error{{},
                  {},
                  job.empty() ? "there are no jobs yet: gpuspool submit -- COMMAND"
                              : "no job '" + printable(job) + "'; there are no jobs at all",
                  ENOENT,
                  std::nullopt});
    std::vector<std::string> names = ended_names(spool);
    for (const WaitingState& waiting : state.waiting)
        names.push_back(waiting.name);
    for (const RunningState& running : state.running)
        names.push_back(running.name);
    for (const ArrayState& array : state.arrays)
        names.push_back(array.name);
    std::string message = "no job '" + printable(job) + "'";
    if (const auto meant = as_number(job) ? std::nullopt : nearest(job, names))
        message += "; did you mean '" + printable(*meant) + "'";
    message += "; the newest is " +
               (newest->id != 0 ? std::to_string(newest->id) + " " : std::string()) + "(" +
               printable(newest->name) + ")";
    return tl::unexpected(Error{{}, {}, message, ENOENT, std::nullopt});
}

}  // namespace

Result<FoundJob> find_job(Spool& spool, const std::string& job, const Clock& clock) {
    Result<SpoolState> state = current_state(spool, clock, false);
    if (!state) return tl::unexpected(state.error());
    auto best = look_up(spool, *state, job);
    if (!best && state->waiting_count > state->waiting.size()) {
        state = current_state(spool, clock, true);
        if (!state) return tl::unexpected(state.error());
        best = look_up(spool, *state, job);
    }
    if (!best)
        if (const auto name = split_job_name(job)) best = look_up(spool, *state, name->stem);
    const auto reference = best ? std::nullopt : parse_task_reference(job);
    if (reference && reference->tasks.size() == 1)
        if (const auto array = look_up(spool, *state, reference->array))
            return find_task(spool, *state, *array, reference->tasks.front());
    if (!best) return no_such_job(spool, *state, job);
    return std::move(*best);
}

}  // namespace spool
