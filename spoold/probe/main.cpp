// spool-probe: asks the drivers of the GPUs, in a process of its own, so that a driver that hangs
// or crashes does neither to the daemon. For each line on standard input one survey is written to
// standard output, as one line; at the end of the input it ends. After the line "all" the survey
// has also what is only shown and costs more: who uses Intel's GPUs.
#include <CLI/CLI.hpp>
#include <iostream>

#include "spoold/probe/drm_clients.h"
#include "spoold/probe/nvml.h"
#include "spoold/probe/processes.h"
#include "spoold/probe/sysfs.h"

namespace {

struct Options {
    std::string nvml = "libnvidia-ml.so.1";
    std::string sysfs = "/sys", proc = "/proc", dev = "/dev";
    bool once = false;
};

class Probe {
public:
    explicit Probe(Options options) : options_(std::move(options)) {}

    spool::GpuSurvey survey(bool everything) {
        spool::GpuSurvey survey;
        add_nvidia(survey);
        for (spool::Gpu& gpu : spool::probe::survey_amd(options_.sysfs, options_.dev))
            survey.gpus.push_back(std::move(gpu));
        add_intel(survey, everything);
        spool::probe::identify_all(options_.proc, survey.gpus);
        return survey;
    }

private:
    /// The library stays loaded: initialising it takes a driver that is idle a second and more.
    void add_nvidia(spool::GpuSurvey& survey) {
        if (!nvml_) {
            auto loaded = spool::nvml::Library::load(options_.nvml);
            if (!loaded) return survey.problems.push_back(loaded.error().text());
            nvml_ = std::move(*loaded);
        }
        if (!nvml_) return;
        auto gpus = spool::probe::survey_nvidia(*nvml_, options_.dev);
        if (gpus) {
            survey.gpus = std::move(*gpus);
        } else {
            survey.problems.push_back(gpus.error().text());
            nvml_.reset();
        }
    }

    void add_intel(spool::GpuSurvey& survey, bool everything) const {
        auto gpus = spool::probe::survey_intel(options_.sysfs);
        if (gpus.empty()) return;
        auto clients = everything ? spool::probe::drm_clients(options_.proc)
                                  : std::map<std::string, std::vector<spool::GpuProcess>>();
        for (spool::Gpu& gpu : gpus) {
            if (everything) gpu.processes = std::move(clients[gpu.pci]);
            survey.gpus.push_back(std::move(gpu));
        }
    }

    Options options_;
    std::unique_ptr<spool::nvml::Library> nvml_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{
        "Writes what the drivers say of this machine's GPUs, for each line on standard input."};
    app.set_version_flag("--version", "spool-probe " GPUSPOOL_VERSION);
    app.add_option("--nvml", options.nvml, "library to load for NVIDIA's GPUs")
        ->envname("GPUSPOOL_NVML");
    app.add_option("--sysfs", options.sysfs, "directory to read instead of /sys")
        ->envname("GPUSPOOL_SYSFS");
    app.add_option("--proc", options.proc, "directory to read instead of /proc")
        ->envname("GPUSPOOL_PROC");
    app.add_option("--dev", options.dev, "directory to look for device files instead of /dev")
        ->envname("GPUSPOOL_DEV");
    app.add_flag("--once", options.once, "write one survey and end");
    CLI11_PARSE(app, argc, argv);

    Probe probe(options);
    std::string line;
    while (options.once || std::getline(std::cin, line)) {
        const bool everything = options.once || line == "all";
        std::cout << spool::write_survey(probe.survey(everything)) << std::flush;
        if (options.once || !std::cout) break;
    }
    return std::cout ? 0 : 1;
}
