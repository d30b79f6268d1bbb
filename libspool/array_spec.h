// Which tasks an array has: the text of --array=, and lists of task numbers as such text. Pure
// functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// In order, each once.
using TaskList = std::vector<std::uint32_t>;

inline constexpr std::size_t most_tasks = 100'000;                   ///< of one array
inline constexpr std::uint32_t highest_task = 4'000'000;             ///< as in Slurm
inline constexpr std::string_view task_directory_ending = ".tasks";  ///< x.tasks/7.log

/// `--array=0-99:3%4`
struct ArraySpec {
    std::string tasks;  ///< "0-99:3", "1,3,5-9"; empty: the job is no array
    int limit = 0;      ///< so many at once; 0: any number

    [[nodiscard]] bool is_array() const { return !tasks.empty(); }
    bool operator==(const ArraySpec&) const = default;
};

/// Nothing for what is no array, an empty one, or one that is too large.
[[nodiscard]] std::optional<ArraySpec> parse_array(std::string_view text);
/// What parse_array reads as the same.
[[nodiscard]] std::string array_text(const ArraySpec& array);

/// "1,3,5-9" as numbers. Nothing if that is none, or too many.
[[nodiscard]] std::optional<TaskList> parse_tasks(std::string_view text);
/// The shortest text for it: "0-9,12".
[[nodiscard]] std::string tasks_text(const TaskList& tasks);
/// The difference of neighbours where it is always the same, else 1.
[[nodiscard]] std::uint32_t step_of(const TaskList& tasks);
/// Its place in the list.
[[nodiscard]] std::optional<std::size_t> place_of(const TaskList& tasks, std::uint64_t task);

/// The unique name of a task: "x.tasks/7".
[[nodiscard]] std::string task_name(const std::string& array, std::uint64_t task);
struct TaskName {
    std::string array;
    std::uint32_t task = 0;
};
/// Nothing for the name of a job that is no task.
[[nodiscard]] std::optional<TaskName> split_task_name(std::string_view name);
/// "42", "42_7".
[[nodiscard]] std::string job_number_text(std::uint64_t number, std::optional<std::uint64_t> task);

/// What a user calls tasks of an array: "42_7", "x_7", "42_[3-5,8]".
struct TaskReference {
    std::string array;  ///< what stands before the last _
    TaskList tasks;
};
[[nodiscard]] std::optional<TaskReference> parse_task_reference(std::string_view text);

}  // namespace spool
