// Ending a job: running/ → done/ with a result (docs/protocol.md §5, «publish» and «release»).
#pragma once

#include "libspool/claim.h"
#include "libspool/result.h"

namespace spool {

/// What must be synced after a publication, before the record may be released.
struct Published {
    std::string name;  ///< under which it stands in done/ (`result.name`, or a later suffix)
    OpenFile json;     ///< to be synced with metadata
    OpenFile tasks{};  ///< of a task: the directory in done/ that it is in
};

/// Publishes the end of an active job: log, job file (written anew from the record where it is
/// missing), and last x.json, which commits it. The record's exit page must be on the disk already.
/// May be repeated: what was moved stays moved. `result.name` is set to the name in done/.
Result<Published> publish(Spool& spool, const ActiveJob& job, JobResult& result);

/// The same for an array, which has no record in the pool: `job_file` is what its file holds.
Result<Published> publish_whole_array(Spool& spool, const ActiveJob& job, JobResult& result,
                                      const std::string& job_file);

/// Makes sure that done/ has this directory for the results of an array's tasks.
Result<OpenFile> task_results(Spool& spool, const std::string& directory);

/// The file in incoming/ of a job that ends without having run.
struct UnstartedFile {
    bool is_there = true;            ///< false: what has its name now, if anything, is another job
    std::optional<FileStat> judged;  ///< its end was decided by this content: no other is moved
};

/// Publishes the end of a file that never ran: x.json is written and synced, then
/// incoming/<result.file> is moved beside it. Its number must be on the disk already. On failure
/// nothing has changed; ESTALE: the file is not the one that was judged, and is to be looked at
/// again. `result.name` is set to the name in done/.
Result<Published> publish_unstarted(Spool& spool, JobResult& result, const UnstartedFile& file,
                                    const std::function<bool(const std::string&)>& name_taken);

void add_publish_barrier(const Spool& spool, const Published& published, SyncSet& barrier);

/// Writes the job file, as it was claimed, from the record to `target` in running/ or done/; EEXIST
/// if something is there.
Result<void> restore_job_file(Spool& spool, const ActiveJob& job, Handle directory,
                              const std::string& target);

/// Marks the record free (after the barrier).
Result<void> release(Spool& spool, const ActiveJob& job);

/// Whether done/<name>.json was written by the attempt with this token.
bool is_published(Spool& spool, const std::string& name, const record::Token& token);

}  // namespace spool
