#include "cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
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
        if (line.find(" - cgroup2 ") == std::string::npos) continue;
        std::istringstream fields(line);
        std::string field;
        for (int i = 0; i < 5; ++i)
            fields >> field;
        return field;
    }
    return {};
}

/// The controllers that limit what jobs ask for, and what they are called among the limits.
struct Controller {
    const char* name;
    bool JobCgroup::*enforced;
};
constexpr Controller controllers[] = {{"memory", &JobCgroup::memory},
                                      {"cpu", &JobCgroup::processors}};

std::set<std::string> words_of(const spool::Result<std::string>& text) {
    std::set<std::string> out;
    std::istringstream words(text.value_or(""));
    for (std::string word; words >> word;)
        out.insert(word);
    return out;
}

std::set<std::string> controllers_of(CgroupFiles& files, const std::string& directory) {
    return words_of(files.read(directory + "/cgroup.controllers"));
}

/// The top of the hierarchy has no parent that it could have events for; its processes are in
/// nobody's way.
bool is_root(CgroupFiles& files, const std::string& directory) {
    return !files.read(directory + "/cgroup.events");
}

/// What is in the place moves into the leaf. The error names who stays.
spool::Result<void> clear(CgroupFiles& files, const CgroupPlace& place, const std::string& leaf) {
    if (is_root(files, place.directory)) return {};
    const auto processes = words_of(files.read(place.directory + "/cgroup.procs"));
    for (const std::string& process : processes)
        if (!place.ours.contains(static_cast<pid_t>(std::strtol(process.c_str(), nullptr, 10))))
            return spool::content_error(
                place.directory, {},
                "process " + process +
                    ", which is not spoold's, is in the same cgroup: start spoold as a service of "
                    "systemd's (packaging/quickstart)");
    for (const std::string& process : processes)
        if (auto moved = files.write(leaf + "/cgroup.procs", process); !moved) return moved;
    return {};
}

/// First above, then below: a controller is there only if the parent hands it on.
spool::Result<void> use(CgroupFiles& files, const std::string& controller,
                        const std::string& directory, const std::string& jobs) {
    for (const std::string& level : {directory, jobs})
        if (auto used = files.write(level + "/cgroup.subtree_control", "+" + controller); !used)
            return used;
    return {};
}

std::string not_delegated(const std::string& controller, const std::string& directory) {
    const std::string text =
        "the controller " + controller + " of cgroup v2 is not to be had in " + directory;
    if (directory.find("/user@") != directory.npos)
        return text +
               ": sudo systemctl edit user@.service, with the two lines [Service] and "
               "Delegate=cpu memory pids, then log in again";
    return text + ": it belongs to cgroup v1, or is not handed down (cgroup.subtree_control above)";
}

/// Where the daemon, supervisors and what else is no job may be.
std::string leaf_of(const std::string& jobs) {
    return jobs + ".daemon";
}

void add(std::string& text, const std::string& more) {
    text += (text.empty() ? "" : "; ") + more;
}

void use_controllers(CgroupFiles& files, const CgroupPlace& place, JobCgroup& out) {
    const auto available = controllers_of(files, place.directory);
    for (const Controller& controller : controllers)
        if (!available.contains(controller.name))
            add(out.obstacle, not_delegated(controller.name, place.directory));
    if (!has_controllers(files, place.directory)) return;
    if (!place.no_control.empty()) return add(out.obstacle, place.no_control);
    auto ready = files.make(out.supervisors);
    if (ready) ready = clear(files, place, out.supervisors);
    if (!ready) return add(out.obstacle, ready.error().text());
    for (const Controller& controller : controllers) {
        if (!available.contains(controller.name)) continue;
        const auto used = use(files, controller.name, place.directory, out.jobs);
        out.*controller.enforced = used.has_value();
        if (!used) add(out.obstacle, used.error().text());
    }
}

/// What supervisors that were killed have left.
void remove_empty(CgroupFiles& files, const std::string& directory) {
    for (const std::string& name : files.below(directory))
        files.remove(directory + "/" + name);
}

}  // namespace

spool::Result<void> KernelCgroups::make(const std::string& directory) {
    if (mkdir(directory.c_str(), 0755) == 0 || errno == EEXIST) return {};
    return spool::system_error("make", directory, errno);
}

void KernelCgroups::remove(const std::string& directory) {
    rmdir(directory.c_str());
}

std::vector<std::string> KernelCgroups::below(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code ignored, end_of_list;
    std::filesystem::directory_iterator entry(directory, end_of_list), end;
    for (; !end_of_list && entry != end; entry.increment(end_of_list))
        if (entry->is_directory(ignored)) names.push_back(entry->path().filename());
    return names;
}

bool KernelCgroups::may_write(const std::string& file) {
    return access(file.c_str(), W_OK) == 0;
}

spool::Result<std::string> KernelCgroups::read(const std::string& file) {
    std::ifstream stream(file);
    if (!stream) return spool::system_error("read", file, errno);
    return std::string(std::istreambuf_iterator<char>(stream), {});
}

spool::Result<void> KernelCgroups::write(const std::string& file, const std::string& text) {
    const int descriptor = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = descriptor >= 0 && ::write(descriptor, text.data(), text.size()) >= 0;
    const int code = errno;
    if (descriptor >= 0) close(descriptor);
    if (written) return {};
    return spool::system_error("write " + text + " to", file, code);
}

JobCgroup prepare_job_cgroup(CgroupFiles& files, const CgroupPlace& place,
                             const std::string& spool_identity) {
    JobCgroup out;
    const std::string& directory = place.directory;
    const std::string jobs = directory + "/gpuspool-" + spool_identity.substr(0, 12);
    if (directory.empty()) {
        out.obstacle = "cgroup v2 is not mounted here";
        return out;
    }
    const auto made = files.make(jobs);
    // A process moves into a job's cgroup only if the common ancestor's cgroup.procs can be written
    // too.
    if (!made || !files.may_write(directory + "/cgroup.procs")) {
        if (made) files.remove(jobs);
        out.obstacle = directory +
                       " is not spoold's to change: start it as a service of systemd's "
                       "(packaging/quickstart)";
        return out;
    }
    remove_empty(files, jobs);
    out.jobs = jobs;
    out.supervisors = leaf_of(jobs);
    use_controllers(files, place, out);
    if (out.memory || out.processors) return out;
    files.remove(out.supervisors);
    out.supervisors.clear();
    return out;
}

bool has_controllers(CgroupFiles& files, const std::string& directory) {
    const auto available = controllers_of(files, directory);
    return std::any_of(std::begin(controllers), std::end(controllers),
                       [&](const Controller& one) { return available.contains(one.name); });
}

void remove_job_cgroup(CgroupFiles& files, const JobCgroup& cgroup) {
    if (cgroup.jobs.empty()) return;
    remove_empty(files, cgroup.jobs);
    files.remove(cgroup.jobs);
    files.remove(leaf_of(cgroup.jobs));
}

std::string cgroup_of_process(pid_t pid) {
    const std::string mount = mount_point();
    std::ifstream file("/proc/" + std::to_string(pid) + "/cgroup");
    for (std::string line; !mount.empty() && std::getline(file, line);)
        if (line.starts_with("0::")) return mount + (line == "0::/" ? "" : line.substr(3));
    return {};
}

}  // namespace spoold
