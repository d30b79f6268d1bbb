// The part of recovery that is about arrays (docs/protocol.md §14).
#include <cerrno>

#include "libspool/array_steps.h"
#include "libspool/done.h"
#include "libspool/names.h"
#include "libspool/record_store.h"
#include "libspool/recover.h"
#include "libspool/system.h"

namespace spool {
namespace {

Result<bool> is_file_of(Spool& spool, const OpenFile& directory, const std::string& name,
                        const ArrayRecord& array) {
    const auto stat = spool.files->stat_at(directory.get(), name);
    if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    return stat && stat->device == array.device && stat->inode == array.inode;
}

/// Under its name or, where that was changed since, under another.
Result<bool> is_in_incoming(Spool& spool, const ArrayRecord& array) {
    if (auto there = is_file_of(spool, spool.incoming, array.file_name, array); !there || *there)
        return there;
    const auto entries = spool.files->list(spool.incoming.get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (entry.inode != array.inode) continue;
        if (auto there = is_file_of(spool, spool.incoming, entry.name, array); !there || *there)
            return there;
    }
    return false;
}

/// What x.json says of the tasks of a published array holds, whatever of the record reached the
/// disk.
void take_published(Spool& spool, ArrayRecord& array) {
    const auto result = read_done(spool, array.name);
    if (!result || !result->tasks || result->token != to_hex(array.token)) return;
    for (const auto& [outcome, text] : result->tasks->by_outcome)
        for (const std::uint32_t task : parse_tasks(text).value_or(TaskList()))
            if (const auto place = place_of(array.tasks, task); place && !array.outcomes[*place]) {
                array.outcomes[*place] = outcome;
                ++array.counts[outcome];
            }
}

}  // namespace

Result<std::vector<ArrayRecord>> recover_arrays(Spool& spool, std::vector<std::string>& problems) {
    const auto names = array_record_names(spool);
    if (!names) return tl::unexpected(names.error());
    std::vector<ArrayRecord> arrays;
    for (const std::string& name : *names) {
        auto array = load_array(spool, name, OpenMode::read_write);
        const bool unfit = !array && (array.error().code == 0 || is_no_record(array.error()));
        if (!array && !unfit) return tl::unexpected(array.error());
        if (!array) {
            problems.push_back(array.error().text() +
                               ": left alone; if its file is still in running/, move that to "
                               "incoming/ to run the array (again)");
            continue;
        }
        take_published(spool, *array);
        arrays.push_back(std::move(*array));
    }
    return arrays;
}

Result<bool> is_void(Spool& spool, const ArrayRecord& array, bool has_tasks) {
    if (has_tasks || array.ended() != 0 || array.cancelled) return false;
    if (auto waits = is_in_incoming(spool, array); !waits || *waits) return waits;
    // It may have been saved anew since.
    const auto in_running = is_there(spool, spool.running.get(), array.job_file_name());
    if (!in_running || *in_running) return in_running.map([](bool) { return false; });
    return is_there(spool, spool.incoming.get(), array.file_name);
}

}  // namespace spool
