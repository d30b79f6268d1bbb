// The environment of a new terminal, as the user's shell makes it: what to run for it, and how to
// read the answer. Pure functions; spoold/login_environment.h runs it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/environment.h"
#include "libspool/error.h"

namespace spool {

/// The arguments that make `shell` start like a terminal's (login and interactive; csh and tcsh
/// have no such options beside -c) and print its environment between two lines with `marker` in
/// them. `marker` is a random word. `bashrc`: a file that bash is to read first if it is readable;
/// empty: none (see `profile_reads_bashrc`).
[[nodiscard]] std::vector<std::string> login_shell_command(const std::string& shell,
                                                           const std::string& marker,
                                                           const std::string& bashrc = {});

/// Reads the output of such a shell. What start-up files print before, after or into it does no
/// harm. The error's message is the end of a sentence: "did not get as far as …".
[[nodiscard]] Result<Environment> parse_login_output(std::string_view output,
                                                     std::string_view marker);

/// Whether a login shell with this profile reads ~/.bashrc as a terminal does: terminals start bash
/// without reading a profile, and most profiles read ~/.bashrc for login shells.
[[nodiscard]] bool profile_reads_bashrc(std::string_view profile);

/// Which of these bash reads at a login: the first one that exists, in this order. Names in the
/// home directory.
inline constexpr std::string_view bash_profiles[] = {".bash_profile", ".bash_login", ".profile"};

/// The files (and directories) whose change means that the environment may be another one. Absolute
/// paths; most of them do not exist. `environment` is for ZDOTDIR, XDG_CONFIG_HOME and ENV.
[[nodiscard]] std::vector<std::string> startup_files(const std::string& shell,
                                                     const std::string& home,
                                                     const Environment& environment);

/// What the shell is started with: `own` without the traces of a session that the daemon may itself
/// have been started from (an activated conda or virtual environment, loaded modules, variables of
/// a job), so that start-up files begin afresh.
[[nodiscard]] Environment login_base_environment(const Environment& own);

/// The last line of a shell's error output that says something: bash's complaint that it has no
/// terminal does not.
[[nodiscard]] std::string last_error_line(std::string_view errors);

}  // namespace spool
