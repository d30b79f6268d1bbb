#include "watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace spoold {
namespace {

constexpr std::uint32_t self_events = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t name_events = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::uint32_t content_events = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB;
constexpr std::uint32_t lost_events =
    IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF;

}  // namespace

Watcher::Watcher(boost::asio::io_context& io, Handler handler)
    : descriptor_(io), handler_(std::move(handler)) {}

spool::Result<void> Watcher::watch(const spool::Spool& spool) {
    places_.clear();
    if (descriptor_.is_open()) descriptor_.close();
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return spool::system_error("inotify_init1", spool.path, errno);
    boost::system::error_code refused;
    descriptor_.assign(fd, refused);
    if (refused) {
        ::close(fd);
        return spool::system_error("wait for inotify", spool.path, refused.value());
    }
    auto added = add(Place::root, spool.root.get(), name_events | IN_CLOSE_WRITE | self_events)
                     .and_then([&] {
                         return add(Place::incoming, spool.incoming.get(),
                                    name_events | content_events | self_events);
                     })
                     .and_then([&] {
                         return add(Place::running, spool.running.get(), name_events | self_events);
                     })
                     .and_then([&] {
                         return add(Place::control, spool.control.get(),
                                    name_events | IN_CLOSE_WRITE | self_events);
                     })
                     .and_then([&] {
                         return add(Place::internal, spool.internal.get(),
                                    IN_DELETE | IN_MOVED_FROM | self_events);
                     })
                     .and_then([&] {
                         return add(Place::records, spool.records.get(),
                                    IN_MODIFY | IN_CLOSE_WRITE | self_events);
                     });
    wait();
    return added;
}

spool::Result<void> Watcher::add(Place place, spool::Handle directory, std::uint32_t mask) {
    // Through the descriptor: what is watched is the directory that is read, whatever its name is
    // by now.
    const std::string path = "/proc/self/fd/" + std::to_string(static_cast<int>(directory));
    const int watch = inotify_add_watch(descriptor_.native_handle(), path.c_str(), mask);
    if (watch < 0) return spool::system_error("inotify_add_watch", path, errno);
    places_[watch] = place;
    return {};
}

void Watcher::wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& error) {
                               if (error) return;
                               handler_(drain());
                               wait();
                           });
}

EventBatch Watcher::drain() {
    EventBatch batch;
    std::map<std::pair<Place, std::string>, std::size_t> known;
    alignas(inotify_event) std::array<char, 64 << 10> buffer{};
    for (;;) {
        const ssize_t size = read(descriptor_.native_handle(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return batch;
        for (ssize_t at = 0; at < size;) {
            inotify_event head{};
            std::memcpy(&head, buffer.data() + at, sizeof head);
            const char* name = buffer.data() + at + sizeof head;
            at += static_cast<ssize_t>(sizeof head + head.len);
            const auto place = places_.find(head.wd);
            if ((head.mask & lost_events) != 0 || place == places_.end()) {
                batch.lost = true;
                continue;
            }
            if (head.len == 0) continue;
            const auto [entry, fresh] =
                known.try_emplace({place->second, name}, batch.events.size());
            if (fresh)
                batch.events.push_back({place->second, name, head.mask});
            else
                batch.events[entry->second].mask |= head.mask;
        }
    }
}

}  // namespace spoold
