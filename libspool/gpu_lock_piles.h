// The names in a lock directory, sorted by what they are for, and no more of each kind than can be
// examined in a bounded time: anybody may put there as many files as he likes. Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spool {

/// Files for one GPU. A spool has one for each of its jobs there: some dozens where they share.
struct LockPile {
    /// Those that claim to be this user's, and the others; of each no more than are examined.
    std::vector<std::string> own, others;
    std::size_t count = 0;  ///< of all

    /// For one GPU, when `gpus` are looked at.
    [[nodiscard]] static std::size_t most_examined(std::size_t gpus);
    /// That are looked at for their owner alone, if there are more.
    static constexpr std::size_t sample = 64;
};

struct LockPiles {
    std::map<std::string, LockPile, std::less<>> locks;  ///< by escaped id
    LockPile of_other_gpus;                              ///< of those that were not asked for
    std::vector<std::string> tickets;  ///< as many as are examined, of all whom they claim to be of
    std::vector<std::string> making;   ///< our own

    /// Tickets of one user that count, and that are examined in all.
    static constexpr std::size_t tickets_of_one = 256, most_tickets = 2048;
};

/// `gpus`: escaped ids of those that matter; empty: all.
[[nodiscard]] LockPiles sort_lock_files(const std::vector<std::string>& names,
                                        const std::set<std::string>& gpus, std::uint32_t uid,
                                        std::string_view mark);

}  // namespace spool
