#include "sync_thread.h"

#include <boost/asio/post.hpp>
#include <csignal>
#include <memory>

namespace spoold {

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
    if (!held_) wake_.notify_one();
}

SyncThread::Together::Together(SyncThread& syncs) : syncs_(syncs) {
    syncs_.held_ = true;
}

SyncThread::Together::~Together() {
    syncs_.held_ = false;
    const std::lock_guard lock(syncs_.mutex_);
    if (!syncs_.waiting_.empty()) syncs_.wake_.notify_one();
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
    spool::SyncSet files, directories;
    for (const Request& request : group)
        for (const auto& item : request.set.items)
            item.directory ? directories.add_directory(item.file)
                           : files.add(item.file, item.metadata);
    for (const auto& item : files.items)
        files_.begin_sync(item.file);
    Failures failures;
    sync_all(files, failures);
    const std::lock_guard names(names_);
    sync_all(directories, failures);
    return failures;
}

void SyncThread::sync_all(const spool::SyncSet& set, Failures& failures) {
    for (const auto& item : set.items)
        if (auto synced = files_.sync(item.file, item.metadata); !synced)
            failures.emplace(item.file, synced.error());
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
