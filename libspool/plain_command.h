// Scripts that need no shell: one line, one program, its arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spool {

/// The command line of a script that is, beside comments and empty lines, one line of a program's
/// name and arguments without any quoting, expansion, redirection, assignment or operator. bash
/// would divide it at blanks and execute the program, word for word.
///
/// None if bash would do anything else: for its own builtins (but not `true` and `false`, which are
/// the same as programs), its keywords, and where a single character is in doubt.
[[nodiscard]] std::optional<std::string> plain_command(std::string_view script);

}  // namespace spool
