// Running a helper program to its end with its output kept, on the loop, with limits on time and
// size.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "libspool/error.h"
#include "spoold/process.h"

namespace spoold {

struct Captured {
    std::optional<int> status;   ///< as of waitpid(2); nothing if it timed out or cannot be known
    std::string output, errors;  ///< each at most `limit_bytes`
    bool truncated = false;      ///< there was more
    bool timed_out = false;      ///< the limit was reached, and its whole tree was killed
};

using CapturedHandler = std::function<void(spool::Result<Captured>)>;

/// Runs a program in a session of its own, without a terminal, and calls `handler` once, from the
/// loop. The end is that of the process itself: what it left in the background is neither waited
/// for nor ended, unless the time is up: then all that came from it is killed. An error means that
/// it could not be started. Output descriptors in `options` are ignored. If the loop is destroyed
/// before the end, the tree is killed and nobody is called.
void run_captured(boost::asio::io_context& io, ProcessOptions options, std::size_t limit_bytes,
                  std::chrono::milliseconds timeout, CapturedHandler handler);

/// The variable by which the processes of one captured run are recognised.
inline constexpr const char* capture_mark_variable = "GPUSPOOL_CAPTURE";

}  // namespace spoold
