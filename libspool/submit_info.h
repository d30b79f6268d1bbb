// What a submitter adds to a job file, as JSON: in the `#SPOOL-SUBMIT` line or under
// "spool_submit". Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace spool {

inline constexpr std::string_view submit_marker = "#SPOOL-SUBMIT";

/// On one line, in ASCII.
[[nodiscard]] std::string write_submit_info(const SubmitInfo& submit);

/// An error is a sentence that fits behind `where` (not in it); unknown keys are ignored.
[[nodiscard]] tl::expected<SubmitInfo, std::string> read_submit_info(const nlohmann::json& json);

}  // namespace spool
