// UTF-8, as far as names and messages need it. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spool {

/// The character at the start of `bytes` (which is not empty).
struct Utf8Character {
    char32_t code = 0;       ///< meaningless if not valid
    std::size_t length = 1;  ///< in bytes; 1 if not valid
    bool valid = false;
};
[[nodiscard]] Utf8Character first_character(std::string_view bytes);

[[nodiscard]] bool is_utf8(std::string_view bytes);

/// The longest start of `bytes` with at most `limit` bytes that cuts no character in two.
[[nodiscard]] std::string_view cut_utf8(std::string_view bytes, std::size_t limit);

/// The same with "…" in place of what was cut; `limit` has room for that.
[[nodiscard]] std::string shorten_utf8(std::string_view bytes, std::size_t limit);

/// `bytes` with each byte that is not valid UTF-8 as \xNN. Not reversible; for sentences.
[[nodiscard]] std::string valid_text(std::string_view bytes);

/// One byte as \xNN.
[[nodiscard]] std::string hex_escape(char byte);

}  // namespace spool
