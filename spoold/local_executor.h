// Jobs as processes of this machine: each has a supervisor (spool-exec), forked by a small process
// that waits for requests, the zygote. Supervisors outlive the daemon and the zygote.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <optional>

#include "executor.h"
#include "process.h"

namespace spoold {

struct LocalExecutorOptions {
    std::string spool_exec;  ///< path of the program
    std::string spool_path;
    std::string job_cgroup, supervisor_cgroup;  ///< directories; empty: without cgroups
};

class LocalExecutor : public Executor {
public:
    /// `on_failure(job's record, errno)` is called from the loop when a supervisor could not be
    /// forked.
    using FailureHandler = std::function<void(std::uint32_t record, int code)>;

    LocalExecutor(boost::asio::io_context& io, spool::Files& files, LocalExecutorOptions options,
                  FailureHandler on_failure);

    /// Whether jobs that are started from now on are kept to their memory and processors.
    void enforce_limits(bool enforced) { enforced_ = enforced; }

    spool::Result<void> start(const spool::ActiveJob& job, const Binding& binding) override;
    spool::Result<void> notify_cancel(const spool::ActiveJob& job,
                                      const spool::RecordContent& content) override;
    spool::Result<void> notify_wish(const spool::ActiveJob& job,
                                    const spool::RecordContent& content) override;
    spool::Result<Standing> standing(const spool::ActiveJob& job) override;

private:
    spool::Result<void> ensure_zygote();
    void wait_for_replies();
    void read_replies();

    boost::asio::io_context& io_;
    spool::Files& files_;
    LocalExecutorOptions options_;
    bool enforced_ = true;
    FailureHandler on_failure_;
    boost::asio::posix::stream_descriptor socket_;
    std::optional<ChildProcess> zygote_;
};

}  // namespace spoold
