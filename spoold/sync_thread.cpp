#include "sync_thread.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <csignal>
#include <memory>
#include <system_error>

namespace spoold {
namespace {

constexpr std::size_t most_helpers = 3;

}  // namespace

SyncThread::SyncThread(boost::asio::io_context& io, spool::Files& files) : io_(io), files_(files) {
    // Signals are the main thread's: the new thread inherits a full mask.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

SyncThread::~SyncThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void SyncThread::sync(spool::SyncSet set, Handler handler) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({std::move(set), std::move(handler)});
    }
    // Not at once: what the loop is doing now may ask for more, and one group serves all of it.
    if (std::exchange(wake_posted_, true)) return;
    boost::asio::post(io_, [this] {
        wake_posted_ = false;
        wake_.notify_one();
    });
}

void SyncThread::run() {
    for (;;) {
        std::vector<Request> group;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (stopping_) return;
            group.swap(waiting_);
        }
        Failures failures = sync_group(group);
        report(std::move(group), std::move(failures));
    }
}

SyncThread::Failures SyncThread::sync_group(const std::vector<Request>& group) {
    spool::SyncSet all;
    for (const Request& request : group)
        for (const auto& item : request.set.items)
            all.add(item.file, item.metadata);
    for (const auto& item : all.items)
        files_.begin_sync(item.file);
    Failures failures;
    std::mutex guard;
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        for (std::size_t i; (i = next++) < all.items.size();) {
            auto synced = files_.sync(all.items[i].file, all.items[i].metadata);
            const std::lock_guard lock(guard);
            if (!synced) failures.emplace(all.items[i].file, synced.error());
        }
    };
    // Syncs that run side by side share the flushes of the disk and the commits of its journal.
    std::vector<std::jthread> helpers;
    try {
        while (helpers.size() < most_helpers && 2 * helpers.size() + 2 < all.items.size())
            helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // No thread to be had: this one does it all.
    }
    work();
    helpers.clear();  // joins
    return failures;
}

void SyncThread::report(std::vector<Request> group, Failures failures) {
    auto shared = std::make_shared<std::vector<Request>>(std::move(group));
    boost::asio::post(io_, [shared, failures = std::move(failures)] {
        for (Request& request : *shared) {
            Failures own;
            for (const auto& item : request.set.items)
                if (const auto failed = failures.find(item.file); failed != failures.end())
                    own.insert(*failed);
            request.handler(own);
        }
    });
}

}  // namespace spoold
