#include "cli/json.h"

#include <cstdio>

#include "libspool/gpu_json.h"
#include "libspool/names.h"
#include "libspool/result_json.h"
#include "libspool/wait_reason.h"

namespace cli {
namespace {

std::string text(std::string_view bytes) {
    return spool::to_json_text(bytes);
}

Json number_or_null(std::uint64_t id) {
    return id == 0 ? Json() : Json(id);
}

Json texts(const std::vector<std::string>& list) {
    Json out = Json::array();
    for (const std::string& entry : list)
        out.push_back(text(entry));
    return out;
}

Json daemon_json(const spool::DaemonState& daemon) {
    return {{"running", daemon.running},
            {"host", daemon.host.empty() ? Json() : Json(text(daemon.host))},
            {"pid", daemon.pid == 0 ? Json() : Json(daemon.pid)},
            {"version", daemon.version},
            {"started_at",
             daemon.running && !daemon.started_at.empty() ? Json(daemon.started_at) : Json()},
            {"paused", daemon.paused},
            {"pause_reason", text(daemon.pause_reason)},
            {"draining", daemon.draining},
            {"problems", texts(daemon.problems)}};
}

template <typename Items>
Json list_of(const Items& items) {
    Json out = Json::array();
    for (const auto& item : items)
        out.push_back(to_json(item));
    return out;
}

Json gpus_json(const std::vector<spool::GpuState>& gpus) {
    Json out = Json::array();
    for (const spool::GpuState& gpu : gpus)
        out.push_back({{"slot", text(gpu.slot)},
                       {"job", gpu.job ? Json(*gpu.job) : Json()},
                       {"name", gpu.job ? Json(text(gpu.name)) : Json()},
                       {"jobs", gpu.jobs},
                       {"status", gpu.status},
                       {"reason", text(gpu.reason)},
                       {"devices", texts(gpu.devices)},
                       {"label", gpu.job ? Json(gpu.label) : Json()}});
    return out;
}

}  // namespace

Json devices_json(const std::vector<spool::DeviceState>& devices) {
    Json out = Json::array();
    for (const spool::DeviceState& device : devices) {
        Json entry = spool::public_gpu_to_json(device.gpu);
        entry["status"] = device.status;
        entry["reason"] = text(device.reason);
        entry["jobs"] = device.jobs;
        out.push_back(std::move(entry));
    }
    return out;
}

Json to_json(const spool::JobResult& result) {
    return spool::result_to_json(result);
}

Json to_json(const spool::WaitingState& job) {
    return {{"id", number_or_null(job.id)},
            {"name", text(job.name)},
            {"file", text(job.file)},
            {"command", text(job.command)},
            {"priority", job.priority},
            {"submitted_at", spool::time_to_json(job.submitted_at)},
            {"tasks", number_or_null(job.tasks)},
            {"reason", text(spool::wait_sentence(job.reason))},
            {"reason_code", spool::wait_kind_name(job.reason.kind)}};
}

Json to_json(const spool::RunningState& job) {
    return {{"id", number_or_null(job.id)},
            {"name", text(job.name)},
            {"command", text(job.command)},
            {"cwd", text(job.directory)},
            {"profile", text(job.profile)},
            {"phase", job.phase},
            {"detail", text(job.detail)},
            {"gpus", texts(job.gpus)},
            {"submitted_at", spool::time_to_json(job.submitted_at)},
            {"started_at", spool::time_to_json(job.started_at)},
            {"attempt", job.attempt},
            {"pid", job.pid == 0 ? Json() : Json(job.pid)},
            {"task", job.task ? Json(*job.task) : Json()},
            {"number", job.task ? Json(job.number) : number_or_null(job.id)}};
}

Json to_json(const spool::ArrayState& array) {
    Json ended = Json::object();
    for (const auto& [outcome, count] : array.ended)
        ended[std::string(spool::outcome_name(outcome))] = count;
    const bool waits = array.waiting > 0;
    return {{"id", number_or_null(array.id)},
            {"name", text(array.name)},
            {"file", text(array.file)},
            {"command", text(array.command)},
            {"priority", array.priority},
            {"submitted_at", spool::time_to_json(array.submitted_at)},
            {"started_at", spool::time_to_json(array.started_at)},
            {"count", array.count},
            {"running", array.running},
            {"waiting", array.waiting},
            {"ended", ended},
            {"reason", waits ? Json(text(spool::wait_sentence(array.reason))) : Json()},
            {"reason_code", waits ? Json(spool::wait_kind_name(array.reason.kind)) : Json()}};
}

Json to_json(const spool::SpoolState& state) {
    Json ignored = Json::array();
    for (const spool::IgnoredState& entry : state.ignored)
        ignored.push_back({{"path", text(entry.path)}, {"reason", text(entry.reason)}});
    return {{"daemon", daemon_json(state.daemon)},
            {"gpus", gpus_json(state.gpus)},
            {"devices", devices_json(state.devices)},
            {"cpu_slots", {{"total", state.cpu_slots}, {"used", state.cpu_slots_used}}},
            {"running", list_of(state.running)},
            {"arrays", list_of(state.arrays)},
            {"waiting", list_of(state.waiting)},
            {"waiting_count", state.waiting_count},
            {"recent", list_of(state.recent)},
            {"ignored", ignored}};
}

void print_json(const Json& json) {
    std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

}  // namespace cli
