// Text in a buffer of fixed size: what does not fit is cut, and said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace spool::exec {

template <std::size_t Size>
class Text {
public:
    Text() { bytes_[0] = 0; }
    Text& add(const char* bytes, std::size_t length) {
        const std::size_t room = Size - 1 - used_;
        if (length > room) {
            cut_ = true;
            length = room;
        }
        memcpy(bytes_ + used_, bytes, length);
        used_ += length;
        bytes_[used_] = 0;
        return *this;
    }
    Text& add(const char* string) { return add(string, strlen(string)); }
    Text& add_number(std::uint64_t value) {
        char digits[20];
        std::size_t first = sizeof digits;
        do
            digits[--first] = static_cast<char>('0' + value % 10);
        while (value /= 10);
        return add(digits + first, sizeof digits - first);
    }
    /// Bytes of a name for a terminal: control bytes become question marks.
    Text& add_visible(const char* bytes, std::size_t length) {
        for (std::size_t i = 0; i < length; ++i) {
            const auto byte = static_cast<unsigned char>(bytes[i]);
            add(byte < 0x20 || byte == 0x7f ? "?" : bytes + i, 1);
        }
        return *this;
    }
    const char* c_str() const { return bytes_; }
    std::size_t size() const { return used_; }
    bool cut() const { return cut_; }

private:
    char bytes_[Size];
    std::size_t used_ = 0;
    bool cut_ = false;
};

/// 32 hexadecimal digits into 16 bytes; dashes are skipped, and what follows the digits.
template <typename Bytes>
bool parse_hex(const char* text, std::size_t length, Bytes& out) {
    std::size_t digits = 0;
    for (std::size_t i = 0; i < length && digits < 2 * out.size(); ++i) {
        const char c = text[i];
        if (c == '-') continue;
        const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0) return false;
        auto& byte = out[digits / 2];
        byte = static_cast<std::uint8_t>(digits % 2 ? byte << 4 | value : value);
        ++digits;
    }
    return digits == 2 * out.size();
}

}  // namespace spool::exec
