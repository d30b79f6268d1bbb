// gpuspool status: what runs, what waits and why, what ended last.
#include <cstdio>
#include <memory>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace cli {
namespace {

constexpr std::size_t shown_recent = 5, shown_ignored = 5;

std::string clock_time(const std::string& time, std::int64_t now) {
    const auto parsed = spool::parse_time(time);
    return parsed ? format_age(now - *parsed) : spool::printable(time);
}

std::string daemon_line(Context& context, const spool::DaemonState& daemon, spool::Spool& spool,
                        std::int64_t now) {
    const Terminal& out = context.out;
    if (!daemon.running && !silent_host(context, spool).empty())
        return paint(out, Style::yellow, "Jobs wait") + ": " +
               spool::printable(why_no_daemon(context, spool));
    if (!daemon.running)
        return paint(out, Style::yellow, "No daemon runs") + " for " +
               spool::printable(spool.path) + ": jobs wait. Start it: " + how_to_start();
    std::string line = paint(out, Style::bold, "spoold");
    if (!daemon.host.empty()) line += " on " + spool::printable(daemon.host);
    if (!daemon.started_at.empty()) line += ", started " + clock_time(daemon.started_at, now);
    if (daemon.draining)
        line += paint(out, Style::yellow,
                      ", draining: it starts nothing more and exits after the last job");
    return line;
}

void print_daemon(Context& context, const spool::SpoolState& state, spool::Spool& spool,
                  std::int64_t now) {
    const Terminal& out = context.out;
    std::printf("%s\n", daemon_line(context, state.daemon, spool, now).c_str());
    if (state.daemon.paused) {
        const std::string reason = state.daemon.pause_reason.empty()
                                       ? ""
                                       : ": " + spool::printable(state.daemon.pause_reason);
        std::printf("%s%s (gpuspool resume)\n", paint(out, Style::yellow, "Paused").c_str(),
                    reason.c_str());
    }
    for (const std::string& problem : state.daemon.problems)
        std::printf("%s %s\n", paint(out, Style::red, "!").c_str(),
                    spool::printable(problem).c_str());
}

std::string slot_text(const spool::GpuState& gpu, const Terminal& out) {
    if (gpu.jobs.size() > 1)
        return paint(out, Style::cyan, std::to_string(gpu.jobs.size()) + " jobs share it");
    if (gpu.job) {
        const std::string label = gpu.label.empty() ? std::to_string(*gpu.job) : gpu.label;
        return paint(out, Style::cyan, label + " (" + name_text(gpu.name) + ')');
    }
    if (gpu.status == "elsewhere") return paint(out, Style::yellow, "another spool's");
    return paint(out, gpu.status == "free" ? Style::green : Style::yellow, gpu.status);
}

void print_gpus(const spool::SpoolState& state, const Terminal& out) {
    if (state.gpus.empty()) return;
    std::string line = "GPUs";
    for (const spool::GpuState& gpu : state.gpus) {
        const std::string slot = gpu.slot.empty() ? "(none)" : spool::printable(gpu.slot);
        line += "  " + paint(out, Style::bold, slot) + ": " + slot_text(gpu, out);
    }
    std::printf("%s\n", line.c_str());
}

void print_section(const std::string& title, const Table& table, const Terminal& out) {
    std::printf("\n%s\n%s", paint(out, Style::bold, title).c_str(), table.render(out).c_str());
}

/// Of all tasks of an array.
std::string gpus_of(const spool::SpoolState& state, std::uint64_t array) {
    std::vector<std::string> gpus;
    for (const spool::RunningState& job : state.running)
        if (job.task && job.id == array) gpus.insert(gpus.end(), job.gpus.begin(), job.gpus.end());
    return gpus_text(gpus);
}

void print_running(const spool::SpoolState& state, const Terminal& out, std::int64_t now) {
    Table table(
        {{"JOB", true}, {"NAME", false, true}, {"GPU"}, {"TIME", true}, {"COMMAND", false, true}},
        2);
    for (const spool::ArrayState& array : state.arrays) {
        if (array.running == 0) continue;
        table.add({{number_text(array.id), Style::bold},
                   {spool::printable(array.name)},
                   {gpus_of(state, array.id)},
                   {format_duration(now - array.started_at)},
                   {tasks_text(array)}});
    }
    for (const spool::RunningState& job : state.running) {
        if (job.task) continue;  // in one row with its array
        const std::string time = job.started_at == 0 ? "-" : format_duration(now - job.started_at);
        std::string command = spool::printable(job.command);
        if (!job.detail.empty())
            command.insert(0, "[" + spool::printable(job.detail) + "] ");
        else if (job.phase != "running")
            command.insert(0, "[" + spool::printable(job.phase) + "] ");
        table.add({{number_text(job.id), Style::bold},
                   {spool::printable(job.name)},
                   {gpus_text(job.gpus)},
                   {time},
                   {command}});
    }
    if (!table.empty()) print_section("Running", table, out);
}

void print_waiting(const spool::SpoolState& state, const Terminal& out) {
    Table table({{"JOB", true}, {"NAME", false, true}, {"WHY", false, true}}, 2);
    for (const spool::ArrayState& array : state.arrays)
        if (array.running == 0 && array.waiting != 0)
            table.add({{number_text(array.id), Style::bold},
                       {spool::printable(array.name)},
                       {"[" + tasks_text(array) + "] " +
                        spool::printable(spool::wait_sentence(array.reason))}});
    for (const spool::WaitingState& job : state.waiting) {
        const std::string tasks =
            job.tasks == 0 ? "" : "[" + std::to_string(job.tasks) + " tasks] ";
        table.add({{number_text(job.id), Style::bold},
                   {spool::printable(job.name)},
                   {tasks + spool::printable(spool::wait_sentence(job.reason))}});
    }
    if (!table.empty()) print_section("Waiting", table, out);
    if (state.waiting_count > state.waiting.size())
        std::printf("  … and %llu more\n",
                    static_cast<unsigned long long>(state.waiting_count - state.waiting.size()));
}

void print_recent(const spool::SpoolState& state, const Terminal& out, std::int64_t now) {
    Table table({{"JOB", true},
                 {"NAME", false, true},
                 {"OUTCOME"},
                 {"TIME", true},
                 {"ENDED"},
                 {"REASON", false, true}},
                2);
    for (std::size_t i = 0; i < state.recent.size() && i < shown_recent; ++i) {
        const spool::JobResult& job = state.recent[i];
        const std::string time = run_time(job);
        table.add({{number_text(job.id), Style::bold},
                   {spool::printable(job.name)},
                   {outcome_text(job), outcome_style(job.state)},
                   {time.empty() ? "-" : time},
                   {job.ended_at == 0 ? "-" : format_age(now - job.ended_at)},
                   {spool::printable(job.reason.value_or(""))}});
    }
    if (!table.empty()) print_section("Ended", table, out);
}

void print_ignored(const spool::SpoolState& state, const Terminal& out) {
    if (state.ignored.empty()) return;
    std::printf("\n%s\n", paint(out, Style::bold, "Left alone").c_str());
    for (std::size_t i = 0; i < state.ignored.size() && i < shown_ignored; ++i)
        std::printf("  %s: %s\n", spool::printable(state.ignored[i].path).c_str(),
                    spool::printable(state.ignored[i].reason).c_str());
    if (state.ignored.size() > shown_ignored)
        std::printf("  … and %zu more\n", state.ignored.size() - shown_ignored);
}

}  // namespace

int show_status(Context& context, bool json) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    const auto state = spool::read_spool(**spool, context.clock);
    if (!state) return report(state.error());
    if (json) {
        print_json(to_json(*state));
        return success;
    }
    const std::int64_t now = context.clock.wall();
    print_daemon(context, *state, **spool, now);
    print_gpus(*state, context.out);
    print_running(*state, context.out, now);
    print_waiting(*state, context.out);
    print_recent(*state, context.out, now);
    print_ignored(*state, context.out);
    if (state->running.empty() && state->arrays.empty() && state->waiting.empty() &&
        state->recent.empty())
        std::printf("\nNo jobs yet. A first one: gpuspool submit -- nvidia-smi\n");
    return success;
}

void add_status(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand(
        "status", "Show what runs, what waits and why, and what ended last (default)");
    const auto json = std::make_shared<bool>(false);
    verb->add_flag("--json", *json, "Print JSON");
    verb->callback(
        [&run, json] { run = [json](Context& context) { return show_status(context, *json); }; });
}

}  // namespace cli
