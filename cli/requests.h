// Asking the daemon for something, and what it answered.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "libspool/control.h"
#include "libspool/reader.h"

namespace cli {

/// A request, and what to call it when it is spoken of.
struct Asked {
    spool::Request request;
    std::string subject;  ///< "job 42 (x)"; empty: the whole spool
};

/// The job that is called so. A bare file that was just dropped gets its number from the daemon in
/// a moment: waited for; 0 where none came.
spool::Result<spool::FoundJob> find_numbered(Context& context, spool::Spool& spool,
                                             const std::string& name);

/// Waits up to 2 s for all replies and prints each; says "queued until spoold runs" where none
/// came. The exit code.
int print_replies(Context& context, spool::Spool& spool, const std::vector<Asked>& asked);

}  // namespace cli
