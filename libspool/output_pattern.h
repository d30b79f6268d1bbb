// The patterns of `--output=` and `--error=`, as sbatch defines them. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spool {

struct OutputContext {
    std::uint64_t job = 0;                 ///< %j, %J; of a task its own number
    std::optional<std::uint64_t> task;     ///< %a
    std::string name;                      ///< %x
    std::string host;                      ///< %N, without its domain
    std::string user;                      ///< %u
    std::optional<std::uint64_t> array{};  ///< %A; of a job that is no task `job`
};

/// `pattern` with %j %J %A %a %b %x %N %n %s %t %u and %% replaced; a number after the % pads
/// numbers with zeros (%4j). Other letters stay as they are. A backslash anywhere turns replacement
/// off, and is itself removed. A / in a replacement becomes _.
[[nodiscard]] std::string expand_output_pattern(std::string_view pattern,
                                                const OutputContext& context);

}  // namespace spool
