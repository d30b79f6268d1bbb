#include "libspool/posix_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

namespace spool {
namespace {

int fd(Handle handle) {
    return static_cast<int>(handle);
}

/// With the name that the open file has now.
tl::unexpected<Error> error_of(const char* operation, Handle file, int code) {
    const std::string link = "/proc/self/fd/" + std::to_string(fd(file));
    char name[4096];
    const ssize_t size = readlink(link.c_str(), name, sizeof name);
    return system_error(operation, {name, static_cast<std::size_t>(std::max<ssize_t>(size, 0))},
                        code);
}

constexpr std::int64_t second = 1'000'000'000;
constexpr unsigned wanted_facts = STATX_BASIC_STATS | STATX_BTIME;

std::int64_t nanoseconds(const timespec& time) {
    return time.tv_sec * second + time.tv_nsec;
}

std::int64_t nanoseconds(const struct statx_timestamp& time) {
    return time.tv_sec * second + time.tv_nsec;
}

FileStat convert(const struct statx& raw) {
    FileKind kind = S_ISREG(raw.stx_mode)   ? FileKind::regular
                    : S_ISDIR(raw.stx_mode) ? FileKind::directory
                    : S_ISLNK(raw.stx_mode) ? FileKind::symlink
                                            : FileKind::other;
    return {makedev(raw.stx_dev_major, raw.stx_dev_minor),
            raw.stx_ino,
            kind,
            raw.stx_uid,
            raw.stx_mode & 07777u,
            raw.stx_size,
            raw.stx_nlink,
            nanoseconds(raw.stx_mtime),
            nanoseconds(raw.stx_ctime),
            (raw.stx_mask & STATX_BTIME) != 0 ? nanoseconds(raw.stx_btime) : 0};
}

int flags_of(OpenMode mode) {
    switch (mode) {
        case OpenMode::read:
            return O_RDONLY | O_NONBLOCK | O_NOCTTY;
        case OpenMode::read_write:
            return O_RDWR | O_NONBLOCK | O_NOCTTY;
        case OpenMode::create_exclusive:
            return O_RDWR | O_CREAT | O_EXCL;
        case OpenMode::create:
            return O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY;
        case OpenMode::append:
            return O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;
        case OpenMode::directory:
            return O_RDONLY | O_DIRECTORY;
    }
    return O_RDONLY;
}

struct flock byte_zero(short type) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0;
    lock.l_len = 1;
    return lock;
}

/// rename without replacing where renameat2 does not know the flag: link, then unlink. If that
/// fails both names stay: a file server may have done what it reports as failed, and whatever is
/// removed now could be the last name. An old name that is gone is as wanted.
int rename_by_link(int from, const char* name, int to, const char* new_name) {
    if (linkat(from, name, to, new_name, 0) != 0) return -1;
    return unlinkat(from, name, 0) == 0 || errno == ENOENT ? 0 : -1;
}

}  // namespace

Result<Handle> PosixFiles::open(Handle directory, std::string_view name, OpenMode mode) {
    const std::string path(name);
    const int opened =
        openat(fd(directory), path.c_str(), flags_of(mode) | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (opened < 0) return system_error("open", path, errno);
    return Handle{opened};
}

Result<Handle> PosixFiles::open_root(const std::string& path) {
    const int opened = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return system_error("open directory", path, errno);
    return Handle{opened};
}

void PosixFiles::close(Handle file) {
    (void)::close(fd(file));
}

Result<FileStat> PosixFiles::stat(Handle file) {
    struct statx raw {};
    if (statx(fd(file), "", AT_EMPTY_PATH, wanted_facts, &raw) != 0)
        return system_error("fstat", {}, errno);
    return convert(raw);
}

Result<FileStat> PosixFiles::stat_at(Handle directory, std::string_view name) {
    const std::string path(name);
    struct statx raw {};
    if (statx(fd(directory), path.c_str(), AT_SYMLINK_NOFOLLOW, wanted_facts, &raw) != 0)
        return system_error("stat", path, errno);
    return convert(raw);
}

Result<std::vector<DirectoryEntry>> PosixFiles::list(Handle directory) {
    // A descriptor of its own: readdir moves the position that all duplicates share.
    const int copy = openat(fd(directory), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return system_error("open directory", {}, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy), closedir);
    if (!stream) {
        const int code = errno;
        ::close(copy);
        return system_error("read directory", {}, code);
    }
    std::vector<DirectoryEntry> entries;
    for (;;) {
        errno = 0;
        const dirent* entry = readdir(stream.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_ino});
    }
    if (errno != 0) return system_error("read directory", {}, errno);
    return entries;
}

Result<std::string> PosixFiles::read(Handle file, std::uint64_t offset, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got =
            pread(fd(file), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error("read", {}, errno);
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

Result<void> PosixFiles::write(Handle file, std::uint64_t offset, std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t put = pwrite(fd(file), bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return error_of("write", file, errno);
        done += static_cast<std::size_t>(put);
    }
    return {};
}

Result<void> PosixFiles::truncate(Handle file, std::uint64_t size) {
    if (ftruncate(fd(file), static_cast<off_t>(size)) != 0)
        return system_error("truncate", {}, errno);
    return {};
}

void PosixFiles::begin_sync(Handle file) {
    (void)sync_file_range(fd(file), 0, 0, SYNC_FILE_RANGE_WRITE);
}

Result<void> PosixFiles::sync(Handle file, bool metadata) {
    if ((metadata ? fsync(fd(file)) : fdatasync(fd(file))) != 0)
        return error_of("sync", file, errno);
    return {};
}

Result<void> PosixFiles::make_directory(Handle directory, std::string_view name) {
    const std::string path(name);
    if (mkdirat(fd(directory), path.c_str(), 0700) != 0)
        return system_error("make directory", path, errno);
    return {};
}

Result<void> PosixFiles::rename(Handle from, std::string_view name, Handle to,
                                std::string_view new_name) {
    const std::string source(name), target(new_name);
    if (renameat2(fd(from), source.c_str(), fd(to), target.c_str(), RENAME_NOREPLACE) == 0)
        return {};
    if (errno == EINVAL && rename_by_link(fd(from), source.c_str(), fd(to), target.c_str()) == 0)
        return {};
    return system_error("rename", source, errno);
}

Result<void> PosixFiles::replace(Handle from, std::string_view name, Handle to,
                                 std::string_view new_name) {
    const std::string source(name), target(new_name);
    if (renameat(fd(from), source.c_str(), fd(to), target.c_str()) != 0)
        return system_error("rename", source, errno);
    return {};
}

Result<void> PosixFiles::remove(Handle directory, std::string_view name) {
    const std::string path(name);
    if (unlinkat(fd(directory), path.c_str(), 0) != 0) return system_error("remove", path, errno);
    return {};
}

Result<void> PosixFiles::remove_directory(Handle directory, std::string_view name) {
    const std::string path(name);
    if (unlinkat(fd(directory), path.c_str(), AT_REMOVEDIR) != 0)
        return system_error("remove directory", path, errno);
    return {};
}

Result<void> PosixFiles::make_symlink(Handle directory, std::string_view name,
                                      std::string_view target) {
    const std::string path(name), content(target);
    if (symlinkat(content.c_str(), fd(directory), path.c_str()) != 0)
        return system_error("make symbolic link", path, errno);
    return {};
}

LeaseAnswer PosixFiles::lease(Handle file) {
    if (fcntl(fd(file), F_SETLEASE, F_RDLCK) == 0) return LeaseAnswer::granted;
    return errno == EAGAIN ? LeaseAnswer::refused : LeaseAnswer::unsupported;
}

void PosixFiles::release_lease(Handle file) {
    (void)fcntl(fd(file), F_SETLEASE, F_UNLCK);
}

Result<bool> PosixFiles::lock(Handle file) {
    struct flock lock = byte_zero(F_WRLCK);
    if (fcntl(fd(file), F_OFD_SETLK, &lock) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    return system_error("lock", {}, errno);
}

Result<void> PosixFiles::lock_wait(Handle file) {
    struct flock lock = byte_zero(F_WRLCK);
    while (fcntl(fd(file), F_OFD_SETLKW, &lock) != 0)
        if (errno != EINTR) return system_error("lock", {}, errno);
    return {};
}

Result<bool> PosixFiles::is_locked(Handle file) {
    struct flock lock = byte_zero(F_WRLCK);
    if (fcntl(fd(file), F_OFD_GETLK, &lock) != 0) return system_error("test lock", {}, errno);
    return lock.l_type != F_UNLCK;
}

std::int64_t SystemClock::wall() const {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(now);
}

std::chrono::nanoseconds SystemClock::monotonic() const {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::nanoseconds(nanoseconds(now));
}

}  // namespace spool
