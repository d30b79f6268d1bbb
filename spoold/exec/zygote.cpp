#include "spoold/exec/zygote.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "spoold/exec/say.h"

namespace spool::exec {

using record::StartReply;
using record::StartRequest;

namespace {

constexpr std::size_t request_head = offsetof(StartRequest, payload);
constexpr std::size_t most_descriptors = 64;

/// One request and the descriptors that came with it (GPU locks): the supervisor's to keep.
struct Parcel {
    StartRequest request;
    int descriptors[most_descriptors];
    std::size_t count = 0;

    /// Bytes received; 0 when the daemon has gone.
    ssize_t receive(int socket);
    bool sane(std::size_t size) const;
    /// Of a sane request.
    record::Limits limits(std::size_t size) const;
    void close_descriptors();

private:
    void take_descriptors(msghdr& message);
};

ssize_t Parcel::receive(int socket) {
    iovec data{&request, sizeof request};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptors)];
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size;
    do
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    count = 0;
    if (size > 0) take_descriptors(message);
    return size;
}

void Parcel::take_descriptors(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t bytes = part->cmsg_len - CMSG_LEN(0);
        memcpy(descriptors, CMSG_DATA(part), bytes);
        count = bytes / sizeof(int);
    }
}

bool Parcel::sane(std::size_t size) const {
    if (size < request_head || request.magic != StartRequest::magic_value) return false;
    const std::size_t payload = size - request_head;
    if (request.gpus_length > payload) return false;
    if (request.environment_length > payload - request.gpus_length) return false;
    return request.environment_length == 0 ||
           request.payload[request.gpus_length + request.environment_length - 1] == 0;
}

record::Limits Parcel::limits(std::size_t size) const {
    record::Limits limits{};
    const std::size_t used = request.gpus_length + request.environment_length;
    if (size - request_head - used >= sizeof limits)
        memcpy(&limits, request.payload + used, sizeof limits);
    return limits;
}

void Parcel::close_descriptors() {
    for (std::size_t i = 0; i < count; ++i)
        close(descriptors[i]);
    count = 0;
}

/// In the forked process: the daemon's socket and messages are not for it.
[[noreturn]] void supervise(Setup& setup, const Parcel& parcel, std::size_t size, int socket) {
    close(socket);
    const StartRequest& request = parcel.request;
    Supervisor supervisor(setup);
    const Order order{request.record,
                      request.token,
                      {request.payload, request.gpus_length},
                      {request.payload + request.gpus_length, request.environment_length},
                      parcel.limits(size)};
    const ExitCode code = supervisor.run(order);
    explain(code, request.record);
    quit(code);
}

void answer(int socket, const StartRequest& request, pid_t pid, int error) {
    const StartReply reply{request.record, request.token, pid, error};
    // A daemon that has gone needs no answer; the record tells the next one everything.
    (void)send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
}

void start(Setup& setup, const Parcel& parcel, std::size_t size, int socket, Fd& supervisors) {
    pid_t pid = fork_into(supervisors.get());
    if (pid < 0 && supervisors) pid = fork_into(-1);
    if (pid == 0) supervise(setup, parcel, size, socket);
    answer(socket, parcel.request, pid > 0 ? pid : 0, pid > 0 ? 0 : errno);
}

}  // namespace

int serve(Setup& setup, Fd socket, Fd supervisors) {
    static Parcel parcel;
    setup.detached = true;
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        const ssize_t size = parcel.receive(socket.get());
        if (size <= 0) return 0;
        if (parcel.sane(static_cast<std::size_t>(size))) {
            start(setup, parcel, static_cast<std::size_t>(size), socket.get(), supervisors);
        } else {
            answer(socket.get(), parcel.request, 0, EBADMSG);
        }
        parcel.close_descriptors();
    }
}

}  // namespace spool::exec
