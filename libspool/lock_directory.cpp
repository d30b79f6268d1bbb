#include "libspool/lock_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace spool {
namespace {

/// More names than that, also of others' files, are not read: a flood would cost too much.
constexpr std::size_t most_names = 200'000;

bool is_ours(std::string_view name) {
    return name.starts_with("gpuspool") || name.starts_with(".gpuspool-new.");
}

struct flock byte_zero(short type) {
    struct flock range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_len = 1;
    return range;
}

/// Whether another open file description has the write lock. A read lock, which anybody may take on
/// a file that he can read, is compatible with what is asked for and not seen.
bool is_write_locked(int fd) {
    auto range = byte_zero(F_RDLCK);
    return fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

std::int64_t birth(int fd, const struct stat& status) {
    struct statx more {};
    timespec time = status.st_ctim;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME))
        time = {more.stx_btime.tv_sec, static_cast<long>(more.stx_btime.tv_nsec)};
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

/// Opens to read; what is mounted over a name (FUSE may hang) or linked by it is not opened.
int open_here(int directory, const char* name) {
    constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    const auto fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
    return openat(directory, name, flags);
}

std::string read_text(int fd) {
    std::string text(LockFileLook::longest_text, '\0');
    const ssize_t size = pread(fd, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

LockFileLook look_at(int fd) {
    LockFileLook look;
    struct stat status {};
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        look.kind = LockFileLook::Kind::not_a_lock;
        return look;
    }
    look.owner = status.st_uid;
    look.born = birth(fd, status);
    // First the text: a maker writes it before it locks, so a held file's text is whole.
    look.text = read_text(fd);
    look.kind = is_write_locked(fd) ? LockFileLook::Kind::held : LockFileLook::Kind::free;
    return look;
}

/// Of a name that could not be opened with `code`.
LockFileLook look_at_unopened(int directory, const char* name, int code) {
    LockFileLook look;
    struct stat status {};
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        look.kind = errno == ENOENT ? LockFileLook::Kind::gone : LockFileLook::Kind::not_a_lock;
        return look;
    }
    look.owner = status.st_uid;
    look.kind =
        S_ISREG(status.st_mode) ? LockFileLook::Kind::unknown : LockFileLook::Kind::not_a_lock;
    look.problem = code == EAGAIN ? "it is held by a lease" : std::strerror(code);
    return look;
}

bool is_our_own_want(int code) {
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == EINTR;
}

Result<void> write_text(int fd, std::string_view text, const std::string& path) {
    errno = ENOSPC;
    const ssize_t written = pwrite(fd, text.data(), text.size(), 0);
    if (written == static_cast<ssize_t>(text.size())) return {};
    return system_error("write a lock file in", path, errno);
}

/// Locked, with its text, and then readable by all, whatever the umask. The sticky bit keeps
/// systemd-tmpfiles from removing it when it has become old.
Result<void> fill(int fd, std::string_view text, const std::string& path) {
    auto range = byte_zero(F_WRLCK);
    if (auto written = write_text(fd, text, path); !written) return written;
    if (fcntl(fd, F_OFD_SETLK, &range) != 0) return system_error("lock a file in", path, errno);
    if (fchmod(fd, S_ISVTX | 0644) != 0 && fchmod(fd, 0644) != 0)
        return system_error("chmod a lock file in", path, errno);
    return {};
}

bool all_may_write(const char* path) {
    struct stat status {};
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == 0 &&
           (status.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
}

}  // namespace

void Descriptor::reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

Result<void> LockedFile::rewrite(std::string_view text) {
    const std::string path = names_.empty() ? std::string() : names_.front();
    if (auto written = write_text(fd_.get(), text, path); !written) return written;
    if (ftruncate(fd_.get(), static_cast<off_t>(text.size())) != 0)
        return system_error("truncate", path, errno);
    return {};
}

void LockedFile::remove() {
    for (const std::string& name : names_)
        (void)unlinkat(directory_->get(), name.c_str(), 0);
    names_.clear();
    fd_.reset();
}

Result<LockDirectory> LockDirectory::open(const std::string& path, Making making) {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!fd || fstat(fd.get(), &status) != 0)
        return system_error("open the directory of the GPU locks", path, errno);
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return content_error(path, {}, "GPU locks need a directory that belongs to root");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0)
        return content_error(path, {}, "others could remove GPU locks there: chmod +t it, as root");
    LockDirectory directory;
    directory.fd_ = std::make_shared<const Descriptor>(std::move(fd));
    directory.path_ = path;
    directory.making_ = making;
    return directory;
}

Result<std::vector<std::string>> LockDirectory::names() const {
    // Opened anew for each list: the position belongs to the open directory.
    Descriptor fd(openat(fd_->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return system_error("list", path_, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
    if (!stream) return system_error("list", path_, errno);
    (void)fd.release();
    std::vector<std::string> names;
    std::size_t count = 0;
    for (errno = 0; const dirent* entry = readdir(stream.get()); errno = 0) {
        if (++count > most_names)
            return content_error(path_, {}, "has too many files to find GPU locks: remove some");
        if (is_ours(entry->d_name)) names.emplace_back(entry->d_name);
    }
    if (errno != 0) return system_error("list", path_, errno);
    return names;
}

Result<Descriptor> LockDirectory::new_file(const std::string& hidden, bool& named) const {
    named = making_ == Making::hidden_name;
    if (!named) {
        Descriptor fd(openat(fd_->get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (fd) return fd;
        named = errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL;
        if (!named) return system_error("make a lock file in", path_, errno);
    }
    Descriptor fd(openat(fd_->get(), hidden.c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return system_error("make a lock file in", path_, errno);
    return fd;
}

Result<void> LockDirectory::give_name(int fd, const std::string& hidden, bool named,
                                      const std::string& name) const {
    const std::string unnamed = "/proc/self/fd/" + std::to_string(fd);
    const int failed =
        named ? linkat(fd_->get(), hidden.c_str(), fd_->get(), name.c_str(), 0)
              : linkat(AT_FDCWD, unnamed.c_str(), fd_->get(), name.c_str(), AT_SYMLINK_FOLLOW);
    if (failed != 0) return system_error("name a lock file", path_ + "/" + name, errno);
    return {};
}

Result<LockedFile> LockDirectory::make(const std::vector<std::string>& names,
                                       const std::string& hidden, std::string_view text) const {
    bool named = false;
    auto fd = new_file(hidden, named);
    if (!fd) return tl::unexpected(fd.error());
    LockedFile file;
    file.directory_ = fd_;
    file.fd_ = std::move(*fd);
    auto done = fill(file.fd(), text, path_);
    for (std::size_t i = 0; done && i < names.size(); ++i) {
        done = give_name(file.fd(), hidden, named, names[i]);
        if (done) file.names_.push_back(names[i]);
    }
    if (named) remove(hidden);
    if (done) return file;
    file.remove();
    return tl::unexpected(done.error());
}

Result<LockFileLook> LockDirectory::look(const std::string& name) const {
    const Descriptor fd(open_here(fd_->get(), name.c_str()));
    if (fd) return look_at(fd.get());
    const int code = errno;
    if (is_our_own_want(code)) return system_error("open", path_ + "/" + name, code);
    if (code == ENOENT) return LockFileLook{};
    if (code == ELOOP || code == EXDEV || code == ENXIO) {
        LockFileLook look;
        look.kind = LockFileLook::Kind::not_a_lock;
        return look;
    }
    return look_at_unopened(fd_->get(), name.c_str(), code);
}

std::optional<std::uint32_t> LockDirectory::owner(const std::string& name) const {
    struct stat status {};
    if (fstatat(fd_->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    return status.st_uid;
}

void LockDirectory::remove(const std::string& name) const {
    (void)unlinkat(fd_->get(), name.c_str(), 0);
}

std::string default_gpu_lock_directory() {
    const char* named = std::getenv("GPUSPOOL_GPU_LOCKS");
    if (named != nullptr && *named != '\0') return named;
    return all_may_write("/run/lock") ? "/run/lock" : "/tmp";
}

}  // namespace spool
