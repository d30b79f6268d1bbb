// A JobResult as a JSON object: the whole of x.json, and the entries of "recent" in state.json.
#pragma once

#include "libspool/json_fields.h"
#include "libspool/result.h"

namespace spool {

[[nodiscard]] nlohmann::ordered_json result_to_json(const JobResult& result);

/// Errors go where `fields` puts them.
[[nodiscard]] JobResult result_from_fields(const JsonFields& fields);

/// Null for 0, which is a time that is not known.
[[nodiscard]] nlohmann::ordered_json time_to_json(std::int64_t wall_nanoseconds);

}  // namespace spool
