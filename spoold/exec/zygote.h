// The zygote: forks a supervisor for each request of the daemon, and knows nothing more of it.
#pragma once

#include "spoold/exec/supervisor.h"

namespace spool::exec {

/// Serves the SOCK_SEQPACKET socket until the daemon closes it. Supervisors live on.
/// `supervisors` is the cgroup in which they are put, or none.
int serve(Setup& setup, Fd socket, Fd supervisors);

}  // namespace spool::exec
