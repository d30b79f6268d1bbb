#include "libspool/output_pattern.h"

#include <algorithm>

namespace spool {

namespace {

constexpr std::size_t widest = 10;  // as in Slurm

std::string in_file_name(std::string_view text) {
    std::string out(text);
    std::replace(out.begin(), out.end(), '/', '_');
    return out;
}

std::string padded(std::uint64_t value, std::size_t width) {
    std::string digits = std::to_string(value);
    width = std::min(width, widest);
    if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
    return digits;
}

/// What stands for %`letter`; nothing if the letter means nothing.
std::optional<std::string> replacement(char letter, std::size_t width,
                                       const OutputContext& context) {
    switch (letter) {
        case 'j':
        case 'J':
            return padded(context.job, width);
        case 'A':
            return padded(context.array.value_or(context.job), width);
        case 'a':
            return padded(context.task.value_or(0), width);
        case 'b':
            return padded(context.task.value_or(0) % 10, width);
        case 'n':
        case 's':
        case 't':
            return padded(0, width);  // the first node, step and task
        case 'N':
            return in_file_name(context.host.substr(0, context.host.find('.')));
        case 'u':
            return in_file_name(context.user);
        case 'x':
            return in_file_name(context.name);
        case '%':
            return "%";
        default:
            return std::nullopt;
    }
}

std::string without_backslashes(std::string_view pattern) {
    std::string out(pattern);
    std::erase(out, '\\');
    return out;
}

}  // namespace

std::string expand_output_pattern(std::string_view pattern, const OutputContext& context) {
    if (pattern.find('\\') != pattern.npos) return without_backslashes(pattern);
    std::string out;
    for (std::size_t i = 0; i < pattern.size();) {
        std::size_t end = i + 1, width = 0;
        if (pattern[i] == '%')
            for (; end < pattern.size() && pattern[end] >= '0' && pattern[end] <= '9'; ++end)
                width = std::min<std::size_t>(
                    width * 10 + static_cast<std::size_t>(pattern[end] - '0'), 100);
        const auto text = pattern[i] == '%' && end < pattern.size()
                              ? replacement(pattern[end], width, context)
                              : std::nullopt;
        out += text ? *text : std::string(1, pattern[i]);
        i = text ? end + 1 : i + 1;
    }
    return out;
}

}  // namespace spool
