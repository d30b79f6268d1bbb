// Captured environments: which variables are kept, and the shared files that hold them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/layout.h"

namespace spool {

using Environment = std::map<std::string, std::string>;

/// Whether a variable's name (or value) looks like a secret, and is therefore never written to
/// disk.
[[nodiscard]] bool looks_secret(std::string_view name, std::string_view value);

/// Variables of one session that must not reach a job (DISPLAY, TMUX, XDG_SESSION_*, SHLVL, PWD,
/// OLDPWD, SLURM_* …).
[[nodiscard]] bool is_session_variable(std::string_view name);

/// This process's environment.
[[nodiscard]] Environment own_environment();

struct CapturedEnvironment {
    Environment kept;
    std::vector<std::string> secrets;  ///< names of the variables that were left out as secrets
};
/// Splits an environment into what may be recorded and the names of what may not.
[[nodiscard]] CapturedEnvironment filter_environment(const Environment& environment);

/// NUL-terminated KEY=VALUE strings in order of KEY, and back. Damaged entries are dropped.
[[nodiscard]] std::string pack_environment(const Environment& environment);
[[nodiscard]] Environment unpack_environment(std::string_view packed);

/// Stores an environment as .spool/env/<hash> (a stable 128-bit hash of its packed form,
/// hexadecimal) unless it is there, synced; returns <hash>. Not a place for secrets: mode 0600, but
/// meant to be kept.
Result<std::string> store_environment(Spool& spool, const Environment& environment);
Result<Environment> load_environment(Spool& spool, const std::string& name);

}  // namespace spool
