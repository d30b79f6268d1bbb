// How far jobs, and single tasks of arrays, have come: for those that follow them.
#pragma once

#include "active_jobs.h"
#include "libspool/incoming.h"
#include "libspool/job_index.h"
#include "open_arrays.h"

namespace spoold {

class TaskStandings {
public:
    TaskStandings(const spool::Spool& spool, const spool::JobIndex& index,
                  const spool::Incoming& incoming, const ActiveJobs& active,
                  const OpenArrays& arrays)
        : spool_(spool), index_(index), incoming_(incoming), active_(active), arrays_(arrays) {}

    /// Of a job or a task, by its number.
    [[nodiscard]] spool::Standing of(std::uint64_t number) const;
    /// Of the task of an array, whether that waits, is open, or has ended.
    [[nodiscard]] spool::Standing of_task(std::uint64_t array, std::uint32_t task) const;

    /// What people call a job or a task: "42", "42_7".
    [[nodiscard]] std::string label(std::uint64_t number) const;

    /// The conditions of a job by number; of arrays that follow arrays task by task such as they
    /// are, else on the whole.
    [[nodiscard]] spool::Dependencies conditions(const spool::AfterJobs& after,
                                                 std::uint64_t number, const std::string& name,
                                                 bool of_array) const;
    [[nodiscard]] spool::Dependencies conditions(const spool::WaitingJob& job) const;
    /// Whether a task may go, as far as the arrays are concerned that its own follows.
    [[nodiscard]] spool::Verdict verdict(const OpenArray& array, std::uint32_t task) const;

private:
    [[nodiscard]] std::optional<spool::Dependency> task_condition(const spool::AfterJob& condition,
                                                                  std::uint64_t before) const;

    /// The tasks of an array that has ended, by outcome, as its result has them.
    struct Ended {
        std::uint64_t array = 0;
        std::map<spool::Outcome, spool::TaskList> tasks;
    };
    [[nodiscard]] const Ended* ended(std::uint64_t array) const;

    const spool::Spool& spool_;
    const spool::JobIndex& index_;
    const spool::Incoming& incoming_;
    const ActiveJobs& active_;
    const OpenArrays& arrays_;
    mutable Ended ended_;  ///< the last that was asked for: it is asked for once a task
};

}  // namespace spoold
