// What --json prints. The keys are an interface (docs/cli.md).
#pragma once

#include <nlohmann/json.hpp>

#include "libspool/reader.h"

namespace cli {

using Json = nlohmann::ordered_json;

[[nodiscard]] Json to_json(const spool::JobResult& result);
[[nodiscard]] Json to_json(const spool::WaitingState& job);
[[nodiscard]] Json to_json(const spool::RunningState& job);
[[nodiscard]] Json to_json(const spool::ArrayState& array);
[[nodiscard]] Json devices_json(const std::vector<spool::DeviceState>& devices);
[[nodiscard]] Json to_json(const spool::SpoolState& state);
void print_json(const Json& json);

}  // namespace cli
