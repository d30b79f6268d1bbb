// The rules for names in the spool directory (docs/protocol.md §2). Names are bytes. Pure
// functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// The extensions of job files, with the dot, the usual one first.
inline constexpr std::string_view job_extensions[] = {".job", ".sh", ".sbatch", ".slurm"};

enum class NameClass {
    job,        ///< a job file
    temporary,  ///< an editor's or a transfer tool's; left alone without a word
    other,      ///< left alone and reported as ignored
};
[[nodiscard]] NameClass classify_name(std::string_view file_name);

/// Why a file of class `other` is left alone, and what it is to be called instead.
[[nodiscard]] std::string why_ignored(std::string_view file_name);

struct JobName {
    std::string stem;       ///< the job's name
    std::string extension;  ///< with the dot
};
/// Splits the name of a job file; nothing if `classify_name` is not job.
[[nodiscard]] std::optional<JobName> split_job_name(std::string_view file_name);

/// Names of the files by which an editor says that it holds `file_name` open.
[[nodiscard]] std::vector<std::string> editor_marks(std::string_view file_name);

/// The n-th candidate for a unique name: n = 1 gives the stem itself, 2 gives "x~2". The stem is
/// cut at a UTF-8 boundary so that "<candidate>.sbatch" and "<candidate>.json" have at most 255
/// bytes.
[[nodiscard]] std::string candidate_name(std::string_view stem, int n);

/// The name without the "~N" of a candidate; the name itself if it has none.
[[nodiscard]] std::string plain_name(const std::string& name);

/// The first candidate for which `taken` is false.
[[nodiscard]] std::string unique_name(std::string_view stem,
                                      const std::function<bool(const std::string&)>& taken);

/// `bytes` made harmless for a terminal, a log or a message: control characters, invalid UTF-8 and
/// bidirectional overrides become \xNN, a backslash stays as it is.
[[nodiscard]] std::string printable(std::string_view bytes);

/// `bytes` as valid UTF-8 for JSON, reversibly: invalid bytes become \xNN, a backslash \\.
[[nodiscard]] std::string to_json_text(std::string_view bytes);
[[nodiscard]] std::string from_json_text(std::string_view text);

}  // namespace spool
