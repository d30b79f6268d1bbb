// The list of GPUs in state.json, which leaves room for the jobs however many GPUs there are.
#pragma once

#include <vector>

#include "libspool/json_fields.h"
#include "libspool/state.h"

namespace spool {

/// All devices, each with as much of it as has room in `room` bytes: everything; without processes;
/// or which it is and how it is used, whatever the size.
[[nodiscard]] nlohmann::ordered_json devices_to_json(const std::vector<DeviceState>& devices,
                                                     std::size_t room);

[[nodiscard]] DeviceState device_from_fields(const JsonFields& fields);

}  // namespace spool
