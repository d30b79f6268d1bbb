#include "libspool/state.h"

#include <algorithm>

#include "libspool/json_text.h"
#include "libspool/result_json.h"
#include "libspool/utf8.h"
#include "libspool/wait_reason.h"

namespace spool {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t largest_state = 64 * 1024;
constexpr std::size_t longest_text = 500;  ///< bytes of one command, path or sentence
constexpr std::size_t most_ignored = 50, most_problems = 20, most_holders = 5;
constexpr std::string_view cut_mark = "…";

std::string cut(std::string_view bytes) {
    if (bytes.size() <= longest_text) return std::string(bytes);
    return std::string(cut_utf8(bytes, longest_text - cut_mark.size())) + std::string(cut_mark);
}

std::string coded(const std::string& bytes) {
    return to_json_text(cut(bytes));
}
std::string sentence(const std::string& text) {
    return valid_text(cut(text));
}

Json coded_list(const std::vector<std::string>& values, std::size_t most) {
    Json out = Json::array();
    for (std::size_t i = 0; i < values.size() && i < most; ++i)
        out.push_back(coded(values[i]));
    return out;
}

Json to_json(const DaemonState& daemon) {
    return Json{{"running", daemon.running},
                {"host", sentence(daemon.host)},
                {"version", sentence(daemon.version)},
                {"pid", daemon.pid},
                {"started_at", sentence(daemon.started_at)},
                {"paused", daemon.paused},
                {"pause_reason", coded(daemon.pause_reason)},
                {"draining", daemon.draining}};
}

Json to_json(const GpuState& gpu) {
    return Json{{"slot", coded(gpu.slot)},
                {"job", gpu.job ? Json(*gpu.job) : Json(nullptr)},
                {"name", coded(gpu.name)}};
}

Json to_json(const RunningState& job) {
    return Json{{"id", job.id},
                {"name", coded(job.name)},
                {"command", coded(job.command)},
                {"cwd", coded(job.directory)},
                {"profile", coded(job.profile)},
                {"phase", sentence(job.phase)},
                {"detail", sentence(job.detail)},
                {"gpus", coded_list(job.gpus, job.gpus.size())},
                {"submitted_at", time_to_json(job.submitted_at)},
                {"started_at", time_to_json(job.started_at)},
                {"attempt", job.attempt},
                {"pid", job.pid}};
}

Json to_json(const WaitReason& reason) {
    Json out{{"kind", wait_kind_name(reason.kind)}};
    if (reason.wanted != 0) out["wanted"] = reason.wanted;
    if (reason.free != 0) out["free"] = reason.free;
    if (!reason.detail.empty()) out["detail"] = coded(reason.detail);
    if (!reason.holders.empty()) out["holders"] = coded_list(reason.holders, most_holders);
    return out;
}

Json to_json(const WaitingState& job) {
    return Json{{"id", job.id},
                {"name", coded(job.name)},
                {"file", coded(job.file)},
                {"command", coded(job.command)},
                {"priority", job.priority},
                {"submitted_at", time_to_json(job.submitted_at)},
                {"reason", to_json(job.reason)}};
}

Json to_json(const IgnoredState& entry) {
    return Json{{"path", coded(entry.path)}, {"reason", sentence(entry.reason)}};
}

Json to_json(const std::string& problem) {
    return sentence(problem);
}

/// A result without what only x.json has room for.
Json to_json(JobResult result) {
    result.notes.clear();
    result.command = cut(result.command);
    result.directory = cut(result.directory);
    if (result.reason) result.reason = cut(*result.reason);
    return result_to_json(result);
}

/// Fills lists until the published form is as large as it may become.
class BoundedState {
public:
    BoundedState(Json state, std::size_t limit) : state_(std::move(state)) {
        const std::size_t used = state_.dump().size() + 1;
        left_ = limit > used ? limit - used : 0;
    }

    /// Adds the first elements of `list` that fit, at most `most`, under `key`, which is an empty
    /// list so far.
    template <typename List>
    void add(const char* key, const List& list, std::size_t most) {
        Json& out = state_[key];
        for (std::size_t i = 0; i < list.size() && i < most; ++i) {
            Json element = to_json(list[i]);
            const std::size_t size = element.dump().size() + 1;
            if (size > left_) return;
            left_ -= size;
            out.push_back(std::move(element));
        }
    }

    [[nodiscard]] std::string text() const { return state_.dump() + "\n"; }

private:
    Json state_;
    std::size_t left_;
};

Json frame(const SpoolState& state) {
    const Json empty = Json::array();
    return Json{
        {"daemon", to_json(state.daemon)},
        {"gpus", empty},
        {"running", empty},
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

DaemonState read_daemon(const JsonFields& fields) {
    DaemonState out;
    fields.flag("running", out.running);
    fields.text("host", out.host);
    fields.text("version", out.version);
    fields.number("pid", out.pid);
    fields.text("started_at", out.started_at);
    fields.flag("paused", out.paused);
    fields.bytes("pause_reason", out.pause_reason);
    fields.flag("draining", out.draining);
    return out;
}

GpuState read_gpu(const JsonFields& fields) {
    GpuState out;
    fields.bytes("slot", out.slot);
    fields.number("job", out.job);
    fields.bytes("name", out.name);
    return out;
}

void read_coded_list(const JsonFields& fields, const char* key, std::vector<std::string>& out) {
    fields.list(key, out);
    for (std::string& value : out)
        value = from_json_text(value);
}

RunningState read_running(const JsonFields& fields) {
    RunningState out;
    fields.number("id", out.id);
    fields.bytes("name", out.name);
    fields.bytes("command", out.command);
    fields.bytes("cwd", out.directory);
    fields.bytes("profile", out.profile);
    fields.text("phase", out.phase);
    fields.text("detail", out.detail);
    read_coded_list(fields, "gpus", out.gpus);
    fields.time("submitted_at", out.submitted_at);
    fields.time("started_at", out.started_at);
    fields.number("attempt", out.attempt);
    fields.number("pid", out.pid);
    return out;
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
    read_coded_list(fields, "holders", out.holders);
    return out;
}

WaitingState read_waiting(const JsonFields& fields, std::string& error) {
    WaitingState out;
    fields.number("id", out.id);
    fields.bytes("name", out.name);
    fields.bytes("file", out.file);
    fields.bytes("command", out.command);
    fields.number("priority", out.priority);
    fields.time("submitted_at", out.submitted_at);
    if (const nlohmann::json* reason = fields.find("reason"))
        out.reason = read_reason({*reason, error});
    return out;
}

IgnoredState read_ignored(const JsonFields& fields) {
    IgnoredState out;
    fields.bytes("path", out.path);
    fields.text("reason", out.reason);
    return out;
}

SpoolState read_fields(const JsonFields& fields, std::string& error) {
    SpoolState out;
    if (const nlohmann::json* daemon = fields.find("daemon"))
        out.daemon = read_daemon({*daemon, error});
    if (const nlohmann::json* found = fields.find("counts")) {
        const JsonFields counts(*found, error);
        counts.number("waiting", out.waiting_count);
        counts.number("cpu_slots", out.cpu_slots);
        counts.number("cpu_slots_used", out.cpu_slots_used);
    }
    const auto each = [&](const char* key, auto& list, auto read) {
        fields.objects(key, [&](const JsonFields& element) { list.push_back(read(element)); });
    };
    each("gpus", out.gpus, read_gpu);
    each("running", out.running, read_running);
    each("waiting", out.waiting, [&](const JsonFields& job) { return read_waiting(job, error); });
    each("recent", out.recent, result_from_fields);
    each("ignored", out.ignored, read_ignored);
    fields.list("problems", out.daemon.problems);
    return out;
}

}  // namespace

std::string write_state(const SpoolState& state) {
    BoundedState out(frame(state), largest_state);
    out.add("gpus", state.gpus, state.gpus.size());
    out.add("problems", state.daemon.problems, most_problems);
    out.add("running", state.running, state.running.size());
    out.add("recent", state.recent, SpoolState::max_recent);
    out.add("ignored", state.ignored, most_ignored);
    out.add("waiting", state.waiting, SpoolState::max_waiting);
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
