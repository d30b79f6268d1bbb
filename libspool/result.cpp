#include "libspool/result.h"

#include "libspool/json_text.h"
#include "libspool/name_table.h"
#include "libspool/result_json.h"

namespace spool {

namespace {

constexpr Named<Outcome> outcome_table[] = {
    {Outcome::succeeded, "succeeded"}, {Outcome::failed, "failed"},
    {Outcome::cancelled, "cancelled"}, {Outcome::timeout, "timeout"},
    {Outcome::lost, "lost"},           {Outcome::interrupted, "interrupted"},
    {Outcome::rejected, "rejected"},
};

template <typename Fields, Either<PastAttempt> Past>
void each_member(Fields& fields, Past& past) {
    fields.number("attempt", past.attempt);
    fields.word("state", past.state, outcome_table);
    fields.number("exit_code", past.exit_code);
    fields.number("signal", past.signal);
    fields.text("reason", past.reason);
    fields.list("gpus", past.gpus);
    fields.time("started_at", past.started_at);
    fields.time("ended_at", past.ended_at);
    fields.text("next", past.next);
    fields.bytes("log", past.log);
}

/// The members of x.json. `Fields` reads or writes them.
template <typename Fields, Either<JobResult> Result>
void each_member(Fields& fields, Result& result) {
    fields.number("id", result.id);
    fields.bytes("name", result.name);
    fields.bytes("file", result.file);
    fields.word("state", result.state, outcome_table);
    fields.number("exit_code", result.exit_code);
    fields.number("signal", result.signal);
    fields.text("reason", result.reason);
    fields.number("line", result.line);
    fields.bytes("command", result.command);
    fields.bytes("cwd", result.directory);
    fields.list("gpus", result.gpus);
    fields.list("gpu_ids", result.gpu_ids);
    fields.text("profile", result.profile);
    fields.text("host", result.host);
    fields.number("attempt", result.attempt);
    fields.time("submitted_at", result.submitted_at);
    fields.time("started_at", result.started_at);
    fields.time("ended_at", result.ended_at);
    fields.number("cpu_seconds", result.cpu_seconds);
    fields.number("max_rss_bytes", result.max_rss_bytes);
    fields.text("env_source", result.environment_source);
    fields.list("notes", result.notes);
    fields.number("retry_of", result.retry_of);
    fields.text("token", result.token);
    fields.bytes("group", result.group);
    fields.number("task", result.task);
}

nlohmann::ordered_json tasks_to_json(const TaskResults& tasks) {
    nlohmann::ordered_json out{{"count", tasks.count}, {"first_number", tasks.first_number}};
    for (const auto& [outcome, list] : tasks.by_outcome)
        out[std::string(outcome_name(outcome))] = list;
    return out;
}

TaskResults tasks_from_fields(const JsonFields& fields) {
    TaskResults out;
    fields.number("count", out.count);
    fields.number("first_number", out.first_number);
    for (const Named<Outcome>& entry : outcome_table)
        if (fields.find(std::string(entry.name).c_str()))
            fields.text(std::string(entry.name).c_str(), out.by_outcome[entry.value]);
    return out;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
    return name_in(outcome_table, outcome);
}

std::optional<Outcome> outcome_from_name(std::string_view name) {
    return value_in(outcome_table, name);
}

std::vector<std::string> outcome_names() {
    std::vector<std::string> out;
    for (const Named<Outcome>& entry : outcome_table)
        out.emplace_back(entry.name);
    return out;
}

nlohmann::ordered_json result_to_json(const JobResult& result, std::size_t longest) {
    JsonWriter out(longest);
    each_member(out, result);
    auto json = out.take();
    if (result.tasks) json["tasks"] = tasks_to_json(*result.tasks);
    json["attempts"] = attempts_to_json(result.attempts);
    return json;
}

nlohmann::ordered_json attempts_to_json(const std::vector<PastAttempt>& attempts) {
    auto list = nlohmann::ordered_json::array();
    for (const PastAttempt& past : attempts) {
        JsonWriter out;
        each_member(out, past);
        list.push_back(out.take());
    }
    return list;
}

std::vector<PastAttempt> attempts_from_fields(const JsonFields& fields, const char* key) {
    std::vector<PastAttempt> attempts;
    fields.objects(key,
                   [&](const JsonFields& entry) { each_member(entry, attempts.emplace_back()); });
    return attempts;
}

JobResult result_from_fields(const JsonFields& fields) {
    JobResult out;
    each_member(fields, out);
    if (const nlohmann::json* tasks = fields.find("tasks")) {
        std::string ignored;
        out.tasks = tasks_from_fields({*tasks, ignored});
    }
    out.attempts = attempts_from_fields(fields, "attempts");
    if (!fields.find("id")) fields.fail("there", "id");
    return out;
}

std::string write_result(const JobResult& result) {
    return result_to_json(result).dump(2) + "\n";
}

Result<JobResult> read_result(std::string_view bytes, const std::string& path) {
    const auto json = parse_json(bytes, path);
    if (!json) return tl::unexpected(json.error());
    std::string error;
    JobResult result = result_from_fields(JsonFields(*json, error));
    if (!error.empty())
        return content_error(path, std::nullopt, "this is no result of a job: " + error);
    return result;
}

}  // namespace spool
