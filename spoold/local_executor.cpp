#include "local_executor.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "libspool/system.h"
#include "log.h"
#include "send_with_descriptor.h"

namespace spoold {

using spool::record::StartReply;
using spool::record::StartRequest;

namespace {

spool::Result<void> signal_supervisor(const spool::ActiveJob& job,
                                      const spool::RecordContent& content, int number) {
    const int pid = content.run.supervisor_pid;
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) return spool::system_error("find the supervisor of", job.name, errno);
    // The number may be somebody else's by now: what was opened is only believed after a second
    // look.
    const auto start = spool::process_start(pid);
    spool::Result<void> sent;
    if (!start || *start != content.run.supervisor_start)
        sent = spool::system_error("find the supervisor of", job.name, ESRCH);
    else if (syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0) != 0)
        sent = spool::system_error("signal the supervisor of", job.name, errno);
    ::close(pidfd);
    return sent;
}

}  // namespace

LocalExecutor::LocalExecutor(boost::asio::io_context& io, spool::Files& files,
                             LocalExecutorOptions options, FailureHandler on_failure)
    : io_(io),
      files_(files),
      options_(std::move(options)),
      on_failure_(std::move(on_failure)),
      socket_(io) {}

spool::Result<void> LocalExecutor::ensure_zygote() {
    if (socket_.is_open()) return {};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return spool::system_error("socketpair", {}, errno);
    ProcessOptions options;
    options.arguments = {options_.spool_exec, "--zygote", options_.spool_path};
    if (!options_.job_cgroup.empty())
        options.arguments.insert(options.arguments.end(), {"--cgroup", options_.job_cgroup});
    if (!options_.supervisor_cgroup.empty())
        options.arguments.insert(options.arguments.end(),
                                 {"--sup-cgroup", options_.supervisor_cgroup});
    options.stderr_fd = STDERR_FILENO;
    options.descriptors = {{ends[1], 3}};
    options.new_session = true;
    auto started = spoold::start(io_, options);
    ::close(ends[1]);
    if (!started) {
        ::close(ends[0]);
        return tl::unexpected(started.error());
    }
    boost::system::error_code refused;
    socket_.assign(ends[0], refused);
    if (refused) {  // the zygote ends when its socket is closed
        ::close(ends[0]);
        return spool::system_error("wait for", options_.spool_exec, refused.value());
    }
    zygote_.emplace(std::move(*started));
    zygote_->async_wait([this](std::optional<int>) {
        // The next start makes a new one; the supervisors that it forked live on.
        log_warning("spool-exec, which starts the jobs, has ended; it will be started again");
        socket_.close();
    });
    wait_for_replies();
    return {};
}

spool::Result<void> LocalExecutor::start(const spool::ActiveJob& job, const Binding& binding) {
    if (auto ready = ensure_zygote(); !ready) return ready;
    std::string payload = spool::write_run_gpus(binding.gpus);
    const std::size_t gpus_length = payload.size();
    for (const std::string& variable : binding.environment)
        payload.append(variable.c_str(), variable.size() + 1);

    StartRequest request{};
    request.magic = StartRequest::magic_value;
    request.record = job.record.index;
    request.token = job.token;
    request.gpus_length = static_cast<std::uint32_t>(gpus_length);
    request.environment_length = static_cast<std::uint32_t>(payload.size() - gpus_length);
    if (payload.size() > sizeof request.payload)
        return spool::content_error("job " + job.shown_number(), {},
                                    "its list of GPUs is too long");
    payload.copy(request.payload, payload.size());
    const std::size_t size = offsetof(StartRequest, payload) + payload.size();
    if (!send_with_descriptor(socket_.native_handle(), &request, size, binding.gpu_lock,
                              MSG_DONTWAIT)) {
        const int code = errno;
        if (code != EAGAIN) socket_.close();
        return spool::system_error("ask spool-exec", options_.spool_exec, code);
    }
    return {};
}

void LocalExecutor::wait_for_replies() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& error) {
                           if (error) return;
                           read_replies();
                           if (socket_.is_open()) wait_for_replies();
                       });
}

void LocalExecutor::read_replies() {
    for (;;) {
        StartReply reply{};
        const ssize_t size = recv(socket_.native_handle(), &reply, sizeof reply, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return;
        if (size == 0) return socket_.close();
        if (size == sizeof reply && reply.error != 0) on_failure_(reply.record, reply.error);
    }
}

spool::Result<void> LocalExecutor::notify_cancel(const spool::ActiveJob& job,
                                                 const spool::RecordContent& content) {
    return signal_supervisor(job, content, SIGRTMIN);
}

spool::Result<void> LocalExecutor::notify_wish(const spool::ActiveJob& job,
                                               const spool::RecordContent& content) {
    return signal_supervisor(job, content, SIGRTMIN + 1);
}

spool::Result<Standing> LocalExecutor::standing(const spool::ActiveJob& job) {
    // The lock first: pages that are read after it was seen free are final.
    const auto locked = files_.is_locked(job.record.file.get());
    if (!locked) return tl::unexpected(locked.error());
    auto content = spool::read_record(files_, job.record);
    if (!content) return tl::unexpected(content.error());
    return Standing{std::move(*content), *locked};
}

}  // namespace spoold
