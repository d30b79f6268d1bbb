#include "libspool/settings.h"

#include <algorithm>
#include <utility>

#include "libspool/names.h"
#include "libspool/schedule_text.h"
#include "libspool/values.h"

namespace spool {

namespace {

constexpr std::int64_t most_gpus = 1024, most_cpus = 65'536, most_priority = 1'000'000'000,
                       most_together = 1'000'000, most_attempts = 10'000, most_exit_code = 255;
constexpr std::chrono::hours longest_retry_delay{24 * 365};

constexpr std::string_view a_text = "some text";
constexpr std::string_view a_list_of_gpus =
    "indexes, UUIDs or PCI addresses of GPUs, separated by commas";
constexpr std::string_view a_duration = "a time such as 10s, 500ms, 2m or 1h";

bool set_text(std::string& out, std::string_view value) {
    out = value;
    return !value.empty();
}

template <typename Integer>
bool set_number(Integer& out, std::string_view value, std::int64_t least, std::int64_t most) {
    const auto number = parse_integer(value);
    if (!number || *number < least || *number > most) return false;
    out = static_cast<int>(*number);
    return true;
}

template <typename T>
bool set_parsed(std::optional<T>& out, std::optional<T> value) {
    out = value;
    return value.has_value();
}

/// 0 stands for all of the machine's memory, as in Slurm: nothing to keep free.
bool set_memory(JobSpec& spec, std::string_view value) {
    const auto bytes = parse_memory(value);
    spec.memory = bytes && *bytes != 0 ? bytes : std::nullopt;
    return bytes.has_value();
}

/// Megabytes if nothing else is said, as in Slurm; a share of nothing is none.
bool set_gpu_memory(JobSpec& spec, std::string_view value) {
    spec.gpu_memory = parse_memory(value);
    return spec.gpu_memory && *spec.gpu_memory != 0;
}

bool add_environment(JobSpec& spec, std::string_view value) {
    const std::size_t equals = value.find('=');
    if (equals == 0 || equals == value.npos) return false;
    spec.environment[std::string(value.substr(0, equals))] = value.substr(equals + 1);
    return true;
}

/// Adds what is between commas and blanks; false if that is nothing.
bool add_list(std::vector<std::string>& list, std::string_view value) {
    constexpr std::string_view separators = ", \t";
    const std::size_t before = list.size();
    for (std::size_t at = value.find_first_not_of(separators); at != value.npos;) {
        const std::size_t end = value.find_first_of(separators, at);
        list.emplace_back(value.substr(at, end - at));
        at = value.find_first_not_of(separators, end);
    }
    return list.size() > before;
}

bool set_open_mode(JobSpec& spec, std::string_view value) {
    spec.truncate_output = value == "truncate";
    return spec.truncate_output || value == "append";
}

bool set_leftovers(JobSpec& spec, std::string_view value) {
    spec.wait_for_leftovers = value == "wait";
    return spec.wait_for_leftovers || value == "end";
}

/// "sweep" or "sweep%4": at most so many of the group at once.
bool set_group(JobSpec& spec, std::string_view value) {
    const std::size_t percent = value.rfind('%');
    spec.group_limit = 0;
    if (percent != value.npos &&
        !set_number(spec.group_limit, value.substr(percent + 1), 1, most_together))
        return false;
    return set_text(spec.group, value.substr(0, percent));
}

bool set_array(JobSpec& spec, std::string_view value) {
    const auto array = parse_array(value);
    if (array) spec.array = *array;
    return array.has_value();
}

bool set_flag(bool& out, std::string_view value) {
    out = value == "yes" || value == "true" || value == "1";
    return out || value == "no" || value == "false" || value == "0";
}

/// Any moment will do to see whether it can be read; it counts from the submission.
bool set_begin(JobSpec& spec, std::string_view value) {
    spec.begin = value;
    return parse_begin(value, 0).has_value();
}

bool set_after(JobSpec& spec, std::string_view value) {
    const auto after = parse_after(value);
    if (after) spec.after = *after;
    return after.has_value();
}

bool set_retry_on(JobSpec& spec, std::string_view value) {
    const auto codes = parse_exit_codes(value);
    if (codes) spec.rules.retry_on = *codes;
    return codes.has_value();
}

bool set_retry_delay(JobSpec& spec, std::string_view value) {
    const auto delay = parse_duration(value);
    if (delay) spec.rules.retry_delay = *delay;
    return delay && *delay <= longest_retry_delay;
}

bool set_warning_signal(JobSpec& spec, std::string_view value) {
    const auto warning = parse_warning_signal(value);
    if (!warning) return false;
    spec.warn_signal = warning->signal;
    spec.warn_before = warning->before;
    return true;
}

using Text = std::string_view;

constexpr Setting settings[] = {
    {"gpus", "a number from 0 to 1024",
     [](JobSpec& s, Text v) { return set_number(s.gpus, v, 0, most_gpus); }},
    {"gpu-mem", "an amount of memory of each GPU such as 10G or 8000 (megabytes)", set_gpu_memory},
    {"gpu-type", "the name of a GPU such as a100 or rtx3090",
     [](JobSpec& s, Text v) { return set_text(s.gpu_type, v); }},
    {"gpu-ids", a_list_of_gpus, [](JobSpec& s, Text v) { return add_list(s.gpu_ids, v); }, true},
    {"gpu-avoid", a_list_of_gpus, [](JobSpec& s, Text v) { return add_list(s.gpu_avoid, v); },
     true},
    {"cpus", "a number from 1 to 65536",
     [](JobSpec& s, Text v) { return set_number(s.cpus, v, 1, most_cpus); }},
    {"mem", "an amount of memory such as 4096 (megabytes), 500M or 10G", set_memory},
    {"labels", "labels of machines, separated by commas",
     [](JobSpec& s, Text v) { return add_list(s.labels, v); }, true},
    {"priority", "a number from -1000000000 to 1000000000",
     [](JobSpec& s, Text v) { return set_number(s.priority, v, -most_priority, most_priority); }},
    {"group", "a name, or NAME%N for at most N of them at once", set_group},
    {"array",
     "task numbers such as 0-99, 0-99:3 or 1,3,5-9, at most 100000 of them, none above 4000000, "
     "and "
     "%N for at most N at once",
     set_array},
    {"hold", "'yes' or 'no'", [](JobSpec& s, Text v) { return set_flag(s.held, v); }, false, true},
    {"canary", "'yes' or 'no'", [](JobSpec& s, Text v) { return set_flag(s.canary, v); }, false,
     true},
    {"begin", "a time such as now+2hours, 16:00, tomorrow or 2026-12-24T08:00:00", set_begin},
    {"dependency",
     "after:JOB, afterok:JOB, afternotok:JOB, afterany:JOB, aftercorr:ARRAY or singleton, joined "
     "by "
     ", (all) or ? (any)",
     set_after},
    {"retries", "a number from 0 to 10000",
     [](JobSpec& s, Text v) { return set_number(s.rules.retries, v, 0, most_attempts); }},
    {"retry-on", "exit codes from 1 to 255 such as 1,75-78", set_retry_on},
    {"retry-delay", a_duration, set_retry_delay},
    {"requeue", "'yes' or 'no'", [](JobSpec& s, Text v) { return set_flag(s.rules.requeue, v); },
     false, true},
    {"requeue-exit", "an exit code from 1 to 255",
     [](JobSpec& s, Text v) { return set_number(s.rules.requeue_exit, v, 1, most_exit_code); }},
    {"max-restarts", "a number from 0 to 10000",
     [](JobSpec& s, Text v) { return set_number(s.rules.max_restarts, v, 0, most_attempts); }},
    {"signal", "SIGNAL or SIGNAL@SECONDS before the time limit, such as USR1@300",
     set_warning_signal},
    {"name", a_text, [](JobSpec& s, Text v) { return set_text(s.name, v); }},
    {"chdir", "a directory", [](JobSpec& s, Text v) { return set_text(s.directory, v); }},
    {"shell", "a program, perhaps with options",
     [](JobSpec& s, Text v) { return set_text(s.shell, v); }},
    {"env", "NAME=value", add_environment},
    {"output", "a file", [](JobSpec& s, Text v) { return set_text(s.output, v); }},
    {"error", "a file", [](JobSpec& s, Text v) { return set_text(s.error, v); }},
    {"open-mode", "'append' or 'truncate'", set_open_mode},
    {"profile", "the name of a profile", [](JobSpec& s, Text v) { return set_text(s.profile, v); }},
    {"time", "a time limit such as 90 (minutes), 2:00:00, 1-12:00, 45s, 2h or UNLIMITED",
     [](JobSpec& s, Text v) { return set_parsed(s.time_limit, parse_time_limit(v)); }},
    {"grace", a_duration,
     [](JobSpec& s, Text v) { return set_parsed(s.grace, parse_duration(v)); }},
    {"leftover-grace", a_duration,
     [](JobSpec& s, Text v) { return set_parsed(s.leftover_grace, parse_duration(v)); }},
    {"leftovers", "'wait' or 'end'", set_leftovers},
    {"conda-env", "the name or the directory of a conda environment",
     [](JobSpec& s, Text v) { return set_text(s.conda_environment, v); }},
    {"venv", "the directory of a virtual environment",
     [](JobSpec& s, Text v) { return set_text(s.virtual_environment, v); }},
    {"modules", "names of modules, separated by commas",
     [](JobSpec& s, Text v) { return add_list(s.modules, v); }, true},
};

struct Alias {
    std::string_view alias, name;
};
constexpr Alias aliases[] = {
    {"job-name", "name"}, {"target", "profile"}, {"cwd", "chdir"}, {"time-limit", "time"}};

}  // namespace

const Setting* find_setting(std::string_view name) {
    std::string wanted(name);
    std::replace(wanted.begin(), wanted.end(), '_', '-');
    for (const Alias& alias : aliases)
        if (alias.alias == wanted) wanted = alias.name;
    for (const Setting& setting : settings)
        if (setting.name == wanted) return &setting;
    return nullptr;
}

const std::vector<std::string>& setting_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> out;
        for (const Setting& setting : settings)
            out.emplace_back(setting.name);
        for (const Alias& alias : aliases)
            out.emplace_back(alias.alias);
        return out;
    }();
    return names;
}

std::string bad_value(const Setting& setting, std::string_view shown_name, std::string_view value) {
    return "'" + printable(value.substr(0, 100)) + "' is no value for " + printable(shown_name) +
           ": expected " + std::string(setting.accepted);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view prefix) {
    const auto near = nearest(word, candidates);
    return near ? " (did you mean '" + std::string(prefix) + *near + "'?)" : "";
}

bool split_words(std::string_view text, std::vector<std::string>& out) {
    constexpr std::string_view escaped_in_quotes = "\\\"$`";
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const char next = i + 1 < text.size() ? text[i + 1] : '\0';
        const bool blank = c == ' ' || c == '\t';
        if (quote == 0 && !in_word && c == '#') return true;
        if (quote == 0 && blank) {
            if (in_word) out.push_back(std::exchange(word, {}));
            in_word = false;
            continue;
        }
        in_word = true;
        if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == quote && quote != 0) {
            quote = 0;
        } else if (c == '\\' && next != 0 &&
                   (quote == 0 || (quote == '"' && escaped_in_quotes.find(next) != text.npos))) {
            word += next;
            ++i;
        } else {
            word += c;
        }
    }
    if (in_word) out.push_back(word);
    return quote == 0;
}

}  // namespace spool
