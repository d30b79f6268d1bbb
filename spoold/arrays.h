// The arrays that are open, from the opening of their files to their results: what the daemon does
// with them beside the active jobs that their tasks are (docs/protocol.md §14).
//
//   arrays_open.cpp       the file goes to running/, or back
//   arrays_queue.cpp      which tasks wait for the machine alone; their claims
//   arrays_followers.cpp  what follows tasks, and tasks that follow those of other arrays
//   arrays_end.cpp        what became of tasks, and of the whole
//   arrays_files.cpp      the files in running/ that are missing
//   arrays_requests.cpp   what users ask of them
//   arrays_recover.cpp    what an earlier daemon left
//   arrays_state.cpp      what is shown of them
#pragma once

#include "active_jobs.h"
#include "job_launch.h"
#include "libspool/incoming.h"
#include "libspool/policy.h"
#include "open_arrays.h"
#include "reply.h"
#include "task_standings.h"
#include "troubles.h"

namespace spoold {

/// What the daemon lends to its arrays. All of it outlives them.
struct ArrayParts {
    spool::Spool& spool;
    const spool::Clock& clock;
    const spool::record::BootId& boot;
    spool::RecordPool& pool;
    spool::Journal& history;
    spool::JobIndex& index;
    spool::Incoming& incoming;
    spool::Policy& policy;
    ActiveJobs& active;
    JobLauncher& launcher;
    SyncThread& syncs;
    Troubles& troubles;
};

/// What the rest of the daemon is told. Called from within the functions of `Arrays`.
struct ArraysListener {
    std::function<void()> changed;      ///< something that is shown has changed
    std::function<void()> has_work;     ///< there is something to do in another pass
    std::function<void()> claims_fail;  ///< for a fault that others will meet too
    std::function<void(std::uint64_t array, const std::string& name, spool::Standing standing)>
        standing;                                               ///< how far it has come
    std::function<void(std::uint64_t array)> opened;            ///< or not: its opening is over
    std::function<void(const spool::JobResult& result)> ended;  ///< its result is in done/
    /// What a waiting job follows has changed: it is to be judged anew.
    std::function<void(std::uint64_t job)> judge_again;
    /// Why one that is in the queue does not start; nothing: it is about to.
    std::function<std::optional<spool::WaitReason>(std::uint64_t array, const spool::Need& need)>
        why_waits;
};

class Arrays {
public:
    Arrays(ArrayParts parts, ArraysListener listener);

    // At the daemon's start, in this order.
    void recover(std::vector<spool::ArrayRecord> records);
    /// Whether a record is of an attempt that was not the last one of its task: its free mark did
    /// not reach the disk.
    [[nodiscard]] bool is_superseded(const spool::ActiveJob& job) const;
    /// Whether it is noted what became of a task: no further attempt follows.
    [[nodiscard]] bool has_ended(std::uint64_t task) const;
    void task_found(std::uint64_t task, bool runs);  ///< in a record; for other jobs too
    void task_adopted(std::uint64_t task);           ///< with what it holds; the same
    void resume();                                   ///< all is known

    // In each pass.
    void advance();  ///< opens, ends and tries again what is due
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_look() const {
        return open_.next_look();
    }
    /// Looks whether their files are in running/; returns how many are not.
    std::size_t look_at_files();
    /// `absent`: so many files of jobs and arrays are missing together.
    void settle_missing_files(std::size_t absent);
    /// At the next look missing files are put back, whatever their number.
    void restore_files() { restoring_ = true; }

    // The queue. Names are held while `open` and `claim` work.
    /// The turn of a waiting file has come. True: what it was granted is kept for its tasks until
    /// the listener is told that it is opened.
    bool open(std::uint64_t array);
    bool claim(const spool::Start& start);  ///< false: the task does not start now
    void claim_undone(std::uint64_t task);  ///< it waits again; for other jobs too
    void environment_found();               ///< that bare files wait for
    bool queue_again(std::uint64_t task);   ///< for a further attempt; false: of no open array
    [[nodiscard]] bool keeps_back(std::uint64_t task) const;  ///< no further attempt begins now

    // What becomes of jobs.
    void task_started(const spool::ActiveJob& job);
    void task_ended(const spool::JobResult& result);
    void job_ended(std::uint64_t job);  ///< that is neither task nor array
    /// Adds to barrier 3 what must reach the disk with a task's result. False: that is missing.
    bool sync_with(const spool::ActiveJob& job, spool::SyncSet& barrier) const;
    void task_not_synced(const spool::ActiveJob& job);  ///< its result; for other jobs too

    // Requests about open arrays (`find`).
    void cancel(std::uint64_t array, const std::string& tasks, const RequestReply& reply);
    void change(std::uint64_t array, const spool::QueueWishes& wishes, const std::string& done,
                const RequestReply& reply);

    /// The number of a single task that runs; an error says why there is none.
    [[nodiscard]] spool::Result<std::uint64_t> running_task(std::uint64_t array,
                                                            const std::string& tasks) const;

    // What waiting jobs follow.
    [[nodiscard]] const TaskStandings& standings() const { return standings_; }
    void note_follower(const spool::WaitingJob& job);  ///< it may follow single tasks
    void judge_followers();                            ///< an array was opened, or is none any more

    [[nodiscard]] const spool::ArrayRecord* find(std::uint64_t array) const;
    [[nodiscard]] bool empty() const { return open_.empty(); }
    [[nodiscard]] bool busy() const;  ///< one is being opened, or ended
    [[nodiscard]] bool name_taken(const std::string& name) const { return open_.name_taken(name); }
    [[nodiscard]] bool has_inode(std::uint64_t device, std::uint64_t inode) const {
        return open_.has_inode(device, inode);
    }
    [[nodiscard]] bool holds_file(const std::string& name) const { return open_.holds_file(name); }
    [[nodiscard]] bool misses_file() const { return open_.misses_file(); }
    void add_to(spool::SpoolState& state) const;

private:
    OpenArray& take(spool::ArrayRecord record);
    void sync_opening(std::uint64_t number);
    void opened(std::uint64_t number, const SyncThread::Failures& failures);
    void give_back(OpenArray& array);
    void make_ready(OpenArray& array);
    void note_leaders(OpenArray& array);

    [[nodiscard]] bool has_task(const OpenArray& array, std::size_t place) const;
    [[nodiscard]] bool has_tasks(const OpenArray& array) const;
    [[nodiscard]] std::vector<std::size_t> active_places(const OpenArray& array) const;
    [[nodiscard]] bool tasks_may_go(const OpenArray& array) const;
    void enqueue_tasks(OpenArray& array);
    void follow_up(std::uint64_t leader, std::uint32_t task);

    bool note_outcome(OpenArray& array, std::size_t place, spool::Outcome outcome);
    void note_outcomes_again(OpenArray& array);
    void close_task(OpenArray& array, std::size_t place);
    void end(OpenArray& array);
    void ended(std::uint64_t number, const SyncThread::Failures& failures);

    void put_file_back(OpenArray& array);
    void cancel_all(OpenArray& array, const std::string& reason, const RequestReply& reply);
    void cancel_tasks(OpenArray& array, const spool::TaskList& tasks, const RequestReply& reply);
    void cancel_again(OpenArray& array);
    void end_tasks(OpenArray& array);
    void begin(OpenArray& array);
    [[nodiscard]] spool::WaitReason reason_of(const OpenArray& array) const;
    [[nodiscard]] std::chrono::nanoseconds in_a_second() const;

    spool::Spool& spool_;
    const spool::Clock& clock_;
    const spool::record::BootId& boot_;
    spool::RecordPool& pool_;
    spool::Journal& history_;
    spool::JobIndex& index_;
    spool::Incoming& incoming_;
    spool::Policy& policy_;
    ActiveJobs& active_;
    JobLauncher& launcher_;
    SyncThread& syncs_;
    Troubles& troubles_;
    ArraysListener listener_;
    OpenArrays open_;
    TaskStandings standings_;
    std::set<std::uint64_t> followers_;  ///< waiting jobs that may follow single tasks
    bool restoring_ = false;
};

}  // namespace spoold
