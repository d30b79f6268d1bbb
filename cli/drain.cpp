// gpuspool drain: the daemon starts nothing more, and exits after the last running job.
#include <cstdio>

#include "cli/requests.h"
#include "cli/verbs.h"

namespace cli {
namespace {

int run_drain(Context& context) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    if (!daemon_runs(context, **spool)) {
        complain(
            "no daemon runs: there is nothing to drain (gpuspool pause keeps a later one from "
            "starting jobs)");
        return failure;
    }
    const auto request =
        spool::send_request(**spool, {{}, "drain", std::nullopt, 0}, context.clock);
    if (!request) return report(request.error());
    return print_replies(context, **spool, {{*request, {}}});
}

}  // namespace

void add_drain(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand(
        "drain", "Start nothing more; the daemon exits when the last running job has ended");
    verb->callback([&run] { run = run_drain; });
}

}  // namespace cli
