// What to do with the records that an earlier daemon left (docs/protocol.md §10).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "libspool/active_job.h"
#include "libspool/array_record.h"
#include "libspool/finish.h"
#include "libspool/journal.h"

namespace spool {

/// What is known about one record, and the files it names.
struct RecoveryFacts {
    record::Validity claim = record::Validity::absent;
    bool claimed = false;          ///< the claim page says so (else it is free)
    bool same_boot = false;        ///< the claim is of this boot
    bool published = false;        ///< done/<name>.json was written by this attempt
    bool lock_held = false;        ///< the supervisor lives
    bool started = false;          ///< a run page, valid or damaged
    bool ended = false;            ///< valid exit page
    bool cancelled = false;        ///< valid cancel page
    bool in_running = false;       ///< running/<name> is the file that was claimed
    bool in_incoming = false;      ///< incoming/ has that file (both: the move was cut in half)
    bool tree_alive = false;       ///< a process with this attempt's token exists
    bool further_attempt = false;  ///< the job was executed before
};

enum class RecoveryAction {
    pool,       ///< free: may be used
    leave,      ///< not understood: left alone and reported
    release,    ///< published already: only the free mark is missing
    adopt,      ///< runs: wait for its end
    finish,     ///< its outcome can be decided now: publish
    start,      ///< claimed and never started: go on at barrier 1
    undo,       ///< the claim did not reach the disk as a whole: the file waits
    await_tree  ///< its supervisor is dead, its processes are not: keep its GPUs until they are
};

/// The table of docs/protocol.md §10, first row that fits.
[[nodiscard]] RecoveryAction decide_recovery(const RecoveryFacts& facts);

struct Recovered {
    RecoveryAction action = RecoveryAction::pool;
    ActiveJob job;
    RecordContent content;
    bool has_ended = false;  ///< the history says so: no further attempt follows
};

struct Recovery {
    std::vector<Recovered> jobs;        ///< all that need something done, in order of number
    std::vector<std::string> problems;  ///< records left alone
    std::vector<WaitingEntry> undone;   ///< jobs whose claim was undone: they keep their numbers
    std::vector<std::string> requeued;  ///< files of running/ that went back to incoming/
    std::vector<ArrayRecord> arrays{};  ///< open ones
};

/// The entry of a job that waits again, under its number.
[[nodiscard]] WaitingEntry waiting_entry(const ActiveJob& job);

/// Arrays that an earlier daemon left open, those that are published already among them. Such as
/// cannot be read are told in `problems`.
Result<std::vector<ArrayRecord>> recover_arrays(Spool& spool, std::vector<std::string>& problems);

/// Whether nothing of the array was started and its file has not left incoming/, so that the
/// opening is to be undone. `has_tasks`: a record has one of its tasks.
Result<bool> is_void(Spool& spool, const ArrayRecord& array, bool has_tasks);

/// Sorts the records of the pool, and undoes what can be undone at once: void claims, files in
/// running/ that no record names, orphaned logs, scripts and temporary files. `tree_alive` looks
/// for processes of an attempt that has no supervisor; `has_ended` tells of numbers whether the
/// history has them, those of tasks too.
Result<Recovery> recover(
    Spool& spool, RecordPool& pool, const Clock& clock, const record::BootId& boot,
    const std::function<bool(const RecordContent&)>& tree_alive,
    const std::function<bool(std::uint64_t)>& has_ended = [](auto) { return false; });

/// Whether the record is of an attempt that was not the last one of a job that has ended, by its
/// line in the history: it was followed by others, or undone, and its free mark did not reach the
/// disk. Lines without an attempt are of a first one.
[[nodiscard]] bool is_superseded(const ActiveJob& job, const HistoryEntry& end);

/// The end of a file that never ran: its result, and what barrier 3 needs.
struct UnstartedEnd {
    JobResult result;
    Published published;
};

/// Files that were rejected or withdrawn just when the earlier daemon died: their result is in
/// done/, but no line of the history says so, and the file may still wait. It is moved beside its
/// result. To be called before the waiting files are loaded; the numbers are used from then on.
Result<std::vector<UnstartedEnd>> recover_unstarted(
    Spool& spool, const std::function<bool(std::uint64_t)>& number_used);

}  // namespace spool
