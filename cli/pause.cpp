// gpuspool pause, resume: control/pause, which holds for as long as it is there.
#include <cstdio>
#include <memory>

#include "cli/requests.h"
#include "cli/verbs.h"
#include "libspool/names.h"
#include "libspool/reader.h"
#include "libspool/text.h"

namespace cli {
namespace {

int run_pause(Context& context, const std::vector<std::string>& words) {
    const auto spool = context.open(spool::IfMissing::create);
    if (!spool) return report(spool.error());
    if (const auto set = spool::set_pause(**spool, spool::joined(words, " ")); !set)
        return report(set.error());
    std::printf("paused: nothing new is started until gpuspool resume; what runs goes on\n");
    return success;
}

int run_resume(Context& context) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    if (const auto cleared = spool::clear_pause(**spool); !cleared) return report(cleared.error());
    std::printf("resumed\n");
    const auto state = spool::read_spool(**spool, context.clock);
    if (!state || !state->daemon.draining) return success;
    const auto request =
        spool::send_request(**spool, {{}, "undrain", std::nullopt, 0}, context.clock);
    if (!request) return report(request.error());
    return print_replies(context, **spool, {{*request, {}}});
}

}  // namespace

void add_pause(CLI::App& app, Run& run) {
    CLI::App* verb =
        app.add_subcommand("pause", "Start nothing new until resumed, over restarts too");
    const auto words = std::make_shared<std::vector<std::string>>();
    verb->add_option("reason", *words, "Shown to whoever asks why jobs wait");
    verb->callback(
        [&run, words] { run = [words](Context& context) { return run_pause(context, *words); }; });
}

void add_resume(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("resume", "Start jobs again after pause or drain");
    verb->callback([&run] { run = run_resume; });
}

}  // namespace cli
