// JSON jobs: {"command": [...], "cwd": …, "env": {…}, "gpus": 1, …}. Pure functions of bytes.
//
// Besides "command", "escaped" and "spool_submit" the keys are those of the table in settings.cpp,
// with _ for -.
#pragma once

#include <string>
#include <string_view>

#include "libspool/contradictions.h"
#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace spool {

/// Whether a job file is meant as JSON: its first byte that is not blank is {.
[[nodiscard]] bool is_json_job(std::string_view bytes);

[[nodiscard]] Result<JobSpec> read_json_job(std::string_view bytes, const std::string& path,
                                            Contradictions contradictions);

/// `bytes` with the member "spool_submit" set, and otherwise unchanged.
[[nodiscard]] Result<std::string> json_with_submit_info(std::string_view bytes,
                                                        const SubmitInfo& submit);

}  // namespace spool
