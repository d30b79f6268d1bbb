#include "libspool/plain_command.h"

#include <algorithm>
#include <array>

namespace spool {
namespace {

constexpr std::string_view blanks = " \t";
constexpr std::size_t longest_line = 100'000;

/// Characters that mean nothing to bash, wherever in a word they stand.
constexpr std::string_view harmless =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@=% \t";

/// Builtins and keywords of bash 5.3 (bash(1), «SHELL BUILTIN COMMANDS» and «RESERVED WORDS»),
/// sorted.
constexpr auto shell_words = std::to_array<std::string_view>(
    {".",       ":",     "alias",    "bg",      "bind",      "break",    "builtin",  "caller",
     "case",    "cd",    "command",  "compgen", "complete",  "compopt",  "continue", "coproc",
     "declare", "dirs",  "disown",   "do",      "done",      "echo",     "elif",     "else",
     "enable",  "esac",  "eval",     "exec",    "exit",      "export",   "fc",       "fg",
     "fi",      "for",   "function", "getopts", "hash",      "help",     "history",  "if",
     "in",      "jobs",  "kill",     "let",     "local",     "logout",   "mapfile",  "popd",
     "printf",  "pushd", "pwd",      "read",    "readarray", "readonly", "return",   "select",
     "set",     "shift", "shopt",    "source",  "suspend",   "test",     "then",     "time",
     "times",   "trap",  "type",     "typeset", "ulimit",    "umask",    "unalias",  "unset",
     "until",   "wait",  "while"});
static_assert(std::is_sorted(shell_words.begin(), shell_words.end()));

bool is_program_name(std::string_view word) {
    // "%1" is a job of the shell's; with "=" it is an assignment.
    return word.front() != '%' && word.find('=') == std::string_view::npos &&
           !std::binary_search(shell_words.begin(), shell_words.end(), word);
}

std::string_view trimmed(std::string_view line) {
    const std::size_t begin = line.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return line.substr(begin, line.find_last_not_of(blanks) + 1 - begin);
}

}  // namespace

std::optional<std::string> plain_command(std::string_view script) {
    std::string_view command;
    for (std::size_t begin = 0; begin < script.size();) {
        const std::size_t end = std::min(script.find('\n', begin), script.size());
        const std::string_view line = trimmed(script.substr(begin, end - begin));
        begin = end + 1;
        if (line.empty() || line.front() == '#') continue;
        if (!command.empty()) return std::nullopt;
        command = line;
    }
    // The line is one argument of bash's, which the kernel bounds at 128 KiB.
    if (command.size() > longest_line) return std::nullopt;
    if (command.empty() || command.find_first_not_of(harmless) != std::string_view::npos)
        return std::nullopt;
    if (!is_program_name(command.substr(0, command.find_first_of(blanks)))) return std::nullopt;
    return std::string(command);
}

}  // namespace spool
