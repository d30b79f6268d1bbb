// The active jobs, from the claim to the released record (docs/protocol.md §5): which step each has
// reached, and the next one.
//
//   syncing_claim → claimed → starting → running → syncing_exit → publishing → syncing_result →
//   (gone)
//                                          └──→ orphaned ──┘
//
// An attempt that another one follows goes from syncing_exit to retrying, and from there, once
// slots are granted, to syncing_claim.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "executor.h"
#include "libspool/finish.h"
#include "libspool/journal.h"
#include "libspool/recover.h"
#include "sync_thread.h"

namespace spoold {

enum class Stage {
    syncing_claim,   ///< barrier 1 is on its way
    returning,       ///< its claim could not be undone yet: tried again, never started
    claimed,         ///< may be started
    starting,        ///< its supervisor was asked for
    running,         ///< its run page is there
    orphaned,        ///< its supervisor is dead, processes of it are not
    retrying,        ///< between two attempts; its slots are free
    syncing_exit,    ///< barrier 2 is on its way; its slots are free
    publishing,      ///< the result could not be written yet: tried again
    syncing_result,  ///< barrier 3 is on its way
};

/// The attempt that comes, and the one that it follows.
struct Retry {
    spool::JobResult verdict;
    spool::NextAttempt next;
    std::chrono::nanoseconds due{0};    ///< on the monotonic clock
    std::chrono::nanoseconds pause{0};  ///< after the last fault that kept it from beginning
};

struct Active {
    spool::ActiveJob job;
    Stage stage = Stage::syncing_claim;
    spool::RecordContent content;    ///< as last seen
    std::optional<Binding> binding;  ///< once slots are granted
    bool cancel_sent = false;
    bool distrusted = false;  ///< its record could not be synced: not to be used again
    bool damaged = false;     ///< somebody has written into its record
    std::optional<std::chrono::nanoseconds> missing_since;  ///< its file is not in running/
    std::optional<std::chrono::nanoseconds> next_look;      ///< beside what events say
    std::optional<spool::Published> published;
    bool kept = false;           ///< its record stays claimed: only it has the truth
    std::optional<Retry> retry;  ///< until the claim of that attempt is on the disk
    std::optional<spool::ActiveJob> ended_attempt;  ///< the same: with the earlier record
    bool marking = false;             ///< it is being cancelled between attempts: none begins
    std::optional<bool> wish_told{};  ///< what its supervisor was told last
    bool has_ended = false;           ///< by the history: no further attempt follows
    bool has_result = false;          ///< an earlier daemon has published it
    bool queued = false;              ///< the policy has been asked for slots for a further attempt
};

/// "job 42 (x)", for the log.
[[nodiscard]] std::string title(const spool::ActiveJob& job);

/// What its record's damage is called among the daemon's troubles.
[[nodiscard]] std::string damage_of(const spool::ActiveJob& job);

/// What the rest of the daemon wants to know. Called from within the functions of `ActiveJobs`, so
/// they must only take notes.
struct ActiveJobsListener {
    std::function<void(std::uint64_t job)> freed;  ///< its slots are free
    /// It was bound too long ago to be started so: its slots are free, it is to be bound anew.
    std::function<void(std::uint64_t job)> unbound;
    std::function<void(const spool::ActiveJob& job)>
        not_started;  ///< its claim was undone: the file waits again
    std::function<void(const spool::ActiveJob& job)> started;  ///< it is executed
    /// It was found to run with slots that an earlier daemon granted.
    std::function<void(const Active& active)> adopted;
    std::function<void(const spool::JobResult& result)> ended;  ///< its result is in done/
    /// It will be executed again.
    std::function<void(const spool::JobResult& verdict)> attempt_ended;
    /// A further attempt is due, and to be bound. False: not yet, it is to be asked again.
    std::function<bool(const Active& active)> wants_slots;
    std::function<void()> changed;  ///< something that is shown has changed
    /// Variables for the start of a job that are written nowhere.
    std::function<std::vector<std::string>(const spool::ActiveJob& job)> secrets;
    std::function<void(const std::string& what, const std::string& problem)>
        trouble;  ///< "" = over
    /// Adds to barrier 3 what else must reach the disk with a task's result. False: something is
    /// missing, its record is to be kept.
    std::function<bool(const spool::ActiveJob& job, spool::SyncSet& barrier)> sync_with{};
    /// Its result did not reach the disk for certain: its record is kept for the next daemon.
    std::function<void(const spool::ActiveJob& job)> not_synced{};
};

class ActiveJobs {
public:
    ActiveJobs(spool::Spool& spool, const spool::Clock& clock, const spool::record::BootId& boot,
               spool::RecordPool& pool, spool::Journal& history, SyncThread& syncs,
               Executor& executor, ActiveJobsListener listener);

    /// Takes over a job that was just claimed, and begins barrier 1.
    void add(spool::ActiveJob job);
    /// Takes over what an earlier daemon left.
    void adopt(spool::Recovered recovered);
    /// Binds a job; it starts as soon as its claim is on the disk, if that is soon enough
    /// (Binding::valid_until). False: it is not to be started any more, and holds nothing.
    bool bind(std::uint64_t job, Binding binding);

    /// Looks at the job of a record: called when something may have happened to it.
    void look(std::uint32_t record);
    void look_at_all();
    /// Looks at those that need it by time; returns when the next one does.
    std::optional<std::chrono::nanoseconds> advance();
    /// Looks whether the files in running/ are still there (docs/protocol.md §7, 2); returns how
    /// many are not. `others` are not there either.
    std::size_t look_at_files(std::size_t others = 0);
    /// At the next look, files that are missing are put back, whatever their number: running/
    /// itself was removed or moved.
    void restore_files() { restoring_ = true; }
    /// Undoes the claims of jobs that have no slot yet.
    void give_up_claims(const std::string& why);
    /// A supervisor could not be forked.
    void fork_failed(std::uint32_t record, int code);

    /// Marks a job as cancelled, durably, then tells its supervisor. `done` is called when the mark
    /// is on the disk.
    using CancelHandler = std::function<void(spool::Result<void>)>;
    void cancel(std::uint64_t job, const std::string& reason, CancelHandler done);

    /// Lets a running job stand still, or go on: noted durably, then its supervisor is told. `done`
    /// is called when the note is on the disk.
    void suspend(std::uint64_t job, bool suspended, CancelHandler done);

    [[nodiscard]] const std::map<std::uint64_t, Active>& jobs() const { return jobs_; }
    [[nodiscard]] bool name_taken(const std::string& name) const { return names_.contains(name); }
    [[nodiscard]] bool has_inode(std::uint64_t device, std::uint64_t inode) const;
    /// Whether what a supervisor writes into this record, or its end, changes anything.
    [[nodiscard]] bool awaits_supervisor(std::uint32_t record) const;
    /// Whether it is the file in running/ of a job that has not ended.
    [[nodiscard]] bool holds_file(const std::string& name) const;
    /// The same, of a job whose file was not there when it was looked at.
    [[nodiscard]] bool misses_file(const std::string& name) const;
    [[nodiscard]] bool none_bound() const;            ///< nothing runs, or is about to
    [[nodiscard]] bool none_has_supervisor() const;   ///< nor was one asked for
    [[nodiscard]] std::size_t claimed_ahead() const;  ///< in running/ and not bound
    /// Jobs whose slots are still held, or that are not known to have none: nothing is started
    /// while one of them is not understood.
    [[nodiscard]] bool all_bindings_known() const;

private:
    void step(std::uint64_t number);
    void start(Active& active);
    void unbind(Active& active);
    void look_at(Active& active);
    bool take_content(Active& active, spool::RecordContent content);
    void exited(Active& active);
    void publish(std::uint64_t number);
    void sync_result_soon(std::uint64_t number);
    void sync_results();
    void result_synced(std::uint64_t number, const SyncThread::Failures& failures);
    void sync_claim(Active& active);
    void sync_claim_again(Active& active);
    void claim_synced(std::uint64_t number, const SyncThread::Failures& failures);
    void exit_synced(std::uint64_t number, const SyncThread::Failures& failures);
    void undo_claim(Active& active, const std::string& why);
    bool goes_on(Active& active);
    void step_retry(Active& active);
    void queue(Active& active);
    void begin_attempt(Active& active);
    void try_attempt_later(Active& active);
    bool can_be_repeated(Active& active);
    void release_ended_attempt(Active& active);
    void undo_attempt(Active& active, const SyncThread::Failures& failures);
    void release_published(std::uint64_t number);
    void tell_wish(Active& active, bool alive);
    spool::Result<void> wish_synced(std::uint64_t number, spool::record::Wish wish, bool before,
                                    const SyncThread::Failures& failures);
    bool tree_lives_on(Active& active);
    void take_mark(std::uint64_t number);
    bool file_is_missing(Active& active);
    static bool owns_file(const Active& active);
    void put_back(const std::vector<Active*>& absent, const std::string& what);
    void tell_of_put_back();
    void finish(std::uint64_t number, bool reuse);
    Active* find(std::uint64_t number);

    spool::Spool& spool_;
    const spool::Clock& clock_;
    const spool::record::BootId& boot_;
    spool::RecordPool& pool_;
    spool::Journal& history_;
    SyncThread& syncs_;
    Executor& executor_;
    ActiveJobsListener listener_;
    std::map<std::uint64_t, Active> jobs_;
    std::map<std::uint32_t, std::uint64_t> by_record_;
    std::multiset<std::string> names_;
    bool restoring_ = false;
    std::set<std::uint64_t> put_back_;  ///< whose files were put back; until they end
    std::string put_back_why_;
    std::vector<std::uint64_t> results_to_sync_;
    std::optional<std::chrono::nanoseconds> results_due_;
};

}  // namespace spoold
