// gpuspool gpus: what GPUs the machine has, and who uses them; takes them out of use and back.
#include <cstdio>
#include <memory>

#include "cli/arguments.h"
#include "cli/gpu_probe.h"
#include "cli/gpu_table.h"
#include "cli/json.h"
#include "cli/requests.h"
#include "cli/verbs.h"
#include "cli/watch.h"
#include "libspool/config.h"
#include "libspool/gpu_jobs.h"
#include "libspool/gpu_notes.h"
#include "libspool/gpu_pool.h"
#include "libspool/gpu_use.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"

namespace cli {
namespace {

struct GpusOptions {
    bool json = false, watch = false;
    std::vector<std::string> subjects;
    std::string reason;
};

/// A daemon that has just started has not heard from the drivers yet.
bool is_looking(const spool::SpoolState& state) {
    return state.daemon.running && state.surveyed_at == 0;
}

/// What the daemon last said of a GPU, or that it is in no pool.
spool::DeviceState known_device(const spool::SpoolState& state, const spool::Gpu& gpu) {
    for (const spool::DeviceState& device : state.devices)
        if (device.gpu.id == gpu.id) return device;
    spool::DeviceState unknown;
    unknown.status = is_looking(state) ? "unknown" : "unused";
    if (is_looking(state)) unknown.reason = "being looked at: spoold has not heard of it yet";
    return unknown;
}

/// With the GPUs that the daemon knows and the driver does not list any more.
spool::GpuSurvey with_known(const spool::SpoolState& state, spool::GpuSurvey survey) {
    spool::GpuSurvey known;
    if (state.daemon.running)
        for (const spool::DeviceState& device : state.devices)
            known.gpus.push_back(device.gpu);
    return spool::remember_gpus(known, std::move(survey));
}

/// Jobs with the ids of GPUs that a list by hand has given them.
std::vector<spool::GpuJob> with_ids(std::vector<spool::GpuJob> jobs,
                                    const spool::GpuSurvey& survey) {
    for (spool::GpuJob& job : jobs)
        for (std::string& name : job.gpus)
            for (const spool::Gpu& gpu : survey.gpus)
                if (spool::is_called(spool::pool_gpu(gpu), name)) name = gpu.id;
    return jobs;
}

/// What makes a GPU busy for this spool's daemon; without its settings, where they have mistakes.
spool::GpuRules rules_of(spool::Spool& spool) {
    const auto bytes = spool::read_whole(*spool.files, spool.root.get(), "config.json", 1 << 20);
    const auto config = bytes ? spool::read_config(*bytes, "config.json")
                              : spool::Result<spool::Config>(spool::Config{});
    spool::GpuRules rules = config ? config->gpu_rules : spool::GpuRules{};
    const auto notes = spool::load_notes(spool);
    if (!notes) return rules;
    rules.ignored_programs.insert(notes->ignored_programs.begin(), notes->ignored_programs.end());
    for (const auto& [pid, start] : notes->ignored_processes)
        if (spool::process_start(pid) == start) rules.ignored_pids.insert(pid);
    return rules;
}

/// The state's devices with the figures of this moment.
std::vector<spool::DeviceState> devices_now(const spool::SpoolState& state,
                                            const spool::GpuSurvey& survey,
                                            const std::vector<spool::GpuJob>& jobs,
                                            const spool::GpuRules& rules) {
    std::vector<spool::DeviceState> out;
    for (const spool::Gpu& gpu : survey.gpus) {
        spool::DeviceState device = known_device(state, gpu);
        device.gpu = gpu;
        const bool judged = device.status == "free" || device.status == "busy" ||
                            device.status == "unknown" || !state.daemon.running;
        if (judged && device.jobs.empty() && !is_looking(state)) {
            const spool::GpuUse use = spool::gpu_use(gpu, jobs, rules);
            static constexpr const char* names[] = {"free", "busy", "unknown"};
            device.status = names[static_cast<int>(use.kind)];
            device.reason = use.reason;
        }
        out.push_back(std::move(device));
    }
    return out;
}

class GpuView {
public:
    explicit GpuView(Context& context) : context_(context) {}

    /// Reads everything anew.
    spool::Result<void> look() {
        state_ = {};
        problem_.clear();
        rules_ = {};
        jobs_.clear();
        if (const auto spool = context_.open()) read_spool(**spool);
        // The drivers of this machine say nothing of another one's GPUs.
        const bool here = !state_.daemon.running || state_.daemon.host.empty() ||
                          state_.daemon.host == spool::host_name();
        devices_ = state_.devices;
        if (!here) return {};
        auto survey = probe_.ask();
        if (!survey && devices_.empty()) return tl::unexpected(survey.error());
        if (!survey) {
            problem_ = survey.error().text();
            return {};
        }
        problem_ = spool::joined(survey->problems, "; ");
        const spool::GpuSurvey known = with_known(state_, std::move(*survey));
        devices_ = devices_now(state_, known, with_ids(jobs_, known), rules_);
        return {};
    }

    [[nodiscard]] std::string text() const {
        std::string out;
        if (!problem_.empty()) out += "! " + spool::printable(problem_) + "\n";
        if (devices_.empty()) return out + "This machine has no GPU that a driver tells of.\n";
        return out + gpu_table(devices_, state_.running, context_.out);
    }
    [[nodiscard]] Json json() const {
        Json out = to_json(state_);
        return {{"daemon", out["daemon"]},
                {"slots", out["gpus"]},
                {"gpus", devices_json(devices_)},
                {"problem", problem_.empty() ? Json() : Json(spool::to_json_text(problem_))}};
    }

private:
    void read_spool(spool::Spool& spool) {
        if (auto state = spool::read_spool(spool, context_.clock)) state_ = std::move(*state);
        rules_ = rules_of(spool);
        jobs_ = spool::read_gpu_jobs(spool);
    }

    Context& context_;
    GpuProbe probe_;
    spool::SpoolState state_;
    spool::GpuRules rules_;
    std::vector<spool::GpuJob> jobs_;
    std::vector<spool::DeviceState> devices_;
    std::string problem_;
};

int run_gpus(Context& context, const GpusOptions& options) {
    if (options.watch) catch_interrupt();
    GpuView view(context);
    for (;;) {
        if (auto looked = view.look(); !looked)
            return options.watch && interrupted() ? stopped_watching : report(looked.error());
        if (options.json)
            print_json(view.json());
        else
            std::printf("%s%s", options.watch && context.out.is_terminal ? "\033[H\033[2J" : "",
                        view.text().c_str());
        if (!flush_output()) return failure;
        if (!options.watch) return success;
        pause_for(std::chrono::seconds(1));
        if (interrupted()) return stopped_watching;
    }
}

int send_requests(Context& context, const char* verb, const GpusOptions& options) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    std::vector<Asked> asked;
    for (const std::string& subject : options.subjects) {
        const auto request =
            spool::send_request(**spool, {{}, verb, {}, 0, subject, options.reason}, context.clock);
        if (!request) return report(request.error());
        asked.push_back({*request, spool::printable(subject)});
    }
    return print_replies(context, **spool, asked);
}

void add_request(CLI::App& parent, Run& run, const char* name, const char* verb, const char* what,
                 const char* description) {
    CLI::App* action = parent.add_subcommand(name, description);
    const auto options = std::make_shared<GpusOptions>();
    action->add_option(what, options->subjects)->required()->check(not_empty());
    if (std::string_view(name) == "drain")
        action->add_option("--reason", options->reason, "Shown to those who wait")
            ->type_name("TEXT");
    action->callback([&run, verb, options] {
        run = [verb, options](Context& context) { return send_requests(context, verb, *options); };
    });
}

}  // namespace

void add_gpus(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("gpus", "Show the GPUs and who uses them; drain, ignore");
    const auto options = std::make_shared<GpusOptions>();
    verb->add_flag("--json", options->json, "As JSON");
    verb->add_flag("--watch", options->watch, "Again every second, until Ctrl-C");
    verb->require_subcommand(0, 1);
    verb->callback([&run, verb, options] {
        if (verb->get_subcommands().empty())
            run = [options](Context& context) { return run_gpus(context, *options); };
    });
    add_request(*verb, run, "drain", "gpu-drain", "GPU",
                "Start nothing more on these GPUs: index, UUID, PCI address or slot");
    add_request(*verb, run, "undrain", "gpu-undrain", "GPU", "Use them again");
    add_request(*verb, run, "ignore", "gpu-ignore", "PROCESS",
                "Do not count this process (pid or program) as one that uses a GPU");
    add_request(*verb, run, "heed", "gpu-heed", "PROCESS", "Count it again");
}

}  // namespace cli
