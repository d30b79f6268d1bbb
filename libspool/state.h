// .spool/state.json: what the daemon publishes, and what readers show (docs/protocol.md §11). Plain
// data and its JSON form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"
#include "libspool/result.h"

namespace spool {

/// Why a job waits, as a code with the figures that its sentence needs.
struct WaitReason {
    enum class Kind {
        next,        ///< starts as soon as the daemon gets to it
        settling,    ///< the file is still changing
        no_command,  ///< the file has no command yet
        editor,      ///< held by an editor (`detail`: the mark)
        open,        ///< somebody has it open for writing
        paused,      ///< `detail`: the text in control/pause
        draining,
        gpus,  ///< `wanted` GPUs, `free` are free
        cpu_slots,
        never_gpus,    ///< asks for more than the pool can ever give (`free`: the most that it can)
        profile,       ///< `detail`: a profile that is not there
        environment,   ///< the login environment is still being read
        previous_run,  ///< `detail`: its earlier run has not ended
        trouble,       ///< the spool itself cannot be written: `detail`
        unknown,       ///< by readers only: one of a newer version (`detail`: its name)
        daemon_down,   ///< by readers only
    };
    Kind kind = Kind::next;
    int wanted = 0, free = 0;
    std::string detail;
    std::vector<std::string> holders;  ///< running jobs that hold what is wanted, as "41 (x)"

    bool operator==(const WaitReason&) const = default;
};

/// The sentence for people: what is waited for, and where there is one, the remedy.
[[nodiscard]] std::string wait_sentence(const WaitReason& reason);

struct GpuState {
    std::string slot;                  ///< verbatim
    std::optional<std::uint64_t> job;  ///< number of the job that has it
    std::string name;                  ///< of that job

    bool operator==(const GpuState&) const = default;
};

struct RunningState {
    std::uint64_t id = 0;
    std::string name, command, directory, profile;
    std::string phase;   ///< "claimed", "running", "cancelling", "ending"
    std::string detail;  ///< "ending: 2 processes left"
    std::vector<std::string> gpus;
    std::int64_t submitted_at = 0, started_at = 0;
    int attempt = 1;
    int pid = 0;  ///< of the job's main process on the spool's host; 0 = not known

    bool operator==(const RunningState&) const = default;
};

struct WaitingState {
    std::uint64_t id = 0;  ///< 0: not numbered (no daemon has seen it yet)
    std::string name, file, command;
    int priority = 0;
    std::int64_t submitted_at = 0;
    WaitReason reason;

    bool operator==(const WaitingState&) const = default;
};

struct IgnoredState {
    std::string path;  ///< "incoming/notes.txt"
    std::string reason;

    bool operator==(const IgnoredState&) const = default;
};

struct DaemonState {
    bool running = false;
    std::string host, version, started_at;
    int pid = 0;
    bool paused = false, draining = false;
    std::string pause_reason;
    std::vector<std::string> problems;  ///< sentences: what is wrong, and the remedy

    bool operator==(const DaemonState&) const = default;
};

struct SpoolState {
    DaemonState daemon;
    std::vector<GpuState> gpus;
    int cpu_slots = 0, cpu_slots_used = 0;
    std::vector<RunningState> running;
    std::vector<WaitingState>
        waiting;  ///< at most `max_waiting` of them, in the order in which they will start
    std::uint64_t waiting_count = 0;  ///< of all
    std::vector<JobResult> recent;    ///< last ended, newest first
    std::vector<IgnoredState> ignored;

    static constexpr std::size_t max_waiting = 200;
    static constexpr std::size_t max_recent = 20;

    bool operator==(const SpoolState&) const = default;
};

/// The published form. If it would exceed 64 KiB, waiting jobs are left out from the end.
[[nodiscard]] std::string write_state(const SpoolState& state);
[[nodiscard]] Result<SpoolState> read_state(std::string_view bytes, const std::string& path);

}  // namespace spool
