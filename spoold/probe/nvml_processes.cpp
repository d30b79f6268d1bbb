#include "spoold/probe/nvml_processes.h"

#include <algorithm>
#include <cstring>

namespace spool::probe {

using nvml::Device;
using nvml::Library;
using nvml::ProcessLists;
using nvml::Return;

namespace {

/// What is reserved for an entry, so that none of any layout is written behind the end.
constexpr std::size_t room_of_one = 64;
/// What the driver has not written; as the last byte of a number it would be an absurd one.
constexpr unsigned char untouched = 0xa5;

struct Listed {
    Return code = Return::success;
    std::vector<nvml::ProcessInfo> entries;
};

std::size_t written_bytes(const std::vector<unsigned char>& buffer) {
    const auto last = std::find_if(buffer.rbegin(), buffer.rend(),
                                   [](unsigned char byte) { return byte != untouched; });
    return static_cast<std::size_t>(buffer.rend() - last);
}

std::vector<nvml::ProcessInfo> read_entries(const std::vector<unsigned char>& buffer,
                                            std::size_t count, std::size_t documented) {
    const std::size_t size = process_entry_size(written_bytes(buffer), count, documented);
    std::vector<nvml::ProcessInfo> entries(count);
    for (std::size_t i = 0; i < count; ++i)
        std::memcpy(&entries[i], buffer.data() + i * size, sizeof entries[i]);
    return entries;
}

Listed ask_list(ProcessLists::List function, Device device, std::size_t documented) {
    std::size_t room = 32;
    for (int tries = 0; tries < 8; ++tries) {
        std::vector<unsigned char> buffer(room * room_of_one, untouched);
        auto count = static_cast<unsigned>(room);
        const Return code = function(device, &count, buffer.data());
        if (code == Return::success && count <= room)
            return {code, read_entries(buffer, count, documented)};
        if (code != Return::success && code != Return::insufficient_size) return {code, {}};
        room = 2 * std::max<std::size_t>(room, count);  // for those that come until the next call
    }
    return {Return::insufficient_size, {}};
}

/// One that draws and computes is listed twice, and what came first counts.
void append(const std::vector<nvml::ProcessInfo>& entries, GpuProcess::Kind kind,
            std::vector<GpuProcess>& list) {
    for (const nvml::ProcessInfo& entry : entries) {
        GpuProcess process;
        process.pid = static_cast<int>(entry.pid);
        process.kind = kind;
        if (entry.memory != nvml::not_available) process.memory = entry.memory;
        const bool known = std::any_of(list.begin(), list.end(), [&](const GpuProcess& other) {
            return other.pid == process.pid;
        });
        if (!known) list.push_back(std::move(process));
    }
}

/// Whether it was told.
bool add_list(ProcessLists::List function, Device device, std::size_t documented,
              GpuProcess::Kind kind, std::vector<GpuProcess>& list) {
    if (!function) return false;
    const Listed listed = ask_list(function, device, documented);
    append(listed.entries, kind, list);
    return listed.code == Return::success;
}

}  // namespace

// Lengths that end exactly where the driver has stopped are believed before what is documented: one
// that was changed twice may be changed again. A driver may leave the end of the last entry out.
std::size_t process_entry_size(std::size_t written, std::size_t count, std::size_t documented) {
    for (const std::size_t size :
         {nvml::process_info_v1, nvml::process_info_v2, nvml::process_info_535})
        if (written == count * size) return size;
    return documented;
}

// What computes must be known, unless the driver never tells it of such a GPU: then its memory says
// whether it is used. Graphics and MPS clients need not be: not every GPU has them.
void add_processes(const Library& nvml, Device device, Gpu& gpu) {
    using enum GpuProcess::Kind;
    for (const ProcessLists& lists : nvml.process_lists) {
        const Listed listed = ask_list(lists.compute, device, lists.entry);
        if (listed.code == Return::function_not_found) continue;  // an older one may be there
        if (listed.code == Return::not_supported || listed.code == Return::no_permission) return;
        if (listed.code != Return::success) {
            gpu.problem = "its processes are not known: " + nvml.text(listed.code);
            return;
        }
        std::vector<GpuProcess> found;
        append(listed.entries, compute, found);
        (void)add_list(lists.mps, device, lists.entry, compute, found);
        gpu.graphics_listed = add_list(lists.graphics, device, lists.entry, graphics, found);
        gpu.processes = std::move(found);
        return;
    }
}

}  // namespace spool::probe
