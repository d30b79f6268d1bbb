// Small change with texts. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// `texts` as one, with `separator` between them.
[[nodiscard]] std::string joined(const std::vector<std::string>& texts, std::string_view separator);

/// The parts between separators, empty ones too: at least one.
[[nodiscard]] std::vector<std::string_view> split_at(std::string_view text, char separator);

/// ASCII letters in lower case, other bytes as they are.
[[nodiscard]] std::string lower_case(std::string_view text);

/// What stands behind the last slash of a path.
[[nodiscard]] std::string base_name(const std::string& path);

}  // namespace spool
