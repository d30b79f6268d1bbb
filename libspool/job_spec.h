// What a job file asks for: the result of reading it, before anything is decided.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libspool/array_spec.h"
#include "libspool/retry_rules.h"

namespace spool {

/// What `gpuspool submit` and the tray add to a job file (`#SPOOL-SUBMIT {…}`, or `spool_submit` in
/// JSON).
struct SubmitInfo {
    std::string spool;  ///< identity of the spool that gave the number
    std::uint64_t number = 0;
    std::string directory;               ///< where it was submitted; absolute
    std::string environment;             ///< name of a file in .spool/env/
    std::vector<std::string> secrets;    ///< names of variables that were left out of it
    std::string submitted_at;            ///< RFC 3339
    std::vector<std::string> arguments;  ///< positional arguments of a script
    std::optional<std::uint64_t> retry_of;
    /// Of an array that has some tasks of another once more: all tasks of that one, "0-99". The
    /// counts in the environment come from it.
    std::string array{};

    bool operator==(const SubmitInfo&) const = default;
};

/// What must have become of another job before this one may start.
/// `task_success`: of two arrays, for each task that with the same index.
enum class After { start, success, failure, end, task_success };

/// A condition as its author wrote it.
struct AfterJob {
    After after = After::end;
    std::string job;  ///< a number or a name

    bool operator==(const AfterJob&) const = default;
};

/// `--dependency=`
struct AfterJobs {
    std::vector<AfterJob> list;
    bool any = false;        ///< one of them is enough
    bool singleton = false;  ///< after all earlier jobs of the same name

    bool operator==(const AfterJobs&) const = default;
};

/// A job as its author wrote it. Whatever is empty or absent was not said.
struct JobSpec {
    enum class Kind { script, command };
    Kind kind = Kind::script;

    std::vector<std::string> command;  ///< argument list of a JSON job
    std::string shell;                 ///< `--shell=`; a program and its options, split at blanks
    std::string interpreter;           ///< text after `#!`, for a script that has one

    std::string name;                                ///< `--job-name=`; empty: the file's stem
    std::string directory;                           ///< `--chdir=`; may begin with ~/
    std::map<std::string, std::string> environment;  ///< explicit "env" of JSON, `--env=K=V`
    std::string output, error;                       ///< `--output=`, `--error=`
    bool truncate_output = true;                     ///< `--open-mode=`

    std::optional<int> gpus;                  ///< `--gpus=`; absent: one slot where there is a pool
    std::optional<std::uint64_t> gpu_memory;  ///< `--gpu-mem=`, bytes on each GPU, which it shares
    std::string gpu_type;                     ///< `--gpu-type=`
    std::vector<std::string> gpu_ids, gpu_avoid;  ///< `--gpu-ids=`, `--gpu-avoid=`
    std::optional<int> cpus;                      ///< `--cpus=`
    std::optional<std::uint64_t> memory;          ///< `--mem=`, bytes
    /// #SBATCH --mem-per-cpu, --mem-per-gpu; bytes, where `memory` is not said.
    std::optional<std::uint64_t> memory_per_cpu, memory_per_gpu;
    int tasks = 0;  ///< #SBATCH --ntasks: each has its `cpus`; 0: not said
    int priority = 0;
    std::string profile;  ///< `--profile=`, `--target=`

    std::string group;                ///< `--group=NAME%4`
    int group_limit = 0;              ///< of its group so many run at once; 0: any number
    bool held = false;                ///< `--hold`
    std::string begin;                ///< `--begin=`: not before (see parse_begin)
    AfterJobs after;                  ///< `--dependency=`
    std::vector<std::string> labels;  ///< `--labels=`: that the machine must have

    std::optional<std::chrono::milliseconds> time_limit, grace, leftover_grace;
    int warn_signal = 0;                            ///< `--signal=`; 0: none
    std::chrono::milliseconds warn_before{60'000};  ///< before the time limit
    bool wait_for_leftovers = false;

    std::string conda_environment, virtual_environment;  ///< `--conda-env=`, `--venv=`
    std::vector<std::string> modules;                    ///< `--modules=`

    /// Remarks for the result: #SBATCH options that mean nothing here, one sentence each.
    std::vector<std::string> notes;
    std::optional<SubmitInfo> submit;
    ArraySpec array;   ///< `--array=`
    RetryRules rules;  ///< `--retries=`, `--requeue`, …

    bool operator==(const JobSpec&) const = default;
};

/// Whether the user's login environment must be known before it starts: a file without a recorded
/// environment gets it, and what was kept out of a recorded one is filled in from it.
[[nodiscard]] inline bool needs_login_environment(const JobSpec& spec) {
    return !spec.submit || spec.submit->environment.empty() || !spec.submit->secrets.empty();
}

}  // namespace spool
