#include "cli/context.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/format.h"

namespace cli {
namespace {

/// Whether the packaged unit is installed for this user.
bool has_unit() {
    const char* home = std::getenv("HOME");
    const std::string own = std::string(home != nullptr ? home : "") + "/.config/systemd/user/";
    for (const std::string& directory :
         {own, std::string("/etc/systemd/user/"), std::string("/usr/lib/systemd/user/")})
        if (::access((directory + "gpuspool.service").c_str(), F_OK) == 0) return true;
    return false;
}

spool::Error explain_missing(spool::Error error, const std::string& path) {
    error.operation = "open the spool";
    error.path = path;
    error.message =
        "there is none yet: start spoold, or submit a first job (gpuspool submit -- COMMAND); "
        "another directory is named by GPUSPOOL_DIR";
    return error;
}

std::string& output_failure() {
    static std::string why;
    return why;
}

}  // namespace

const std::string& output_problem() {
    return output_failure();
}

void note_output_failure(int code) {
    if (output_failure().empty())
        output_failure() = "standard output cannot be written: " + std::string(std::strerror(code));
}

bool flush_output() {
    errno = 0;
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        note_output_failure(errno != 0 ? errno : EIO);
    return output_failure().empty();
}

spool::Result<spool::Spool*> Context::open(spool::IfMissing if_missing) {
    if (spool_) return &*spool_;
    if (path.empty()) path = spool::default_spool_path();
    spool::Result<spool::Spool> opened = spool::open_spool(files, path, if_missing);
    if (!opened && opened.error().code == ENOENT && ::access(path.c_str(), F_OK) != 0 &&
        errno == ENOENT)
        return tl::unexpected(explain_missing(opened.error(), path));
    if (!opened) return tl::unexpected(opened.error());
    spool_ = std::move(*opened);
    return &*spool_;
}

void complain(const std::string& text) {
    (void)flush_output();
    std::fprintf(stderr, "gpuspool: %s\n", text.c_str());
}

int report(const spool::Error& error) {
    complain(error.text());
    return failure;
}

int report_search(const spool::Error& error) {
    complain(error.text());
    return error.code == ENOENT ? no_such_job : failure;
}

std::string how_to_start() {
    return has_unit() ? "systemctl --user start gpuspool" : "spoold";
}

bool daemon_runs(Context& context, spool::Spool& spool) {
    const auto presence = spool::daemon_presence(spool, context.clock);
    return presence && (*presence == spool::DaemonPresence::running ||
                        *presence == spool::DaemonPresence::other_host_running);
}

std::string silent_host(Context& context, spool::Spool& spool) {
    const auto presence = spool::daemon_presence(spool, context.clock);
    const auto owner = spool::read_owner(spool);
    if (!presence || *presence != spool::DaemonPresence::other_host_silent || !owner) return {};
    return "the daemon on " + owner->host + " was last heard of " +
           format_age(context.clock.wall() - owner->heartbeat);
}

std::string why_no_daemon(Context& context, spool::Spool& spool) {
    // Starting one here would be refused.
    if (const std::string silent = silent_host(context, spool); !silent.empty())
        return silent + "; gpuspool doctor says what to do";
    return "no daemon runs; start it: " + how_to_start();
}

}  // namespace cli
