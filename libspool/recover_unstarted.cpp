// Results of files that never ran, which an earlier daemon could not finish: the second half of
// recovery.
#include <cerrno>
#include <map>

#include "libspool/done.h"
#include "libspool/journal_reader.h"
#include "libspool/names.h"
#include "libspool/recover.h"

namespace spool {
namespace {

/// Only a job that was never claimed has no attempt.
bool is_end_of(const Result<JobResult>& result, std::uint64_t number) {
    return result && result->id == number && result->attempt == 0;
}

/// A name that no ended and no running job has: publication would have stopped at it.
Result<bool> is_free(Spool& spool, const std::string& name) {
    const auto running = is_there(spool, spool.running.get(), name + ".log");
    if (!running) return running;
    return name_in_use(spool, name).map([&](bool ended) { return !ended && !*running; });
}

/// The name under which done/ has the end of this waiting job, if it has.
Result<std::optional<JobResult>> find_end(Spool& spool, const WaitingEntry& line,
                                          const std::string& stem) {
    for (int n = 1;; ++n) {
        const std::string name = candidate_name(stem, n);
        const auto free = is_free(spool, name);
        if (!free) return tl::unexpected(free.error());
        if (*free) return std::nullopt;
        auto result = read_done(spool, name);
        if (!is_end_of(result, line.number)) continue;
        result->name = name;
        return std::move(*result);
    }
}

/// Whether the file that was judged is still in incoming/. A name or an inode that was used again
/// has changed since.
Result<bool> still_waits(Spool& spool, const WaitingEntry& line, std::int64_t judged_at) {
    const auto stat = spool.files->stat_at(spool.incoming.get(), line.file_name);
    if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    return stat && stat->inode == line.inode && stat->device == line.device &&
           stat->changed <= judged_at;
}

Result<void> move_beside(Spool& spool, const WaitingEntry& line, const JobResult& end,
                         const std::string& extension) {
    const auto waits = still_waits(spool, line, end.ended_at);
    if (!waits) return tl::unexpected(waits.error());
    if (!*waits) return {};
    auto moved = move_file(spool, spool.incoming.get(), line.file_name, spool.done.get(),
                           end.name + extension);
    if (!moved && moved.error().code == ENOENT) {  // somebody removed it just now, or done/ is gone
        const auto there = is_there(spool, spool.incoming.get(), line.file_name);
        if (there && !*there) return {};
    }
    return moved;
}

}  // namespace

Result<std::vector<UnstartedEnd>> recover_unstarted(
    Spool& spool, const std::function<bool(std::uint64_t)>& number_used) {
    std::map<std::uint64_t, WaitingEntry> waiting;
    std::map<std::string, std::uint64_t> last;  // whose file it is by now, by name
    for (WaitingEntry& line : read_waiting_entries(spool)) {
        last[line.file_name] = line.number;
        waiting[line.number] = std::move(line);
    }
    std::vector<UnstartedEnd> ends;
    bool any_moved = false;
    for (const auto& [number, line] : waiting) {
        const auto split = split_job_name(line.file_name);
        if (!split || last.at(line.file_name) != number) continue;
        // A used number has its line in the history; only its file may be left.
        const bool used = number_used(number);
        if (used && !spool.files->stat_at(spool.incoming.get(), line.file_name)) continue;
        auto end = find_end(spool, line, split->stem);
        if (!end) return tl::unexpected(end.error());
        if (!*end) continue;
        const std::string name = (*end)->name;
        if (auto moved = move_beside(spool, line, **end, split->extension); !moved)
            return tl::unexpected(moved.error());
        any_moved = true;
        if (used) continue;
        auto json = open_file(*spool.files, spool.done.get(), name + ".json", OpenMode::read);
        if (!json) return tl::unexpected(json.error());
        ends.push_back({std::move(**end), {name, std::move(*json)}});
    }
    // The lines that say whose files these are go next: the files must not come back after that.
    if (any_moved)
        for (const Handle directory : {spool.done.get(), spool.incoming.get()})
            if (auto synced = spool.files->sync(directory, true); !synced)
                return tl::unexpected(synced.error());
    return ends;
}

}  // namespace spool
