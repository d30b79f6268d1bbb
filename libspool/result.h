// done/x.json: what became of a job. The keys are an interface and never change meaning.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/error.h"

namespace spool {

enum class Outcome { succeeded, failed, cancelled, timeout, lost, interrupted, rejected };

[[nodiscard]] std::string_view outcome_name(Outcome outcome);
[[nodiscard]] std::optional<Outcome> outcome_from_name(std::string_view name);
[[nodiscard]] std::vector<std::string> outcome_names();

/// What became of the tasks of an array.
struct TaskResults {
    std::uint64_t count = 0;                    ///< of all
    std::map<Outcome, std::string> by_outcome;  ///< "3,7-9"; of outcomes that occurred
    std::uint64_t first_number = 0;             ///< of the first task; the others' follow

    bool operator==(const TaskResults&) const = default;
};

/// What became of an attempt after which the job was executed again.
struct PastAttempt {
    int attempt = 0;
    Outcome state = Outcome::lost;
    std::optional<int> exit_code, signal;
    std::optional<std::string> reason;
    std::vector<std::string> gpus;
    std::int64_t started_at = 0, ended_at = 0;
    std::string next;  ///< why another one followed
    std::string log;   ///< beside x.json; empty: it has none of its own

    bool operator==(const PastAttempt&) const = default;
};

/// Times are nanoseconds of the wall clock; 0 = not known, written as null. Names are bytes here
/// and `to_json_text` in the file.
struct JobResult {
    std::uint64_t id = 0;
    std::string name;  ///< unique name: the stem of the files in done/
    std::string file;  ///< the name that was dropped
    Outcome state = Outcome::lost;
    std::optional<int> exit_code, signal;
    std::optional<std::string> reason;
    std::optional<int> line;
    std::string command, directory;
    std::vector<std::string> gpus;     ///< slots, verbatim
    std::vector<std::string> gpu_ids;  ///< what its GPUs are known by, where that is known
    std::string profile, host;
    int attempt = 1;
    std::int64_t submitted_at = 0, started_at = 0, ended_at = 0;
    std::optional<double> cpu_seconds;
    std::optional<std::uint64_t> max_rss_bytes;
    std::string environment_source;  ///< "login", "daemon", "submit"
    std::vector<std::string> notes;
    std::optional<std::uint64_t> retry_of;
    std::string token;                    ///< hexadecimal; which attempt wrote it (for recovery)
    std::vector<PastAttempt> attempts{};  ///< earlier ones; the last `most_past_attempts` of them
    std::string group{};
    std::optional<std::uint64_t> task;  ///< of a task: its index; `id` is then its array's
    std::optional<TaskResults> tasks;   ///< of an array

    bool operator==(const JobResult&) const = default;
};

[[nodiscard]] std::string write_result(const JobResult& result);
[[nodiscard]] Result<JobResult> read_result(std::string_view bytes, const std::string& path);

}  // namespace spool
