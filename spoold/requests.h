// The requests in control/ (docs/protocol.md §9): each is carried out once, in their order, and
// answered. What they ask for is done by the rest of the daemon.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "libspool/control.h"
#include "libspool/incoming.h"
#include "libspool/job_index.h"
#include "reply.h"
#include "troubles.h"

namespace spoold {

/// How often incoming/ has been looked through, all of it.
struct Scans {
    std::uint64_t begun = 0, done = 0;
    bool under_way = false;
};

struct RequestsListener {
    /// Does what is asked; the answer may come later.
    std::function<void(const spool::Request& request, const RequestReply& reply)> carry_out;
    /// Whether it is known where a job waits, or what became of it.
    std::function<bool(std::uint64_t job)> knows;
    std::function<void()> scan;  ///< incoming/ is to be looked through, once that is not under way
    std::function<void()> changed;  ///< something that is shown has changed
};

class Requests {
public:
    Requests(spool::Spool& spool, const spool::Incoming& incoming, const spool::JobIndex& index,
             const Scans& scans, Troubles& troubles, RequestsListener listener)
        : spool_(spool),
          incoming_(incoming),
          index_(index),
          scans_(scans),
          troubles_(troubles),
          listener_(std::move(listener)) {}

    /// Whether something has happened to control/ since this was asked last. (The event that tells
    /// of a request may come later than what starts its job.)
    [[nodiscard]] bool have_changed();
    /// Reads them, and carries out those that are new.
    void apply();
    /// Those about jobs that were not known, once incoming/ was looked through.
    void apply_deferred();
    [[nodiscard]] bool any_deferred() const { return !deferred_.empty(); }

private:
    /// A request about a job of which nothing is known yet: its file may be there all the same. It
    /// is carried out once incoming/ has been looked through, before that job can be started.
    struct Deferred {
        spool::Request request;
        std::uint64_t scan = 0;  ///< through when that one is, and `unread` has been read
        std::optional<std::set<std::string>> unread;
    };

    void apply(const spool::Request& request);
    void carry_out(const spool::Request& request);
    void answer(const spool::Request& request, const spool::Reply& reply);
    [[nodiscard]] bool must_be_deferred(const spool::Request& request) const;
    [[nodiscard]] bool looked_through(Deferred& deferred) const;

    spool::Spool& spool_;
    const spool::Incoming& incoming_;
    const spool::JobIndex& index_;
    const Scans& scans_;
    Troubles& troubles_;
    RequestsListener listener_;
    std::set<std::string> in_hand_;             ///< nonces of those that are being carried out
    std::map<std::string, spool::Reply> owed_;  ///< replies that could not be written; by nonce
    std::vector<Deferred> deferred_;
    std::int64_t changed_at_ = 0;  ///< mtime of control/ when it was read
};

}  // namespace spoold
