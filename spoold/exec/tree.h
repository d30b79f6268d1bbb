// The job's process tree: all descendants of the supervisor (it is their subreaper) and all members
// of the job's cgroup.
//
// A signal goes only to a process that was found in the tree and, after its pidfd was opened, still
// has the start time with which it was found (or still is in the cgroup): never to a recycled
// number.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "spoold/exec/system.h"

namespace spool::exec {

class Tree {
public:
    /// `cgroup` is the directory of the job's cgroup, or none.
    void use_cgroup(Fd cgroup) { cgroup_ = static_cast<Fd&&>(cgroup); }
    int cgroup() const { return cgroup_.get(); }
    void forget_cgroup() { cgroup_.reset(); }

    /// Processes that are there and no zombies.
    unsigned count();
    /// One SIGTERM to each. All are stopped before the first gets it: a child that is born
    /// meanwhile gets it too, and one that a handler starts to clean up does not.
    void terminate();
    /// All of it stands still, and what it forks meanwhile; goes on. False: it is frozen still, and
    /// this is to be tried again.
    void suspend();
    bool go_on();
    /// To each that catches this signal; the others would merely be ended by a warning.
    void signal_catchers(int number);
    /// Stops all until nothing new appears, then kills all. What forked in between needs another
    /// call.
    void kill();
    /// False while processes are in the cgroup. (Descendants: waitpid tells.)
    bool cgroup_empty() const;

private:
    struct Entry {
        pid_t pid, parent;
        std::uint64_t start;
        char state;
        bool alive, member;
    };
    struct Table;

    void find(Table& table);
    void scan_processes(Table& table);
    void add_cgroup_members(Table& table);
    void stop();
    bool freeze(bool frozen);
    unsigned sweep(int number, bool only_catchers = false);

    Fd cgroup_;
    bool frozen_ = false, stopped_ = false;  ///< how it was suspended
};

/// Removes an empty cgroup and those that the job made in it.
void remove_cgroup(int parent, const char* name);

}  // namespace spool::exec
