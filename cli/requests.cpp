#include "cli/requests.h"

#include <cstdio>

#include "cli/terminal.h"
#include "cli/watch.h"
#include "libspool/names.h"

namespace cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds patience{2};

void print_reply(const Asked& asked, const spool::Reply& reply) {
    const std::string message = spool::printable(reply.message);
    const std::string text = asked.subject.empty() ? message : asked.subject + ": " + message;
    if (reply.ok)
        std::printf("%s\n", text.c_str());
    else
        complain(text);
}

void print_unanswered(Context& context, spool::Spool& spool, const Asked& asked) {
    const std::string what = asked.subject.empty() ? asked.request.verb : asked.subject;
    const bool running = daemon_runs(context, spool);
    std::printf(
        "%s: %s\n", what.c_str(),
        running ? "requested; the daemon has not answered yet" : "queued until spoold runs");
}

}  // namespace

spool::Result<spool::FoundJob> find_numbered(Context& context, spool::Spool& spool,
                                             const std::string& name) {
    auto job = spool::find_job(spool, name, context.clock);
    if (!job || job->id != 0) return job;
    Watcher watcher(spool);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (job && job->id == 0 && daemon_runs(context, spool) &&
           std::chrono::steady_clock::now() < end) {
        watcher.wait(std::chrono::milliseconds(100));
        job = spool::find_job(spool, job->name, context.clock);
    }
    return job;
}

int print_replies(Context& context, spool::Spool& spool, const std::vector<Asked>& asked) {
    Watcher watcher(spool);
    Progress progress;
    const auto end = steady_clock::now() + patience;
    int code = success;
    for (const Asked& one : asked) {
        while (true) {
            const auto reply = spool::read_reply(spool, one.request);
            if (!reply) return report(reply.error());
            if (*reply) {
                progress.clear();
                print_reply(one, **reply);
                if (!(*reply)->ok) code = failure;
                break;
            }
            if (steady_clock::now() >= end || interrupted() || !daemon_runs(context, spool)) {
                progress.clear();
                print_unanswered(context, spool, one);
                break;
            }
            progress.show("waiting for the daemon's answer");
            watcher.wait(std::chrono::milliseconds(200));
        }
    }
    return code;
}

}  // namespace cli
