// GPUs for people: a line each, and below it who else is there.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "libspool/state.h"

namespace cli {

/// "██████····", ten columns; '#' and '.' where the terminal has no UTF-8.
[[nodiscard]] std::string use_bar(double share, bool utf8);

/// `names` are those of running jobs, by number.
[[nodiscard]] std::string gpu_table(const std::vector<spool::DeviceState>& devices,
                                    const std::vector<spool::RunningState>& running,
                                    const Terminal& terminal);

/// Whether the locale's characters are UTF-8.
[[nodiscard]] bool utf8_locale();

}  // namespace cli
