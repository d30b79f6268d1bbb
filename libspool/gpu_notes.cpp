#include "libspool/gpu_notes.h"

#include <cerrno>

#include "libspool/json_fields.h"
#include "libspool/json_text.h"
#include "libspool/json_writer.h"
#include "libspool/names.h"

namespace spool {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* file_name = "gpus.json";
constexpr std::uint64_t largest = 1 << 20;

}  // namespace

std::string write_notes(const GpuNotes& notes) {
    Json drained = Json::array(), processes = Json::array();
    for (const auto& [name, reason] : notes.drained)
        drained.push_back({{"gpu", to_json_text(name)},
                           {"reason", to_json_text(reason)},
                           {"failures", notes.failed.contains(name)}});
    for (const auto& [pid, start] : notes.ignored_processes)
        processes.push_back({{"pid", pid}, {"start", start}});
    Json programs = Json::array();
    for (const std::string& program : notes.ignored_programs)
        programs.push_back(to_json_text(program));
    return Json{{"drained", drained},
                {"ignored_processes", processes},
                {"ignored_programs", programs}}
               .dump(2) +
           "\n";
}

Result<GpuNotes> read_notes(std::string_view bytes, const std::string& path) {
    const auto json = parse_json(bytes, path);
    if (!json) return tl::unexpected(json.error());
    GpuNotes notes;
    std::string error;
    const JsonFields fields(*json, error);
    fields.objects("drained", [&](const JsonFields& entry) {
        std::string name, reason;
        bool failures = false;
        entry.bytes("gpu", name);
        entry.bytes("reason", reason);
        entry.flag("failures", failures);
        notes.drained[name] = reason;
        if (failures) notes.failed.insert(name);
    });
    fields.objects("ignored_processes", [&](const JsonFields& entry) {
        int pid = 0;
        std::uint64_t start = 0;
        entry.number("pid", pid);
        entry.number("start", start);
        notes.ignored_processes[pid] = start;
    });
    std::vector<std::string> programs;
    fields.bytes_list("ignored_programs", programs);
    notes.ignored_programs.insert(programs.begin(), programs.end());
    if (!error.empty()) return content_error(path, std::nullopt, error);
    return notes;
}

Result<GpuNotes> load_notes(Spool& spool) {
    const auto bytes = read_whole(*spool.files, spool.internal.get(), file_name, largest);
    if (!bytes && bytes.error().code == ENOENT) return GpuNotes{};
    if (!bytes) return tl::unexpected(bytes.error());
    return read_notes(*bytes, spool.path + "/.spool/" + file_name);
}

Result<void> store_notes(Spool& spool, const GpuNotes& notes) {
    return write_atomically(spool, spool.internal.get(), file_name, write_notes(notes), true);
}

}  // namespace spool
