// A set of job numbers, kept as its runs: nearly all follow one another, and a damaged file may
// name any.
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

    [[nodiscard]] bool empty() const { return last_of_.empty(); }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// The least; of a set that is not empty.
    [[nodiscard]] std::uint64_t first() const { return last_of_.begin()->first; }

    void insert(std::uint64_t number) {
        if (contains(number)) return;
        ++size_;
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

    void erase(std::uint64_t number) {
        if (!contains(number)) return;
        --size_;
        const auto run = std::prev(last_of_.upper_bound(number));
        const std::uint64_t first = run->first, last = run->second;
        if (first == number)
            last_of_.erase(run);
        else
            run->second = number - 1;
        if (last != number) last_of_[number + 1] = last;
    }

    bool operator==(const NumberSet&) const = default;

private:
    std::map<std::uint64_t, std::uint64_t> last_of_;  ///< the first of a run of numbers → its last
    std::uint64_t size_ = 0;
};

}  // namespace spool
