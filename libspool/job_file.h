// Reading a job file: a shell script with #SPOOL and #SBATCH directives, or JSON. Pure functions of
// bytes.
#pragma once

#include <string>
#include <string_view>

#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace spool {

/// Above this a job file is rejected unread. As Slurm's default for a script.
inline constexpr std::uint64_t max_job_file_size = 4u << 20;

/// Whether there is anything to execute in it: a line that is neither blank nor a comment, or any
/// JSON text. A file without a command is not an error; it is not ready yet.
[[nodiscard]] bool has_command(std::string_view bytes);

/// Reads a job file of any kind. `path` is only used in errors, which carry the 1-based line.
/// Rejects: NUL bytes, DOS line ends, a byte order mark, JSON that is no job, unknown #SPOOL keys
/// (naming the nearest known one), bad values, and Slurm options whose neglect would run the job
/// wrongly.
[[nodiscard]] Result<JobSpec> read_job_file(std::string_view bytes, const std::string& path);

/// The same of a file that is to become a job: wishes that exclude each other are rejected too.
[[nodiscard]] Result<JobSpec> read_new_job_file(std::string_view bytes, const std::string& path);

/// The script as it is executed: `bytes` without the `#SPOOL-SUBMIT` line.
[[nodiscard]] std::string executed_script(std::string_view bytes);

/// `bytes` with `submit` added: the user's bytes unchanged, one line (or JSON key) more. Any older
/// one is replaced. Fails if `bytes` is JSON that cannot be parsed.
[[nodiscard]] Result<std::string> with_submit_info(std::string_view bytes,
                                                   const SubmitInfo& submit);

/// What a JSON job of `gpuspool submit` looks like: "command" first, indented, readable.
[[nodiscard]] std::string write_command_job(const JobSpec& spec);

/// One line that shows what is executed, for status and result: the arguments quoted as for a
/// shell, or the first line of a script that is a command (with "…" where there are more).
[[nodiscard]] std::string command_line(const JobSpec& spec, std::string_view bytes);

}  // namespace spool
