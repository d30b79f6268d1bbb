// Groups that are held (docs/protocol.md, «A group that fails»): by request, or because their jobs
// fail one after another.
#pragma once

#include "libspool/control.h"
#include "libspool/group_notes.h"
#include "libspool/policy.h"
#include "reply.h"
#include "troubles.h"

namespace spoold {

class Groups {
public:
    /// `changed` is called when something that is shown, or may start, has changed.
    Groups(spool::Spool& spool, const spool::Clock& clock, spool::Policy& policy,
           Troubles& troubles, std::function<void()> changed)
        : spool_(spool),
          clock_(clock),
          policy_(policy),
          troubles_(troubles),
          changed_(std::move(changed)) {}

    /// Reads what was held when an earlier daemon ended. A file that cannot be read is left to the
    /// user.
    void load();
    /// Writes what could not be written when it changed. Called with each slow rescan.
    void keep_again();
    void note_end(const spool::JobResult& result);  ///< of a job or a task
    /// Carries out `group-hold` and `group-release`.
    void change(const spool::Request& request, const RequestReply& reply);

private:
    spool::Result<void> hold(const std::string& group, const std::string& reason);
    spool::Result<void> keep();
    void tell_policy(const std::string& group);

    spool::Spool& spool_;
    const spool::Clock& clock_;
    spool::Policy& policy_;
    Troubles& troubles_;
    std::function<void()> changed_;
    spool::HeldGroups held_;
    bool known_ = false;  ///< groups.json was read: it may be written
    bool kept_ = true;    ///< it says what `held_` does
    spool::GroupFailures failures_;
};

}  // namespace spoold
