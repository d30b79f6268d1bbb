// The other direction of json_job.cpp: a JSON job that reads back as the same JobSpec.
#include <nlohmann/json.hpp>

#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/schedule_text.h"
#include "libspool/submit_info.h"
#include "libspool/utf8.h"
#include "libspool/values.h"

namespace spool {

namespace {

using Json = nlohmann::ordered_json;

bool all_utf8(const JobSpec& spec) {
    for (const std::string& argument : spec.command)
        if (!is_utf8(argument)) return false;
    for (const auto& [name, value] : spec.environment)
        if (!is_utf8(name) || !is_utf8(value)) return false;
    for (const std::string& module : spec.modules)
        if (!is_utf8(module)) return false;
    for (const std::string* text :
         {&spec.shell, &spec.name, &spec.directory, &spec.output, &spec.error, &spec.profile,
          &spec.conda_environment, &spec.virtual_environment})
        if (!is_utf8(*text)) return false;
    return true;
}

/// Time limits have no unit below a second: rounded up.
std::string limit_text(std::chrono::milliseconds limit) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit);
    return std::to_string(seconds.count()) + "s";
}

std::string duration_text(std::chrono::milliseconds duration) {
    if (duration.count() % 1000 != 0) return std::to_string(duration.count()) + "ms";
    return std::to_string(duration.count() / 1000) + "s";
}

class Writer {
public:
    explicit Writer(const JobSpec& spec) : spec_(spec), escaped_(!all_utf8(spec)) {}

    Json write() {
        list("command", spec_.command);
        text("cwd", spec_.directory);
        for (const auto& [name, value] : spec_.environment)
            out_["env"][coded(name)] = coded(value);
        text("name", spec_.name);
        write_wishes();
        text("output", spec_.output);
        text("error", spec_.error);
        if (!spec_.truncate_output) out_["open_mode"] = "append";
        text("shell", spec_.shell);
        text("conda_env", spec_.conda_environment);
        text("venv", spec_.virtual_environment);
        list("modules", spec_.modules);
        if (spec_.grace) out_["grace"] = duration_text(*spec_.grace);
        if (spec_.leftover_grace) out_["leftover_grace"] = duration_text(*spec_.leftover_grace);
        if (spec_.wait_for_leftovers) out_["leftovers"] = "wait";
        if (escaped_) out_["escaped"] = true;
        if (spec_.submit) out_["spool_submit"] = Json::parse(write_submit_info(*spec_.submit));
        return std::move(out_);
    }

private:
    void write_wishes() {
        if (spec_.gpus) out_["gpus"] = *spec_.gpus;
        if (spec_.gpu_memory) out_["gpu_mem"] = memory_text(*spec_.gpu_memory);
        text("gpu_type", spec_.gpu_type);
        list("gpu_ids", spec_.gpu_ids);
        list("gpu_avoid", spec_.gpu_avoid);
        if (spec_.cpus) out_["cpus"] = *spec_.cpus;
        if (spec_.memory) out_["mem"] = memory_text(*spec_.memory);
        list("labels", spec_.labels);
        if (spec_.priority != 0) out_["priority"] = spec_.priority;
        text("profile", spec_.profile);
        if (spec_.time_limit) out_["time_limit"] = limit_text(*spec_.time_limit);
        if (spec_.warn_signal != 0)
            out_["signal"] = std::to_string(spec_.warn_signal) + "@" +
                             std::to_string(spec_.warn_before.count() / 1000);
        text("array", array_text(spec_.array));
        text("begin", spec_.begin);
        text("dependency", after_text(spec_.after));
        if (spec_.held) out_["hold"] = true;
        if (spec_.canary) out_["canary"] = true;
        if (spec_.group_limit != 0)
            text("group", spec_.group + "%" + std::to_string(spec_.group_limit));
        else
            text("group", spec_.group);
        write_rules();
    }
    void write_rules() {
        const RetryRules usual, &rules = spec_.rules;
        if (rules.retries != 0) out_["retries"] = rules.retries;
        text("retry_on", exit_codes_text(rules.retry_on));
        if (rules.retry_delay != usual.retry_delay)
            out_["retry_delay"] = duration_text(rules.retry_delay);
        if (rules.requeue) out_["requeue"] = true;
        if (rules.requeue_exit != 0) out_["requeue_exit"] = rules.requeue_exit;
        if (rules.max_restarts != usual.max_restarts) out_["max_restarts"] = rules.max_restarts;
    }

    [[nodiscard]] std::string coded(const std::string& bytes) const {
        return escaped_ ? to_json_text(bytes) : bytes;
    }
    void text(const char* key, const std::string& value) {
        if (!value.empty()) out_[key] = coded(value);
    }
    void list(const char* key, const std::vector<std::string>& values) {
        for (const std::string& value : values)
            out_[key].push_back(coded(value));
    }

    const JobSpec& spec_;
    bool escaped_;
    Json out_;
};

}  // namespace

std::string write_command_job(const JobSpec& spec) {
    return Writer(spec).write().dump(2) + "\n";
}

}  // namespace spool
