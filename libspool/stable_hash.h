// A hash for names of files.
#pragma once

#include <string>
#include <string_view>

namespace spool {

/// 32 hexadecimal digits: FNV-1a of 128 bits, the same over versions and machines, which std::hash
/// is not. Not against somebody who looks for two texts of one hash.
[[nodiscard]] std::string stable_hash(std::string_view bytes);

}  // namespace spool
