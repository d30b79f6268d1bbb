// Opening an array, and ending it (docs/protocol.md §14).
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "libspool/array_record.h"
#include "libspool/claim.h"
#include "libspool/finish.h"

namespace spool {

struct OpenRequest {
    std::string file_name;  ///< in incoming/
    FileStat seen;          ///< as it was when it was read
    std::uint64_t number = 0;
    std::int64_t submitted_at = 0;
    QueueWishes wishes;
    std::function<bool(const std::string&)> name_taken;  ///< by what is active
    std::vector<std::uint64_t> leaders{};                ///< arrays that it follows task by task
};

/// Opens an array: when it returns one, its record is on the disk and the file is in running/,
/// which is not synced. The caller syncs `add_open_barrier`, and the counter, before a task is
/// claimed.
Result<std::variant<ArrayRecord, NotClaimed>> open_array(Spool& spool, const Clock& clock,
                                                         const OpenRequest& request);

void add_open_barrier(const Spool& spool, SyncSet& barrier);

/// Undoes an opening of which no task has been claimed: the record goes, then the file goes back to
/// incoming/ (`file_name` is set to where it is).
Result<void> close_untouched(Spool& spool, ArrayRecord& array);

/// Makes sure that running/ and .spool/scripts/ have the directory of a task ("x.tasks/7").
Result<void> make_task_directories(Spool& spool, const std::string& task);

/// The directories of its tasks in running/ and .spool/scripts/; of what is left in them logs go to
/// done/.
void remove_task_directories(Spool& spool, const ArrayRecord& array);

/// Puts the job file back into running/ where it is missing.
Result<void> restore_array_file(Spool& spool, const ArrayRecord& array);

/// Publishes the end of an array of which all tasks have ended: the job file, then x.json. May be
/// repeated. `result.name` is set to the name in done/.
Result<Published> publish_array(Spool& spool, const ArrayRecord& array, JobResult& result);

/// What x.json says of it.
[[nodiscard]] JobResult array_result(const ArrayRecord& array, std::int64_t now);

/// After barrier 3: the record goes.
Result<void> remove_array_record(Spool& spool, const ArrayRecord& array);

}  // namespace spool
