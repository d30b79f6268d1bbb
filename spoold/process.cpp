// The only translation unit that includes Boost.Process v2. Of the version in Boost 1.81 the
// launcher and the wait are replaced: its own leave a zombie after a failed exec, let descriptors
// leak, know no setsid and wait blockingly.
#include "spoold/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/process/v2/process.hpp>
#include <csignal>

namespace spoold {
namespace {

namespace asio = boost::asio;
namespace v2 = boost::process::v2;
using boost::system::error_code;
using spool::Result;

/// A descriptor that is closed at the end.
class Descriptor {
public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() { reset(); }
    [[nodiscard]] int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }
    void reset() {
        if (fd_ >= 0) ::close(release());
    }

private:
    int fd_;
};

int open_pidfd(pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

/// The attributes of posix_spawn: nothing blocked, nothing ignored.
class SpawnAttributes {
public:
    explicit SpawnAttributes(bool new_session) {
        ::posix_spawnattr_init(&attributes_);
        sigset_t none, all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        const int session = new_session ? POSIX_SPAWN_SETSID : 0;
        ::posix_spawnattr_setflags(
            &attributes_,
            static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | session));
    }
    SpawnAttributes(const SpawnAttributes&) = delete;
    ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
    [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

private:
    posix_spawnattr_t attributes_;
};

/// The file actions of posix_spawn: exactly the descriptors asked for, in any permutation.
class SpawnActions {
public:
    SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
    SpawnActions(const SpawnActions&) = delete;
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

    Result<void> prepare(const ProcessOptions& options) {
        auto wanted = options.descriptors;
        wanted.insert(wanted.end(), {{options.stdin_fd, STDIN_FILENO},
                                     {options.stdout_fd, STDOUT_FILENO},
                                     {options.stderr_fd, STDERR_FILENO}});
        std::sort(wanted.begin(), wanted.end(),
                  [](const auto& a, const auto& b) { return a.second < b.second; });
        if (!options.directory.empty())
            ::posix_spawn_file_actions_addchdir_np(&actions_, options.directory.c_str());
        return install(wanted);
    }

private:
    /// Sources are first moved above all targets, so that no target overwrites a source that is
    /// still needed.
    Result<void> install(const std::vector<std::pair<int, int>>& wanted) {
        const int end = wanted.back().second + 1;
        int next = 0;
        for (const auto& [ours, theirs] : wanted) {
            for (; next < theirs; ++next)
                ::posix_spawn_file_actions_addclose(&actions_, next);
            next = theirs + 1;
            if (ours < 0) {
                ::posix_spawn_file_actions_addopen(&actions_, theirs, "/dev/null",
                                                   theirs == 0 ? O_RDONLY : O_WRONLY, 0);
                continue;
            }
            const int copy = ::fcntl(ours, F_DUPFD_CLOEXEC, end);
            if (copy < 0) return spool::system_error("duplicate a descriptor", {}, errno);
            copies_.emplace_back(copy);
            ::posix_spawn_file_actions_adddup2(&actions_, copy, theirs);
        }
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, end);
        return {};
    }

    posix_spawn_file_actions_t actions_;
    std::vector<Descriptor> copies_;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
    std::vector<char*> out;
    out.reserve(strings.size() + 1);
    for (const std::string& text : strings)
        out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

/// A launcher in the sense of Boost.Process v2. posix_spawn waits until the exec is through, and
/// reports its failure.
struct SpawnLauncher {
    const SpawnActions& actions;
    const SpawnAttributes& attributes;
    const std::vector<std::string>& environment;
    int pidfd = -1;  ///< set on success: a second descriptor, for the caller

    v2::process operator()(asio::io_context& io, error_code& error, const std::string& program,
                           const std::vector<std::string>& arguments) {
        const auto argv = pointers(arguments);
        const auto own = pointers(environment);
        Descriptor reserve(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
        Descriptor second(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
        pid_t pid = -1;
        const int failed = ::posix_spawnp(&pid, program.c_str(), actions.get(), attributes.get(),
                                          argv.data(), environment.empty() ? environ : own.data());
        if (failed != 0) return fail(io, error, failed);
        reserve.reset();  // room for the two descriptors below, also when the table is full
        second.reset();
        Descriptor first(open_pidfd(pid)), copy(::fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
        if (copy.get() < 0) return abandon(io, error, pid, errno);
        try {
            v2::process process(io.get_executor(), pid, first.get());
            (void)first.release();
            pidfd = copy.release();
            return process;
        } catch (const boost::system::system_error& refused) {
            return abandon(io, error, pid, refused.code().value());
        }
    }
    /// A child that cannot be watched must not go on.
    static void end(pid_t pid) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }

private:
    static v2::process fail(asio::io_context& io, error_code& error, int code) {
        error.assign(code, boost::system::system_category());
        return v2::process(io);
    }
    static v2::process abandon(asio::io_context& io, error_code& error, pid_t pid, int code) {
        end(pid);
        return fail(io, error, code);
    }
};

std::optional<int> wait_status(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
    return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

}  // namespace

struct ChildProcess::State : std::enable_shared_from_this<State> {
    State(asio::io_context& context, pid_t id, int fd) : io(context), pid(id), pidfd(context, fd) {}

    /// Waits for the pidfd to become readable; that is a hint, waitid is the truth.
    void arm() {
        if (std::exchange(armed, true)) return;
        pidfd.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](error_code error) {
                             self->armed = false;
                             if (!error) self->reap();
                         });
    }

    void reap() {
        siginfo_t info{};
        const int result =
            ::waitid(P_PIDFD, static_cast<id_t>(pidfd.native_handle()), &info, WEXITED | WNOHANG);
        if (result == 0 && info.si_pid == 0) return arm();
        ended = true;
        if (result == 0) status = wait_status(info);
        deliver();
    }

    void deliver() {
        if (auto handler = std::exchange(waiting, nullptr)) handler(status);
    }

    asio::io_context& io;
    pid_t pid;
    asio::posix::stream_descriptor pidfd;
    WaitHandler waiting;
    bool armed = false, ended = false;
    std::optional<int> status;
};

ChildProcess::ChildProcess(std::shared_ptr<State> state) : state_(std::move(state)) {}
ChildProcess::ChildProcess(ChildProcess&&) noexcept = default;
ChildProcess::~ChildProcess() {
    let_go();
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    if (this != &other) {
        let_go();
        state_ = std::move(other.state_);
    }
    return *this;
}

void ChildProcess::let_go() {
    if (!state_) return;
    state_->waiting = nullptr;
    if (!state_->ended) state_->arm();
    state_.reset();
}

pid_t ChildProcess::pid() const {
    return state_->pid;
}

void ChildProcess::async_wait(WaitHandler handler) {
    state_->waiting = std::move(handler);
    if (!state_->ended) return state_->arm();
    asio::post(state_->io, [state = state_] { state->deliver(); });
}

Result<void> ChildProcess::signal(int number) {
    const int fd = state_->pidfd.native_handle();
    if (::syscall(SYS_pidfd_send_signal, fd, number, nullptr, 0) == 0) return {};
    return spool::system_error("signal process " + std::to_string(state_->pid), {}, errno);
}

Result<ChildProcess> start(asio::io_context& io, const ProcessOptions& options) {
    if (options.arguments.empty()) return spool::system_error("start a program", {}, EINVAL);
    const SpawnAttributes attributes(options.new_session);
    SpawnActions actions;
    if (auto prepared = actions.prepare(options); !prepared)
        return tl::unexpected(prepared.error());

    SpawnLauncher launcher{actions, attributes, options.environment};
    error_code error;
    v2::process process = launcher(io, error, options.arguments.front(), options.arguments);
    if (error) return spool::system_error("start", options.arguments.front(), error.value());
    const pid_t pid = process.detach().id();
    Descriptor pidfd(launcher.pidfd);
    try {
        auto state = std::make_shared<ChildProcess::State>(io, pid, pidfd.get());
        (void)pidfd.release();
        return ChildProcess(std::move(state));
    } catch (const boost::system::system_error& refused) {
        SpawnLauncher::end(pid);
        return spool::system_error("wait for", options.arguments.front(), refused.code().value());
    }
}

}  // namespace spoold
