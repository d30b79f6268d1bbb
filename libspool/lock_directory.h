// A directory to which all users may write (/run/lock), and in it files of which a kernel lock
// proves that their makers live. Nobody locks another's file, and nothing that another user does to
// his own files can make these functions wait, fail or believe something false about a third.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

/// Owns a file descriptor.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~Descriptor() { reset(); }

    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset(int fd = -1);

private:
    int fd_ = -1;
};

/// A file of ours, locked for as long as any copy of its descriptor is open in any process.
class LockedFile {
public:
    LockedFile() = default;

    /// Close-on-exec. To keep the lock with another process, hand it a copy.
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

    /// Replaces the content, in place. A reader may see a mixture of old and new.
    Result<void> rewrite(std::string_view text);
    /// Removes the names, then gives up this copy of the lock. (The destructor only does the
    /// latter: what another process holds must keep its names.)
    void remove();

private:
    friend class LockDirectory;
    std::shared_ptr<const Descriptor> directory_;
    Descriptor fd_;
    std::vector<std::string> names_;
};

/// What a look at one name found.
struct LockFileLook {
    enum class Kind {
        gone,        ///< no such name any more
        not_a_lock,  ///< no regular file of this file system: none of ours is like that
        free,        ///< its maker has ended
        held,        ///< somebody with the right to write it holds its lock
        unknown,     ///< could not be opened (its permissions, a lease): `problem` says why
    };
    Kind kind = Kind::gone;
    std::uint32_t owner = 0;  ///< of the file; of `gone` nothing
    std::int64_t born = 0;    ///< nanoseconds of the wall clock, as the kernel noted it
    std::string text;         ///< at most `longest_text` bytes; written by the owner or root only
    std::string problem;

    static constexpr std::size_t longest_text = 8192;
};

class LockDirectory {
public:
    /// How a file is made that is locked before anybody can see it.
    enum class Making {
        unnamed,      ///< O_TMPFILE; where the file system has none, as below
        hidden_name,  ///< under a name of its own that readers pass over
    };

    /// Fails, with the remedy, if others could remove our files there.
    static Result<LockDirectory> open(const std::string& path, Making making = Making::unnamed);

    [[nodiscard]] const std::string& path() const { return path_; }

    /// The names that begin like ours, in no order. What was there before the call and is still
    /// there is among them.
    [[nodiscard]] Result<std::vector<std::string>> names() const;

    /// Makes a file with this content, readable by all, locks it, and only then gives it its
    /// `names` (at least one), which are new. `hidden` is the name for Making::hidden_name.
    Result<LockedFile> make(const std::vector<std::string>& names, const std::string& hidden,
                            std::string_view text) const;

    /// Never waits. Fails only for want of resources of our own.
    [[nodiscard]] Result<LockFileLook> look(const std::string& name) const;

    /// Whose file that is; nothing if it is gone.
    [[nodiscard]] std::optional<std::uint32_t> owner(const std::string& name) const;

    /// Removes a name, if it is there and may be removed.
    void remove(const std::string& name) const;

private:
    [[nodiscard]] Result<Descriptor> new_file(const std::string& hidden, bool& named) const;
    [[nodiscard]] Result<void> give_name(int fd, const std::string& hidden, bool named,
                                         const std::string& name) const;

    std::shared_ptr<const Descriptor> fd_;
    std::string path_;
    Making making_ = Making::unnamed;
};

/// $GPUSPOOL_GPU_LOCKS, else /run/lock where all users may write there, else /tmp. All users of a
/// machine must come to the same answer: it does not depend on what this process may do.
[[nodiscard]] std::string default_gpu_lock_directory();

}  // namespace spool
