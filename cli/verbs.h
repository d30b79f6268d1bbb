// The verbs of gpuspool, one file each. `add_…` describes its command line; if the user chose it,
// `run` is set to what it does.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace cli {

using Run = std::function<int(Context&)>;

void add_status(CLI::App& app, Run& run);
/// What stood behind `--` on the command line of `submit`.
struct AfterDashes {
    bool given = false;
    std::vector<std::string> words;
};
void add_submit(CLI::App& app, Run& run, const AfterDashes& after_dashes);
void add_log(CLI::App& app, Run& run);
void add_cancel(CLI::App& app, Run& run);
void add_order(CLI::App& app, Run& run);
void add_edit(CLI::App& app, Run& run);
void add_wait(CLI::App& app, Run& run);
void add_retry(CLI::App& app, Run& run);
void add_pause(CLI::App& app, Run& run);
void add_resume(CLI::App& app, Run& run);
void add_drain(CLI::App& app, Run& run);
void add_list(CLI::App& app, Run& run);
void add_show(CLI::App& app, Run& run);
void add_doctor(CLI::App& app, Run& run);
void add_gpus(CLI::App& app, Run& run);

/// What `gpuspool` without a verb does.
int show_status(Context& context, bool json);

}  // namespace cli
