// The directives in the comments of a shell script: #SPOOL and #SBATCH. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/contradictions.h"
#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace spool {

/// The lines of `text` without their line feeds. A last line without one counts; nothing after the
/// last one does not.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text);

/// Whether a shell would find nothing to do in this line: blank, or a comment.
[[nodiscard]] bool is_idle_line(std::string_view line);

/// What stands after `marker` (`#SPOOL`, `#SBATCH`) if `line` is such a directive.
[[nodiscard]] std::optional<std::string_view> directive_text(std::string_view line,
                                                             std::string_view marker);

/// Reads the directives of a script into `spec`. As in Slurm they count before the first command
/// only: a #SPOOL line after it is an error, an #SBATCH line there a note. #SPOOL wins over
/// #SBATCH, a later line over an earlier one. Wishes that exclude each other, where they are
/// refused, are an error of the line with which they do.
[[nodiscard]] Result<void> read_directives(std::string_view script, const std::string& path,
                                           Contradictions contradictions, JobSpec& spec);

}  // namespace spool
