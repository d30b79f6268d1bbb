#include "libspool/schedule_text.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

#include "libspool/name_table.h"
#include "libspool/values.h"

namespace spool {
namespace {

constexpr std::int64_t second = 1'000'000'000;

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return out;
}

constexpr Named<After> after_names[] = {{After::start, "after"},
                                        {After::success, "afterok"},
                                        {After::failure, "afternotok"},
                                        {After::end, "afterany"},
                                        {After::task_success, "aftercorr"}};

/// "afterok:12:13"
bool add_conditions(std::string_view text, AfterJobs& out) {
    if (text == "singleton") return out.singleton = true;
    const std::size_t colon = text.find(':');
    const auto after = value_in(after_names, text.substr(0, colon));
    if (!after || colon == text.npos) return false;
    for (std::size_t at = colon; at != text.npos;) {
        const std::size_t end = text.find(':', at + 1);
        const std::string_view job = text.substr(at + 1, end - at - 1);
        if (job.empty()) return false;
        out.list.push_back({*after, std::string(job)});
        at = end;
    }
    return true;
}

std::tm local_time(std::int64_t wall) {
    const std::time_t seconds = wall / second;
    std::tm out{};
    localtime_r(&seconds, &out);
    return out;
}

std::optional<std::int64_t> wall_time(std::tm time) {
    time.tm_isdst = -1;
    const std::time_t seconds = std::mktime(&time);
    if (seconds == -1) return std::nullopt;
    return static_cast<std::int64_t>(seconds) * second;
}

/// The next time of day after `now`.
std::optional<std::int64_t> next_time_of_day(int hour, int minute, int seconds, std::int64_t now) {
    std::tm time = local_time(now);
    time.tm_hour = hour;
    time.tm_min = minute;
    time.tm_sec = seconds;
    auto at = wall_time(time);
    if (at && *at > now) return at;
    ++time.tm_mday;
    return wall_time(time);
}

/// Reads `text` as strptime(3) does, and all of it.
std::optional<std::tm> read_as(const std::string& text, const char* format, std::int64_t now) {
    std::tm time = local_time(now);
    time.tm_hour = time.tm_min = time.tm_sec = 0;
    const char* end = strptime(text.c_str(), format, &time);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return time;
}

std::optional<std::int64_t> parse_keyword(const std::string& text, std::int64_t now) {
    constexpr std::pair<std::string_view, int> hours[] = {
        {"midnight", 0}, {"elevenses", 11}, {"noon", 12}, {"fika", 15}, {"teatime", 16}};
    for (const auto& [word, hour] : hours)
        if (word == text) return next_time_of_day(hour, 0, 0, now);
    std::tm day = local_time(now);
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    if (text == "tomorrow") ++day.tm_mday;
    if (text == "tomorrow" || text == "today") return wall_time(day);
    return std::nullopt;
}

/// "now+1hour"
std::optional<std::int64_t> parse_from_now(std::string_view text, std::int64_t now) {
    if (text == "now") return now;
    if (!text.starts_with("now+")) return std::nullopt;
    text.remove_prefix(4);
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = parse_integer(text.substr(0, digits));
    std::string_view unit = text.substr(digits);
    if (unit.ends_with('s') && unit.size() > 1) unit.remove_suffix(1);
    constexpr std::pair<std::string_view, std::int64_t> units[] = {
        {"", 1},     {"second", 1},  {"s", 1},     {"minute", 60},   {"m", 60},    {"hour", 3600},
        {"h", 3600}, {"day", 86400}, {"d", 86400}, {"week", 604800}, {"w", 604800}};
    constexpr std::int64_t longest = 10LL * 366 * 86400;
    for (const auto& [name, seconds] : units)
        if (name == unit && count && *count >= 0 && *count <= longest / seconds)
            return now + *count * seconds * second;
    return std::nullopt;
}

std::optional<int> signal_number(std::string name) {
    if (const auto number = parse_integer(name))
        return *number >= 1 && *number < NSIG ? std::optional(static_cast<int>(*number))
                                              : std::nullopt;
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int number = 1; number < NSIG; ++number)
        if (const char* known = sigabbrev_np(number); known != nullptr && name == known)
            return number;
    return std::nullopt;
}

}  // namespace

std::optional<AfterJobs> parse_after(std::string_view text) {
    const bool all = text.find(',') != text.npos, any = text.find('?') != text.npos;
    if (all && any) return std::nullopt;
    AfterJobs out;
    out.any = any;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find_first_of(",?", begin), text.size());
        if (!add_conditions(text.substr(begin, end - begin), out)) return std::nullopt;
        begin = end + 1;
    }
    return out;
}

std::string after_text(const AfterJobs& after) {
    std::string out;
    const auto add = [&](const std::string& condition) {
        if (!out.empty()) out += after.any ? '?' : ',';
        out += condition;
    };
    for (const AfterJob& job : after.list)
        add(std::string(name_in(after_names, job.after)) + ":" + job.job);
    if (after.singleton) add("singleton");
    return out;
}

std::optional<std::int64_t> parse_begin(std::string_view text, std::int64_t now) {
    const std::string lower = lower_case(text);
    if (const auto at = parse_from_now(lower, now)) return at;
    if (const auto at = parse_keyword(lower, now)) return at;
    for (const char* format : {"%H:%M", "%H:%M:%S", "%I:%M%p", "%I:%M:%S%p", "%I%p"})
        if (const auto time = read_as(lower, format, now))
            return next_time_of_day(time->tm_hour, time->tm_min, time->tm_sec, now);
    const std::string as_written(text);
    for (const char* format : {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%m/%d/%y",
                               "%m/%d/%y-%H:%M", "%m/%d/%y-%H:%M:%S", "%m.%d.%y", "%m%d%y"})
        if (const auto time = read_as(as_written, format, now)) return wall_time(*time);
    return parse_time(text);
}

std::optional<WarningSignal> parse_warning_signal(std::string_view text) {
    if (text.starts_with("R:") || text.starts_with("B:") || text.starts_with("RB:"))
        text.remove_prefix(text.find(':') + 1);
    const std::size_t at = text.find('@');
    const auto signal = signal_number(std::string(text.substr(0, at)));
    if (!signal) return std::nullopt;
    WarningSignal out{*signal, std::chrono::seconds(60)};
    if (at == text.npos) return out;
    const auto seconds = parse_integer(text.substr(at + 1));
    if (!seconds || *seconds < 0 || *seconds > 65535) return std::nullopt;
    out.before = std::chrono::seconds(*seconds);
    return out;
}

}  // namespace spool
