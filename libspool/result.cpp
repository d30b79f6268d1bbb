#include "libspool/result.h"

#include "libspool/json_text.h"
#include "libspool/result_json.h"
#include "libspool/utf8.h"

namespace spool {

namespace {

using Json = nlohmann::ordered_json;

struct OutcomeName {
    Outcome outcome;
    std::string_view name;
};
constexpr OutcomeName outcome_names[] = {
    {Outcome::succeeded, "succeeded"}, {Outcome::failed, "failed"},
    {Outcome::cancelled, "cancelled"}, {Outcome::timeout, "timeout"},
    {Outcome::lost, "lost"},           {Outcome::interrupted, "interrupted"},
    {Outcome::rejected, "rejected"},
};

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json texts(const std::vector<std::string>& values) {
    Json out = Json::array();
    for (const std::string& value : values)
        out.push_back(valid_text(value));
    return out;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
    for (const OutcomeName& entry : outcome_names)
        if (entry.outcome == outcome) return entry.name;
    return "lost";  // not reached: every outcome is in the table
}

std::optional<Outcome> outcome_from_name(std::string_view name) {
    for (const OutcomeName& entry : outcome_names)
        if (entry.name == name) return entry.outcome;
    return std::nullopt;
}

Json time_to_json(std::int64_t wall_nanoseconds) {
    return wall_nanoseconds == 0 ? Json(nullptr) : Json(format_time(wall_nanoseconds));
}

Json result_to_json(const JobResult& result) {
    Json out;
    out["id"] = result.id;
    out["name"] = to_json_text(result.name);
    out["file"] = to_json_text(result.file);
    out["state"] = outcome_name(result.state);
    out["exit_code"] = or_null(result.exit_code);
    out["signal"] = or_null(result.signal);
    out["reason"] = result.reason ? Json(valid_text(*result.reason)) : Json(nullptr);
    out["line"] = or_null(result.line);
    out["command"] = to_json_text(result.command);
    out["cwd"] = to_json_text(result.directory);
    out["gpus"] = texts(result.gpus);
    out["profile"] = valid_text(result.profile);
    out["host"] = valid_text(result.host);
    out["attempt"] = result.attempt;
    out["submitted_at"] = time_to_json(result.submitted_at);
    out["started_at"] = time_to_json(result.started_at);
    out["ended_at"] = time_to_json(result.ended_at);
    out["cpu_seconds"] = or_null(result.cpu_seconds);
    out["max_rss_bytes"] = or_null(result.max_rss_bytes);
    out["env_source"] = valid_text(result.environment_source);
    out["notes"] = texts(result.notes);
    out["retry_of"] = or_null(result.retry_of);
    out["token"] = valid_text(result.token);
    return out;
}

JobResult result_from_fields(const JsonFields& fields) {
    JobResult out;
    std::string state;
    fields.number("id", out.id);
    fields.bytes("name", out.name);
    fields.bytes("file", out.file);
    fields.text("state", state);
    fields.number("exit_code", out.exit_code);
    fields.number("signal", out.signal);
    fields.text("reason", out.reason);
    fields.number("line", out.line);
    fields.bytes("command", out.command);
    fields.bytes("cwd", out.directory);
    fields.list("gpus", out.gpus);
    fields.text("profile", out.profile);
    fields.text("host", out.host);
    fields.number("attempt", out.attempt);
    fields.time("submitted_at", out.submitted_at);
    fields.time("started_at", out.started_at);
    fields.time("ended_at", out.ended_at);
    fields.number("cpu_seconds", out.cpu_seconds);
    fields.number("max_rss_bytes", out.max_rss_bytes);
    fields.text("env_source", out.environment_source);
    fields.list("notes", out.notes);
    fields.number("retry_of", out.retry_of);
    fields.text("token", out.token);
    const auto outcome = outcome_from_name(state);
    if (!outcome) fields.fail("a state that this version knows", "state");
    if (!fields.find("id")) fields.fail("there", "id");
    out.state = outcome.value_or(Outcome::lost);
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
