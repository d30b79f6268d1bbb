// The cgroups (v2) of this machine, for tests that need real ones.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/exec_process.h"

namespace spool::test {

/// Where cgroup v2 is mounted; empty without it.
inline std::string cgroup_mount() {
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.find(" - cgroup2 ") == std::string::npos) continue;
        std::istringstream fields(line);
        std::string field;
        for (int i = 0; i < 5; ++i)
            fields >> field;
        return field;
    }
    return {};
}

/// The caller's own cgroup v2.
inline std::string own_cgroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("0::")) return cgroup_mount() + (line == "0::/" ? "" : line.substr(3));
    }
    return {};
}

/// One write, as the kernel's files want it; false if it was refused.
inline bool write_cgroup(const std::string& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text << std::flush;
    return stream.good();
}

/// A cgroup below the test's own with the controllers of memory and processors. `path` is empty
/// where they cannot be had: no cgroup v2, no rights, or they are cgroup v1's.
class ControlledCgroup {
public:
    /// `name` is followed by the process's number and `suffix`.
    explicit ControlledCgroup(const std::string& name = "gpuspool-test",
                              const std::string& suffix = {}) {
        const std::string above = own_cgroup();
        for (const char* controller : {"+memory", "+cpu"})
            if (above.empty() || !write_cgroup(above + "/cgroup.subtree_control", controller))
                return;
        const std::string wanted = above + "/" + name + "-" + std::to_string(getpid()) + suffix;
        if (mkdir(wanted.c_str(), 0755) == 0) path = wanted;
    }
    ~ControlledCgroup() {
        if (path.empty()) return;
        wait_until([&] { return remove(path); });
    }
    ControlledCgroup(const ControlledCgroup&) = delete;
    ControlledCgroup& operator=(const ControlledCgroup&) = delete;

    std::string path;

private:
    /// Of all cgroups in it; false while something lives there.
    static bool remove(const std::string& directory) {
        (void)start_and_wait(
            {"find", directory, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"});
        return access(directory.c_str(), F_OK) != 0;
    }
    static int start_and_wait(const std::vector<std::string>& arguments) {
        return wait_for_program(start_program(arguments));
    }
};

}  // namespace spool::test
