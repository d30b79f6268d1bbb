// GPUs shared by the spools of one machine: who has which, and who waits (docs/protocol.md §13).
//
// A GPU belongs to one spool at a time, and each job has a lock of its own. Jobs of one spool that
// share a GPU do not conflict; a spool is told by the owner of the file and its mark.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "libspool/gpu_fairness.h"
#include "libspool/gpu_lock_piles.h"
#include "libspool/gpu_lock_text.h"
#include "libspool/lock_directory.h"

namespace spool {

/// A GPU that a job is to have.
struct GpuWanted {
    std::string id;  ///< empty (a slot without a GPU): nothing is locked
    /// Ids of GPUs that nobody else may have meanwhile: of a MIG instance its parent, of a parent
    /// its instances.
    std::vector<std::string> conflicts;
    /// What a list by hand may call it, beside `id`: a spool without a driver locks it by that.
    std::vector<std::string> names{};
    /// `id` is itself what a list by hand calls it, and no more is known.
    bool by_name{};
};

/// Who is in the way.
struct GpuHolder {
    std::string gpu;
    std::uint32_t uid = 0;  ///< owner of the file, by the kernel
    std::string user;       ///< its name, else the number
    std::string file;       ///< path; of too many what they begin with
    /// What the holder says of itself, if anything.
    std::optional<LockFileText> text;
    /// Not empty: the file cannot be examined, and why; it counts as a lock.
    std::string problem;
    /// Not 0: so many files are there for the GPU, most of them this owner's; they are not
    /// examined, and it counts as held.
    std::size_t too_many = 0;
};
/// "GPU-1 is held by ada: job 42 of /home/ada/.gpuspool, since … (/run/lock/gpuspool.…)", or what
/// is wrong with the file, and the remedy.
[[nodiscard]] std::string holder_sentence(const GpuHolder& holder);

/// A job's lock of all its GPUs: one file, with a name for each GPU, one descriptor.
///
/// The daemon keeps it for the job's life and hands a copy of `fd()` to the supervisor: the GPUs
/// stay locked while either lives. When job and tree have ended the daemon calls `remove()`. A
/// daemon that dies leaves the names; once the supervisor has gone too they are no lock any more,
/// and the next daemon removes them (`take`, `look`).
using GpuLock = LockedFile;

/// A ticket of ours, which says to others that we wait. It grows old from when it was made: after
/// every start on a GPU of the pool it is made anew.
class GpuTicket {
public:
    /// Changes what is wished, if it is another; the age stays.
    Result<void> update(const GpuWish& wish);
    void remove() { file_.remove(); }

private:
    friend class GpuLocks;
    LockedFile file_;
    LockFileText text_;
};

/// What can be seen of all spools on this machine, ours included.
struct GpuScene {
    std::vector<GpuHolding> held;
    std::vector<GpuTicketSeen> tickets;
    /// By GPU: that a lock file of another cannot be examined, or that there are too many, in a
    /// sentence; it counts as held.
    std::map<std::string, std::string> problems;
};

class GpuLocks {
public:
    /// `mark`: see spool_mark; `spool_path`: to tell others who has a GPU.
    static Result<GpuLocks> open(const std::string& directory, const std::string& mark,
                                 const std::string& spool_path,
                                 LockDirectory::Making making = LockDirectory::Making::unnamed);

    /// Locks all of these GPUs, or none; never waits. After a GpuHolder the caller tries again when
    /// that one has gone, or, if both gave way to each other, after `gpu_retry_delay`. An error
    /// means that nothing was locked, for reasons of our own (no space, no descriptors).
    Result<std::variant<GpuLock, GpuHolder>> take(const std::vector<GpuWanted>& gpus,
                                                  std::uint64_t job);

    /// Who has what and who waits, for GPUs with these ids (empty: for any; others are examined as
    /// far as there are not many). Removes our own files whose makers are gone. However many files
    /// there are, no more than some thousands are opened.
    Result<GpuScene> look(const std::set<std::string>& ids = {});

    /// The GPUs of a job of this spool, as a lock for it says that is held, by a supervisor say;
    /// none if there is none, or its text is longer than is read.
    [[nodiscard]] Result<std::vector<std::string>> gpus_of(std::uint64_t job) const;

    Result<GpuTicket> make_ticket(const GpuWish& wish);

    [[nodiscard]] const std::string& directory() const { return directory_.path(); }

private:
    struct Found {
        LockFileName name;
        std::string file_name;
        LockFileLook look;
        std::optional<LockFileText> text;
    };
    explicit GpuLocks(LockDirectory directory) : directory_(std::move(directory)) {}

    [[nodiscard]] LockFileText new_text() const;
    [[nodiscard]] Result<LockedFile> make(LockFileName::Kind kind, const LockFileText& text) const;
    [[nodiscard]] Result<std::optional<GpuHolder>> holder_of(const std::vector<GpuWanted>& gpus,
                                                             const std::string& own_nonce);
    /// Calls `visit` with each, until it returns false.
    template <typename Visit>
    Result<void> each(const std::vector<std::string>& file_names, Visit visit) const;
    Result<void> look_at_pile(const LockPile& pile, std::size_t most, GpuScene& scene);
    Result<void> look_at_tickets(const std::vector<std::string>& file_names, GpuScene& scene);
    [[nodiscard]] GpuHolder flood_of(const std::string& gpu, const LockPile& pile);
    void note_lock(const Found& found, GpuScene& scene);
    [[nodiscard]] Result<Found> find(const std::string& file_name, const LockFileName& name) const;
    [[nodiscard]] bool is_ours(const Found& found) const;
    [[nodiscard]] bool is_in_the_way(const Found& found) const;
    void clean(const Found& found) const;
    [[nodiscard]] GpuHolder describe(const Found& found);
    [[nodiscard]] const std::string& user(std::uint32_t uid);

    LockDirectory directory_;
    std::string mark_, spool_path_;
    std::uint32_t uid_ = 0;
    std::map<std::uint32_t, std::string> users_;  ///< names: the password database may be slow
};

/// How long to wait before the next attempt, after `failures` in a row (1 or more) in which
/// everybody gave way. `random`: from 0 to 1, anew each time. 5 ms to 1.5 s.
[[nodiscard]] std::chrono::milliseconds gpu_retry_delay(int failures, double random);

}  // namespace spool
