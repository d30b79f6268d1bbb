// Where the programs are that ours start.
#pragma once

#include <string>

namespace spool {

/// A program of ours: as the environment's `variable` says, else beside this one (a build tree),
/// else in libexec of where this one is installed, else in `libexec`.
[[nodiscard]] std::string find_program(const std::string& name, const char* variable,
                                       const std::string& libexec);

}  // namespace spool
