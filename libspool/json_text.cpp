#include "libspool/json_text.h"

#include <algorithm>

#include "libspool/names.h"
#include "libspool/utf8.h"

namespace spool {

namespace {

constexpr std::string_view blanks = " \t\r\n";

/// One past the end of the string whose opening quote is at `begin`.
std::size_t string_end(std::string_view text, std::size_t begin) {
    for (std::size_t i = begin + 1; i < text.size(); ++i) {
        if (text[i] == '\\')
            ++i;
        else if (text[i] == '"')
            return i + 1;
    }
    return text.size();
}

std::size_t skip(std::string_view text, std::size_t at, std::string_view what) {
    return std::min(text.find_first_not_of(what, at), text.size());
}

/// One past the end of the value that begins at `begin`.
std::size_t value_end(std::string_view text, std::size_t begin) {
    if (begin < text.size() && text[begin] == '"') return string_end(text, begin);
    int depth = 0;
    for (std::size_t i = begin; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"') i = string_end(text, i) - 1;
        if (c == '{' || c == '[') ++depth;
        if (depth == 0 && (c == ',' || c == '}' || c == ']' || blanks.find(c) != blanks.npos))
            return i;
        if ((c == '}' || c == ']') && --depth == 0) return i + 1;
    }
    return text.size();
}

/// nlohmann's message without its own prefix and place, which are ours to say, and harmless: it
/// quotes the text.
std::string parse_message(const nlohmann::json::exception& error) {
    constexpr std::size_t longest = 200;
    std::string_view what = error.what();
    const std::size_t prefix = what.find("] ");
    if (prefix != what.npos) what.remove_prefix(prefix + 2);
    const std::size_t place = what.find(": ");
    if (what.starts_with("parse error") && place != what.npos) what.remove_prefix(place + 2);
    const std::string_view shown = cut_utf8(what, longest);
    return "this is no valid JSON: " + printable(shown) + (shown.size() < what.size() ? "…" : "");
}

/// Blanks out the comment at `at`, line feeds excepted; returns where it ends.
std::size_t blank_comment(std::string& text, std::size_t at) {
    const bool block = text[at + 1] == '*';
    std::size_t end = block ? text.find("*/", at + 2) : text.find('\n', at);
    if (end == text.npos) {
        if (block) return text.size();  // unterminated: left for the parser to complain of
        end = text.size();
    } else if (block) {
        end += 2;
    }
    for (std::size_t i = at; i < end; ++i)
        if (text[i] != '\n') text[i] = ' ';
    return end;
}

}  // namespace

int line_of(std::string_view text, std::size_t offset) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(offset, text.size()));
    return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

Result<nlohmann::json> parse_json(std::string_view text, const std::string& path) {
    try {
        return nlohmann::json::parse(text.begin(), text.end());
    } catch (const nlohmann::json::parse_error& error) {
        // `byte` counts what was read, the offending byte included. An unexpected end is in the
        // last line with text.
        const std::size_t read = error.byte == 0 ? 0 : error.byte - 1;
        const std::size_t last = text.find_last_not_of(blanks);
        const std::size_t offset = last == text.npos ? 0 : std::min(read, last);
        return content_error(path, line_of(text, offset), parse_message(error));
    } catch (const nlohmann::json::exception& error) {  // a number out of range
        return content_error(path, std::nullopt, parse_message(error));
    }
}

std::string without_comments(std::string_view text) {
    std::string out(text);
    std::size_t comma = out.npos;  // the last one, while nothing but blanks has followed
    char before = '{';             // the last byte that is no blank
    for (std::size_t i = 0; i < out.size();) {
        const char c = out[i];
        if (c == '/' && i + 1 < out.size() && (out[i + 1] == '/' || out[i + 1] == '*')) {
            i = blank_comment(out, i);
            continue;
        }
        if ((c == '}' || c == ']') && comma != out.npos) out[comma] = ' ';
        if (blanks.find(c) == blanks.npos) {
            const bool after_value = before != '{' && before != '[' && before != ',';
            comma = c == ',' && after_value ? i : out.npos;
            before = c;
        }
        i = c == '"' ? string_end(out, i) : i + 1;
    }
    return out;
}

std::vector<JsonMember> object_members(std::string_view text, std::size_t offset) {
    std::vector<JsonMember> out;
    std::size_t at = skip(text, offset, blanks);
    if (at == text.size() || text[at] != '{') return out;
    for (;;) {
        at = skip(text, at + 1, blanks);  // past { or ,
        if (at >= text.size() || text[at] != '"') return out;
        JsonMember member;
        member.key_begin = at;
        const std::size_t key_end = string_end(text, at);
        const auto key = nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(at),
                                               text.begin() + static_cast<std::ptrdiff_t>(key_end),
                                               nullptr, false);
        if (key.is_string()) member.key = key.get<std::string>();
        member.value_begin = skip(text, skip(text, key_end, blanks) + 1, blanks);
        member.value_end = value_end(text, member.value_begin);
        at = skip(text, member.value_end, blanks);
        out.push_back(std::move(member));
        if (at >= text.size() || text[at] != ',') return out;
    }
}

std::vector<std::size_t> list_elements(std::string_view text, std::size_t offset) {
    std::vector<std::size_t> out;
    std::size_t at = skip(text, offset, blanks);
    if (at == text.size() || text[at] != '[') return out;
    for (;;) {
        at = skip(text, at + 1, blanks);
        if (at >= text.size() || text[at] == ']') return out;
        out.push_back(at);
        at = skip(text, value_end(text, at), blanks);
        if (at >= text.size() || text[at] != ',') return out;
    }
}

}  // namespace spool
