#include "libspool/values.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <numeric>

#include "libspool/text.h"

namespace spool {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t second_ms = 1000, minute_ms = 60 * second_ms, hour_ms = 60 * minute_ms,
                        day_ms = 24 * hour_ms;
/// No time of ours is longer than this (about 27 years): sums cannot overflow.
constexpr std::uint64_t longest_ms = 10'000 * day_ms;
constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

/// A number of digits only.
std::optional<std::uint64_t> parse_digits(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || text.empty()) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> multiply(std::uint64_t value, std::uint64_t unit,
                                      std::uint64_t limit) {
    if (value > limit / unit) return std::nullopt;
    return value * unit;
}

struct Unit {
    std::string_view suffix;
    std::uint64_t size;
};

/// `text` as digits followed by one of `units`; the longest suffix comes first in the table.
template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const Unit (&units)[N],
                                             std::uint64_t limit) {
    const std::string folded = lower_case(text);
    const std::string_view view = folded;
    const std::size_t digits = std::min(view.find_first_not_of("0123456789"), view.size());
    const auto value = parse_digits(view.substr(0, digits));
    if (!value) return std::nullopt;
    for (const Unit& unit : units)
        if (view.substr(digits) == unit.suffix) return multiply(*value, unit.size, limit);
    return std::nullopt;
}

constexpr Unit duration_units[] = {{"", second_ms},  {"ms", 1},      {"s", second_ms},
                                   {"m", minute_ms}, {"h", hour_ms}, {"d", day_ms}};
constexpr Unit limit_units[] = {
    {"", minute_ms}, {"s", second_ms}, {"m", minute_ms}, {"h", hour_ms}, {"d", day_ms}};
constexpr std::uint64_t kilobyte = 1024, megabyte = kilobyte << 10, gigabyte = megabyte << 10,
                        terabyte = gigabyte << 10;
constexpr Unit memory_units[] = {
    {"", megabyte},    {"b", 1},         {"k", kilobyte},   {"kb", kilobyte}, {"kib", kilobyte},
    {"m", megabyte},   {"mb", megabyte}, {"mib", megabyte}, {"g", gigabyte},  {"gb", gigabyte},
    {"gib", gigabyte}, {"t", terabyte},  {"tb", terabyte},  {"tib", terabyte}};

std::optional<std::vector<std::uint64_t>> parse_fields(std::string_view text) {
    std::vector<std::uint64_t> out;
    for (;;) {
        const std::size_t colon = text.find(':');
        const auto value = parse_digits(text.substr(0, colon));
        if (!value || *value > longest_ms / day_ms * 24 * 3600) return std::nullopt;
        out.push_back(*value);
        if (colon == std::string_view::npos) return out;
        text.remove_prefix(colon + 1);
    }
}

/// Slurm's [days-]hours:minutes:seconds with the parts that may be left out; in milliseconds.
std::optional<std::uint64_t> parse_clock(std::string_view text) {
    const std::size_t dash = text.find('-');
    const bool days = dash != std::string_view::npos;
    const auto day_count = days ? parse_digits(text.substr(0, dash)) : 0;
    const auto fields = parse_fields(days ? text.substr(dash + 1) : text);
    if (!day_count || *day_count > longest_ms / day_ms || !fields || fields->size() > 3)
        return std::nullopt;
    // After days, and where there are three, the first field is hours; else it is minutes.
    static constexpr std::uint64_t units[] = {hour_ms, minute_ms, second_ms};
    std::size_t unit = days || fields->size() == 3 ? 0 : 1;
    std::uint64_t total = *day_count * day_ms;
    for (const std::uint64_t field : *fields)
        total += field * units[unit++];
    if (total > longest_ms) return std::nullopt;
    return total;
}

bool is_shell_safe(std::string_view word) {
    if (word.empty()) return false;
    return std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_@%+=:,./-").find(c) != std::string_view::npos;
    });
}

std::string quote_word(std::string_view word) {
    std::string out = "'";
    for (const char c : word) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    }
    return out + "'";
}

/// Optimal string alignment: insertions, deletions, replacements, swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
    std::iota(previous.begin(), previous.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({previous[j] + 1, row[j - 1] + 1,
                               previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(previous);
        previous.swap(row);
    }
    return previous[b.size()];
}

std::string padded(std::int64_t value, std::size_t width) {
    std::string digits = std::to_string(value);
    if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
    return digits;
}

/// Reads exactly `width` digits followed by `after` (0: nothing is expected), and removes them.
bool take_field(std::string_view& text, std::size_t width, char after, int& out) {
    if (text.size() < width + (after != 0 ? 1 : 0)) return false;
    const auto value = parse_digits(text.substr(0, width));
    if (!value || (after != 0 && text[width] != after)) return false;
    out = static_cast<int>(*value);
    text.remove_prefix(width + (after != 0 ? 1 : 0));
    return true;
}

std::optional<std::int64_t> take_fraction(std::string_view& text) {
    if (!text.starts_with('.')) return 0;
    text.remove_prefix(1);
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits > 9) return std::nullopt;
    auto value = static_cast<std::int64_t>(*parse_digits(text.substr(0, digits)));
    for (std::size_t i = digits; i < 9; ++i)
        value *= 10;
    text.remove_prefix(digits);
    return value;
}

/// "Z" or "+01:00", in seconds.
std::optional<std::int64_t> parse_offset(std::string_view text) {
    if (text == "Z" || text == "z") return 0;
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    int hours = 0, minutes = 0;
    if (!take_field(text, 2, ':', hours) || !take_field(text, 2, 0, minutes)) return std::nullopt;
    if (!text.empty() || hours > 23 || minutes > 59) return std::nullopt;
    return sign * (hours * 3600 + minutes * 60);
}

}  // namespace

std::optional<milliseconds> parse_time_limit(std::string_view text) {
    const std::string folded = lower_case(text);
    if (folded == "unlimited" || folded == "infinite" || folded == "-1") return milliseconds{0};
    auto value = parse_with_unit(folded, limit_units, longest_ms);
    if (!value) value = parse_clock(folded);
    if (!value) return std::nullopt;
    return milliseconds{*value};
}

std::optional<milliseconds> parse_duration(std::string_view text) {
    const auto value = parse_with_unit(text, duration_units, longest_ms);
    if (!value) return std::nullopt;
    return milliseconds{*value};
}

std::optional<std::uint64_t> parse_memory(std::string_view text) {
    return parse_with_unit(text, memory_units, std::numeric_limits<std::int64_t>::max());
}

std::string format_size(std::uint64_t bytes) {
    static constexpr const char* units[] = {"B", "KB", "MB", "GB", "TB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; size >= 1024 && unit + 1 < std::size(units); ++unit)
        size /= 1024;
    char text[32];
    (void)std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return text;
}

std::string memory_text(std::uint64_t bytes) {
    static constexpr char units[] = "BKMGT";
    std::size_t unit = 0;
    while (unit + 2 < sizeof units && bytes % 1024 == 0 && bytes != 0) {
        bytes /= 1024;
        ++unit;
    }
    return std::to_string(bytes) + units[unit];
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || text.empty()) return std::nullopt;
    return value;
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
    constexpr std::size_t longest_word = 64;  // a longer one is no slip of the finger
    if (word.empty() || word.size() > longest_word) return std::nullopt;
    const std::string folded = lower_case(word);
    std::optional<std::string> best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t distance = edit_distance(folded, lower_case(candidate));
        if (distance >= best_distance || distance >= candidate.size()) continue;
        best_distance = distance;
        best = candidate;
    }
    return best;
}

std::string format_time(std::int64_t wall_nanoseconds) {
    std::int64_t seconds = wall_nanoseconds / nanoseconds_per_second;
    std::int64_t rest = wall_nanoseconds % nanoseconds_per_second;
    if (rest < 0) {
        rest += nanoseconds_per_second;
        --seconds;
    }
    const std::time_t time = seconds;
    std::tm local{};
    localtime_r(&time, &local);
    char text[32];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local);
    const long offset = local.tm_gmtoff / 60;
    const long minutes = offset < 0 ? -offset : offset;
    return std::string(text, length) + "." + padded(rest / 1'000'000, 3) +
           (offset < 0 ? "-" : "+") + padded(minutes / 60, 2) + ":" + padded(minutes % 60, 2);
}

std::optional<std::int64_t> parse_time(std::string_view text) {
    std::tm time{};
    const bool fields =
        take_field(text, 4, '-', time.tm_year) && take_field(text, 2, '-', time.tm_mon) &&
        take_field(text, 2, 'T', time.tm_mday) && take_field(text, 2, ':', time.tm_hour) &&
        take_field(text, 2, ':', time.tm_min) && take_field(text, 2, 0, time.tm_sec);
    if (!fields || time.tm_hour > 23 || time.tm_min > 59 || time.tm_sec > 59) return std::nullopt;
    if (time.tm_year < 1678 || time.tm_year > 2261) return std::nullopt;  // nanoseconds in 64 bits
    if (time.tm_mon < 1 || time.tm_mon > 12 || time.tm_mday < 1 || time.tm_mday > 31)
        return std::nullopt;
    const auto fraction = take_fraction(text);
    const auto offset = parse_offset(text);
    if (!fraction || !offset) return std::nullopt;
    time.tm_year -= 1900;
    time.tm_mon -= 1;
    const int day = time.tm_mday;
    const std::int64_t seconds = timegm(&time);
    if (time.tm_mday != day) return std::nullopt;  // 31 June
    return (seconds - *offset) * nanoseconds_per_second + *fraction;
}

std::string shell_quote(const std::vector<std::string>& arguments) {
    std::string out;
    for (const std::string& argument : arguments) {
        // NAME=value as the first word would be an assignment.
        const bool assignment = out.empty() && argument.find('=') != std::string::npos;
        if (&argument != &arguments.front()) out += ' ';
        out += is_shell_safe(argument) && !assignment ? argument : quote_word(argument);
    }
    return out;
}

}  // namespace spool
