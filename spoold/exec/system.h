// The few calls to the kernel that the C library lacks, and what every part of spool-exec shares.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "libspool/record.h"

namespace spool::exec {

/// Exit codes of a supervisor; anything but `done` means that nothing was executed by it.
enum ExitCode : int {
    done = 0,
    usage = 64,             ///< wrong arguments
    not_ours = 65,          ///< damaged, newer, not claimed, or of another token or boot
    no_record = 66,         ///< the record cannot be opened or read
    system_error = 71,      ///< the kernel refused something that must work
    already_executed = 73,  ///< there is a run or an exit page with this token
    busy = 75,              ///< another supervisor holds the record's lock
};

/// Owns a descriptor.
class Fd {
public:
    explicit Fd(int number = -1) : number_(number) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : number_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept;
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    int get() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }
    int release();
    void reset();

private:
    int number_;
};

/// Nanoseconds of CLOCK_BOOTTIME: for decisions. It goes on while the machine sleeps.
std::int64_t boot_time();
/// Nanoseconds of the wall clock: for people.
std::int64_t wall_time();

inline constexpr std::int64_t millisecond = 1'000'000;
inline constexpr std::int64_t second = 1000 * millisecond;

/// Forks, into the cgroup of that directory descriptor unless it is -1. Returns like fork(2), errno
/// set on failure.
pid_t fork_into(int cgroup);

/// Reads up to `size` bytes of a small file; returns the number read, or -1.
ssize_t read_file(int directory, const char* path, void* buffer, std::size_t size);

/// Writes everything or returns an errno.
int write_all(int file, const void* data, std::size_t size);

/// This boot's id; false if it cannot be read.
bool read_boot_id(record::BootId& id);

/// What /proc/<pid>/stat says of a process.
struct ProcessStat {
    pid_t pid, parent;
    char state;
    long threads;
    std::uint64_t start;  ///< field 22, clock ticks since the boot: with the pid, who it is
};

/// False if there is no such process (any more). `pid` 0 is the caller.
bool read_stat(pid_t pid, ProcessStat& out);

/// Default handlers (for ignored signals too) and all signals blocked: what supervisors live with,
/// and where a job's clean state begins.
void reset_signals();

/// Ends the process without running anything of the C library.
[[noreturn]] void quit(int code);

}  // namespace spool::exec
