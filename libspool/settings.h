// What a job file may ask for: one table for #SPOOL directives, for the #SBATCH options that mean
// the same, and for the keys of JSON jobs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libspool/job_spec.h"

namespace spool {

struct Setting {
    std::string_view name;      ///< as in `#SPOOL --name=`; in JSON with _ for -
    std::string_view accepted;  ///< what values there are, to follow "expected"
    /// Sets it; false if the value is not accepted. What can be repeated is added to.
    bool (*apply)(JobSpec& spec, std::string_view value);
    bool list = false;  ///< in JSON also a list of values
    bool flag = false;  ///< a directive may leave its value out: "yes"; in JSON true or false
};

/// The setting of that name or alias, in which _ counts as -; null if there is none.
[[nodiscard]] const Setting* find_setting(std::string_view name);

inline constexpr std::int64_t most_priority = 1'000'000'000;  ///< and the least, with a minus

/// All names and aliases, for suggestions.
[[nodiscard]] const std::vector<std::string>& setting_names();

/// "'x' is no value for --gpus: expected a number from 0 to 1024". `shown_name` as its author wrote
/// it.
[[nodiscard]] std::string bad_value(const Setting& setting, std::string_view shown_name,
                                    std::string_view value);

/// ` (did you mean 'gpus'?)`, or nothing.
[[nodiscard]] std::string suggestion(std::string_view word,
                                     const std::vector<std::string>& candidates,
                                     std::string_view prefix = "");

/// Splits at blanks as a shell does, with its quotes; a # that begins a word ends the line. False
/// for a quote that is not closed.
[[nodiscard]] bool split_words(std::string_view text, std::vector<std::string>& out);

}  // namespace spool
