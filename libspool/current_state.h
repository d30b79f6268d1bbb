// The published state, brought up to date with what the directories say now.
#pragma once

#include "libspool/layout.h"
#include "libspool/state.h"

namespace spool {

/// The state without `recent`. With `everything`, all waiting jobs are in it, however many; that
/// may take a second for 100,000 of them.
Result<SpoolState> current_state(Spool& spool, const Clock& clock, bool everything);

}  // namespace spool
