#include "libspool/utf8.h"

namespace spool {

namespace {

struct Lead {
    std::size_t length;
    char32_t bits, least;
};

Lead lead_of(unsigned char byte) {
    if (byte < 0x80) return {1, byte, 0};
    if (byte >= 0xC2 && byte < 0xE0) return {2, byte & 0x1Fu, 0x80};
    if (byte >= 0xE0 && byte < 0xF0) return {3, byte & 0x0Fu, 0x800};
    if (byte >= 0xF0 && byte < 0xF5) return {4, byte & 0x07u, 0x10000};
    return {0, 0, 0};
}

}  // namespace

Utf8Character first_character(std::string_view bytes) {
    const Lead lead = lead_of(static_cast<unsigned char>(bytes.front()));
    if (lead.length == 0 || lead.length > bytes.size()) return {};
    char32_t code = lead.bits;
    for (std::size_t i = 1; i < lead.length; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        if ((byte & 0xC0u) != 0x80u) return {};
        code = (code << 6) | (byte & 0x3Fu);
    }
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    if (code < lead.least || code > 0x10FFFF || surrogate) return {};
    return {code, lead.length, true};
}

bool is_utf8(std::string_view bytes) {
    while (!bytes.empty()) {
        const Utf8Character character = first_character(bytes);
        if (!character.valid) return false;
        bytes.remove_prefix(character.length);
    }
    return true;
}

std::string_view cut_utf8(std::string_view bytes, std::size_t limit) {
    if (bytes.size() <= limit) return bytes;
    for (std::size_t back = 1; back <= 3 && back <= limit; ++back) {
        const std::size_t start = limit - back;
        const Utf8Character character = first_character(bytes.substr(start));
        if (character.valid && start + character.length > limit) return bytes.substr(0, start);
    }
    return bytes.substr(0, limit);
}

std::string shorten_utf8(std::string_view bytes, std::size_t limit) {
    constexpr std::string_view mark = "…";
    if (bytes.size() <= limit) return std::string(bytes);
    return std::string(cut_utf8(bytes, limit - mark.size())) + std::string(mark);
}

std::string hex_escape(char byte) {
    static constexpr char digits[] = "0123456789ABCDEF";
    const auto value = static_cast<unsigned char>(byte);
    return {'\\', 'x', digits[value >> 4], digits[value & 15]};
}

std::string valid_text(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        const Utf8Character character = first_character(bytes);
        if (character.valid)
            out += bytes.substr(0, character.length);
        else
            out += hex_escape(bytes.front());
        bytes.remove_prefix(character.length);
    }
    return out;
}

}  // namespace spool
