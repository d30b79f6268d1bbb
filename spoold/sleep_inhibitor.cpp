#include "sleep_inhibitor.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace spoold {

void SleepInhibitor::keep_awake() {
    if (std::exchange(tried_, true)) return;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return tell(spool::system_error("pipe", {}, errno).value().text());
    ProcessOptions options;
    options.arguments = {"systemd-inhibit",
                         "--what=sleep",
                         "--mode=block",
                         "--who=gpuspool",
                         "--why=jobs of the spool run",
                         "cat"};
    options.stdin_fd = ends[0];
    options.new_session = true;
    auto started = start(io_, options);
    close(ends[0]);
    if (!started) {
        close(ends[1]);
        if (started.error().code != ENOENT) tell(started.error().text());
        return;
    }
    input_ = ends[1];
    process_.emplace(std::move(*started));
    process_->async_wait([this](std::optional<int> status) {
        process_.reset();
        const bool refused = status && WIFEXITED(*status) && WEXITSTATUS(*status) != 0;
        if (refused)
            tell(
                "logind lets nobody keep this machine awake: systemd-inhibit has ended with exit "
                "code " +
                std::to_string(WEXITSTATUS(*status)));
    });
}

void SleepInhibitor::tell(const std::string& problem) {
    if (!std::exchange(told_, true)) refused_(problem);
}

void SleepInhibitor::let_sleep() {
    tried_ = false;
    if (input_ >= 0) close(std::exchange(input_, -1));
    process_.reset();
}

}  // namespace spoold
