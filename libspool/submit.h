// Putting a job into the queue: what `gpuspool submit`, the tray and `retry` do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libspool/job_spec.h"
#include "libspool/layout.h"

namespace spool {

struct Submission {
    std::string bytes;  ///< a job file's content, as the user wrote it (shell or JSON)
    std::string stem;   ///< the wanted name
    std::string extension = ".job";
    SubmitInfo info;  ///< spool, number and submitted_at are filled in here
};

struct Submitted {
    std::uint64_t number = 0;
    std::string
        file_name;  ///< in incoming/; the stem is made unique among waiting, running and done jobs
};

/// Checks the job file with `read_job_file` (an invalid one is refused, nothing is written), takes
/// a number durably, writes the file to tmp/, syncs it, links it into incoming/ without replacing
/// anything, syncs the directory. When this returns, the job survives a loss of power.
Result<Submitted> submit(Spool& spool, Submission submission, const Clock& clock);

}  // namespace spool
