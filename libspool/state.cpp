#include "libspool/state.h"

#include <algorithm>

#include "libspool/bounded_json.h"
#include "libspool/json_text.h"
#include "libspool/result_json.h"
#include "libspool/state_devices.h"
#include "libspool/utf8.h"
#include "libspool/wait_reason.h"

namespace spool {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t largest_state = 64 * 1024;
constexpr std::size_t longest_text = 500;  ///< bytes of one command, path or sentence
constexpr std::size_t most_ignored = 50, most_problems = 20, most_obstacles = 4;

template <typename Fields, Either<DaemonState> Daemon>
void each_member(Fields& fields, Daemon& daemon) {
    fields.flag("running", daemon.running);
    fields.text("host", daemon.host);
    fields.text("version", daemon.version);
    fields.number("pid", daemon.pid);
    fields.text("started_at", daemon.started_at);
    fields.flag("paused", daemon.paused);
    fields.bytes("pause_reason", daemon.pause_reason);
    fields.flag("draining", daemon.draining);
}

template <typename Fields, Either<GpuState> Gpu>
void each_member(Fields& fields, Gpu& gpu) {
    fields.bytes("slot", gpu.slot);
    fields.number("job", gpu.job);
    fields.bytes("name", gpu.name);
    fields.numbers("jobs", gpu.jobs);
    fields.text("status", gpu.status);
    fields.text("reason", gpu.reason);
    fields.bytes_list("devices", gpu.devices);
    fields.text("label", gpu.label);
}

template <typename Fields, Either<RunningState> Job>
void each_member(Fields& fields, Job& job) {
    fields.number("id", job.id);
    fields.bytes("name", job.name);
    fields.bytes("command", job.command);
    fields.bytes("cwd", job.directory);
    fields.bytes("profile", job.profile);
    fields.text("phase", job.phase);
    fields.text("detail", job.detail);
    fields.bytes_list("gpus", job.gpus);
    fields.time("submitted_at", job.submitted_at);
    fields.time("started_at", job.started_at);
    fields.number("attempt", job.attempt);
    fields.number("pid", job.pid);
    fields.number("task", job.task);
    fields.number("number", job.number);
}

template <typename Fields, Either<WaitingState> Job>
void each_member(Fields& fields, Job& job) {
    fields.number("id", job.id);
    fields.bytes("name", job.name);
    fields.bytes("file", job.file);
    fields.bytes("command", job.command);
    fields.number("priority", job.priority);
    fields.time("submitted_at", job.submitted_at);
    fields.number("tasks", job.tasks);
}

template <typename Fields, Either<ArrayState> Array>
void each_member(Fields& fields, Array& array) {
    fields.number("id", array.id);
    fields.bytes("name", array.name);
    fields.bytes("file", array.file);
    fields.bytes("command", array.command);
    fields.number("priority", array.priority);
    fields.time("submitted_at", array.submitted_at);
    fields.time("started_at", array.started_at);
    fields.number("count", array.count);
    fields.number("running", array.running);
    fields.number("waiting", array.waiting);
}

template <typename Fields, Either<IgnoredState> Entry>
void each_member(Fields& fields, Entry& entry) {
    fields.bytes("path", entry.path);
    fields.text("reason", entry.reason);
}

template <typename T>
Json to_json(const T& value) {
    JsonWriter out(longest_text);
    each_member(out, value);
    return out.take();
}

template <typename T>
T from_fields(const JsonFields& fields) {
    T out;
    each_member(fields, out);
    return out;
}

/// What is not said is left out: there may be 200 of them.
Json to_json(const WaitReason& reason) {
    JsonWriter out(longest_text);
    out.text("kind", std::string(wait_kind_name(reason.kind)));
    if (reason.wanted != 0) out.number("wanted", reason.wanted);
    if (reason.free != 0) out.number("free", reason.free);
    if (!reason.detail.empty()) out.bytes("detail", reason.detail);
    const auto& all = reason.obstacles;
    const auto shown = static_cast<std::ptrdiff_t>(std::min(all.size(), most_obstacles));
    if (shown != 0) out.bytes_list("obstacles", {all.begin(), all.begin() + shown});
    return out.take();
}

Json to_json(const WaitingState& job) {
    Json out = to_json<WaitingState>(job);
    out["reason"] = to_json(job.reason);
    return out;
}

Json to_json(const ArrayState& array) {
    Json out = to_json<ArrayState>(array);
    out["ended"] = Json::object();
    for (const auto& [outcome, count] : array.ended)
        out["ended"][std::string(outcome_name(outcome))] = count;
    out["reason"] = to_json(array.reason);
    return out;
}

Json to_json(const std::string& problem) {
    return valid_text(shorten_utf8(problem, longest_text));
}

/// A result without what only x.json has room for.
Json to_json(JobResult result) {
    result.notes.clear();
    result.attempts.clear();
    if (result.tasks)
        std::erase_if(result.tasks->by_outcome,
                      [](const auto& list) { return list.second.size() > longest_text; });
    return result_to_json(result, longest_text);
}

Json frame(const SpoolState& state) {
    const Json empty = Json::array();
    return Json{
        {"daemon", to_json(state.daemon)},
        {"gpus", empty},
        {"devices", empty},
        {"surveyed_at", time_to_json(state.surveyed_at)},
        {"running", empty},
        {"arrays", empty},
        {"counts",
         Json{{"running", state.running.size()},
              {"waiting", std::max<std::uint64_t>(state.waiting_count, state.waiting.size())},
              {"cpu_slots", state.cpu_slots},
              {"cpu_slots_used", state.cpu_slots_used}}},
        {"waiting", empty},
        {"recent", empty},
        {"ignored", empty},
        {"problems", empty}};
}

WaitReason read_reason(const JsonFields& fields) {
    WaitReason out;
    std::string kind;
    fields.text("kind", kind);
    const auto known = wait_kind_from_name(kind);
    out.kind = known.value_or(WaitReason::Kind::unknown);
    fields.number("wanted", out.wanted);
    fields.number("free", out.free);
    fields.bytes("detail", out.detail);
    if (!known) out.detail = kind;
    fields.bytes_list("obstacles", out.obstacles);
    return out;
}

WaitingState read_waiting(const JsonFields& fields, std::string& error) {
    auto out = from_fields<WaitingState>(fields);
    if (const nlohmann::json* reason = fields.find("reason"))
        out.reason = read_reason({*reason, error});
    return out;
}

ArrayState read_array(const JsonFields& fields, std::string& error) {
    auto out = from_fields<ArrayState>(fields);
    if (const nlohmann::json* found = fields.find("ended")) {
        const JsonFields ended(*found, error);
        for (const std::string& name : outcome_names())
            if (ended.find(name.c_str()))
                ended.number(name.c_str(), out.ended[*outcome_from_name(name)]);
    }
    if (const nlohmann::json* reason = fields.find("reason"))
        out.reason = read_reason({*reason, error});
    return out;
}

SpoolState read_fields(const JsonFields& fields, std::string& error) {
    SpoolState out;
    if (const nlohmann::json* daemon = fields.find("daemon"))
        out.daemon = from_fields<DaemonState>({*daemon, error});
    if (const nlohmann::json* found = fields.find("counts")) {
        const JsonFields counts(*found, error);
        counts.number("waiting", out.waiting_count);
        counts.number("cpu_slots", out.cpu_slots);
        counts.number("cpu_slots_used", out.cpu_slots_used);
    }
    const auto each = [&](const char* key, auto& list, auto read) {
        fields.objects(key, [&](const JsonFields& element) { list.push_back(read(element)); });
    };
    each("gpus", out.gpus, from_fields<GpuState>);
    each("devices", out.devices, device_from_fields);
    fields.time("surveyed_at", out.surveyed_at);
    each("running", out.running, from_fields<RunningState>);
    each("arrays", out.arrays, [&](const JsonFields& array) { return read_array(array, error); });
    each("waiting", out.waiting, [&](const JsonFields& job) { return read_waiting(job, error); });
    each("recent", out.recent, result_from_fields);
    each("ignored", out.ignored, from_fields<IgnoredState>);
    fields.list("problems", out.daemon.problems);
    return out;
}

}  // namespace

std::string write_running(const RunningState& job) {
    JsonWriter out;
    each_member(out, job);
    return out.take().dump();
}

// The lists in the order of their importance, but for the waiting jobs, which may be very many: so
// much is kept for them. However much there is of the others, none of them takes all the room.
std::string write_state(const SpoolState& state) {
    constexpr std::size_t for_waiting = 8 * 1024, for_jobs = 20 * 1024;
    BoundedJson out(frame(state), largest_state);
    const auto add = [&](const char* key, const auto& list, std::size_t most, std::size_t kept) {
        out.add(key, list, most, kept, [](const auto& element) { return to_json(element); });
    };
    add("gpus", state.gpus, state.gpus.size(), 2 * for_jobs);
    add("problems", state.daemon.problems, most_problems, 3 * for_jobs / 2);
    const Json devices = devices_to_json(state.devices, out.room(for_jobs));
    out.add("devices", devices, devices.size(), for_jobs,
            [](const Json& device) { return device; });
    add("running", state.running, state.running.size(), for_waiting);
    add("arrays", state.arrays, SpoolState::max_waiting, for_waiting);
    add("recent", state.recent, SpoolState::max_recent, for_waiting);
    add("ignored", state.ignored, most_ignored, for_waiting);
    add("waiting", state.waiting, SpoolState::max_waiting, 0);
    return out.text();
}

Result<SpoolState> read_state(std::string_view bytes, const std::string& path) {
    const auto json = parse_json(bytes, path);
    if (!json) return tl::unexpected(json.error());
    std::string error;
    SpoolState state = read_fields(JsonFields(*json, error), error);
    if (!error.empty())
        return content_error(path, std::nullopt, "this is no state of a spool: " + error);
    return state;
}

}  // namespace spool
