// Taking a job: incoming/ → running/ with a record (docs/protocol.md §5, «claim»).
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "libspool/active_job.h"

namespace spool {

/// What must reach the disk together, before the next step may be taken.
struct SyncSet {
    struct Item {
        Handle file = Handle::none;
        bool metadata = false, directory = false;
    };
    std::vector<Item> items;

    /// What is there already is not added again.
    void add(Handle file, bool metadata);
    void add_directory(Handle directory);
};

/// What is executed, and how (see `record::Claim` for the meaning of the members).
struct Launch {
    std::vector<std::string> arguments;
    std::string directory, environment_file, output, error_output;
    std::vector<std::string> environment;
    std::uint32_t flags = 0;
    std::uint64_t time_limit = 0, grace = 10'000, leftover_grace = 10'000,
                  warn_before = 0;  ///< milliseconds
    std::uint32_t warn_signal = 0;  ///< 0: none
    ResultFacts facts;
};

/// What is settled about a job before its launch is.
struct ClaimIdentity {
    std::uint64_t number = 0;
    std::uint32_t attempt = 1;
    std::string name, extension;
    record::Token token{};
};

struct ClaimRequest {
    std::string file_name;  ///< in incoming/
    FileStat seen;          ///< as it was when it was read: a file that differs is not claimed
    std::uint64_t number = 0;
    /// Makes the launch out of the file's bytes, once name and token are known.
    std::function<Launch(const ClaimIdentity&, const std::string& bytes)> launch;
    /// Names that other active jobs have.
    std::function<bool(const std::string&)> name_taken;
};

/// Why a file was not claimed; none is an error, the file just stays.
enum class NotClaimed { gone, changed, open_for_writing };

/// Claims: when it returns a job, the file is in running/ and the record says so, but nothing is
/// synced. The caller syncs `add_claim_barrier` before the job is started, and may not start it if
/// that fails.
Result<std::variant<ActiveJob, NotClaimed>> claim(Spool& spool, RecordPool& pool,
                                                  const Clock& clock, const record::BootId& boot,
                                                  const ClaimRequest& request);

/// Claims a task of an open array (docs/protocol.md §14): a record and a log, no file moves.
/// `identity` has the task's name and number, `bytes` is the array's job file.
Result<ActiveJob> claim_task(Spool& spool, RecordPool& pool, const Clock& clock,
                             const record::BootId& boot, const ClaimRequest& request,
                             const ClaimIdentity& identity, const std::string& bytes);

void add_claim_barrier(const Spool& spool, const ActiveJob& job, SyncSet& barrier);

/// Marks the record of a claim that was not started free, durably; where the disk refuses that, the
/// record itself goes. EBUSY: a supervisor has it, or had it. The caller gives the record back to
/// the pool if the answer is true; else it is not to be used again, and is discarded.
Result<bool> void_claim(Spool& spool, const ActiveJob& job);

/// Undoes a claim whose job was not started: the record is marked free, durably, then the file goes
/// back to incoming/ (under another name if its own is taken: `job.file_name` is set to it). EBUSY:
/// a supervisor has it, or had it. May be repeated. The caller gives the record back to the pool if
/// the answer is true; else it is not to be used again, and is discarded.
Result<bool> unclaim(Spool& spool, ActiveJob& job);

/// Whether done/ has any file that belongs to a job of this name.
Result<bool> name_in_use(Spool& spool, const std::string& name);

/// Whether running/ has a job file of this name, be it a stray one that no record knows; `own` does
/// not count: a move that was cut in half has left it in both places.
Result<bool> has_running_file(Spool& spool, const std::string& name, const FileStat* own = nullptr);

/// Renames without replacing. Where a crash has left both names for one file (link and unlink, or
/// directories that reached the disk one by one), the move is completed.
Result<void> move_file(Spool& spool, Handle from, const std::string& name, Handle to,
                       const std::string& new_name);

/// Gives a new file of tmp/ its name in `directory`, unless something has that. Done as soon as the
/// name is there: where a rename is link and unlink, the temporary name may stay.
Result<void> name_new_file(Spool& spool, const std::string& temporary, Handle directory,
                           const std::string& name);

/// Moves the file `name` of running/ or done/ to incoming/, as `file_name` or, where another file
/// has that, under the next free name. Where incoming/ has the file already, under whatever name (a
/// crash in the middle of a move leaves both), only the name in `from` goes: two names would be two
/// jobs. The answer is its name in incoming/, empty if it was not in `from`.
Result<std::string> return_to_incoming(Spool& spool, Handle from, const std::string& name,
                                       const std::string& file_name);

/// Whether a directory has that name. What cannot be examined is an error, not an answer: whoever
/// looks for a free name would look for ever.
Result<bool> is_there(Spool& spool, Handle directory, const std::string& name);

}  // namespace spool
