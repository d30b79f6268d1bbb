// The coded names of the reasons to wait, as state.json has them.
#pragma once

#include <optional>
#include <string_view>

#include "libspool/state.h"

namespace spool {

[[nodiscard]] std::string_view wait_kind_name(WaitReason::Kind kind);
[[nodiscard]] std::optional<WaitReason::Kind> wait_kind_from_name(std::string_view name);

}  // namespace spool
