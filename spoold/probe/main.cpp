// spool-probe: asks the drivers of the GPUs, in a process of its own, so that a driver that hangs
// or crashes does neither to the daemon. For each line on standard input one survey is written to
// standard output, as one line; at the end of the input it ends.
#include <CLI/CLI.hpp>
#include <iostream>

#include "spoold/probe/nvml.h"
#include "spoold/probe/processes.h"
#include "spoold/probe/sysfs.h"

namespace {

struct Options {
    std::string nvml = "libnvidia-ml.so.1";
    std::string sysfs = "/sys", proc = "/proc";
    bool once = false;
};

class Probe {
public:
    explicit Probe(Options options) : options_(std::move(options)) {}

    spool::GpuSurvey survey() {
        spool::GpuSurvey survey;
        add_nvidia(survey);
        for (auto* survey_vendor : {&spool::probe::survey_amd, &spool::probe::survey_intel})
            for (spool::Gpu& gpu : survey_vendor(options_.sysfs))
                survey.gpus.push_back(std::move(gpu));
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
        auto gpus = spool::probe::survey_nvidia(*nvml_);
        if (gpus) {
            survey.gpus = std::move(*gpus);
        } else {
            survey.problems.push_back(gpus.error().text());
            nvml_.reset();
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
    app.add_flag("--once", options.once, "write one survey and end");
    CLI11_PARSE(app, argc, argv);

    Probe probe(options);
    std::string line;
    while (options.once || std::getline(std::cin, line)) {
        std::cout << spool::write_survey(probe.survey()) << std::flush;
        if (options.once || !std::cout) break;
    }
    return std::cout ? 0 : 1;
}
