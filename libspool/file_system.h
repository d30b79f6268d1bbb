// Which file systems are those of a network.
#pragma once

#include <cstdint>
#include <string_view>

namespace spool {

/// What people call the network file system of this type (statfs(2), `f_type`); empty: it is none.
/// Other machines may change what is on it without this kernel's notice.
[[nodiscard]] std::string_view network_file_system(std::uint32_t type);

}  // namespace spool
