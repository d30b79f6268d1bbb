#include "spoold/exec/system.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "spoold/exec/text.h"

namespace spool::exec {

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        reset();
        number_ = other.release();
    }
    return *this;
}

int Fd::release() {
    const int number = number_;
    number_ = -1;
    return number;
}

void Fd::reset() {
    if (number_ >= 0) close(release());
}

static std::int64_t now(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * second + time.tv_nsec;
}

std::int64_t boot_time() {
    return now(CLOCK_BOOTTIME);
}
std::int64_t wall_time() {
    return now(CLOCK_REALTIME);
}

pid_t fork_into(int cgroup) {
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    if (cgroup >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(cgroup);
    }
    const long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    // Kernels before 5.3 and strict seccomp filters have no clone3; without a cgroup fork will do.
    if (pid < 0 && errno == ENOSYS && cgroup < 0) return fork();
    return static_cast<pid_t>(pid);
}

ssize_t read_file(int directory, const char* path, void* buffer, std::size_t size) {
    const Fd file(openat(directory, path, O_RDONLY | O_CLOEXEC));
    return file ? read(file.get(), buffer, size) : -1;
}

int write_all(int file, const void* data, std::size_t size) {
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t count = write(file, next, size);
        if (count < 0 && errno != EINTR) return errno;
        if (count <= 0) continue;
        next += count;
        size -= static_cast<std::size_t>(count);
    }
    return 0;
}

bool read_boot_id(record::BootId& id) {
    char text[64];
    const ssize_t count = read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof text);
    return count > 0 && parse_hex(text, static_cast<std::size_t>(count), id);
}

/// The command's name may hold blanks and brackets: what follows its last bracket is split at
/// blanks.
static bool parse_stat(char* text, ProcessStat& out) {
    char* field = strrchr(text, ')');
    if (!field || field[1] != ' ') return false;
    out.state = field[2];
    field += 3;
    out.parent = static_cast<pid_t>(strtol(field, &field, 10));
    // `field` is at the blank before field `number`; each step takes it to the next.
    for (int number = 5; number <= 21; ++number) {
        field = strchr(field + 1, ' ');
        if (!field) return false;
        if (number == 19) out.threads = strtol(field + 1, nullptr, 10);
    }
    out.start = strtoull(field + 1, nullptr, 10);
    return true;
}

bool read_stat(pid_t pid, ProcessStat& out) {
    Text<64> path;
    path.add("/proc/");
    if (pid)
        path.add_number(static_cast<std::uint64_t>(pid));
    else
        path.add("self");
    path.add("/stat");
    char text[1024];
    const ssize_t count = read_file(AT_FDCWD, path.c_str(), text, sizeof text - 1);
    if (count <= 0) return false;
    text[count] = 0;
    out.pid = static_cast<pid_t>(strtol(text, nullptr, 10));
    return parse_stat(text, out);
}

void reset_signals() {
    // Not through the C library, which hides the two real-time signals that it uses itself.
    const std::uint64_t all = ~std::uint64_t{0};
    const std::uint64_t standard_action[8] = {};
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all);
    for (int number = 1; number <= 64; ++number)
        (void)syscall(SYS_rt_sigaction, number, standard_action, nullptr, sizeof all);
}

void quit(int code) {
    for (;;)
        syscall(SYS_exit_group, code);
}

}  // namespace spool::exec
