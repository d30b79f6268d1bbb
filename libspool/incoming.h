// The waiting jobs: what is known about each file in incoming/, and when it is ready
// (docs/protocol.md §3, §6, §12).
//
// Looks are cheap and may be repeated: `look` examines one name, `scan` all of them. The caller
// decides when, and what to do about what has changed.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "libspool/journal.h"
#include "libspool/state.h"
#include "libspool/terms.h"

namespace spool {

/// What an event said about a name. It can only waive the settling time.
enum class Hint {
    none,
    renamed,  ///< moved here: it came whole
    linked,   ///< a new name, and nothing was written under it: it came whole, or was only just
              ///< created
};

struct WaitingJob {
    enum class Phase { settling, unready, ready, rejected, vanished };
    std::string file_name;
    FileStat stat;
    std::uint64_t number = 0;  ///< 0 until it was read once
    Phase phase = Phase::settling;
    WaitReason reason;                                 ///< of an unready job
    bool whole = false;                                ///< the settling time is waived
    bool away = false;                                 ///< in an incoming/ that was moved
    std::optional<std::chrono::nanoseconds> deadline;  ///< when it is to be looked at again
    QueueWishes wishes;

    // What its content says, once it was read.
    Terms terms;  ///< but for what it follows, which is named in `after`
    AfterJobs after;
    std::string command;
    std::int64_t submitted_at = 0;
    bool bare = true;  ///< the login environment is needed

    /// What .spool/waiting says of it, once it has a number.
    [[nodiscard]] WaitingEntry entry() const {
        return {number, stat.device, stat.inode, file_name, submitted_at, wishes};
    }
};

struct IncomingSettings {
    std::chrono::nanoseconds settle{100'000'000};
    /// Settling time of a file that came whole: mv(1) with several files examines each one again
    /// just after it was moved, and complains if it is gone.
    std::chrono::nanoseconds arrival{1'000'000};
    std::chrono::nanoseconds vanish{1'000'000'000};
    std::chrono::nanoseconds unfinished_line{
        0};  ///< settling time of a file without a final line feed, if longer
    std::set<std::string> profiles{"", "local", "auto"};
};

/// What has happened since the caller last asked.
struct IncomingChanges {
    struct Rejected {
        std::string file_name;
        std::uint64_t number = 0;
        Error error;
        FileStat stat;  ///< as it was when it was judged
    };
    struct Withdrawn {
        std::string file_name;
        std::uint64_t number = 0;
    };
    std::vector<std::uint64_t> ready;    ///< may be started from now on
    std::vector<std::uint64_t> unready;  ///< may not be started any more
    std::vector<Rejected> rejected;      ///< to be moved to done/, then `forget`
    std::vector<Withdrawn> withdrawn;    ///< to be ended, then `forget`
    std::vector<std::uint64_t> found;    ///< that have their number from now on
    bool numbered = false;  ///< numbers were given: sync before they are shown (`add_barrier`)
};

class Incoming {
public:
    Incoming(Spool& spool, const Clock& clock, std::function<bool(std::uint64_t)> number_used,
             std::function<bool(const FileStat&)> is_active);

    /// Reads .spool/waiting. Jobs in it whose file is gone are withdrawn after the usual second.
    Result<void> load();
    /// Writes .spool/seq and .spool/waiting anew where somebody has removed or cut them; the
    /// counter goes on behind `highest`. Returns the names of those that were.
    Result<std::vector<std::string>> keep_files(std::uint64_t highest);
    void set_settings(IncomingSettings settings) { settings_ = std::move(settings); }

    /// A job that was claimed is back under its number (an undone claim): looks for it.
    void expect(const WaitingEntry& entry);
    /// Examines one name in incoming/.
    void look(const std::string& file_name, Hint hint);
    /// Whether that name's going would change anything.
    [[nodiscard]] bool knows(const std::string& file_name) const {
        return jobs_.contains(file_name) || ignored_.contains(file_name) ||
               marks_.contains(file_name);
    }
    /// incoming/ is another directory now. Jobs whose files are still in the one before, which must
    /// stay open, are not withdrawn.
    void was_moved(Handle before) { moved_.push_back(before); }
    /// How many there are of these.
    [[nodiscard]] std::size_t away() const { return away_; }
    /// Starts a full scan: reads the directory. `continue_scan` examines what it has, for about
    /// `budget`; false = done.
    Result<void> begin_scan();
    bool continue_scan(std::chrono::nanoseconds budget);
    /// Looks again at those whose time has come.
    void advance();
    /// The next time for `advance`.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_deadline() const;

    /// Gives numbers to what was read, and returns all that has changed.
    Result<IncomingChanges> take_changes();
    void add_barrier(struct SyncSet& barrier) const;

    [[nodiscard]] const WaitingJob* find(std::uint64_t number) const;
    /// Whether a file of that name is there that has not been read yet: it may have any number.
    [[nodiscard]] bool is_unread(const std::string& file_name) const;
    [[nodiscard]] std::set<std::string> unread() const;
    /// Notes what was asked of a waiting job by request, in place of what was asked before. It
    /// counts once `add_barrier` is through.
    Result<void> set_wishes(std::uint64_t number, const QueueWishes& wishes);
    /// The file was claimed, or moved to done/: it is no longer here.
    void forget(std::uint64_t number);
    /// A claim was refused, or an end could not be written, or is not that of what is there now:
    /// look at it again after the settling time.
    void settle_again(std::uint64_t number, WaitReason::Kind why);

    [[nodiscard]] const std::map<std::string, WaitingJob>& jobs() const { return jobs_; }
    [[nodiscard]] const std::set<std::string>& ignored() const { return ignored_; }

private:
    using Now = std::chrono::nanoseconds;

    void look_at_job(const std::string& file_name, Hint hint);
    void note_mark(const std::string& file_name);
    WaitingJob* adopt_moved(const std::string& file_name, const FileStat& stat);
    WaitingJob& job_for(const std::string& file_name, const FileStat& stat);
    void restart_settling(WaitingJob& job, Hint hint);
    void vanish(WaitingJob& job);
    bool look_for_vanished(Now now);
    [[nodiscard]] bool is_certainly_gone(const std::string& file_name) const;
    [[nodiscard]] bool is_away(const WaitingJob& job) const;
    void remember(const WaitingEntry& entry);
    void settled(WaitingJob& job);
    void read(WaitingJob& job);
    [[nodiscard]] bool is_being_written(const WaitingJob& job) const;
    void reject(WaitingJob& job, Error error);
    void unready(WaitingJob& job, WaitReason::Kind kind, std::string detail = {});
    void leave_ready(WaitingJob& job);
    void set_deadline(WaitingJob& job, std::optional<Now> deadline);
    void set_away(WaitingJob& job, bool away);
    [[nodiscard]] std::optional<std::string> editor_mark(const std::string& file_name) const;
    [[nodiscard]] bool may_keep_number(std::uint64_t number, const WaitingJob& job) const;
    Result<void> number_new();
    [[nodiscard]] std::string written_entries() const;
    void erase(const std::string& file_name);

    Spool& spool_;
    const Clock& clock_;
    std::function<bool(std::uint64_t)> number_used_;
    std::function<bool(const FileStat&)> is_active_;
    IncomingSettings settings_;
    std::optional<Journal> journal_;
    OpenFile sequence_, former_sequence_;  ///< to sync the counter; the one before may be in use

    std::map<std::string, WaitingJob> jobs_;  ///< by file name
    std::unordered_map<std::uint64_t, std::string> by_number_;
    std::unordered_map<std::uint64_t, std::string> by_inode_;  ///< the last name seen with it
    std::set<std::pair<Now, std::string>> deadlines_;
    std::set<std::string> marks_, ignored_;
    std::set<std::string> unnumbered_;
    std::map<std::string, std::uint64_t>
        submitted_numbers_;  ///< by file name: what a submit line asks for
    std::vector<std::pair<std::string, Error>> rejections_;
    std::vector<Handle> moved_;
    std::size_t away_ = 0;  ///< jobs with `away`
    std::vector<std::string> scan_;
    std::set<std::string> scan_unseen_;
    IncomingChanges changes_;
};

}  // namespace spool
