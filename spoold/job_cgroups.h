// The daemon's place for its jobs' cgroups: its own cgroup, or a scope of systemd's.
#pragma once

#include <optional>

#include "cgroup.h"
#include "job_scope.h"

namespace spoold {

class JobCgroups {
public:
    /// Before the first child process: this one may move to another cgroup.
    JobCgroups(boost::asio::io_context& io, const std::string& spool_identity);

    [[nodiscard]] const JobCgroup& place() const { return place_; }
    /// Nothing is started any more: what is empty of it goes.
    void remove();

private:
    KernelCgroups files_;
    std::optional<JobScope> scope_;
    JobCgroup place_;
};

}  // namespace spoold
