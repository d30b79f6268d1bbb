// What is executed for a job: argument list, directory and environment, from what its author wrote.
// Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/config.h"
#include "libspool/environment.h"
#include "libspool/gpu.h"
#include "libspool/job_spec.h"

namespace spool {

/// What a task is told of its array.
struct ArrayTask {
    std::uint64_t array = 0, task = 0;
    std::size_t count = 0;
    std::uint32_t least = 0, most = 0, step = 1;
};
/// `tasks` are all of the array, at least one.
[[nodiscard]] ArrayTask array_task(std::uint64_t array, std::uint64_t task, const TaskList& tasks);

/// What is known about a job when it is about to be started. References must outlive the call.
struct LaunchRequest {
    const JobSpec& spec;
    const Config& config;
    const Environment& base;  ///< what the overrides are laid over: captured, or of the login shell
    std::string_view script;  ///< the bytes of the script; empty for an argument list
    std::string script_path;  ///< absolute; where the supervisor writes it
    bool sbatch_lines = false;  ///< the script has #SBATCH lines: a few SLURM_* variables are set

    std::uint64_t number = 0;
    std::string name, token;
    int attempt = 1;
    std::string spool_path;    ///< absolute
    std::string prelude_path;  ///< absolute; the file with the text of libspool/prelude.h
    std::string home;          ///< absolute

    std::string host{};  ///< the machine's name, for SLURM_JOB_NODELIST
    /// Whether there is a program of this name on the PATH (asked for "bash").
    std::function<bool(const std::string&)> has_program;
    std::optional<ArrayTask> task{};
};

struct LaunchSpec {
    std::vector<std::string>
        arguments;              ///< executed as it is; the first one may need a search in PATH
    std::string directory;      ///< absolute, unless the author's own word cannot be resolved
    Environment environment;    ///< overrides of `base`
    bool needs_script = false;  ///< the script must be in `script_path` before
    /// The last argument is a plain command: its words may be executed as they are; where that
    /// fails, `arguments` are.
    bool plain_command = false;
};

[[nodiscard]] LaunchSpec launch_spec(const LaunchRequest& request);

/// `path` with a leading "~" or "~/" replaced by the home directory.
[[nodiscard]] std::string expand_home(const std::string& path, const std::string& home);

/// `--chdir=` (relative to what follows), else where it was submitted, else config.json's "cwd",
/// else the home directory.
[[nodiscard]] std::string job_directory(const JobSpec& spec, const Config& config,
                                        const std::string& home);

/// The text after `#!` as the kernel divides it: an interpreter and at most one argument.
[[nodiscard]] std::vector<std::string> split_interpreter(std::string_view line);

/// A port for torch.distributed's rendezvous, in 20000–29999 (below the ports that the kernel gives
/// out itself). 10,000 jobs in a row get different ones, and neighbours are thousands apart, so
/// that "the port + 1" is nobody's.
[[nodiscard]] int master_port(std::uint64_t number);

/// The variables that bind a job to its GPUs; apart, because GPUs are chosen last. Slots are given
/// verbatim ("0,1" is one slot); "" is a slot without a GPU. They are always set, so that a job
/// without a GPU sees none.
///
/// ROCm applies ROCR_VISIBLE_DEVICES first, and the HIP runtime numbers what is left from 0:
/// HIP_VISIBLE_DEVICES is an index into that list. HIP reads CUDA_VISIBLE_DEVICES as a synonym of
/// it, so on AMD both are 0…n-1.
[[nodiscard]] Environment gpu_environment(const std::vector<std::string>& slots, GpuVendor vendor);

}  // namespace spool
