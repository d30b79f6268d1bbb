// Asking the daemon for something, and what it answered.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "libspool/control.h"

namespace cli {

/// A request, and what to call it when it is spoken of.
struct Asked {
    spool::Request request;
    std::string subject;  ///< "job 42 (x)"; empty: the whole spool
};

/// Waits up to 2 s for all replies and prints each; says "queued until spoold runs" where none
/// came. The exit code.
int print_replies(Context& context, spool::Spool& spool, const std::vector<Asked>& asked);

}  // namespace cli
