// .spool/state.json: what the daemon publishes, and what readers show (docs/protocol.md §11). Plain
// data and its JSON form.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"
#include "libspool/gpu.h"
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
        machine_drained,  ///< `detail`: the text in /run/gpuspool/drain
        gpus,             ///< `wanted` GPUs (`detail`: which), `free` are free
        gpus_unknown,     ///< what GPUs there are is not known (`detail`: why, or nothing yet)
        max_gpus,         ///< the spool may not hold more (`free`: how many it may)
        cpu_slots,
        cpus,              ///< `wanted` processors, `free` are free
        memory,            ///< `detail`: "10 GiB: 2 GiB" wanted and free
        reserved,          ///< what it needs is kept for job `detail`, which would be delayed
        held,              ///< until it is released
        group_held,        ///< `detail`: the group, and why
        group_limit,       ///< of its group (`detail`) `free` run, as many as it allows
        array_limit,       ///< `free` tasks of the array run, as many as it allows
        begin,             ///< `detail`: its time
        dependency,        ///< `detail`: "job 12 to succeed"
        never_dependency,  ///< `detail`: the same, which can never be, or a circle
        never_cpus,        ///< `free`: the machine's
        never_memory,      ///< `detail`: "10 GiB of 8 GiB"
        never_label,       ///< `detail`: a label that the machine does not have
        never_gpus,    ///< asks for more than the pool can ever give (`free`: the most that it can,
                       ///< `detail`: of what kind)
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
    /// What has the GPUs that are wanted, for people: "0 held by job 41 (x)".
    std::vector<std::string> obstacles;

    bool operator==(const WaitReason&) const = default;
};

/// The sentence for people: what is waited for, and where there is one, the remedy.
[[nodiscard]] std::string wait_sentence(const WaitReason& reason);

/// A slot of the pool.
struct GpuState {
    std::string slot;                   ///< verbatim
    std::optional<std::uint64_t> job;   ///< number of the job that has it; of several the first
    std::string name;                   ///< of that job
    std::vector<std::uint64_t> jobs{};  ///< all that share it
    /// "free", "held" (by jobs of this spool), "elsewhere" (another spool has it), "busy",
    /// "unknown", "drained".
    std::string status = "free";
    std::string reason{};                ///< for people: why nothing is started there
    std::vector<std::string> devices{};  ///< ids, as in `SpoolState::devices`, or parts of `slot`
    std::string label{};                 ///< of that job, for people: "42", of a task "42_7"

    bool operator==(const GpuState&) const = default;
};

/// A GPU of the machine, whether or not it is in the pool.
struct DeviceState {
    Gpu gpu;             ///< its processes without tokens and cgroups
    std::string status;  ///< as in GpuState, or "unused": it is not in the pool
    std::string reason;
    std::vector<std::uint64_t> jobs;  ///< of this spool

    bool operator==(const DeviceState&) const = default;
};

struct RunningState {
    std::uint64_t id = 0;
    std::string name, command, directory, profile;
    std::string phase;   ///< "claimed", "starting", "running", "suspended", "retrying",
                         ///< "cancelling", "ending"
    std::string detail;  ///< "ending: 2 processes left"
    std::vector<std::string> gpus;
    std::int64_t submitted_at = 0, started_at = 0;
    int attempt = 1;
    int pid = 0;  ///< of the job's main process on the spool's host; 0 = not known
    std::optional<std::uint64_t> task{};  ///< of a task: its index; `id` is then its array's
    std::uint64_t number = 0;             ///< of a task: its own number

    bool operator==(const RunningState&) const = default;
};

/// One line of JSON.
[[nodiscard]] std::string write_running(const RunningState& job);

struct WaitingState {
    std::uint64_t id = 0;  ///< 0: not numbered (no daemon has seen it yet)
    std::string name, file, command;
    int priority = 0;
    std::int64_t submitted_at = 0;
    WaitReason reason;
    std::uint64_t tasks =
        0;  ///< of an array that was not opened yet: how many it has; 0: it is none

    bool operator==(const WaitingState&) const = default;
};

/// An open array; those of its tasks that run are in `running` too.
struct ArrayState {
    std::uint64_t id = 0;
    std::string name, file, command;
    int priority = 0;
    std::int64_t submitted_at = 0, started_at = 0;
    std::uint64_t count = 0, running = 0, waiting = 0;  ///< tasks
    std::map<Outcome, std::uint64_t> ended{};           ///< of them
    WaitReason reason{};                                ///< why those wait that do

    bool operator==(const ArrayState&) const = default;
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
    std::vector<DeviceState> devices;
    std::int64_t surveyed_at = 0;  ///< when `devices` was true; 0: never
    int cpu_slots = 0, cpu_slots_used = 0;
    std::vector<RunningState> running;
    std::vector<WaitingState>
        waiting;  ///< at most `max_waiting` of them, in the order in which they will start
    std::uint64_t waiting_count = 0;  ///< of all
    std::vector<JobResult> recent;    ///< last ended, newest first
    std::vector<IgnoredState> ignored;
    std::vector<ArrayState> arrays;

    static constexpr std::size_t max_waiting = 200;
    static constexpr std::size_t max_recent = 20;

    bool operator==(const SpoolState&) const = default;
};

/// The published form, 64 KiB at most: GPUs are told in less detail, then waiting jobs left out.
[[nodiscard]] std::string write_state(const SpoolState& state);
[[nodiscard]] Result<SpoolState> read_state(std::string_view bytes, const std::string& path);

}  // namespace spool
