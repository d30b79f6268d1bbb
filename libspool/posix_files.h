// The real operating system behind `Files` and `Clock`.
#pragma once

#include "libspool/files.h"

namespace spool {

/// Handles are file descriptors; every one is close-on-exec.
class PosixFiles : public Files {
public:
    Result<Handle> open(Handle directory, std::string_view name, OpenMode mode) override;
    void close(Handle file) override;
    Result<FileStat> stat(Handle file) override;
    Result<FileStat> stat_at(Handle directory, std::string_view name) override;
    Result<std::vector<DirectoryEntry>> list(Handle directory) override;
    Result<std::string> read(Handle file, std::uint64_t offset, std::size_t size) override;
    Result<void> write(Handle file, std::uint64_t offset, std::string_view bytes) override;
    Result<void> truncate(Handle file, std::uint64_t size) override;
    void begin_sync(Handle file) override;
    Result<void> sync(Handle file, bool metadata) override;
    Result<void> make_directory(Handle directory, std::string_view name) override;
    Result<void> rename(Handle from, std::string_view name, Handle to,
                        std::string_view new_name) override;
    Result<void> replace(Handle from, std::string_view name, Handle to,
                         std::string_view new_name) override;
    Result<void> remove(Handle directory, std::string_view name) override;
    Result<void> remove_directory(Handle directory, std::string_view name) override;
    Result<void> make_symlink(Handle directory, std::string_view name,
                              std::string_view target) override;
    LeaseAnswer lease(Handle file) override;
    void release_lease(Handle file) override;
    Result<bool> lock(Handle file) override;
    Result<void> lock_wait(Handle file) override;
    Result<bool> is_locked(Handle file) override;

    /// Opens the directory at `path` (absolute); not part of `Files`, because a spool needs only
    /// one.
    static Result<Handle> open_root(const std::string& path);
};

class SystemClock : public Clock {
public:
    [[nodiscard]] std::int64_t wall() const override;
    [[nodiscard]] std::chrono::nanoseconds monotonic() const override;
};

}  // namespace spool
