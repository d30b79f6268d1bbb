// The table of docs/protocol.md §10.
#include "libspool/recover.h"

namespace spool {

RecoveryAction decide_recovery(const RecoveryFacts& facts) {
    using enum RecoveryAction;
    if (facts.claim == record::Validity::absent) return pool;
    if (facts.claim != record::Validity::valid) return leave;
    if (!facts.claimed) return pool;
    if (facts.published) return release;
    if (facts.lock_held) return adopt;
    if (facts.ended) return facts.tree_alive ? await_tree : finish;
    if (!facts.started) {
        if (facts.cancelled) return finish;
        if (facts.in_incoming && !facts.further_attempt) return undo;
        return facts.in_running && facts.same_boot ? start : finish;
    }
    return facts.tree_alive ? await_tree : finish;
}

}  // namespace spool
