// The GPUs as their drivers describe them now: asked for by spool-probe, as the daemon does it.
#pragma once

#include <sys/types.h>

#include <string>

#include "libspool/gpu.h"

namespace cli {

/// A spool-probe that is kept for several questions.
class GpuProbe {
public:
    GpuProbe() = default;
    ~GpuProbe();
    GpuProbe(const GpuProbe&) = delete;
    GpuProbe& operator=(const GpuProbe&) = delete;

    /// Waits for the answer: half a minute at most, for a driver that has to be loaded.
    spool::Result<spool::GpuSurvey> ask();

private:
    spool::Result<void> start();
    void end();
    spool::Result<std::string> read_line();

    pid_t pid_ = 0;
    int socket_ = -1;
};

}  // namespace cli
