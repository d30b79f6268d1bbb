// What became of a job, decided from its record alone (docs/protocol.md §8). Pure.
#pragma once

#include "libspool/active_job.h"
#include "libspool/result.h"

namespace spool {

/// The result of an active job from the pages of its record. For a record without a valid exit page
/// the outcome is `interrupted` if the claim is of another boot than `boot`, else `lost`; `now` is
/// then its end. Fills in everything but `host`.
[[nodiscard]] JobResult decide_outcome(const ActiveJob& job, const RecordContent& content,
                                       const record::BootId& boot, std::int64_t now);

/// The result of a file that was never run: rejected (with the error's line and reason) or
/// withdrawn.
[[nodiscard]] JobResult rejected_result(std::uint64_t number, const std::string& file_name,
                                        const Error& error, std::int64_t now);
[[nodiscard]] JobResult withdrawn_result(std::uint64_t number, const std::string& file_name,
                                         std::int64_t now);

}  // namespace spool
