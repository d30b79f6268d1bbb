// All jobs that a spool has ever had, by number and name, as far as others that follow them need to
// know.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "libspool/dependency_book.h"
#include "libspool/number_set.h"
#include "libspool/result.h"

namespace spool {

[[nodiscard]] Standing standing_of(Outcome outcome);

class JobIndex {
public:
    /// So many ended jobs are known by name; by number all are.
    static constexpr std::size_t ended_names = 20'000;

    /// `name` is the unique name, or the stem of a file that has none yet.
    void note(std::uint64_t number, const std::string& name, Standing standing);
    /// A job of which nothing but the number is known.
    void note_used(std::uint64_t number);

    /// Whether the number is a job's that was claimed or has ended: no other can have it.
    [[nodiscard]] bool used(std::uint64_t number) const { return used_.contains(number); }
    /// The highest number that was noted.
    [[nodiscard]] std::uint64_t highest() const { return highest_; }
    [[nodiscard]] Standing standing(std::uint64_t number) const;
    /// Empty if it is not known any more.
    [[nodiscard]] std::string name_of(std::uint64_t number) const;
    /// The newest job of that name, or the one of that unique name, whose number is below `number`.
    [[nodiscard]] std::optional<std::uint64_t> newest_before(std::uint64_t number,
                                                             const std::string& name) const;
    /// The conditions of job `number`, called `name`, by number. A job that is not known gets the
    /// number 0, which is nobody's.
    [[nodiscard]] Dependencies resolve(const AfterJobs& after, std::uint64_t number,
                                       const std::string& name) const;

private:
    void know_name(std::uint64_t number, const std::string& name);
    void forget_name(std::uint64_t number, const std::string& name);

    NumberSet used_, succeeded_;
    std::uint64_t highest_ = 0;
    std::map<std::uint64_t, std::pair<std::string, Standing>> unfinished_;
    /// By unique name, and by the name without its "~2"; in order.
    std::unordered_map<std::string, std::vector<std::uint64_t>> numbers_;
    std::deque<std::pair<std::uint64_t, std::string>> ended_;  ///< whose names are known
};

}  // namespace spool
