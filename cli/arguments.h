// What the arguments of several verbs must be.
#pragma once

#include <CLI/CLI.hpp>

namespace cli {

/// For JOB, GPU and PROCESS: an empty argument is a variable of the shell that is not set, and must
/// not mean the newest job.
[[nodiscard]] inline CLI::Validator not_empty() {
    return {[](const std::string& text) {
                return text.empty() ? std::string(
                                          "an empty argument names nothing: is a variable "
                                          "of the shell not set?")
                                    : std::string();
            },
            ""};
}

}  // namespace cli
