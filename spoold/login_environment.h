// The user's environment as a new terminal would have it: for jobs that were dropped as bare files.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "libspool/environment.h"
#include "libspool/error.h"

namespace boost::asio {
class io_context;
}

namespace spoold {

struct LoginRequest {
    std::string shell;  ///< absolute; see `user_shell`
    std::string home;
    spool::Environment own;  ///< the daemon's environment
    std::chrono::milliseconds timeout{10'000};
    /// Variables that are left out of the answer.
    std::function<bool(std::string_view)> is_dropped = spool::is_session_variable;
};

using LoginHandler = std::function<void(spool::Result<spool::Environment>)>;

/// Starts the shell in a session of its own, without a terminal, and calls `handler` once, from the
/// loop. On failure the caller goes on with the daemon's own environment; the error names the
/// shell, what happened and the shell's last words.
void capture_login_environment(boost::asio::io_context& io, const LoginRequest& request,
                               LoginHandler handler);

/// $SHELL of `own`, else the user's shell of the password file, else /bin/sh.
[[nodiscard]] std::string user_shell(const spool::Environment& own);
/// $HOME of `own`, else the one of the password file.
[[nodiscard]] std::string user_home(const spool::Environment& own);

/// A text that differs when one of the shell's start-up files was changed, added or removed.
[[nodiscard]] std::string startup_stamp(const LoginRequest& request);

}  // namespace spoold
