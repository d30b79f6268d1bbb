// What libspool asks of the operating system's files, as a narrow interface that tests replace.
//
// All names are single components relative to an open directory. No function follows a symbolic
// link in the last component. Nothing replaces an existing name but `replace`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

/// An open file or directory of a `Files`. Small integers, closed by `Files::close` (see `OpenFile`
/// for RAII).
enum class Handle : int { none = -1 };

/// What a file is, as far as the spool cares.
enum class FileKind { regular, directory, symlink, other };

struct FileStat {
    std::uint64_t device = 0, inode = 0;
    FileKind kind = FileKind::other;
    std::uint32_t owner = 0, mode = 0;
    std::uint64_t size = 0, links = 0;
    std::int64_t modified = 0, changed = 0;  ///< nanoseconds of the wall clock
    std::int64_t born = 0;  ///< when it was made; 0 where the file system does not say

    [[nodiscard]] bool same_file(const FileStat& other) const {
        // The inode of a removed file may be that of a new one a moment later.
        const bool same_birth = born == other.born || born == 0 || other.born == 0;
        return device == other.device && inode == other.inode && same_birth;
    }
    [[nodiscard]] bool unchanged(const FileStat& other) const {
        return same_file(other) && size == other.size && modified == other.modified &&
               changed == other.changed;
    }
};

struct DirectoryEntry {
    std::string name;
    std::uint64_t inode = 0;
};

enum class OpenMode {
    read,  ///< O_RDONLY | O_NONBLOCK: never hangs on a FIFO
    read_write,
    create_exclusive,  ///< O_RDWR | O_CREAT | O_EXCL, mode 0600
    create,            ///< O_RDWR | O_CREAT, mode 0600
    append,            ///< O_WRONLY | O_APPEND | O_CREAT, mode 0600
    directory,
};

enum class LeaseAnswer { granted, refused, unsupported };

class Files {
public:
    virtual ~Files() = default;

    virtual Result<Handle> open(Handle directory, std::string_view name, OpenMode mode) = 0;
    virtual void close(Handle file) = 0;
    virtual Result<FileStat> stat(Handle file) = 0;
    virtual Result<FileStat> stat_at(Handle directory, std::string_view name) = 0;
    virtual Result<std::vector<DirectoryEntry>> list(Handle directory) = 0;  ///< without . and ..

    /// Reads until `size` bytes or the end of the file.
    virtual Result<std::string> read(Handle file, std::uint64_t offset, std::size_t size) = 0;
    /// Writes all of `bytes`, or fails. On an `append` handle the offset is ignored.
    virtual Result<void> write(Handle file, std::uint64_t offset, std::string_view bytes) = 0;
    virtual Result<void> truncate(Handle file, std::uint64_t size) = 0;
    /// Begins to write the content to the disk, without waiting: before several files are synced
    /// one after another, so that one commit of the file system's journal serves them all. Promises
    /// nothing.
    virtual void begin_sync(Handle file) = 0;
    /// fdatasync, or fsync where `metadata` is set (directories, new files). Never retried on
    /// failure.
    virtual Result<void> sync(Handle file, bool metadata) = 0;

    virtual Result<void> make_directory(Handle directory, std::string_view name) = 0;
    /// Fails with EEXIST if the target exists, also if it is the same inode. Where it is link and
    /// unlink, a failure may leave both names.
    virtual Result<void> rename(Handle from, std::string_view name, Handle to,
                                std::string_view new_name) = 0;
    virtual Result<void> replace(Handle from, std::string_view name, Handle to,
                                 std::string_view new_name) = 0;
    virtual Result<void> remove(Handle directory, std::string_view name) = 0;
    /// An empty directory.
    virtual Result<void> remove_directory(Handle directory, std::string_view name) = 0;
    virtual Result<void> make_symlink(Handle directory, std::string_view name,
                                      std::string_view target) = 0;

    /// A read lease: granted only while nobody has the file open for writing.
    virtual LeaseAnswer lease(Handle file) = 0;
    virtual void release_lease(Handle file) = 0;

    /// Takes the OFD write lock on byte 0: true, or false if somebody else holds it. Released by
    /// `close`.
    virtual Result<bool> lock(Handle file) = 0;
    /// Waits for that lock.
    virtual Result<void> lock_wait(Handle file) = 0;
    /// Whether somebody else holds that lock, without taking it.
    virtual Result<bool> is_locked(Handle file) = 0;
};

/// Owns a handle.
class OpenFile {
public:
    OpenFile() = default;
    OpenFile(Files& files, Handle handle) : files_(&files), handle_(handle) {}
    OpenFile(OpenFile&& other) noexcept : files_(other.files_), handle_(other.release()) {}
    OpenFile& operator=(OpenFile&& other) noexcept {
        if (this != &other) {
            reset();
            files_ = other.files_;
            handle_ = other.release();
        }
        return *this;
    }
    ~OpenFile() { reset(); }

    [[nodiscard]] Handle get() const { return handle_; }
    explicit operator bool() const { return handle_ != Handle::none; }
    Handle release() { return std::exchange(handle_, Handle::none); }
    void reset() {
        if (handle_ != Handle::none) files_->close(handle_);
        handle_ = Handle::none;
    }

private:
    Files* files_ = nullptr;
    Handle handle_ = Handle::none;
};

/// Opens `name` as an owned handle.
inline Result<OpenFile> open_file(Files& files, Handle directory, std::string_view name,
                                  OpenMode mode) {
    return files.open(directory, name, mode).map([&](Handle handle) {
        return OpenFile(files, handle);
    });
}

/// The time, passed in so that tests can set it.
class Clock {
public:
    virtual ~Clock() = default;
    /// Nanoseconds of the wall clock: for display and for the records, never for decisions.
    [[nodiscard]] virtual std::int64_t wall() const = 0;
    /// Monotonic, counting suspend (CLOCK_BOOTTIME).
    [[nodiscard]] virtual std::chrono::nanoseconds monotonic() const = 0;
};

}  // namespace spool
