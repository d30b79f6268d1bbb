// Child processes of the daemon: started through Boost.Process v2 with a posix_spawn launcher,
// waited for on the loop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libspool/error.h"

namespace boost::asio {
class io_context;
}

namespace spoold {

/// What to start, and what of ours it gets. The child begins with no signal blocked or ignored, and
/// with no descriptor but the ones named here.
struct ProcessOptions {
    std::vector<std::string> arguments{};    ///< the first one is searched for in our own PATH
    std::vector<std::string> environment{};  ///< KEY=VALUE; empty: our own
    std::string directory{};                 ///< empty: our own
    int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;  ///< -1: /dev/null
    std::vector<std::pair<int, int>> descriptors{};     ///< further ones: (ours, its number there)
    bool new_session = false;                           ///< setsid: no controlling terminal
};

/// A started child. Destroying it never ends the process: what nobody waits for any more is reaped
/// in the background for as long as the loop runs.
class ChildProcess {
public:
    /// The status as of waitpid(2), or nothing if it cannot be known (somebody else reaped the
    /// process).
    using WaitHandler = std::function<void(std::optional<int> wait_status)>;

    ChildProcess(ChildProcess&&) noexcept;
    ChildProcess& operator=(ChildProcess&&) noexcept;
    ~ChildProcess();

    [[nodiscard]] pid_t pid() const;
    /// Calls `handler` once, from the loop, when the process has ended; not after this object is
    /// gone. One at a time.
    void async_wait(WaitHandler handler);
    /// Sends a signal through the pidfd: it reaches this process or fails with ESRCH, never another
    /// process.
    spool::Result<void> signal(int number);

private:
    struct State;
    explicit ChildProcess(std::shared_ptr<State> state);
    void let_go();
    friend spool::Result<ChildProcess> start(boost::asio::io_context&, const ProcessOptions&);

    std::shared_ptr<State> state_;
};

/// Starts a process. A program that cannot be executed and a directory that cannot be entered are
/// errors with their errno; no process is left then. The loop's process must not ignore SIGCHLD.
spool::Result<ChildProcess> start(boost::asio::io_context& io, const ProcessOptions& options);

}  // namespace spoold
