// Wishes of a job that exclude each other, each of them good by itself. Pure.
#pragma once

#include <optional>
#include <string>

#include "libspool/error.h"
#include "libspool/job_spec.h"

namespace spool {

/// Whether a job with wishes that exclude each other is refused. What was taken once is not: an
/// earlier version may have known fewer of them.
enum class Contradictions { allowed, refused };

/// What excludes what, with the remedy; nothing if the job could run somewhere.
[[nodiscard]] std::optional<std::string> contradiction(const JobSpec& spec);

/// Finds the line to blame: with later ones a contradiction comes and goes.
class ContradictionWatch {
public:
    /// To be called after each line, with all that has been read so far.
    void note(const JobSpec& spec, int line);
    /// The error of a job that has been read to its end.
    [[nodiscard]] Result<void> verdict(const JobSpec& spec, const std::string& path) const;

private:
    std::optional<int> line_;
};

}  // namespace spool
