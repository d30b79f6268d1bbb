// The GPUs among the spools of this machine: which of them another spool has, whose turn it is for
// a free one, and the locks of our own jobs (docs/protocol.md §13).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libspool/gpu_lock.h"
#include "libspool/layout.h"
#include "libspool/state.h"

namespace spoold {

class SharedGpus {
public:
    using Time = std::chrono::nanoseconds;  ///< of the monotonic clock
    /// GPUs that are not to be taken now, by id, with the reason for people.
    using Reasons = std::map<std::string, std::string>;

    /// `changed` is called from the loop when another spool has done something, while we wait.
    SharedGpus(boost::asio::io_context& io, const spool::Spool& spool, const spool::Clock& clock,
               std::function<void()> changed);

    /// The machine's GPUs: which are instances of which.
    void know(const std::vector<spool::DeviceState>& devices);
    /// Looks who has what. An error means that it is not known: then nothing may be started. What
    /// one has found stands for nine times as long as it took: looking takes no more than a tenth
    /// of the time, whatever others do.
    spool::Result<void> look();
    /// Looks whether the directory of the locks is still the one that was opened; else it is opened
    /// again at the latest by the next look.
    void keep_directory();
    /// What is wrong with lock files of GPUs of this machine, in sentences with the remedy.
    [[nodiscard]] std::vector<std::string> problems() const;
    /// GPUs that other spools have, as of the last look.
    [[nodiscard]] const Reasons& elsewhere() const { return elsewhere_; }
    /// GPUs that this user's other spools have.
    [[nodiscard]] int held_by_own_user() const { return held_by_own_user_; }

    /// We wait: leaves a ticket, and says which of the `free` GPUs are others' to take. `pool` are
    /// all that we use, `free` in the order in which we would take them.
    Reasons wait_for(const spool::GpuWish& wish, const std::vector<std::string>& pool,
                     const std::vector<std::string>& free);
    /// We do not wait any more.
    void rest();
    /// When to look again though nothing changes; also how long to keep off after a refusal.
    [[nodiscard]] std::optional<Time> look_again() const { return look_again_; }
    [[nodiscard]] bool keeps_off() const { return clock_.monotonic() < off_until_; }

    /// Locks GPUs for a job until `release`; who else has one of them, if somebody has, or that all
    /// spools of this user would have more than `limit`.
    spool::Result<std::optional<std::string>> take(std::uint64_t job,
                                                   const std::vector<std::string>& gpus,
                                                   std::optional<int> limit = std::nullopt);
    /// The GPUs that a job has which an earlier daemon started, as its supervisor's lock says; none
    /// if that does not say so.
    [[nodiscard]] std::vector<std::string> locked_by(std::uint64_t job);
    /// The descriptor that keeps the job's lock; -1 if it has none.
    [[nodiscard]] int descriptor(std::uint64_t job) const;
    void release(std::uint64_t job);

private:
    spool::Result<void> open();
    [[nodiscard]] bool directory_is_the_same() const;
    void lock_again();
    void list_files();
    void note_held(const spool::GpuHolding& held);
    void watch();
    void wait_for_events();
    [[nodiscard]] std::vector<std::string> conflicts_of(const std::string& gpu) const;
    [[nodiscard]] bool others_wait() const;
    [[nodiscard]] spool::Result<bool> own_user_has_more_than(int limit);
    void keep_off();
    void renew_ticket(const spool::GpuWish& wish, bool wanted);

    const spool::Spool& spool_;
    const spool::Clock& clock_;
    std::function<void()> changed_;
    boost::asio::posix::stream_descriptor notices_;  ///< open while we wait

    std::string mark_;
    std::optional<spool::GpuLocks> locks_;
    std::uint64_t directory_device_ = 0, directory_inode_ = 0;
    std::map<std::uint64_t, std::vector<spool::GpuWanted>> wanted_;  ///< what is in `own_`
    std::optional<spool::GpuTurns> turns_;
    std::map<std::uint64_t, spool::GpuLock> own_;  ///< by job
    std::optional<spool::GpuTicket> ticket_;

    std::map<std::string, std::string> parents_;  ///< of MIG instances
    std::set<std::string> known_;                 ///< ids of the machine's GPUs
    spool::GpuScene scene_;
    spool::Result<void> looked_;  ///< how that went
    Time rest_until_{0};
    Reasons elsewhere_;
    int held_by_own_user_ = 0, refusals_ = 0;
    std::optional<Time> look_again_;
    Time off_until_{0};
};

}  // namespace spoold
