// What bash reads before a job that uses conda or modules, so that these work as in a terminal, or
// srun, which is a plain prefix here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// The text of .spool/env/prelude.bash. A job's bash finds it through BASH_ENV. It reads the
/// variables GPUSPOOL_PRELUDE (the tools that are needed: conda, mamba, micromamba, module, srun),
/// GPUSPOOL_BASH_ENV (the BASH_ENV that was there before), GPUSPOOL_MODULES (one a line),
/// GPUSPOOL_CONDA_ENV and GPUSPOOL_VENV, and removes them all.
extern const std::string_view prelude_text;

/// The file's name in .spool/env/.
inline constexpr std::string_view prelude_name = "prelude.bash";

/// The tools of GPUSPOOL_PRELUDE that a script mentions as a word ("ml" is module's short name).
[[nodiscard]] std::vector<std::string> mentioned_tools(std::string_view script);

}  // namespace spool
