// A Gpu as a JSON object: what the probe writes, and the entries of "devices" in state.json.
#pragma once

#include "libspool/gpu.h"
#include "libspool/json_fields.h"
#include "libspool/json_writer.h"

namespace spool {

[[nodiscard]] nlohmann::ordered_json gpu_to_json(const Gpu& gpu);

/// The same without what is the daemon's alone: tokens and cgroups of processes.
[[nodiscard]] nlohmann::ordered_json public_gpu_to_json(const Gpu& gpu);

/// Errors go where `fields` puts them.
[[nodiscard]] Gpu gpu_from_fields(const JsonFields& fields);

}  // namespace spool
