// Where jobs run. The daemon decides what runs when; an executor carries it out and says how it
// stands.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "libspool/active_job.h"

namespace spoold {

/// What is settled about a job only at its start.
struct Binding {
    spool::GrantedGpus gpus;
    std::vector<std::string> environment;  ///< KEY=VALUE
    /// Not to be started later than that (monotonic clock) by this decision: who uses the GPUs may
    /// have changed.
    std::optional<std::chrono::nanoseconds> valid_until;
    int gpu_lock = -1;  ///< descriptor that the supervisor keeps as long as it lives; -1: none
};

/// How an active job stands.
struct Standing {
    spool::RecordContent content;
    bool alive = false;  ///< its supervisor is proven to live
};

class Executor {
public:
    virtual ~Executor() = default;

    /// Starts the job. May be repeated for one attempt: it executes at most once. That it has
    /// started, or could not be, is seen from its standing.
    virtual spool::Result<void> start(const spool::ActiveJob& job, const Binding& binding) = 0;
    /// Makes the running job look at its cancel page.
    virtual spool::Result<void> notify_cancel(const spool::ActiveJob& job,
                                              const spool::RecordContent& content) = 0;
    /// Makes it look at its wish page.
    virtual spool::Result<void> notify_wish(const spool::ActiveJob& job,
                                            const spool::RecordContent& content) = 0;
    virtual spool::Result<Standing> standing(const spool::ActiveJob& job) = 0;
};

}  // namespace spoold
