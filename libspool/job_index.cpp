#include "libspool/job_index.h"

#include <algorithm>

#include "libspool/names.h"
#include "libspool/values.h"

namespace spool {

Standing standing_of(Outcome outcome) {
    return outcome == Outcome::succeeded ? Standing::succeeded : Standing::failed;
}

void JobIndex::note_used(std::uint64_t number) {
    highest_ = std::max(highest_, number);
    used_.insert(number);
}

void JobIndex::note(std::uint64_t number, const std::string& name, Standing standing) {
    highest_ = std::max(highest_, number);
    if (const auto known = unfinished_.find(number); known != unfinished_.end()) {
        forget_name(number, known->second.first);
        unfinished_.erase(known);
    }
    know_name(number, name);
    if (standing == Standing::waiting || standing == Standing::running) {
        unfinished_[number] = {name, standing};
        return;
    }
    used_.insert(number);
    if (standing == Standing::succeeded) succeeded_.insert(number);
    ended_.emplace_back(number, name);
    if (ended_.size() <= ended_names) return;
    forget_name(ended_.front().first, ended_.front().second);
    ended_.pop_front();
}

void JobIndex::know_name(std::uint64_t number, const std::string& name) {
    for (const std::string& key : {name, plain_name(name)}) {
        auto& numbers = numbers_[key];
        const auto place = std::lower_bound(numbers.begin(), numbers.end(), number);
        if (place == numbers.end() || *place != number) numbers.insert(place, number);
    }
}

void JobIndex::forget_name(std::uint64_t number, const std::string& name) {
    for (const std::string& key : {name, plain_name(name)}) {
        const auto found = numbers_.find(key);
        if (found == numbers_.end()) continue;
        std::erase(found->second, number);
        if (found->second.empty()) numbers_.erase(found);
    }
}

Standing JobIndex::standing(std::uint64_t number) const {
    if (const auto found = unfinished_.find(number); found != unfinished_.end())
        return found->second.second;
    if (succeeded_.contains(number)) return Standing::succeeded;
    return used_.contains(number) ? Standing::failed : Standing::unknown;
}

std::string JobIndex::name_of(std::uint64_t number) const {
    if (const auto found = unfinished_.find(number); found != unfinished_.end())
        return found->second.first;
    const auto ended = std::find_if(ended_.begin(), ended_.end(),
                                    [&](const auto& entry) { return entry.first == number; });
    return ended == ended_.end() ? std::string() : ended->second;
}

std::optional<std::uint64_t> JobIndex::newest_before(std::uint64_t number,
                                                     const std::string& name) const {
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) return std::nullopt;
    const auto after = std::lower_bound(found->second.begin(), found->second.end(), number);
    if (after == found->second.begin()) return std::nullopt;
    return *std::prev(after);
}

Dependencies JobIndex::resolve(const AfterJobs& after, std::uint64_t number,
                               const std::string& name) const {
    Dependencies out;
    out.any = after.any;
    for (const AfterJob& condition : after.list) {
        const auto said = parse_integer(condition.job);
        const std::uint64_t other = said && *said > 0
                                        ? static_cast<std::uint64_t>(*said)
                                        : newest_before(number, condition.job).value_or(0);
        out.list.push_back({condition.after, other});
    }
    const auto namesakes = numbers_.find(plain_name(name));
    if (after.singleton && namesakes != numbers_.end())
        for (const std::uint64_t other : namesakes->second)
            if (other < number && unfinished_.contains(other))
                out.list.push_back({After::end, other});
    return out;
}

}  // namespace spool
