// inotify on the directories of the spool. Events are hints: whatever they say leads to a look.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <string>

#include "libspool/layout.h"

namespace spoold {

enum class Place { root, incoming, running, control, internal, records };

/// What happened to one name since the last call, all events taken together.
struct Event {
    Place place;
    std::string name;
    std::uint32_t mask;  ///< IN_* bits
};

/// All that was in the queue.
struct EventBatch {
    std::vector<Event> events;
    bool lost = false;  ///< events were lost, or a watched directory was moved, removed or
                        ///< unmounted: look at everything
};

class Watcher {
public:
    using Handler = std::function<void(const EventBatch&)>;

    Watcher(boost::asio::io_context& io, Handler handler);

    /// Watches the directories of `spool` anew (the old watches are dropped). An error says that
    /// there will be no or not all events (no inotify instances, no watches left): then the caller
    /// must poll.
    spool::Result<void> watch(const spool::Spool& spool);

private:
    spool::Result<void> add(Place place, spool::Handle directory, std::uint32_t mask);
    void wait();
    EventBatch drain();

    boost::asio::posix::stream_descriptor descriptor_;
    Handler handler_;
    std::map<int, Place> places_;  ///< by watch descriptor
};

}  // namespace spoold
