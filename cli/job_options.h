// The options of `gpuspool submit` that say what the job needs, and how they get into a job file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "libspool/contradictions.h"
#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace cli {

struct JobOptions {
    /// Keys of #SPOOL directives and their values, as given: {"gpus", "2"}.
    std::vector<std::pair<std::string, std::string>> settings;
    std::map<std::string, std::string> environment;
};

/// A job of an argument list, with the options as its keys. Values are checked as those of a
/// directive are.
spool::Result<std::string> command_job(
    const std::vector<std::string>& command, const JobOptions& options,
    spool::Contradictions contradictions = spool::Contradictions::refused);

/// `bytes` with the options added so that they win over what the file says: to a script as #SPOOL
/// lines before its first command, to JSON as keys.
spool::Result<std::string> with_options(const std::string& bytes, const JobOptions& options);

/// A name for a command: that of the script it runs, else that of the program.
[[nodiscard]] std::string name_of_command(const std::vector<std::string>& command);

}  // namespace cli
