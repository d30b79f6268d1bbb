// config.json: the settings. JSON in which comments and trailing commas are allowed. A pure
// function of bytes.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"
#include "libspool/gpu_use.h"

namespace spool {

/// All settings, with their defaults. Keys in config.json have the names of the members unless
/// said.
struct Config {
    /// "gpus": each entry one slot, given verbatim to CUDA_VISIBLE_DEVICES; "" is a slot without a
    /// GPU; numbers are allowed. Absent, or "auto": the GPUs that the drivers list.
    std::optional<std::vector<std::string>> gpus;
    bool bind_by_id = false;  ///< "bind": "uuid" instead of "index"
    /// "desktop_share" (0 to 1), "ignored_programs", "unexplained_memory" (like "mem")
    GpuRules gpu_rules;
    std::vector<std::string> gpus_drained;  ///< indexes, UUIDs, PCI addresses, or texts of slots
    std::optional<int> max_gpus;            ///< that jobs of this spool have at once
    std::optional<int> cpu_slots;  ///< absent: half of the machine's processors, at least one
    std::optional<int> cpus;       ///< processors for jobs; absent: all of the machine
    std::optional<std::uint64_t> memory;    ///< "mem": for jobs, bytes; absent: all of the machine
    std::chrono::milliseconds settle{100};  ///< "settle_ms"
    std::chrono::milliseconds grace{10'000};           ///< "grace": seconds, or "10s", "2m"
    std::chrono::milliseconds leftover_grace{10'000};  ///< "leftover_grace", the same
    std::set<std::string> labels;                      ///< of this machine, that jobs can ask for
    bool inhibit_sleep = true;                         ///< while jobs run
    std::chrono::milliseconds hook_timeout{60'000};    ///< "hook_timeout", the same
    bool enforce_limits = true;                        ///< of memory and processors, by cgroup
    std::string directory;  ///< "cwd": of bare files; empty: the home directory
    std::map<std::string, std::string> environment;  ///< "env"
    std::string shell;  ///< "shell": for scripts without #!; empty: bash -eo pipefail
    /// Keys that were not understood, as "config.json:3: unknown key 'gpu' (did you mean 'gpus'?)".
    std::vector<std::string> warnings;
};

/// Reads config.json. Unknown keys are warnings, wrong types and values are errors with their line.
[[nodiscard]] Result<Config> read_config(std::string_view bytes, const std::string& path);

/// Why no slot can be meant by this text ("all", "-1", "0,,1"), with what is accepted; empty if one
/// can. "" is a slot without a GPU.
[[nodiscard]] std::string slot_problem(const std::string& text);

/// simple_gpu_scheduler's rule for `--gpus`: several arguments are one slot each, verbatim; a
/// single one is split at commas.
[[nodiscard]] std::vector<std::string> gpu_slots_from_arguments(
    const std::vector<std::string>& arguments);

}  // namespace spool
