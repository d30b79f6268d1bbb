#include "libspool/reader.h"

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <unordered_set>

#include "libspool/journal_reader.h"
#include "libspool/names.h"
#include "libspool/reading.h"

namespace spool {

Result<JobResult> read_done(Spool& spool, const std::string& name) {
    const std::string path = "done/" + printable(name) + ".json";
    auto bytes = read_whole(*spool.files, spool.done.get(), name + ".json");
    if (bytes) return read_result(*bytes, path);
    bytes.error().path = path;
    return tl::unexpected(std::move(bytes.error()));
}

std::vector<std::string> result_names(Spool& spool) {
    std::vector<std::string> out;
    const auto entries = spool.files->list(spool.done.get());
    if (!entries) return out;
    for (const DirectoryEntry& entry : *entries)
        if (entry.name.ends_with(".json") && entry.name.front() != '.')
            out.push_back(entry.name.substr(0, entry.name.size() - 5));
    return out;
}

Result<std::vector<JobResult>> read_results(Spool& spool, std::size_t limit,
                                            std::vector<Error>* unreadable) {
    std::vector<std::string> names = result_names(spool);
    if (limit < names.size()) {
        // The history spares reading all of them; what it does not name is older, or was put there
        // by hand.
        std::vector<std::string> last;
        std::unordered_set<std::string> there(names.begin(), names.end());
        for (HistoryEntry& line : read_last_history(spool, limit))
            if (there.erase(line.name) != 0) last.push_back(std::move(line.name));
        if (last.size() == limit) names = std::move(last);
    }
    std::vector<JobResult> out;
    for (const std::string& name : names) {
        auto result = read_done(spool, name);
        if (result)
            out.push_back(std::move(*result));
        else if (unreadable != nullptr && result.error().code != ENOENT)
            unreadable->push_back(std::move(result.error()));
    }
    std::sort(out.begin(), out.end(), [](const JobResult& a, const JobResult& b) {
        return std::tie(a.ended_at, a.id) > std::tie(b.ended_at, b.id);
    });
    if (out.size() > limit) out.resize(limit);
    return out;
}

Result<SpoolState> read_spool(Spool& spool, const Clock& clock) {
    Result<SpoolState> state = read_state_and_files(spool, clock, false);
    if (!state) return state;
    auto recent = read_results(spool, SpoolState::max_recent);
    if (!recent) return tl::unexpected(recent.error());
    state->recent = std::move(*recent);
    return state;
}

}  // namespace spool
