// .spool/gpus.json: what the user, or the daemon after failures, has said of the GPUs. It outlives
// the daemon. Pure functions, and the file's reading and writing.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "libspool/layout.h"

namespace spool {

struct GpuNotes {
    /// What is to be left alone: ids of GPUs, or the text of a slot of which none is known; and
    /// why.
    std::map<std::string, std::string> drained;
    std::set<std::string> failed;  ///< those of them that failures have drained, not the user
    /// Processes that do not make a GPU busy: pid and start time (see `process_start`).
    std::map<int, std::uint64_t> ignored_processes;
    std::set<std::string> ignored_programs;

    bool operator==(const GpuNotes&) const = default;
};

[[nodiscard]] std::string write_notes(const GpuNotes& notes);
[[nodiscard]] Result<GpuNotes> read_notes(std::string_view bytes, const std::string& path);

/// The file of the spool; without one there are no notes.
Result<GpuNotes> load_notes(Spool& spool);
/// Durably.
Result<void> store_notes(Spool& spool, const GpuNotes& notes);

}  // namespace spool
