// What is written in lock files and tickets: one line of JSON, for people and for what only their
// maker can know. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/gpu_lock_name.h"

namespace spool {

struct LockFileText {
    std::vector<std::string> gpus;  ///< a lock: what it is for; a ticket: what it could take
    std::string nonce;
    std::string spool;       ///< path of the spool
    std::uint64_t job = 0;   ///< number in that spool; 0: not known
    int pid = 0;             ///< of the daemon that made it
    int wants = 0;           ///< a ticket: GPUs for the next job
    std::int64_t since = 0;  ///< wall clock, for display

    bool operator==(const LockFileText&) const = default;
};

[[nodiscard]] std::string write_lock_text(const LockFileText& text);
/// Nothing if it is not of this form. Made by others: numbers in range, the rest anything.
[[nodiscard]] std::optional<LockFileText> read_lock_text(std::string_view bytes);

/// Whether the file with this text was made under this name; another name is a link to it that
/// somebody made.
[[nodiscard]] bool was_made_as(const LockFileText& text, const LockFileName& name);

}  // namespace spool
