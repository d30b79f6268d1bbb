// One supervisor: from the lock on the record to the complete exit page (docs/protocol.md §5, §7).
#pragma once

#include "spoold/exec/arena.h"
#include "spoold/exec/launch.h"
#include "spoold/exec/record_file.h"
#include "spoold/exec/system.h"
#include "spoold/exec/text.h"
#include "spoold/exec/title.h"
#include "spoold/exec/tree.h"

namespace spool::exec {

/// What all supervisors of a process share.
struct Setup {
    Fd spool;   ///< the spool's directory
    Fd cgroup;  ///< where jobs' cgroups are made, or none
    Fd null;    ///< /dev/null
    Text<1024> cgroup_path;
    record::BootId boot{};
    Title title;
    bool detached = false;  ///< supervisors let go of the standard error of their starter
};

/// What one supervisor is asked to do; the strings must live until run() is called.
struct Order {
    std::uint32_t record;
    record::Token token;
    Strings gpus;         ///< JSON, without a final NUL
    Strings environment;  ///< overrides the record's own
    record::Limits limits{};
};

/// Supervises in this process, whose signals are all blocked and whose standard descriptors are
/// open.
class Supervisor {
public:
    explicit Supervisor(Setup& setup) : setup_(setup) {}
    /// Returns when the job's tree is gone and its exit page is on the file.
    ExitCode run(const Order& order);

private:
    static constexpr std::int64_t never = INT64_MAX;
    enum class Stop { none, polite, killing };

    // The start, in order.
    ExitCode take(const Order& order);
    void become_supervisor();
    void make_cgroup(const record::Limits& limits);
    bool commit(const Order& order);
    void execute(Launch& launch);
    void note_main();
    void refuse(Failure failure);
    void clean_up();

    // The wait.
    void watch();
    void wait_for_signal();
    void arm_timer();
    void on_signal(int number);
    void note_termination();
    void follow_wish();
    void suspend(std::int64_t now);
    void go_on(std::int64_t now);
    void reap();
    void on_main_ended(int status);
    void advance();
    void enforce_limit(std::int64_t now);
    void begin_stop(std::int64_t now);
    void go_on_stopping(std::int64_t now);
    bool verdict_is_due(std::int64_t now);
    void judge();
    bool killed_for_memory() const;
    bool interrupted() const;
    void end_leftovers(std::int64_t now);
    void report(std::int64_t now);
    bool finished() const;
    std::int64_t next_deadline() const;

    Setup& setup_;
    RecordFile record_;
    Arena arena_;
    Tree tree_;
    record::Run run_{};
    record::Exit exit_{};
    Launch* launch_ = nullptr;  ///< while the child may still fail to become the job

    pid_t main_ = 0;
    bool main_ended_ = false, judged_ = false, tree_empty_ = false, written_ = false;
    Stop stop_ = Stop::none;
    bool suspended_ = false;
    std::int64_t suspended_at_ = 0;
    std::int64_t go_on_at_ = never;                        ///< it could not be let go on: next try
    std::int64_t warn_then_ = never, limit_then_ = never;  ///< as they were before it
    bool has_cgroup_ = false;  ///< a directory of ours that is to be removed
    bool has_timer_ = false;
    int timer_ = 0;
    std::int64_t armed_ = never;

    // Times of CLOCK_BOOTTIME; `never` where nothing is to be done.
    std::int64_t started_ = 0, ended_ = 0;
    std::int64_t terminated_ = never;  ///< when a SIGTERM came to us
    std::int64_t warn_at_ = never, limit_at_ = never, kill_at_ = never, leftovers_at_ = never;
    std::int64_t judge_at_ = never, write_at_ = never, look_at_ = never, note_at_ = never;
};

}  // namespace spool::exec
