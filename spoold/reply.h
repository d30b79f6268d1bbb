// The answer to a request, once what it asks for is on the disk.
#pragma once

#include <functional>
#include <string>

#include "sync_thread.h"

namespace spoold {

using RequestReply = std::function<void(bool ok, const std::string& message)>;

/// Syncs `barrier`, then answers: with `done`, or with what is left to be desired. `then` is called
/// after that.
void reply_when_synced(SyncThread& syncs, spool::SyncSet barrier, const RequestReply& reply,
                       const std::string& done, std::function<void()> then);

}  // namespace spoold
