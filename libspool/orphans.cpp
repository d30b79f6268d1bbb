#include "libspool/orphans.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "libspool/system.h"

namespace spool {
namespace {

std::string cgroup_of(const record::Run& run) {
    return {run.cgroup, std::min<std::size_t>(run.cgroup_length, sizeof run.cgroup)};
}

bool is_populated(const std::string& cgroup) {
    if (cgroup.empty()) return false;
    errno = 0;
    std::ifstream file(cgroup + "/cgroup.events");
    if (!file) return errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    const std::string events((std::istreambuf_iterator<char>(file)), {});
    return events.find("populated 1") != std::string::npos;
}

bool has_main(const RecordContent& content) {
    return content.run_known() && content.run.main_pid > 0 && content.run.main_start != 0;
}

/// Through a pidfd: it reaches the process for which `is_the_one` held after that was opened.
template <typename Check>
void wake(int pid, Check is_the_one) {
    const auto process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (process < 0) return;
    if (is_the_one()) (void)::syscall(SYS_pidfd_send_signal, process, SIGCONT, nullptr, 0);
    ::close(process);
}

void thaw(const std::string& cgroup) {
    if (cgroup.empty()) return;
    const int file = ::open((cgroup + "/cgroup.freeze").c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    (void)!::write(file, "0", 1);
    ::close(file);
}

}  // namespace

bool attempt_is_alive(const record::Token& token, const RecordContent& content) {
    const record::Run& run = content.run;
    if (has_main(content) && process_is_alive(run.main_pid, run.main_start)) return true;
    if (content.run_known() && is_populated(cgroup_of(run))) return true;
    return token_is_alive(token);
}

void let_go_on(const record::Token& token, const RecordContent& content) {
    const record::Run& run = content.run;
    if (content.run_known()) thaw(cgroup_of(run));
    if (has_main(content))
        wake(run.main_pid, [&] { return process_start(run.main_pid) == run.main_start; });
    for (const int pid : processes_with(token))
        wake(pid, [&] { return has_token(pid, token); });
}

}  // namespace spool
