// What `gpuspool doctor` looks at.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace cli {

struct Finding {
    enum class Level { good, warning, bad };
    Level level = Level::good;
    std::string text;
    std::string remedy;  ///< what to type or to change; empty if nothing
};
using Findings = std::vector<Finding>;

// Of the spool (doctor_spool.cpp).
void check_daemon(Context& context, spool::Spool& spool, Findings& out);
void check_configuration(spool::Spool& spool, Findings& out);
void check_disk(const spool::Spool& spool, Findings& out);
void check_file_system(const spool::Spool& spool, Findings& out);
void check_clock(Context& context, spool::Spool& spool, Findings& out);
void check_queue(Context& context, spool::Spool& spool, Findings& out);

// Of the machine (doctor_machine.cpp).
void check_inotify(Findings& out);
void check_lingering(Findings& out);
/// Whether jobs are kept to what they ask for; `daemon` is as it was published last.
void check_limits(const spool::DaemonState& daemon, Findings& out);
/// `problems` are those that the daemon tells of.
void check_supervisor(const std::vector<std::string>& problems, Findings& out);
void check_gpus(const std::vector<spool::GpuState>& gpus, Findings& out);

}  // namespace cli
