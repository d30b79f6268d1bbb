#include "cli/gpu_probe.h"

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "cli/terminal.h"
#include "cli/watch.h"
#include "libspool/programs.h"

namespace cli {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds patience{30};
constexpr int look_interval_ms = 200;

}  // namespace

/// At the end of its input it ends by itself; one that hangs in a driver is left to init.
GpuProbe::~GpuProbe() {
    end();
}

void GpuProbe::end() {
    if (socket_ >= 0) ::close(socket_);
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0) (void)kill(pid_, SIGTERM);
    socket_ = -1;
    pid_ = 0;
}

spool::Result<void> GpuProbe::start() {
    const std::string program =
        spool::find_program("spool-probe", "GPUSPOOL_PROBE", GPUSPOOL_LIBEXEC);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return spool::system_error("socketpair", {}, errno);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string name = program;
    char* const arguments[] = {name.data(), nullptr};
    const int code = posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (code != 0) {
        ::close(ends[0]);
        pid_ = 0;
        return spool::system_error("start", program, code);
    }
    socket_ = ends[0];
    return {};
}

spool::Result<std::string> GpuProbe::read_line() {
    std::string line;
    Progress progress;
    const auto end = steady_clock::now() + patience;
    while (!interrupted()) {
        pollfd waited{socket_, POLLIN, 0};
        const int ready = poll(&waited, 1, look_interval_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0 && steady_clock::now() < end) {
            progress.show("waiting for the GPUs' drivers");
            continue;
        }
        if (ready <= 0) return spool::system_error("ask the GPUs' drivers", {}, ETIMEDOUT);
        char buffer[16384];
        const ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
        if (count <= 0) break;
        line.append(buffer, static_cast<std::size_t>(count));
        if (line.ends_with('\n')) return line;
    }
    return spool::content_error("spool-probe", {}, "has ended without an answer");
}

spool::Result<spool::GpuSurvey> GpuProbe::ask() {
    if (socket_ < 0)
        if (auto started = start(); !started) return tl::unexpected(started.error());
    auto answer = send(socket_, "\n", 1, MSG_NOSIGNAL) == 1
                      ? read_line()
                      : spool::system_error("ask the GPUs' drivers", {}, errno);
    // A late answer must not be taken for that to the next question.
    if (!answer) end();
    return answer.and_then([](const std::string& line) { return spool::read_survey(line); });
}

}  // namespace cli
