#include "cli/watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

namespace cli {
namespace {

volatile std::sig_atomic_t interrupt_flag = 0;

void on_interrupt(int) {
    interrupt_flag = 1;
}

/// Watches what a descriptor stands for, whatever its name is by now.
int add_watch(int notify, int descriptor, std::uint32_t mask) {
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    return ::inotify_add_watch(notify, path.c_str(), mask);
}

}  // namespace

void catch_interrupt() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;  // no SA_RESTART: it has to end a poll
    (void)::sigaction(SIGINT, &action, nullptr);
    (void)::sigaction(SIGTERM, &action, nullptr);
}

void pause_for(std::chrono::milliseconds time) {
    (void)::poll(nullptr, 0, static_cast<int>(time.count()));
}

bool interrupted() {
    return interrupt_flag != 0;
}

Watcher::Watcher(const spool::Spool& spool) : notify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (notify_ < 0) return;
    for (const spool::OpenFile* directory :
         {&spool.incoming, &spool.running, &spool.done, &spool.control})
        (void)add_watch(notify_, static_cast<int>(directory->get()),
                        IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM);
}

Watcher::~Watcher() {
    if (notify_ >= 0) ::close(notify_);
}

void Watcher::watch_file(int file) {
    if (notify_ < 0) return;
    if (file_watch_ >= 0) (void)::inotify_rm_watch(notify_, file_watch_);
    file_watch_ = add_watch(notify_, file, IN_MODIFY);
}

void Watcher::wait(std::chrono::milliseconds longest) {
    pollfd entry{notify_, POLLIN, 0};
    const int ready = ::poll(&entry, notify_ < 0 ? 0 : 1, static_cast<int>(longest.count()));
    if (ready <= 0) return;
    alignas(inotify_event) std::array<char, 16384> events;
    while (::read(notify_, events.data(), events.size()) > 0) {
    }
}

}  // namespace cli
