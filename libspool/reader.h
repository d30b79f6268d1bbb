// Reading a spool from any host, with or without a daemon: what status, log and wait show.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "libspool/array_spec.h"
#include "libspool/layout.h"
#include "libspool/state.h"

namespace spool {

/// What is there now: the published state if a daemon runs, else what the directories themselves
/// say (waiting jobs are then read from incoming/, each with reason `daemon_down`; running ones
/// from the last published state if their files are still in running/). `recent` always has the
/// newest results of done/.
Result<SpoolState> read_spool(Spool& spool, const Clock& clock);

/// Where a job is.
enum class Place { waiting, running, done };

struct FoundJob {
    std::uint64_t id = 0;
    std::string name;       ///< unique name (of a waiting job: the stem)
    std::string file_name;  ///< of the job file in its directory
    /// What is known of it; an open array is in running/.
    std::variant<WaitingState, RunningState, ArrayState, JobResult> state;
    std::optional<std::uint64_t>
        task{};  ///< of a task: its index; `id` is its array's, the file too

    // Null unless it is that.
    [[nodiscard]] const WaitingState* waiting() const { return std::get_if<WaitingState>(&state); }
    [[nodiscard]] const RunningState* running() const { return std::get_if<RunningState>(&state); }
    [[nodiscard]] const ArrayState* array() const { return std::get_if<ArrayState>(&state); }
    [[nodiscard]] const JobResult* result() const { return std::get_if<JobResult>(&state); }
    [[nodiscard]] Place place() const {
        if (waiting()) return Place::waiting;
        return result() ? Place::done : Place::running;
    }
};

/// Resolves what the user calls a job: a number, a name (plain: its newest job, running before
/// done; "x~2": exactly that), a task of an array ("42_7", "x_7", unless a job is called so), or ""
/// for the newest job of all. The error names what is there instead.
Result<FoundJob> find_job(Spool& spool, const std::string& job, const Clock& clock);

/// All results in done/, newest first, at most `limit`. Those that were looked at and cannot be
/// understood are left out; `unreadable` receives why. `observer` is told before each how many of
/// how many have been read: there may be a hundred thousand.
using ReadObserver = std::function<void(std::size_t read, std::size_t all)>;
Result<std::vector<JobResult>> read_results(Spool& spool, std::size_t limit,
                                            std::vector<Error>* unreadable = nullptr,
                                            const ReadObserver& observer = {});

}  // namespace spool
