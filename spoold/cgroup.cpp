#include "cgroup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace spoold {
namespace {

/// Where the cgroup v2 hierarchy is mounted (proc(5), mountinfo: the type stands behind the
/// separator).
std::string mount_point() {
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        const std::size_t separator = line.find(" - cgroup2 ");
        if (separator == std::string::npos) continue;
        std::istringstream fields(line);
        std::string field;
        for (int i = 0; i < 5; ++i)
            fields >> field;
        return field;
    }
    return {};
}

std::string own_cgroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("0::")) return line.substr(3);
    return {};
}

/// What supervisors that were killed have left.
void remove_empty_cgroups(const std::string& directory) {
    std::error_code ignored, end_of_list;
    std::filesystem::directory_iterator entry(directory, end_of_list), end;
    for (; !end_of_list && entry != end; entry.increment(end_of_list))
        if (entry->is_directory(ignored))
            rmdir(entry->path().c_str());  // fails while anything lives in it
}

}  // namespace

std::string prepare_job_cgroup(const std::string& spool_identity) {
    const std::string mount = mount_point(), own = own_cgroup();
    if (mount.empty() || own.empty()) return {};
    const std::string base = mount + (own == "/" ? "" : own);
    std::string directory = base + "/gpuspool-" + spool_identity.substr(0, 12);
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return {};
    // A process moves into a job's cgroup only if the common ancestor's cgroup.procs can be written
    // too.
    if (access((base + "/cgroup.procs").c_str(), W_OK) != 0) {
        rmdir(directory.c_str());
        return {};
    }
    remove_empty_cgroups(directory);
    return directory;
}

void remove_job_cgroup(const std::string& directory) {
    if (directory.empty()) return;
    remove_empty_cgroups(directory);
    rmdir(directory.c_str());
}

}  // namespace spoold
