// The options of sbatch (Slurm 22.05) that may stand in #SBATCH lines, and what each means here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libspool/job_spec.h"

namespace spool {

struct SbatchOption {
    enum class Takes { nothing, optional, value };
    enum class Meaning {
        set,      ///< the same as the setting `setting`
        gres,     ///< gpu:2, gpu:a100:2
        gpus,     ///< 2, a100:2
        nice,     ///< a negative priority
        exports,  ///< ALL, NAME=value
        hold,     ///< the job waits until it is released
        memory_per_cpu,
        requeue,  ///< after a reboot or a loss
        no_requeue,
        memory_per_gpu,
        nodes,  ///< one is a matter of course, more cannot be had
        ntasks,
        note,    ///< means nothing on one machine: noted
        refuse,  ///< to neglect it would run the job wrongly: rejected
    };
    std::string_view name;
    char letter;  ///< of the short form, or 0
    Takes takes;
    Meaning meaning;
    std::string_view setting = {};
};

/// By long name or by an abbreviation of it that fits only one, as getopt_long does; null if there
/// is none.
[[nodiscard]] const SbatchOption* find_sbatch_option(std::string_view name);
[[nodiscard]] const SbatchOption* find_sbatch_option(char letter);

/// One use of an option: what to do about it. At most one of the two is set.
struct SbatchEffect {
    std::optional<std::string> problem;  ///< the job is rejected with this
    std::optional<std::string> note;     ///< for the result
};
[[nodiscard]] SbatchEffect apply_sbatch_option(const SbatchOption& option, std::string_view value,
                                               JobSpec& spec);

}  // namespace spool
