// A set of job numbers. Nearly all follow one another, and a damaged file may name any.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace spool {

class NumberSet {
public:
    [[nodiscard]] bool contains(std::uint64_t number) const {
        const auto after = last_of_.upper_bound(number);
        return after != last_of_.begin() && std::prev(after)->second >= number;
    }

    void insert(std::uint64_t number) {
        if (contains(number)) return;
        std::uint64_t first = number, last = number;
        const auto after = last_of_.upper_bound(number);
        if (after != last_of_.begin() && std::prev(after)->second == number - 1)
            first = std::prev(after)->first;
        if (after != last_of_.end() && after->first == number + 1) {
            last = after->second;
            last_of_.erase(after);
        }
        last_of_[first] = last;
    }

private:
    std::map<std::uint64_t, std::uint64_t> last_of_;  ///< the first of a run of numbers → its last
};

}  // namespace spool
