#include "job_scope.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "cgroup.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 5s;
constexpr std::string_view greeting = "here\n";

/// A pipe of which one end is given to a child.
struct Pipe {
    int ends[2] = {-1, -1};
    Pipe() { (void)!pipe2(ends, O_CLOEXEC); }
    Pipe(const Pipe&) = delete;
    ~Pipe() {
        for (const int end : ends)
            if (end >= 0) close(end);
    }
    int release_write_end() { return std::exchange(ends[1], -1); }
};

std::vector<std::string> command(const std::string& service_cgroup, const std::string& identity) {
    std::vector<std::string> out{"systemd-run"};
    if (service_cgroup.find("/user@") != service_cgroup.npos) out.emplace_back("--user");
    const std::string unit =
        "gpuspool-" + identity.substr(0, 12) + "-" + spool::random_hex().substr(0, 8);
    for (const std::string& argument :
         {std::string("--scope"), std::string("--quiet"), std::string("--collect"),
          std::string("--no-ask-password"), "--unit=" + unit + ".scope",
          std::string("--description=jobs of gpuspool"), std::string("--property=Delegate=yes"),
          std::string("--property=TasksMax=infinity"), std::string("cat")})
        out.push_back(argument);
    return out;
}

/// What comes until the greeting is through: empty. Else what was said instead.
std::string await_greeting(int output) {
    std::string heard;
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            until - std::chrono::steady_clock::now());
        pollfd entry{output, POLLIN, 0};
        if (left.count() <= 0) return heard + " (no answer within 5 s)";
        if (poll(&entry, 1, static_cast<int>(left.count())) <= 0) continue;
        char bytes[512];
        const ssize_t count = read(output, bytes, sizeof bytes);
        if (count == 0) return heard.empty() ? "it ended" : heard;
        if (count > 0) heard.append(bytes, static_cast<std::size_t>(count));
        if (heard.ends_with(greeting)) return {};
    }
}

}  // namespace

bool JobScope::is_for(const std::string& service_cgroup) {
    return service_cgroup.ends_with(".service");
}

spool::Result<JobScope> JobScope::open(boost::asio::io_context& io,
                                       const std::string& service_cgroup,
                                       const std::string& spool_identity) {
    Pipe input, output;
    if (input.ends[0] < 0 || output.ends[0] < 0)
        return spool::system_error("make a pipe for", "systemd-run", errno);
    ProcessOptions options;
    options.arguments = command(service_cgroup, spool_identity);
    options.stdin_fd = input.ends[0];
    options.stdout_fd = options.stderr_fd = output.ends[1];
    options.new_session = true;
    auto started = start(io, options);
    if (!started) return tl::unexpected(started.error());
    close(output.release_write_end());
    JobScope scope(std::move(*started), input.release_write_end());
    (void)!write(scope.input_, greeting.data(), greeting.size());
    if (const std::string heard = await_greeting(output.ends[0]); !heard.empty()) {
        (void)scope.keeper_.signal(SIGKILL);
        return spool::content_error("systemd-run", {}, spool::printable(heard));
    }
    scope.directory_ = cgroup_of_process(scope.keeper());
    if (scope.directory_.empty() || scope.directory_ == service_cgroup)
        return spool::content_error("systemd-run", {}, "it has made no scope");
    return scope;
}

JobScope::JobScope(ChildProcess keeper, int input) : keeper_(std::move(keeper)), input_(input) {}

JobScope::JobScope(JobScope&& other) noexcept
    : keeper_(std::move(other.keeper_)),
      input_(std::exchange(other.input_, -1)),
      directory_(std::move(other.directory_)) {}

JobScope::~JobScope() {
    if (input_ >= 0) close(input_);
}

}  // namespace spoold
