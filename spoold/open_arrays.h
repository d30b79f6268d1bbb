// The arrays that are open (docs/protocol.md §14): their records, and what the daemon keeps of them
// in memory.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "libspool/array_record.h"
#include "libspool/finish.h"
#include "libspool/job_spec.h"
#include "libspool/launch_spec.h"
#include "libspool/terms.h"

namespace spoold {

struct OpenArray {
    spool::ArrayRecord record;
    std::string command;
    spool::JobSpec spec;     ///< its job file
    spool::ArrayTask whole;  ///< what its tasks are told of it
    spool::Terms terms;
    bool bare = true;        ///< its tasks need the login environment
    bool ready = false;      ///< its opening is on the disk: tasks may be claimed
    bool returning = false;  ///< its opening is to be undone
    bool begun = false;      ///< a task was started
    bool broken = false;     ///< what became of a task could not be noted: it must not end
    std::vector<std::uint64_t> leaders;         ///< arrays whose tasks its tasks follow, one by one
    std::optional<spool::Published> published;  ///< its end; barrier 3 is on its way
    std::optional<std::chrono::nanoseconds> missing_since;  ///< its file is not in running/
    std::optional<std::chrono::nanoseconds> next_try;       ///< of what has failed
    std::optional<std::chrono::nanoseconds> next_cancel{};  ///< of those of its tasks that are left
    /// The result of a task may not be on the disk: records, its own too, are for the next daemon.
    bool kept = false;
};

/// "array 42 (x)", for the log.
[[nodiscard]] std::string title(const OpenArray& array);
/// "1 task", "5 tasks"
[[nodiscard]] std::string counted_tasks(std::size_t count);

class OpenArrays {
public:
    OpenArray& add(OpenArray array);
    void erase(std::uint64_t number);

    [[nodiscard]] OpenArray* find(std::uint64_t number);
    [[nodiscard]] const OpenArray* find(std::uint64_t number) const;
    /// The one that has a task of this number.
    [[nodiscard]] OpenArray* of_task(std::uint64_t task);
    [[nodiscard]] const OpenArray* of_task(std::uint64_t task) const;

    [[nodiscard]] bool empty() const { return arrays_.empty(); }
    [[nodiscard]] std::map<std::uint64_t, OpenArray>& all() { return arrays_; }
    [[nodiscard]] const std::map<std::uint64_t, OpenArray>& all() const { return arrays_; }

    [[nodiscard]] bool name_taken(const std::string& name) const { return names_.contains(name); }
    [[nodiscard]] bool has_inode(std::uint64_t device, std::uint64_t inode) const;
    [[nodiscard]] bool holds_file(const std::string& name) const;  ///< in running/
    [[nodiscard]] bool misses_file() const;
    /// When something is to be looked at by time.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_look() const;

private:
    std::map<std::uint64_t, OpenArray> arrays_;
    std::map<std::uint64_t, std::uint64_t> by_first_;  ///< number of the first task → of the array
    std::set<std::string> names_;
};

}  // namespace spoold
