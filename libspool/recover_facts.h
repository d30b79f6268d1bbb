// What is to be known of one record before it is decided what becomes of it: a part of the
// recovery.
#pragma once

#include "libspool/recover.h"

namespace spool {

/// What cannot be examined is an error: not seen is not gone.
Result<RecoveryFacts> examine(Spool& spool, const RecordFile& record, const RecordContent& content,
                              const record::BootId& boot,
                              const std::function<bool(const RecordContent&)>& tree_alive);

}  // namespace spool
