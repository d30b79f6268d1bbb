#include "libspool/state_devices.h"

#include "libspool/gpu_json.h"

namespace spool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t longest_text = 500, most_processes = 8;

enum class Form { all, without_processes, bare };

/// Beside the members of the GPU itself.
template <typename Fields, Either<DeviceState> Device>
void each_member(Fields& fields, Device& device) {
    fields.text("status", device.status);
    fields.text("reason", device.reason);
    fields.numbers("jobs", device.jobs);
}

Json to_json(const DeviceState& device, Form form) {
    Gpu gpu = device.gpu;
    if (form != Form::all) gpu.processes.reset();
    if (gpu.processes && gpu.processes->size() > most_processes)
        gpu.processes->resize(most_processes);
    Json out = public_gpu_to_json(gpu);
    if (form == Form::bare)
        out = {{"id", out["id"]},
               {"vendor", out["vendor"]},
               {"index", out["index"]},
               {"parent", out["parent"]}};
    JsonWriter rest(longest_text);
    each_member(rest, device);
    out.update(rest.take());
    return out;
}

}  // namespace

Json devices_to_json(const std::vector<DeviceState>& devices, std::size_t room) {
    Json list;
    for (const Form form : {Form::all, Form::without_processes, Form::bare}) {
        list = Json::array();
        for (const DeviceState& device : devices)
            list.push_back(to_json(device, form));
        if (list.dump().size() <= room) break;
    }
    return list;
}

DeviceState device_from_fields(const JsonFields& fields) {
    DeviceState out;
    each_member(fields, out);
    out.gpu = gpu_from_fields(fields);
    return out;
}

}  // namespace spool
