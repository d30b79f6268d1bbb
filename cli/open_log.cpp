#include "cli/open_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "cli/context.h"
#include "cli/format.h"
#include "cli/watch.h"
#include "libspool/attempts.h"
#include "libspool/names.h"

namespace cli {
namespace {

bool write_all(const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t put = ::write(STDOUT_FILENO, data, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            note_output_failure(put < 0 ? errno : EIO);
            return false;
        }
        data += put;
        size -= static_cast<std::size_t>(put);
    }
    return true;
}

/// The name of what is open.
std::string target_of(int file) {
    std::array<char, 4096> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
    return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : "a device";
}

int directory_of(const spool::Spool& spool, const spool::FoundJob& job) {
    const spool::OpenFile& directory =
        job.place() == spool::Place::running ? spool.running : spool.done;
    return static_cast<int>(directory.get());
}

/// With --output, x.log is a link to the named file: here, links are followed.
int open_log(int directory, const std::string& name) {
    return ::openat(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

bool is_regular(int file) {
    struct stat status {};
    return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

bool is_same(const struct stat& a, const struct stat& b) {
    return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

bool is_same(int file, int other) {
    struct stat a {
    }, b{};
    return ::fstat(file, &a) == 0 && ::fstat(other, &b) == 0 && is_same(a, b);
}

bool is_named(int file, int directory, const std::string& name) {
    struct stat ours {
    }, there{};
    return ::fstat(file, &ours) == 0 && ::fstatat(directory, name.c_str(), &there, 0) == 0 &&
           is_same(ours, there);
}

/// The attempt that the open log is of, if it lies there; else 0.
std::uint32_t attempt_in(const spool::OpenFile& directory, const std::string& name, int file) {
    const int place = static_cast<int>(directory.get());
    for (std::uint32_t n = 1;; ++n) {
        const std::string log = spool::attempt_log(name, n);
        if (::faccessat(place, log.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) return 0;
        if (is_named(file, place, log)) return n;
    }
}

}  // namespace

bool Log::open(const spool::Spool& spool, const spool::FoundJob& job) {
    const int directory = directory_of(spool, job);
    const std::string name = job.name + ".log";
    elsewhere_.clear();
    file_ = open_log(directory, name);
    if (file_ < 0 || is_regular(file_)) return file_ >= 0;
    elsewhere_ = target_of(file_);
    ::close(std::exchange(file_, -1));
    return false;
}

std::string no_log_text(const spool::FoundJob& job, const Log& log) {
    return "the output of job " + job_text(job.id, job.name) + " goes to " +
           spool::printable(log.elsewhere()) + ", which is no file: there is nothing to print";
}

Log::~Log() {
    if (file_ >= 0) ::close(file_);
}

bool Log::is_replaced(const spool::Spool& spool, const spool::FoundJob& job) const {
    const int directory = directory_of(spool, job);
    const std::string name = job.name + ".log";
    struct stat there {};
    return ::fstatat(directory, name.c_str(), &there, 0) == 0 && S_ISREG(there.st_mode) &&
           !is_named(file_, directory, name);
}

/// Up to `newest`, which may have got such a name meanwhile. They go from running/ to done/ one
/// after the other; what lies in done/ may be another job's before ours is there.
bool Log::copy_attempts_since(const spool::Spool& spool, const std::string& name, int newest) {
    const std::uint32_t in_running = attempt_in(spool.running, name, file_);
    const std::uint32_t attempt =
        in_running != 0 ? in_running : attempt_in(spool.done, name, file_);
    if (attempt == 0) return true;
    for (std::uint32_t n = attempt + 1;; ++n) {
        const std::string log = spool::attempt_log(name, n);
        int next = open_log(static_cast<int>(spool.running.get()), log);
        if (next < 0 && in_running == 0) next = open_log(static_cast<int>(spool.done.get()), log);
        if (next < 0) return true;
        ::close(std::exchange(file_, next));
        if (is_same(file_, newest)) return true;
        if (!copy_new()) return false;
    }
}

bool Log::go_on_with_newest(const spool::Spool& spool, const spool::FoundJob& job) {
    // Opened first: all that came before it have their names by then.
    const int newest = open_log(directory_of(spool, job), job.name + ".log");
    if (newest < 0) return copy_new();
    const bool copied = copy_new() && copy_attempts_since(spool, job.name, newest);
    ::close(std::exchange(file_, newest));
    return copied && copy_new();
}

void Log::seek_to_last(long lines) {
    if (lines < 0) return;
    std::array<char, 65536> block{};
    off_t start = ::lseek(file_, 0, SEEK_END);
    if (lines == 0) return;
    bool at_end = true;
    while (start > 0) {
        const off_t from = std::max<off_t>(0, start - static_cast<off_t>(block.size()));
        const ssize_t got =
            ::pread(file_, block.data(), static_cast<std::size_t>(start - from), from);
        if (got <= 0) break;
        for (ssize_t i = got; i-- > 0;) {
            const bool last_byte = at_end;
            at_end = false;
            if (block[static_cast<std::size_t>(i)] != '\n') continue;
            if (last_byte) continue;  // that feed ends the last line
            if (lines-- <= 1) {
                (void)::lseek(file_, from + i + 1, SEEK_SET);
                return;
            }
        }
        start = from;
    }
    (void)::lseek(file_, start, SEEK_SET);
}

bool Log::copy_new() {
    std::array<char, 65536> block{};
    while (!interrupted()) {
        const ssize_t got = ::read(file_, block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return true;
        if (!write_all(block.data(), static_cast<std::size_t>(got))) return false;
    }
    return true;
}

}  // namespace cli
