// Waiting for something to change in the spool, and for Ctrl-C.
#pragma once

#include <chrono>

#include "libspool/layout.h"

namespace cli {

/// From now on Ctrl-C and SIGTERM only set a flag and end a wait.
void catch_interrupt();
[[nodiscard]] bool interrupted();

/// Sleeps, or until Ctrl-C.
void pause_for(std::chrono::milliseconds time);

/// Returns from `wait` early when something moves in the spool. Where inotify is not to be had, it
/// only sleeps.
class Watcher {
public:
    explicit Watcher(const spool::Spool& spool);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    /// Also watches what is written to `file`, instead of an earlier one.
    void watch_file(int file);
    void wait(std::chrono::milliseconds longest);

private:
    int notify_ = -1, file_watch_ = -1;
};

}  // namespace cli
