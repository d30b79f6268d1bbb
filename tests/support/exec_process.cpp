#include "tests/support/exec_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "spoold/send_with_descriptor.h"

namespace spool::test {

pid_t start_program(const std::vector<std::string>& arguments, int descriptor3) {
    std::vector<char*> list;
    for (const std::string& argument : arguments)
        list.push_back(const_cast<char*>(argument.c_str()));
    list.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (descriptor3 >= 0) {
        posix_spawn_file_actions_adddup2(&actions, descriptor3, 3);
        // A zygote's supervisors would fill the test's output with what they refuse.
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid = -1;
    const int error = posix_spawnp(&pid, list[0], &actions, nullptr, list.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        throw std::runtime_error("cannot start " + arguments[0] + ": " + std::strerror(error));
    return pid;
}

int wait_for_program(pid_t pid, int seconds) {
    const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    pollfd wait{process, POLLIN, 0};
    const bool ended = poll(&wait, 1, seconds * 1000) == 1;
    ::close(process);
    if (!ended) kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!ended) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

bool wait_until(const std::function<bool()>& condition, int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

std::vector<pid_t> processes_of(const RecordBuilder& record) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string environment = read_text(entry.path() / "environ");
        if (environment.find("GPUSPOOL_TOKEN=" + record.token_hex()) != std::string::npos)
            found.push_back(std::stoi(name));
    }
    return found;
}

pid_t start_supervisor(const std::string& program, const RecordBuilder& record,
                       const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        program,   "--record",         std::to_string(record.number()),
        "--token", record.token_hex(), record.spool()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start_program(arguments);
}

Zygote::Zygote(const std::string& program, const std::string& spool,
               const std::vector<std::string>& more) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        throw std::runtime_error("socketpair");
    // Not 3 itself: dup2 onto the same number would leave it to be closed on exec.
    const int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    ::close(ends[1]);
    socket_ = ends[0];
    std::vector<std::string> arguments = {program, "--zygote", spool};
    arguments.insert(arguments.end(), more.begin(), more.end());
    pid_ = start_program(arguments, theirs);
    ::close(theirs);
}

Zygote::~Zygote() {
    close();
}

int Zygote::close() {
    if (socket_ < 0) return 0;
    ::close(socket_);
    socket_ = -1;
    return wait_for_program(pid_, 10);
}

void Zygote::send(const RecordBuilder& record, const std::string& gpus,
                  const std::vector<std::string>& environment, int descriptor) {
    record::StartRequest request{};
    request.magic = record::StartRequest::magic_value;
    request.record = record.number();
    request.token = record.token();
    std::string payload = gpus;
    for (const std::string& variable : environment)
        payload += variable + '\0';
    request.gpus_length = static_cast<std::uint32_t>(gpus.size());
    request.environment_length = static_cast<std::uint32_t>(payload.size() - gpus.size());
    payload.copy(request.payload, sizeof request.payload);

    const std::size_t size = offsetof(record::StartRequest, payload) + payload.size();
    if (!spoold::send_with_descriptor(socket_, &request, size, descriptor))
        throw std::runtime_error("sendmsg");
}

record::StartReply Zygote::receive() {
    record::StartReply reply{};
    if (recv(socket_, &reply, sizeof reply, 0) != sizeof reply)
        throw std::runtime_error("no reply");
    return reply;
}

record::StartReply Zygote::start(const RecordBuilder& record, const std::string& gpus,
                                 const std::vector<std::string>& environment) {
    send(record, gpus, environment);
    return receive();
}

}  // namespace spool::test
