// Files whose N-th call fails, for sweeps over every call of a step.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "libspool/posix_files.h"

/// The real files; call number `fail_at` (1-based, counted from `arm`) fails with `code`, without
/// having been made. Closing and giving up a lease cannot fail.
class FailingFiles : public spool::PosixFiles {
    using Base = spool::PosixFiles;
    using Handle = spool::Handle;
    using Name = std::string_view;
    template <typename T>
    using Result = spool::Result<T>;

public:
    void arm(int fail_at, int code) {
        calls_ = 0;
        fail_at_ = fail_at;
        code_ = code;
    }
    void disarm() { fail_at_ = 0; }
    /// Whether the call that was to fail was reached.
    [[nodiscard]] bool failed() const { return fail_at_ != 0 && calls_ >= fail_at_; }
    [[nodiscard]] const std::string& failed_call() const { return failed_call_; }
    /// From now on nothing can be synced, by whatever thread; 0: all can.
    void fail_syncs(int code) { sync_error_ = code; }
    /// From now on no file with this ending can be opened; 0: all can.
    void fail_opens_of(const std::string& ending, int code) {
        unopened_ = code != 0 ? ending : std::string();
        code_ = code;
    }
    /// From now on somebody else has each lock, though it did not look so.
    void lend_locks() { locks_lent_ = true; }
    /// Rename number `n` from now on (1 = the next) is link and unlink, of which the second fails.
    void halve_rename(int n) { renames_to_halve_ = n; }
    [[nodiscard]] bool halved() const { return renames_to_halve_ <= 0; }
    /// A name, and the inode that it is said to have.
    std::pair<std::string, std::uint64_t> lent_inode;

    Result<Handle> open(Handle directory, Name name, spool::OpenMode mode) override {
        if (fails("open", name)) return error("open", name);
        if (!unopened_.empty() && name.ends_with(unopened_)) return error("open", name);
        return Base::open(directory, name, mode);
    }
    Result<spool::FileStat> stat(Handle file) override {
        if (fails("stat", {})) return error("fstat", {});
        return Base::stat(file);
    }
    Result<spool::FileStat> stat_at(Handle directory, Name name) override {
        if (fails("stat_at", name)) return error("stat", name);
        return Base::stat_at(directory, name).map([&](spool::FileStat stat) {
            if (name == lent_inode.first) stat.inode = lent_inode.second;
            return stat;
        });
    }
    Result<std::vector<spool::DirectoryEntry>> list(Handle directory) override {
        if (fails("list", {})) return error("read directory", {});
        return Base::list(directory);
    }
    Result<std::string> read(Handle file, std::uint64_t offset, std::size_t size) override {
        if (fails("read", {})) return error("read", {});
        return Base::read(file, offset, size);
    }
    /// A failing write has written half: so it is when a disk is full.
    Result<void> write(Handle file, std::uint64_t offset, Name bytes) override {
        if (!fails("write", {})) return Base::write(file, offset, bytes);
        (void)Base::write(file, offset, bytes.substr(0, bytes.size() / 2));
        return error("write", {});
    }
    Result<void> truncate(Handle file, std::uint64_t size) override {
        if (fails("truncate", {})) return error("truncate", {});
        return Base::truncate(file, size);
    }
    Result<void> sync(Handle file, bool metadata) override {
        if (const int code = sync_error_) return spool::system_error("sync", {}, code);
        if (fails("sync", {})) return error("sync", {});
        return Base::sync(file, metadata);
    }
    Result<void> rename(Handle from, Name name, Handle to, Name new_name) override {
        if (fails("rename", name)) return error("rename", name);
        if (--renames_to_halve_ == 0) {
            const std::string source(name), target(new_name);
            if (::linkat(int(from), source.c_str(), int(to), target.c_str(), 0) == 0)
                return error("rename", name);
        }
        return Base::rename(from, name, to, new_name);
    }
    Result<void> replace(Handle from, Name name, Handle to, Name new_name) override {
        if (fails("replace", name)) return error("rename", name);
        return Base::replace(from, name, to, new_name);
    }
    Result<void> remove(Handle directory, Name name) override {
        if (fails("remove", name)) return error("remove", name);
        return Base::remove(directory, name);
    }
    Result<bool> lock(Handle file) override {
        if (locks_lent_) return false;
        return Base::lock(file);
    }
    Result<bool> is_locked(Handle file) override {
        if (fails("is_locked", {})) return error("test lock", {});
        return Base::is_locked(file);
    }

private:
    bool fails(const char* operation, Name name) {
        if (++calls_ != fail_at_) return false;
        failed_call_ = std::string(operation) + " " + std::string(name);
        return true;
    }
    [[nodiscard]] tl::unexpected<spool::Error> error(const char* operation, Name name) const {
        return spool::system_error(operation, std::string(name), code_);
    }

    int calls_ = 0, fail_at_ = 0, code_ = EIO, renames_to_halve_ = 0;
    bool locks_lent_ = false;
    std::string failed_call_, unopened_;
    std::atomic<int> sync_error_{0};
};
