// A JobResult as a JSON object: the whole of x.json, and the entries of "recent" in state.json.
#pragma once

#include "libspool/json_fields.h"
#include "libspool/json_writer.h"
#include "libspool/result.h"

namespace spool {

/// Strings of more than `longest` bytes are cut.
[[nodiscard]] nlohmann::ordered_json result_to_json(const JobResult& result,
                                                    std::size_t longest = JsonWriter::no_limit);

/// Errors go where `fields` puts them.
[[nodiscard]] JobResult result_from_fields(const JsonFields& fields);

[[nodiscard]] nlohmann::ordered_json attempts_to_json(const std::vector<PastAttempt>& attempts);
[[nodiscard]] std::vector<PastAttempt> attempts_from_fields(const JsonFields& fields,
                                                            const char* key);

}  // namespace spool
