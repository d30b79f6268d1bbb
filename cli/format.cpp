#include "cli/format.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "libspool/names.h"
#include "libspool/text.h"

namespace cli {
namespace {

constexpr std::int64_t second = 1'000'000'000;

template <typename... Values>
std::string print(const char* format, Values... values) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return buffer.data();
}

std::string ago(std::int64_t count, const char* unit, const char* units) {
    return std::to_string(count) + ' ' + (count == 1 ? unit : units) + " ago";
}

}  // namespace

std::string format_duration(std::int64_t nanoseconds) {
    const long long total = std::max<std::int64_t>(0, nanoseconds) / second;
    const long long days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60;
    if (days > 0) return print("%lldd %02lld:%02lld", days, hours, minutes);
    if (hours > 0) return print("%lld:%02lld:%02lld", hours, minutes, total % 60);
    return print("%lld:%02lld", minutes, total % 60);
}

std::string format_age(std::int64_t nanoseconds) {
    const std::int64_t seconds = nanoseconds / second;
    if (seconds < 10) return "just now";
    if (seconds < 60) return ago(seconds, "s", "s");
    if (seconds < 3600) return ago(seconds / 60, "min", "min");
    if (seconds < 2 * 86400) return ago(seconds / 3600, "h", "h");
    return ago(seconds / 86400, "day", "days");
}

std::string number_text(std::uint64_t id) {
    return id == 0 ? "-" : std::to_string(id);
}

std::string number_text(std::uint64_t id, std::optional<std::uint64_t> task) {
    return id == 0 ? "-" : spool::job_number_text(id, task);
}

std::string name_text(const std::string& name) {
    const auto task = spool::split_task_name(name);
    return spool::printable(task ? task->array : name);
}

std::string job_text(std::uint64_t id, const std::string& name) {
    if (const auto task = spool::split_task_name(name))
        return spool::job_number_text(id, task->task) + " (" + name_text(name) + ')';
    return (id == 0 ? std::string() : std::to_string(id) + ' ') + '(' + spool::printable(name) +
           ')';
}

std::string job_argument(const spool::FoundJob& job) {
    return job.id == 0 ? spool::printable(job.name) : spool::job_number_text(job.id, job.task);
}

std::string tasks_text(const spool::ArrayState& array) {
    std::string out;
    const auto add = [&](std::uint64_t count, const std::string& what) {
        if (count != 0) out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + what;
    };
    std::uint64_t done = 0;
    for (const auto& [outcome, count] : array.ended)
        done += count;
    add(array.running, "running");
    add(array.waiting, "waiting");
    add(done, "done");
    std::string bad;
    for (const auto& [outcome, count] : array.ended)
        if (outcome != spool::Outcome::succeeded)
            bad += (bad.empty() ? "" : ", ") + std::to_string(count) + " " +
                   std::string(spool::outcome_name(outcome));
    return bad.empty() ? out : out + " (" + bad + ")";
}

std::string gpus_text(const std::vector<std::string>& gpus) {
    const std::string out = spool::printable(spool::joined(gpus, ", "));
    return out.empty() ? "-" : out;
}

std::string outcome_text(const spool::JobResult& result) {
    std::string out(spool::outcome_name(result.state));
    if (result.state != spool::Outcome::failed) return out;
    if (result.signal)
        return out + print(" (signal %d, ", *result.signal) + ::strsignal(*result.signal) + ')';
    if (result.exit_code) return out + print(" (exit code %d)", *result.exit_code);
    return out;
}

std::string end_text(const spool::JobResult& result, const std::string& after) {
    return "job " + job_text(result.id, result.name) + ' ' + outcome_text(result) + after +
           (result.reason ? ": " + spool::printable(*result.reason) : "");
}

Style outcome_style(spool::Outcome outcome) {
    switch (outcome) {
        case spool::Outcome::succeeded:
            return Style::green;
        case spool::Outcome::cancelled:
            return Style::yellow;
        default:
            return Style::red;
    }
}

std::string run_time(const spool::JobResult& result) {
    if (result.started_at == 0 || result.ended_at == 0) return {};
    return format_duration(result.ended_at - result.started_at);
}

std::string activity_text(const spool::FoundJob& job, std::int64_t now) {
    if (job.array()) return "has " + tasks_text(*job.array());
    if (job.waiting()) return "waits: " + spool::wait_sentence(job.waiting()->reason);
    if (!job.running()) return "has ended";
    const std::string& phase = job.running()->phase;
    const bool started = phase != "claimed" && phase != "starting";
    std::string out = started ? "is running" : "is about to start";
    if (job.running()->started_at != 0)
        out += " for " + format_duration(now - job.running()->started_at);
    if (!job.running()->detail.empty()) out += ", " + spool::printable(job.running()->detail);
    return out;
}

}  // namespace cli
