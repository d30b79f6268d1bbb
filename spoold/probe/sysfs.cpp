#include "spoold/probe/sysfs.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>

#include "spoold/probe/device_nodes.h"

namespace spool::probe {
namespace {

namespace fs = std::filesystem;

std::string read_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

template <typename Number>
std::optional<Number> read_number(const fs::path& path) {
    const std::string line = read_line(path);
    Number value{};
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc{} || end == line.data()) return std::nullopt;
    return value;
}

/// The entries of a directory in the order of their names; none if it cannot be read.
std::vector<fs::path> entries_of(const fs::path& directory) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error))
        found.push_back(entry->path());
    std::sort(found.begin(), found.end());
    return found;
}

bool is_number(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

/// The devices behind /sys/class/drm/card<N> that are of this PCI vendor, in the order of their
/// addresses.
std::vector<fs::path> cards_of(const fs::path& sysfs, std::string_view vendor) {
    std::map<std::string, fs::path> cards;
    for (const fs::path& entry : entries_of(sysfs / "class/drm")) {
        const std::string name = entry.filename();
        if (!name.starts_with("card") || !is_number(name.substr(4))) continue;  // "card0-DP-1"
        const fs::path device = entry / "device";
        if (read_line(device / "vendor") != vendor) continue;
        std::error_code error;
        const fs::path target = fs::canonical(device, error);
        if (!error) cards.emplace(target.filename(), target);
    }
    std::vector<fs::path> found;
    found.reserve(cards.size());
    for (const auto& [address, device] : cards)
        found.push_back(device);
    return found;
}

/// Whether a connector of the card has a screen.
bool has_screen(const fs::path& device) {
    for (const fs::path& card : entries_of(device / "drm"))
        for (const fs::path& connector : entries_of(card))
            if (read_line(connector / "status") == "connected") return true;
    return false;
}

/// hwmon gives thousandths of a degree and millionths of a watt.
void add_sensors(const fs::path& device, Gpu& gpu) {
    for (const fs::path& sensor : entries_of(device / "hwmon")) {
        if (const auto reading = read_number<std::int64_t>(sensor / "temp1_input"))
            gpu.temperature = static_cast<int>(*reading / 1000);
        for (const char* name : {"power1_average", "power1_input"})
            if (const auto reading = read_number<std::int64_t>(sensor / name);
                reading && !gpu.power)
                gpu.power = static_cast<int>(*reading / 1'000'000);
    }
}

Gpu describe(const fs::path& device, GpuVendor vendor, int index) {
    Gpu gpu;
    gpu.vendor = vendor;
    gpu.index = index;
    gpu.pci = device.filename();
    gpu.name = read_line(device / "product_name");
    gpu.display = has_screen(device);
    add_sensors(device, gpu);
    return gpu;
}

/// What the topology of the compute driver says of a GPU (kernel, amdkfd: nodes/<n>/properties).
struct Node {
    std::string pci;
    std::string gpu_id;
};

/// "0000:03:00.0" of a domain and a location id (bus, device and function in 16 bits).
std::string pci_of(unsigned domain, unsigned location) {
    char text[32];
    (void)snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, location >> 8 & 0xff,
                   location >> 3 & 0x1f, location & 7);
    return text;
}

/// In the order of the node numbers, which is ROCm's.
std::vector<Node> compute_nodes(const fs::path& sysfs) {
    std::map<int, Node> nodes;
    for (const fs::path& directory : entries_of(sysfs / "class/kfd/kfd/topology/nodes")) {
        if (!is_number(directory.filename())) continue;
        const std::string gpu_id = read_line(directory / "gpu_id");
        if (gpu_id.empty() || gpu_id == "0") continue;  // a processor
        std::ifstream file(directory / "properties");
        unsigned location = 0, domain = 0;
        std::string key;
        for (std::uint64_t value = 0; file >> key >> value;) {
            if (key == "location_id") location = static_cast<unsigned>(value);
            if (key == "domain") domain = static_cast<unsigned>(value);
        }
        nodes.emplace(std::stoi(directory.filename()), Node{pci_of(domain, location), gpu_id});
    }
    std::vector<Node> found;
    found.reserve(nodes.size());
    for (auto& [number, node] : nodes)
        found.push_back(std::move(node));
    return found;
}

/// The processes that have queues, and their memory on this GPU (class/kfd/kfd/proc/<pid>).
std::vector<GpuProcess> compute_processes(const fs::path& sysfs, const std::string& gpu_id) {
    std::vector<GpuProcess> found;
    for (const fs::path& directory : entries_of(sysfs / "class/kfd/kfd/proc")) {
        if (!is_number(directory.filename())) continue;
        const auto memory = read_number<std::uint64_t>(directory / ("vram_" + gpu_id));
        if (!memory || *memory == 0) continue;  // has opened the driver, and nothing on this GPU
        GpuProcess process;
        process.pid = std::stoi(directory.filename());
        process.memory = memory;
        found.push_back(std::move(process));
    }
    return found;
}

/// ROCm opens the node of the compute driver and that of the card.
bool may_compute(const fs::path& device, const fs::path& dev) {
    static const std::string stem = "renderD";
    for (const fs::path& node : entries_of(device / "drm"))
        if (const std::string name = node.filename(); name.starts_with(stem))
            return may_open_node(dev / "dri", stem, name.substr(stem.size())) &&
                   (!fs::exists(dev / "dri" / name) || may_open(dev / "kfd"));
    return true;
}

Gpu describe_amd(const fs::path& sysfs, const fs::path& dev, const fs::path& device,
                 const std::vector<Node>& nodes) {
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const Node& candidate) {
        return candidate.pci == device.filename().string();
    });
    Gpu gpu = describe(device, GpuVendor::amd, static_cast<int>(node - nodes.begin()));
    if (gpu.name.empty()) gpu.name = "AMD GPU";
    const std::string unique = read_line(device / "unique_id");
    gpu.id = "AMD-" + (unique.empty() ? gpu.pci : unique);
    gpu.utilisation = read_number<int>(device / "gpu_busy_percent");
    const auto total = read_number<std::uint64_t>(device / "mem_info_vram_total");
    const auto used = read_number<std::uint64_t>(device / "mem_info_vram_used");
    gpu.memory_total = total.value_or(0);
    gpu.memory_used = used.value_or(0);
    gpu.used_with_reserve = true;
    if (!total || !used) gpu.problem = "its memory is not known: amdgpu does not answer";
    gpu.permitted = may_compute(device, dev);
    // The compute driver hides a GPU of which the device cgroup withholds the node.
    gpu.computes = node != nodes.end() || !gpu.permitted;
    if (node == nodes.end()) return gpu;
    gpu.processes = compute_processes(sysfs, node->gpu_id);
    return gpu;
}

}  // namespace

std::vector<Gpu> survey_amd(const fs::path& sysfs, const fs::path& dev) {
    const std::vector<Node> nodes = compute_nodes(sysfs);
    std::vector<Gpu> gpus;
    for (const fs::path& device : cards_of(sysfs, "0x1002"))
        gpus.push_back(describe_amd(sysfs, dev, device, nodes));
    std::sort(gpus.begin(), gpus.end(),
              [](const Gpu& a, const Gpu& b) { return a.index < b.index; });
    return gpus;
}

std::vector<Gpu> survey_intel(const fs::path& sysfs) {
    std::vector<Gpu> gpus;
    for (const fs::path& device : cards_of(sysfs, "0x8086")) {
        Gpu gpu = describe(device, GpuVendor::intel, static_cast<int>(gpus.size()));
        gpu.id = "INTEL-" + gpu.pci;
        if (gpu.name.empty()) gpu.name = "Intel GPU";
        // i915, of those that have memory of their own.
        for (const fs::path& card : entries_of(device / "drm")) {
            const auto total = read_number<std::uint64_t>(card / "lmem_total_bytes");
            const auto free = read_number<std::uint64_t>(card / "lmem_avail_bytes");
            if (!total || !free) continue;
            gpu.memory_total = *total;
            gpu.memory_used = *total - std::min(*total, *free);
        }
        gpus.push_back(std::move(gpu));
    }
    return gpus;
}

}  // namespace spool::probe
