#include "libspool/gpu.h"

#include "libspool/gpu_json.h"
#include "libspool/json_text.h"

namespace spool {
namespace {

using Json = nlohmann::ordered_json;

constexpr Named<GpuVendor> vendors[] = {
    {GpuVendor::nvidia, "nvidia"}, {GpuVendor::amd, "amd"}, {GpuVendor::intel, "intel"}};
constexpr Named<GpuProcess::Kind> kinds[] = {{GpuProcess::Kind::compute, "compute"},
                                             {GpuProcess::Kind::graphics, "graphics"}};

template <typename Fields, Either<GpuProcess> Process>
void each_member(Fields& fields, Process& process) {
    fields.number("pid", process.pid);
    fields.word("kind", process.kind, kinds);
    fields.number("memory", process.memory);
    fields.bytes("program", process.program);
    fields.bytes("owner", process.owner);
    fields.bytes("token", process.token);
    fields.bytes("cgroup", process.cgroup);
}

template <typename Fields, Either<Gpu> Device>
void each_member(Fields& fields, Device& gpu) {
    fields.bytes("id", gpu.id);
    fields.word("vendor", gpu.vendor, vendors);
    fields.number("index", gpu.index);
    fields.bytes("pci", gpu.pci);
    fields.bytes("name", gpu.name);
    fields.bytes("parent", gpu.parent);
    fields.flag("display", gpu.display);
    fields.flag("permitted", gpu.permitted);
    fields.flag("computes", gpu.computes);
    fields.flag("divided", gpu.divided);
    fields.number("memory_total", gpu.memory_total);
    fields.number("memory_used", gpu.memory_used);
    fields.flag("used_with_reserve", gpu.used_with_reserve);
    fields.number("utilisation", gpu.utilisation);
    fields.number("temperature", gpu.temperature);
    fields.number("power", gpu.power);
    fields.bytes("problem", gpu.problem);
    fields.flag("graphics_listed", gpu.graphics_listed);
}

}  // namespace

Json gpu_to_json(const Gpu& gpu) {
    JsonWriter out;
    each_member(out, gpu);
    Json json = out.take();
    if (!gpu.processes) return json;
    Json& list = json["processes"] = Json::array();
    for (const GpuProcess& process : *gpu.processes) {
        JsonWriter entry;
        each_member(entry, process);
        list.push_back(entry.take());
    }
    return json;
}

Json public_gpu_to_json(const Gpu& gpu) {
    Json json = gpu_to_json(gpu);
    if (gpu.processes)
        for (Json& process : json["processes"]) {
            process.erase("token");
            process.erase("cgroup");
        }
    return json;
}

Gpu gpu_from_fields(const JsonFields& fields) {
    Gpu gpu;
    each_member(fields, gpu);
    if (fields.find("processes")) gpu.processes.emplace();
    fields.objects("processes", [&](const JsonFields& entry) {
        each_member(entry, gpu.processes->emplace_back());
    });
    return gpu;
}

std::string write_survey(const GpuSurvey& survey) {
    Json json;
    Json& gpus = json["gpus"] = Json::array();
    for (const Gpu& gpu : survey.gpus)
        gpus.push_back(gpu_to_json(gpu));
    json["problems"] = survey.problems;
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<GpuSurvey> read_survey(std::string_view line) {
    const auto json = parse_json(line, "survey of the GPUs");
    if (!json) return tl::unexpected(json.error());
    GpuSurvey survey;
    std::string error;
    const JsonFields fields(*json, error);
    fields.objects("gpus",
                   [&](const JsonFields& gpu) { survey.gpus.push_back(gpu_from_fields(gpu)); });
    fields.list("problems", survey.problems);
    if (!error.empty()) return content_error("survey of the GPUs", {}, error);
    return survey;
}

}  // namespace spool
