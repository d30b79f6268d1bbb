#include "reply.h"

namespace spoold {

void reply_when_synced(SyncThread& syncs, spool::SyncSet barrier, const RequestReply& reply,
                       const std::string& done, std::function<void()> then) {
    syncs.sync(std::move(barrier),
               [reply, done, then = std::move(then)](const SyncThread::Failures& failures) {
                   reply(failures.empty(), failures.empty() ? done
                                                            : "is changed, but not durably: " +
                                                                  failures.begin()->second.text());
                   then();
               });
}

}  // namespace spoold
