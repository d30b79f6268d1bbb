// The barrier: one thread that syncs, so that the loop never waits
// for a disk and many jobs share one wait.
#pragma once

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "libspool/claim.h"

namespace spoold {

class SyncThread {
public:
    /// What could not be synced, and why. Empty: all of it is on the disk.
    using Failures = std::map<spool::Handle, spool::Error>;
    using Handler = std::function<void(const Failures&)>;

    SyncThread(boost::asio::io_context& io, spool::Files& files);
    ~SyncThread();  ///< waits for the sync in progress; handlers not yet called are dropped
    SyncThread(const SyncThread&) = delete;
    SyncThread& operator=(const SyncThread&) = delete;

    /// Syncs the set, together with all others that were given since the last sync began, and then
    /// calls `handler` from the loop with the failures among its own. The handles must stay open
    /// until then.
    void sync(spool::SyncSet set, Handler handler);

    /// While this lives the thread is not woken: all that is asked for meanwhile becomes one group.
    class Together {
    public:
        explicit Together(SyncThread& syncs);
        ~Together();
        Together(const Together&) = delete;
        Together& operator=(const Together&) = delete;

    private:
        SyncThread& syncs_;
    };

    /// To be held while a file moves from one directory to another; not held if the answer is
    /// empty: then try again in a moment. Directories are synced one after the other, and a file
    /// that moved in between could be in neither after a loss of power.
    [[nodiscard]] std::unique_lock<std::mutex> try_hold_names() {
        return {names_, std::try_to_lock};
    }

private:
    struct Request {
        spool::SyncSet set;
        Handler handler;
    };
    void run();
    Failures sync_group(const std::vector<Request>& group);
    void sync_all(const spool::SyncSet& set, Failures& failures);
    void report(std::vector<Request> group, Failures failures);

    boost::asio::io_context& io_;
    spool::Files& files_;
    std::mutex names_;  ///< held while directories are synced
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<Request> waiting_;
    bool stopping_ = false;
    bool held_ = false;  ///< the loop's alone
    std::thread thread_;
};

}  // namespace spoold
