// A scope of systemd's, for the jobs of a daemon that is a service itself.
//
// Controllers cannot be used in the service's own cgroup: jobs outlive the daemon in it, and
// systemd before 258 puts the next daemon there, which the kernel refuses (EBUSY) beside cgroups
// with controllers. A scope that was delegated to us is nobody's business but ours, and it is there
// as long as anything lives in it: so a process that does nothing lives in it as long as the
// daemon.
#pragma once

#include <string>

#include "libspool/error.h"
#include "process.h"

namespace spoold {

class JobScope {
public:
    /// Whether the cgroup of that directory is where systemd starts a service.
    [[nodiscard]] static bool is_for(const std::string& service_cgroup);

    /// Asks systemd-run for one and waits for it, up to 5 s. The manager asked is that of the
    /// service.
    static spool::Result<JobScope> open(boost::asio::io_context& io,
                                        const std::string& service_cgroup,
                                        const std::string& spool_identity);

    JobScope(JobScope&& other) noexcept;
    JobScope& operator=(JobScope&&) = delete;
    ~JobScope();

    [[nodiscard]] const std::string& directory() const { return directory_; }
    [[nodiscard]] pid_t keeper() const { return keeper_.pid(); }

private:
    JobScope(ChildProcess keeper, int input);

    ChildProcess keeper_;  ///< ends when its input is closed, by us or by our end
    int input_;
    std::string directory_;
};

}  // namespace spoold
