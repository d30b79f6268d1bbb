// JSON that people wrote: parsed with the line of what is wrong, and the places of an object's
// members. Pure functions.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

/// 1-based line of the byte at `offset`.
[[nodiscard]] int line_of(std::string_view text, std::size_t offset);

/// Parses strict JSON. The error has the line; its message says what was expected.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text, const std::string& path);

/// Comments and trailing commas replaced by blanks: the same offsets and lines, strict JSON.
[[nodiscard]] std::string without_comments(std::string_view text);

/// One member of an object, by offsets into its text.
struct JsonMember {
    std::string key;
    std::size_t key_begin = 0;    ///< of the opening quote
    std::size_t value_begin = 0;  ///< first byte of the value
    std::size_t value_end = 0;    ///< one past its last byte
};

/// The members of the object that begins at or after `offset`, in order, duplicates included.
/// `text` is strict JSON that `parse_json` accepts.
[[nodiscard]] std::vector<JsonMember> object_members(std::string_view text, std::size_t offset = 0);

/// Offsets of the elements of the list that begins at or after `offset`.
[[nodiscard]] std::vector<std::size_t> list_elements(std::string_view text, std::size_t offset);

}  // namespace spool
