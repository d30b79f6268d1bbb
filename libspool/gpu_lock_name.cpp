#include "libspool/gpu_lock_name.h"

#include <limits>
#include <vector>

#include "libspool/stable_hash.h"
#include "libspool/values.h"

namespace spool {
namespace {

constexpr std::string_view lock_prefix = "gpuspool.", ticket_prefix = "gpuspool-ticket.",
                           making_prefix = ".gpuspool-new.";
constexpr std::size_t longest_id = 120, longest_part = 32;

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == ':';
}

/// The short form of a very long id.
bool is_hashed(std::string_view text) {
    return text.size() == 34 && text.starts_with("%-") &&
           text.find_first_not_of("0123456789abcdef", 2) == text.npos;
}

std::optional<char> read_escape(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    if (text.size() < 3 || text[0] != '%') return std::nullopt;
    const auto high = digits.find(text[1]), low = digits.find(text[2]);
    if (high == digits.npos || low == digits.npos) return std::nullopt;
    return static_cast<char>(high << 4 | low);
}

std::optional<std::string> unescape(std::string_view text) {
    if (is_hashed(text)) return std::string(text);
    std::string out;
    while (!text.empty()) {
        const auto escaped = read_escape(text);
        if (!escaped && !is_plain(text.front())) return std::nullopt;
        out += escaped.value_or(text.front());
        text.remove_prefix(escaped ? 3 : 1);
    }
    return out;
}

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t dot = text.find('.');
        parts.push_back(text.substr(0, dot));
        if (dot == text.npos) return parts;
        text.remove_prefix(dot + 1);
    }
}

std::optional<std::uint32_t> read_uid(std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 0 || *value > std::numeric_limits<std::uint32_t>::max())
        return std::nullopt;
    return static_cast<std::uint32_t>(*value);
}

bool is_part(std::string_view text) {
    for (const char c : text)
        if (!is_plain(c)) return false;
    return !text.empty() && text.size() <= longest_part;
}

struct Prefix {
    LockFileName::Kind kind;
    std::string_view text;
};
constexpr Prefix prefixes[] = {{LockFileName::Kind::lock, lock_prefix},
                               {LockFileName::Kind::ticket, ticket_prefix},
                               {LockFileName::Kind::making, making_prefix}};

std::optional<LockFileName> read_parts(LockFileName::Kind kind, std::string_view rest) {
    LockFileName name{kind, {}, 0, {}, {}};
    auto parts = split(rest);
    if (kind == LockFileName::Kind::lock) {
        const auto gpu = unescape(parts.front());
        if (!gpu || gpu->empty()) return std::nullopt;
        name.gpu = *gpu;
        parts.erase(parts.begin());
    }
    if (parts.size() != 3 || !is_part(parts[1]) || !is_part(parts[2])) return std::nullopt;
    const auto uid = read_uid(parts[0]);
    if (!uid) return std::nullopt;
    name.uid = *uid;
    name.spool = parts[1];
    name.nonce = parts[2];
    return name;
}

}  // namespace

std::string escape_gpu_id(std::string_view id) {
    static constexpr char digits[] = "0123456789ABCDEF";
    if (is_hashed(id)) return std::string(id);
    std::string out;
    for (const char c : id) {
        const auto byte = static_cast<unsigned char>(c);
        if (is_plain(c))
            out += c;
        else
            out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return out.size() <= longest_id ? out : "%-" + stable_hash(id);
}

std::string write_lock_name(const LockFileName& name) {
    std::string out;
    for (const Prefix& prefix : prefixes)
        if (prefix.kind == name.kind) out = prefix.text;
    if (name.kind == LockFileName::Kind::lock) out += escape_gpu_id(name.gpu) + ".";
    return out + std::to_string(name.uid) + "." + name.spool + "." + name.nonce;
}

std::optional<LockFileName> read_lock_name(std::string_view file_name) {
    for (const Prefix& prefix : prefixes)
        if (file_name.starts_with(prefix.text))
            return read_parts(prefix.kind, file_name.substr(prefix.text.size()));
    return std::nullopt;
}

std::string spool_mark(std::string_view identity, std::uint64_t device, std::uint64_t inode) {
    return stable_hash(std::string(identity) + " " + std::to_string(device) + " " +
                       std::to_string(inode))
        .substr(0, 16);
}

}  // namespace spool
