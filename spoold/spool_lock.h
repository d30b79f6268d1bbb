// That no other daemon has the spool, on this host or another.
#pragma once

#include "libspool/layout.h"

namespace spoold {

class SpoolLock {
public:
    SpoolLock(spool::Spool& spool, const std::string& machine_id)
        : spool_(spool), machine_id_(machine_id) {}

    /// An error says who has it.
    spool::Result<void> take();
    /// An error: the spool belongs to another host. It may be taken over by force.
    [[nodiscard]] spool::Result<void> check_owner() const;

private:
    spool::Result<bool> lock(spool::Handle file);
    [[nodiscard]] bool owner_is_dead() const;

    spool::Spool& spool_;
    const std::string& machine_id_;
    spool::OpenFile held_;
};

}  // namespace spoold
