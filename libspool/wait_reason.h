// The coded names of the reasons to wait, as state.json has them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libspool/state.h"
#include "libspool/terms.h"

namespace spool {

[[nodiscard]] std::string_view wait_kind_name(WaitReason::Kind kind);
[[nodiscard]] std::optional<WaitReason::Kind> wait_kind_from_name(std::string_view name);

/// Of a condition that cannot be met any more: "it was to follow job 1 (prep) after its success,
/// which did not come". The name may be empty.
[[nodiscard]] std::string hopeless_text(const Dependency& dependency, const std::string& label,
                                        const std::string& name);

}  // namespace spool
