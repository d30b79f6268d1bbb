#include "spoold/probe/drm_clients.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>

namespace spool::probe {
namespace {

namespace fs = std::filesystem;

/// What one open file says.
struct Client {
    std::string pci, id;
    bool computes = false;
    std::optional<std::uint64_t> memory;  ///< of the GPU's own
};

/// "23992 KiB", "16 MiB", "0".
std::uint64_t read_size(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return 0;
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (unit == " KiB") return value << 10;
    return unit == " MiB" ? value << 20 : value;
}

bool is_own_memory(std::string_view key) {
    return key.starts_with("drm-resident-vram") || key.starts_with("drm-resident-local");
}

Client read_client(const fs::path& path) {
    Client client;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const std::size_t colon = line.find(':');
        if (colon == line.npos) continue;
        const std::string_view key(line.data(), colon);
        const std::size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
        const std::string_view value = std::string_view(line).substr(begin);
        if (key == "drm-pdev") client.pci = value;
        if (key == "drm-client-id") client.id = value;
        if (key == "drm-engine-compute" || key == "drm-cycles-ccs")
            client.computes = read_size(value) != 0;
        if (is_own_memory(key)) client.memory = client.memory.value_or(0) + read_size(value);
    }
    return client;
}

void add(const Client& client, GpuProcess& process) {
    if (client.computes) process.kind = GpuProcess::Kind::compute;
    if (client.memory) process.memory = process.memory.value_or(0) + *client.memory;
}

/// Of one process, by address. An open file may have several numbers and counts once.
std::map<std::string, GpuProcess> clients_of(const fs::path& directory, int pid) {
    std::map<std::string, GpuProcess> found;
    std::set<std::string> counted;
    std::error_code error;
    for (fs::directory_iterator entry(directory / "fd", error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code unreadable;
        const std::string target = fs::read_symlink(entry->path(), unreadable);
        if (unreadable || !target.starts_with("/dev/dri/")) continue;
        const Client client = read_client(directory / "fdinfo" / entry->path().filename());
        if (client.pci.empty() || !counted.insert(client.pci + " " + client.id).second) continue;
        const auto [process, fresh] = found.try_emplace(client.pci);
        process->second.pid = pid;
        if (fresh) process->second.kind = GpuProcess::Kind::graphics;
        add(client, process->second);
    }
    return found;
}

}  // namespace

std::map<std::string, std::vector<GpuProcess>> drm_clients(const fs::path& proc) {
    std::map<std::string, std::vector<GpuProcess>> all;
    std::error_code error;
    for (fs::directory_iterator entry(proc, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        int pid = 0;
        const auto [rest, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (failure != std::errc{} || rest != name.data() + name.size()) continue;
        for (auto& [pci, process] : clients_of(entry->path(), pid))
            all[pci].push_back(std::move(process));
    }
    for (auto& [pci, processes] : all)
        std::sort(processes.begin(), processes.end(),
                  [](const GpuProcess& a, const GpuProcess& b) { return a.pid < b.pid; });
    return all;
}

}  // namespace spool::probe
