// Requests to the daemon through control/ (docs/protocol.md §9).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/layout.h"

namespace spool {

struct Request {
    std::string nonce;  ///< 32 hexadecimal digits; also the file's stem
    /// "cancel", "priority", "top", "hold", "release", "drain", "undrain", "reload", "gpu-drain",
    /// "suspend", "continue", "gpu-undrain", "gpu-ignore", "gpu-heed", "group-hold",
    /// "group-release".
    std::string verb;
    std::optional<std::uint64_t> job;  ///< of the verbs about a job (`is_job_verb`)
    std::int64_t at = 0;               ///< nanoseconds of the wall clock
    /// Of the verbs on GPUs: what a GPU or a slot is called; a process's pid or program. Of
    /// "priority": the number. Of those on groups: the group.
    std::string subject{};
    std::string reason{};  ///< of "gpu-drain": for people; may be empty
    std::string tasks{};   ///< of "cancel": only these of an array, "3-5,8"; empty: the whole job
};

[[nodiscard]] bool is_job_verb(std::string_view verb);

struct Reply {
    bool ok = false;
    std::string message;  ///< a sentence
};

/// Writes the request to tmp/ and links it into control/, durably. Fills in `nonce` and `at`.
Result<Request> send_request(Spool& spool, Request request, const Clock& clock);

/// The reply to `request`, or nothing while there is none yet. A reply that was read is left for
/// the daemon to remove.
Result<std::optional<Reply>> read_reply(Spool& spool, const Request& request);

/// All requests that are there, in the order in which they are to be applied. One that cannot be
/// read is answered with a failed reply and removed.
Result<std::vector<Request>> read_requests(Spool& spool);

/// Writes the reply, then removes the request.
Result<void> answer(Spool& spool, const Request& request, const Reply& reply);

/// The text in control/pause if it is there ("" if it is empty).
Result<std::optional<std::string>> pause_reason(Spool& spool);
Result<void> set_pause(Spool& spool, const std::string& reason);
Result<void> clear_pause(Spool& spool);

/// Removes replies older than a minute, by mtime.
void remove_old_replies(Spool& spool, const Clock& clock);

}  // namespace spool
