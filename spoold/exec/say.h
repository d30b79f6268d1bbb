// Words for the daemon's journal, or for the terminal.
#pragma once

#include <cstdint>

#include "spoold/exec/system.h"

namespace spool::exec {

/// One line on the standard error.
void say(const char* what, const char* whom);

/// Why nothing was executed; silent for `done`.
void explain(ExitCode code, std::uint32_t record);

}  // namespace spool::exec
