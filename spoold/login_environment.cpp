#include "spoold/login_environment.h"

#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "libspool/login_shell.h"
#include "libspool/system.h"
#include "spoold/captured_run.h"

namespace spoold {
namespace {

using spool::Environment;
using spool::Result;

constexpr std::size_t output_limit = 4u << 20;

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The ~/.bashrc that a terminal would read but this user's login shell does not; else empty.
std::string missed_bashrc(const std::string& home) {
    for (const std::string_view name : spool::bash_profiles) {
        const std::string path = home + "/" + std::string(name);
        if (::access(path.c_str(), R_OK) != 0) continue;
        return spool::profile_reads_bashrc(read_text(path)) ? "" : home + "/.bashrc";
    }
    return home + "/.bashrc";
}

std::vector<std::string> as_strings(const Environment& environment) {
    std::vector<std::string> out;
    for (const auto& [name, value] : environment)
        out.push_back(std::string(name).append("=").append(value));
    return out;
}

ProcessOptions shell_process(const LoginRequest& request, const std::string& marker) {
    Environment environment = spool::login_base_environment(request.own);
    environment["HOME"] = request.home;
    environment["SHELL"] = request.shell;
    environment["GPUSPOOL_RESOLVING_ENVIRONMENT"] = "1";
    ProcessOptions options;
    options.arguments =
        spool::login_shell_command(request.shell, marker, missed_bashrc(request.home));
    options.environment = as_strings(environment);
    options.directory = request.home;
    return options;
}

std::string seconds(std::chrono::milliseconds time) {
    std::ostringstream out;
    out << static_cast<double>(time.count()) / 1000 << " s";
    return out.str();
}

std::string how_it_ended(const Captured& captured, std::chrono::milliseconds timeout) {
    if (captured.timed_out) return "it had not ended after " + seconds(timeout) + " and was killed";
    if (!captured.status) return "its exit status is not known";
    if (WIFSIGNALED(*captured.status))
        return std::string("it was killed by a signal (") +
               ::strsignal(WTERMSIG(*captured.status)) + ")";
    return "it ended with exit code " + std::to_string(WEXITSTATUS(*captured.status));
}

/// "/bin/bash did not get as far as …: it ended with exit code 3; it said last: …".
spool::Error describe(const spool::Error& parsed, const Captured& captured,
                      const LoginRequest& request) {
    std::string message = request.shell + " as a login shell " + parsed.message + ": " +
                          how_it_ended(captured, request.timeout);
    if (const std::string line = spool::last_error_line(captured.errors); !line.empty())
        message += "; its last error line was: " + line;
    message +=
        ". Check its start-up files; they can tell this call by "
        "GPUSPOOL_RESOLVING_ENVIRONMENT=1";
    return {"read the login environment",
            {},
            std::move(message),
            captured.timed_out ? ETIMEDOUT : 0,
            std::nullopt};
}

Result<Environment> read_answer(const Captured& captured, const std::string& marker,
                                const LoginRequest& request) {
    auto environment = spool::parse_login_output(captured.output, marker);
    if (!environment) return tl::unexpected(describe(environment.error(), captured, request));
    std::erase_if(*environment, [&](const auto& entry) {
        return entry.first == capture_mark_variable || entry.first == "_" ||
               entry.first == "GPUSPOOL_RESOLVING_ENVIRONMENT" ||
               (request.is_dropped && request.is_dropped(entry.first));
    });
    return environment;
}

const passwd* password_entry() {
    return ::getpwuid(::getuid());
}

std::optional<std::string> value_of(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    if (found == environment.end() || found->second.empty()) return std::nullopt;
    return found->second;
}

}  // namespace

void capture_login_environment(boost::asio::io_context& io, const LoginRequest& request,
                               LoginHandler handler) {
    const std::string marker = "gpuspool" + spool::random_hex();
    run_captured(io, shell_process(request, marker), output_limit, request.timeout,
                 [request, marker, handler = std::move(handler)](Result<Captured> captured) {
                     if (captured) return handler(read_answer(*captured, marker, request));
                     captured.error().operation = "read the login environment: start";
                     handler(tl::unexpected(captured.error()));
                 });
}

std::string user_shell(const Environment& own) {
    if (auto shell = value_of(own, "SHELL")) return *shell;
    const passwd* entry = password_entry();
    return entry != nullptr && entry->pw_shell != nullptr && *entry->pw_shell != '\0'
               ? entry->pw_shell
               : "/bin/sh";
}

std::string user_home(const Environment& own) {
    if (auto home = value_of(own, "HOME")) return *home;
    const passwd* entry = password_entry();
    return entry != nullptr ? entry->pw_dir : "/";
}

std::string startup_stamp(const LoginRequest& request) {
    std::ostringstream out;
    for (const std::string& path : spool::startup_files(request.shell, request.home, request.own)) {
        struct stat facts {};
        if (::stat(path.c_str(), &facts) != 0) continue;
        out << path << ' ' << facts.st_ino << ' ' << facts.st_size << ' ' << facts.st_mtim.tv_sec
            << '.' << facts.st_mtim.tv_nsec << '\n';
    }
    return out.str();
}

}  // namespace spoold
