#include "libspool/reader.h"

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <unordered_set>

#include "libspool/current_state.h"
#include "libspool/done.h"
#include "libspool/journal_reader.h"

namespace spool {

Result<std::vector<JobResult>> read_results(Spool& spool, std::size_t limit,
                                            std::vector<Error>* unreadable,
                                            const ReadObserver& observer) {
    auto listed = result_names(spool);
    if (!listed) return tl::unexpected(listed.error());
    std::vector<std::string> names = std::move(*listed);
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
    for (std::size_t read = 0; read < names.size(); ++read) {
        const std::string& name = names[read];
        if (observer) observer(read, names.size());
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
    Result<SpoolState> state = current_state(spool, clock, false);
    if (!state) return state;
    auto recent = read_results(spool, SpoolState::max_recent);
    if (!recent) return tl::unexpected(recent.error());
    state->recent = std::move(*recent);
    return state;
}

}  // namespace spool
