// gpuspool doctor: what is wrong with this set-up, and the command that mends it.
#include "cli/doctor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/verbs.h"
#include "libspool/names.h"

namespace cli {
namespace {

void print(const Context& context, const Finding& finding) {
    static constexpr struct {
        const char* mark;
        Style style;
    } looks[] = {{"ok  ", Style::green}, {"note", Style::yellow}, {"BAD ", Style::red}};
    const auto& look = looks[static_cast<std::size_t>(finding.level)];
    std::printf("%s  %s\n", paint(context.out, look.style, look.mark).c_str(),
                spool::printable(finding.text).c_str());
    if (!finding.remedy.empty())
        std::printf("      → %s\n", spool::printable(finding.remedy).c_str());
}

void check_user(Findings& out) {
    if (::geteuid() == 0)
        out.push_back({Finding::Level::warning, "you are root: jobs run with all rights",
                       "run spoold and gpuspool as the user who owns the work"});
}

Findings check_all(Context& context) {
    Findings out;
    check_user(out);
    const auto opened = context.open();
    std::vector<spool::GpuState> gpus;
    spool::DaemonState daemon;
    if (!opened) {
        out.push_back({Finding::Level::bad, opened.error().text(), ""});
    } else {
        spool::Spool& spool = **opened;
        out.push_back(
            {Finding::Level::good, "spool " + spool.path + ": there, yours, closed to others", ""});
        check_daemon(context, spool, out);
        check_configuration(spool, out);
        check_file_system(spool, out);
        check_disk(spool, out);
        check_clock(context, spool, out);
        check_queue(context, spool, out);
        if (const auto state = spool::read_spool(spool, context.clock)) {
            gpus = state->gpus;
            daemon = state->daemon;
        }
    }
    check_gpus(gpus, out);
    check_inotify(out);
    check_lingering(out);
    check_limits(daemon, out);
    check_supervisor(daemon.problems, out);
    return out;
}

int run_doctor(Context& context) {
    const Findings findings = check_all(context);
    for (const Finding& finding : findings)
        print(context, finding);
    const auto is_bad = [](const Finding& finding) { return finding.level == Finding::Level::bad; };
    return std::any_of(findings.begin(), findings.end(), is_bad) ? failure : success;
}

}  // namespace

void add_doctor(CLI::App& app, Run& run) {
    CLI::App* verb =
        app.add_subcommand("doctor", "Say what is wrong with this set-up, and what mends it");
    verb->callback([&run] { run = run_doctor; });
}

}  // namespace cli
