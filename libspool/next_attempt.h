// From one attempt of a job to the next (docs/protocol.md, «Attempts»).
#pragma once

#include "libspool/claim.h"

namespace spool {

/// Claims the attempt that `next` asks for, after the one in `ended`, of which `verdict` tells: the
/// log is moved aside, and a record of its own says what is to be executed. Nothing is synced: the
/// caller syncs `add_claim_barrier` before it starts the attempt, and then releases the record of
/// `ended`. May be repeated. `name_taken` tells of the names that other active jobs have.
Result<ActiveJob> claim_next_attempt(Spool& spool, RecordPool& pool, const Clock& clock,
                                     const record::BootId& boot, const ActiveJob& ended,
                                     const JobResult& verdict, const NextAttempt& next,
                                     const std::function<bool(const std::string&)>& name_taken);

/// Undoes that, before the attempt was started. True: its record is marked free, and may be used
/// again if it could be synced; false: that could not be written, and the record was removed.
Result<bool> undo_next_attempt(Spool& spool, const ActiveJob& job);

/// Of an attempt that was undone: the log of the one before has its own name again.
void put_log_back(Spool& spool, const ActiveJob& undone);

}  // namespace spool
