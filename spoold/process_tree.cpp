#include "spoold/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

namespace spoold {
namespace {

struct ProcessFacts {
    pid_t pid = 0, parent = 0, session = 0;
    char state = 0;
    std::uint64_t started = 0;
};

std::string read_proc(pid_t pid, const char* name) {
    const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    std::string out;
    char buffer[16384];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
        out.append(buffer, static_cast<std::size_t>(n));
    ::close(fd);
    return out;
}

/// proc(5), stat: the fields after the program's name, which may itself contain blanks and
/// parentheses.
std::optional<ProcessFacts> read_facts(pid_t pid) {
    const std::string text = read_proc(pid, "stat");
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(name_end + 1));
    ProcessFacts facts{.pid = pid};
    pid_t group = 0;
    fields >> facts.state >> facts.parent >> group >> facts.session;
    std::string skipped;
    for (int field = 7; field < 22; ++field)
        fields >> skipped;
    fields >> facts.started;
    return fields ? std::optional(facts) : std::nullopt;
}

std::vector<ProcessFacts> all_processes() {
    std::vector<ProcessFacts> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
    if (!proc) return out;
    while (const dirent* entry = ::readdir(proc.get())) {
        const pid_t pid = static_cast<pid_t>(std::atoi(entry->d_name));
        if (pid <= 1) continue;
        if (auto facts = read_facts(pid)) out.push_back(*facts);
    }
    return out;
}

bool has_mark(pid_t pid, const std::string& mark) {
    if (mark.empty()) return false;
    const std::string environment = '\0' + read_proc(pid, "environ");
    return environment.find('\0' + mark + '\0') != std::string::npos;
}

/// Adds the children of what is there, until nothing is added.
void add_descendants(const std::vector<ProcessFacts>& processes, std::set<pid_t>& members) {
    for (bool grown = true; grown;) {
        grown = false;
        for (const ProcessFacts& process : processes)
            if (members.contains(process.parent)) grown |= members.insert(process.pid).second;
    }
}

void kill_process(const TreeProcess& process) {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0));
    if (pidfd < 0) return;
    const auto facts =
        read_facts(process.pid);  // after the pidfd: the number cannot change hands now
    if (facts && facts->started == process.started)
        ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
    ::close(pidfd);
}

}  // namespace

std::vector<TreeProcess> find_tree(const TreeSigns& signs) {
    const auto processes = all_processes();
    std::set<pid_t> members;
    if (signs.root > 1) members.insert(signs.root);
    for (const ProcessFacts& process : processes) {
        const bool in_session = signs.session > 1 && process.session == signs.session;
        if (in_session || has_mark(process.pid, signs.mark)) members.insert(process.pid);
    }
    members.erase(::getpid());
    add_descendants(processes, members);

    std::vector<TreeProcess> out;
    for (const ProcessFacts& process : processes)
        if (members.contains(process.pid) && process.state != 'Z' && process.state != 'X')
            out.push_back({process.pid, process.started});
    return out;
}

void kill_tree(const TreeSigns& signs) {
    constexpr int rounds = 64;  // against something that forks faster than we look
    std::vector<TreeProcess> killed;
    for (int round = 0; round < rounds; ++round) {
        bool something_new = false;
        for (const TreeProcess& process : find_tree(signs)) {
            if (std::find(killed.begin(), killed.end(), process) != killed.end()) continue;
            kill_process(process);
            killed.push_back(process);
            something_new = true;
        }
        if (!something_new) return;
    }
}

}  // namespace spoold
