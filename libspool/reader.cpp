#include "libspool/reader.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "libspool/indexes.h"
#include "libspool/names.h"
#include "libspool/reading.h"

namespace spool {

std::optional<JobResult> read_done(Spool& spool, const std::string& name) {
    const auto bytes = read_whole(*spool.files, spool.done.get(), name + ".json");
    if (!bytes) return std::nullopt;
    auto result = read_result(*bytes, "done/" + printable(name) + ".json");
    return result ? std::optional(std::move(*result)) : std::nullopt;
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

Result<std::vector<JobResult>> read_results(Spool& spool, std::size_t limit) {
    std::vector<std::string> names = result_names(spool);
    if (limit < names.size()) {
        // The history spares reading all of them; what it does not name is older, or was put there
        // by hand.
        std::vector<std::string> last;
        std::unordered_set<std::string> there(names.begin(), names.end());
        for (HistoryLine& line : read_last_history(spool, limit))
            if (there.erase(line.name) != 0) last.push_back(std::move(line.name));
        if (last.size() == limit) names = std::move(last);
    }
    std::vector<JobResult> out;
    for (const std::string& name : names)
        if (auto result = read_done(spool, name)) out.push_back(std::move(*result));
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
