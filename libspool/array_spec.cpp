#include "libspool/array_spec.h"

#include <algorithm>

#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {
namespace {

std::optional<std::uint32_t> task_number(std::string_view text, std::uint32_t least = 0) {
    const auto number = parse_integer(text);
    if (!number || *number < least || *number > highest_task) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

/// "7", "3-9", "0-99:3"; false if it is none of these, or if there are too many by now.
bool add_range(std::string_view text, TaskList& tasks) {
    const std::size_t dash = text.find('-'), colon = text.find(':');
    const auto first = task_number(text.substr(0, dash));
    if (dash == text.npos) {
        if (first) tasks.push_back(*first);
        return first.has_value();
    }
    if (colon != text.npos && colon < dash) return false;
    const auto last = task_number(text.substr(dash + 1, colon - dash - 1));
    const auto step = colon == text.npos ? 1 : task_number(text.substr(colon + 1), 1);
    if (!first || !last || !step || *last < *first) return false;
    if ((*last - *first) / *step >= most_tasks) return false;
    for (std::uint32_t task = *first; task <= *last; task += *step)
        tasks.push_back(task);
    return true;
}

}  // namespace

std::optional<TaskList> parse_tasks(std::string_view text) {
    TaskList tasks;
    for (const std::string_view range : split_at(text, ','))
        if (!add_range(range, tasks) || tasks.size() > 2 * most_tasks) return std::nullopt;
    std::sort(tasks.begin(), tasks.end());
    tasks.erase(std::unique(tasks.begin(), tasks.end()), tasks.end());
    if (tasks.empty() || tasks.size() > most_tasks) return std::nullopt;
    return tasks;
}

std::optional<ArraySpec> parse_array(std::string_view text) {
    ArraySpec array;
    const std::size_t percent = text.find('%');
    if (percent != text.npos) {
        const auto limit = task_number(text.substr(percent + 1), 1);
        if (!limit) return std::nullopt;
        array.limit = static_cast<int>(*limit);
    }
    array.tasks = text.substr(0, percent);
    if (!parse_tasks(array.tasks)) return std::nullopt;
    return array;
}

std::string array_text(const ArraySpec& array) {
    return array.limit == 0 ? array.tasks : array.tasks + "%" + std::to_string(array.limit);
}

std::string tasks_text(const TaskList& tasks) {
    std::string out;
    for (std::size_t i = 0; i < tasks.size();) {
        std::size_t end = i + 1;
        while (end < tasks.size() && tasks[end] == tasks[end - 1] + 1)
            ++end;
        if (!out.empty()) out += ',';
        out += std::to_string(tasks[i]);
        if (end - i > 1) out.append("-").append(std::to_string(tasks[end - 1]));
        i = end;
    }
    return out;
}

std::uint32_t step_of(const TaskList& tasks) {
    if (tasks.size() < 2) return 1;
    const std::uint32_t step = tasks[1] - tasks[0];
    for (std::size_t i = 2; i < tasks.size(); ++i)
        if (tasks[i] - tasks[i - 1] != step) return 1;
    return step;
}

std::optional<std::size_t> place_of(const TaskList& tasks, std::uint64_t task) {
    const auto found = std::lower_bound(tasks.begin(), tasks.end(), task);
    if (found == tasks.end() || *found != task) return std::nullopt;
    return static_cast<std::size_t>(found - tasks.begin());
}

std::string task_name(const std::string& array, std::uint64_t task) {
    return array + std::string(task_directory_ending) + "/" + std::to_string(task);
}

std::optional<TaskName> split_task_name(std::string_view name) {
    const std::size_t slash = name.rfind('/');
    if (slash == name.npos) return std::nullopt;
    const std::string_view directory = name.substr(0, slash);
    const auto task = task_number(name.substr(slash + 1, name.substr(slash + 1).find('~')));
    if (!task || !directory.ends_with(task_directory_ending)) return std::nullopt;
    return TaskName{
        std::string(directory.substr(0, directory.size() - task_directory_ending.size())), *task};
}

std::string job_number_text(std::uint64_t number, std::optional<std::uint64_t> task) {
    return std::to_string(number) + (task ? "_" + std::to_string(*task) : "");
}

std::optional<TaskReference> parse_task_reference(std::string_view text) {
    const std::size_t mark = text.rfind('_');
    if (mark == text.npos || mark == 0) return std::nullopt;
    std::string_view tasks = text.substr(mark + 1);
    const bool several = tasks.size() > 2 && tasks.front() == '[' && tasks.back() == ']';
    if (several) tasks = tasks.substr(1, tasks.size() - 2);
    if (!several && !task_number(tasks)) return std::nullopt;
    auto list = parse_tasks(tasks);
    if (!list) return std::nullopt;
    return TaskReference{std::string(text.substr(0, mark)), std::move(*list)};
}

}  // namespace spool
