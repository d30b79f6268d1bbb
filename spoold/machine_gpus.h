// The machine's GPUs as the daemon knows them: what the drivers last said, what the user has said,
// and the pool that follows from both.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gpu_watch.h"
#include "libspool/control.h"
#include "libspool/gpu_notes.h"
#include "libspool/gpu_pool.h"
#include "libspool/result.h"

namespace spoold {

class MachineGpus {
public:
    using Time = GpuWatch::Time;

    /// `changed` is called from the loop when something new is known: then `update`.
    MachineGpus(boost::asio::io_context& io, spool::Spool& spool, const spool::Clock& clock,
                GpuWatchOptions options, std::function<void()> changed);

    /// Reads what was noted by earlier daemons.
    spool::Result<void> load();
    /// What the settings wish; asks anew.
    void set_wishes(spool::GpuPoolWishes wishes);

    /// Brings the pool up to date with the jobs that run. True if it is another one.
    bool update(std::vector<spool::GpuJob> jobs, std::map<std::string, std::string> elsewhere);
    [[nodiscard]] const spool::GpuPool& pool() const { return pool_; }
    /// What is wrong with the drivers; empty if nothing is.
    [[nodiscard]] std::string problem() const;
    /// What is to be said of GPUs that failures have drained, with the remedy; empty if none is.
    [[nodiscard]] std::string failed_gpus() const;
    /// Names that the settings wish drained and that are no GPU's; empty while that is not known.
    [[nodiscard]] std::string unknown_drained() const;
    /// Whether the pool is what the drivers have said, or it is certain that they do not answer:
    /// before that no request on a GPU can be judged.
    [[nodiscard]] bool settled() const { return settled_; }
    [[nodiscard]] Time surveyed_at() const { return watch_.surveyed_at(); }

    /// Whether the pool says how things are now, as far as that can be known.
    [[nodiscard]] bool fresh() const;
    /// Until when a decision on GPUs that was made while it was fresh holds; absent: for ever.
    [[nodiscard]] std::optional<Time> fresh_until() const;
    /// A job has let go of GPUs: what was known before is not true any more.
    void released() { stale_since_ = clock_.monotonic(); }
    /// Jobs wait for GPUs that no job of ours has: asks if what is known is not fresh. Returns when
    /// to look again.
    Time ask_while_wanted();
    /// Jobs wait, for GPUs or not: asks from time to time whether GPUs have come, if there are
    /// none.
    void ask_for_new();
    std::optional<Time> advance() { return watch_.advance(); }

    /// The requests on GPUs ("gpu-drain", …).
    spool::Reply apply(const spool::Request& request);
    /// Takes note of an ended job. Three failures one after the other, each within a minute of the
    /// start, drain a GPU: the sentence that says so.
    std::optional<std::string> note_end(const spool::JobResult& result);

private:
    spool::Reply drain(const std::string& name, const std::string& reason);
    spool::Reply undrain(const std::string& name);
    spool::Reply ignore(const std::string& process);
    spool::Reply heed(const std::string& process);
    spool::Reply keep(spool::GpuNotes notes, const std::string& message);
    [[nodiscard]] std::vector<std::string> devices_called(const std::string& name) const;
    [[nodiscard]] std::string label(const std::string& device) const;
    [[nodiscard]] std::string no_such(const std::string& name) const;
    [[nodiscard]] std::string ambiguous(const std::string& name,
                                        const std::vector<std::string>& devices) const;
    std::string drain_failed(const std::string& device);
    void forget_ended_processes();

    spool::Spool& spool_;
    const spool::Clock& clock_;
    GpuWatch watch_;
    spool::GpuPoolWishes wishes_;
    spool::GpuNotes notes_;
    spool::GpuPool pool_;
    bool made_ = false;     ///< `pool_` follows from all that is known
    bool settled_ = false;  ///< it has since anybody has answered
    Time stale_since_{0};
    std::map<std::string, std::vector<std::uint64_t>> failures_;  ///< by device: jobs in a row
};

}  // namespace spoold
