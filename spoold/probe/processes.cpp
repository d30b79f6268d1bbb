#include "spoold/probe/processes.h"

#include <pwd.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <map>

namespace spool::probe {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string user_name(uid_t user) {
    passwd entry{};
    passwd* found = nullptr;
    char buffer[4096];
    if (getpwuid_r(user, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
        return found->pw_name;
    return std::to_string(user);
}

std::string token_of(const std::string& environment) {
    static constexpr std::string_view key = "GPUSPOOL_TOKEN=";
    for (std::size_t begin = 0; begin < environment.size();) {
        const std::size_t end = std::min(environment.find('\0', begin), environment.size());
        const std::string_view variable(environment.data() + begin, end - begin);
        if (variable.starts_with(key)) return std::string(variable.substr(key.size()));
        begin = end + 1;
    }
    return {};
}

std::string cgroup_of(const std::string& lines) {
    const std::size_t begin = lines.find("0::");
    if (begin == std::string::npos) return {};
    return lines.substr(begin + 3, lines.find('\n', begin) - begin - 3);
}

}  // namespace

void identify(const fs::path& proc, GpuProcess& process) {
    const fs::path directory = proc / std::to_string(process.pid);
    struct stat status {};
    if (stat(directory.c_str(), &status) != 0) return;  // of another pid namespace, or gone
    process.owner = user_name(status.st_uid);
    process.program = read_all(directory / "comm");
    while (process.program.ends_with('\n'))
        process.program.pop_back();
    process.token = token_of(read_all(directory / "environ"));
    process.cgroup = cgroup_of(read_all(directory / "cgroup"));
}

void identify_all(const fs::path& proc, std::vector<Gpu>& gpus) {
    std::map<int, GpuProcess> known;
    for (Gpu& gpu : gpus) {
        if (!gpu.processes) continue;
        for (GpuProcess& process : *gpu.processes) {
            const auto [entry, fresh] = known.try_emplace(process.pid, process);
            if (fresh) identify(proc, entry->second);
            process.program = entry->second.program;
            process.owner = entry->second.owner;
            process.token = entry->second.token;
            process.cgroup = entry->second.cgroup;
        }
    }
}

}  // namespace spool::probe
