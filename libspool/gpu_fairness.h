// Whose turn it is when a GPU is free and several users' spools wait. A value without clock or
// files; each daemon has one and feeds it with what it sees. Nobody talks to anybody: that two
// daemons judge differently costs time, never a GPU given twice, which only locks prevent.
//
// A free GPU goes to the user who holds fewest, among equals to the oldest ticket. Who does not
// take what is his turn within 5 s is passed over, for a minute at first, for twice as long each
// time after that (until he takes one). A user counts once, however many tickets he leaves, and
// what he says of himself counts only where a lie can cost him alone: how long he waits is told by
// the kernel's time of the ticket, and he waits anew from when he last took a GPU.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace spool {

struct GpuWish {
    int wants = 1;                  ///< GPUs for the next job
    std::vector<std::string> gpus;  ///< ids of those that it could take; empty: any

    bool operator==(const GpuWish&) const = default;
};

/// A lock that is held.
struct GpuHolding {
    std::string gpu;
    std::uint32_t uid = 0;  ///< owner of the file
    std::string spool;      ///< mark; meaningful among files of one owner
    std::int64_t born = 0;  ///< wall clock of the kernel

    bool operator==(const GpuHolding&) const = default;
};

/// A ticket whose maker lives.
struct GpuTicketSeen {
    std::uint32_t uid = 0;
    std::string spool, nonce;
    std::int64_t born = 0;
    GpuWish wish;

    bool operator==(const GpuTicketSeen&) const = default;
};

/// What one look found.
struct GpuView {
    std::chrono::nanoseconds now{0};  ///< CLOCK_BOOTTIME
    std::int64_t wall = 0;            ///< the wall clock at the same moment
    std::vector<std::string> pool;    ///< all GPUs that we may use, free or not
    /// GPUs that we could use at once but for others' turns: our pool less what is locked or
    /// otherwise busy. In the order in which we would take them.
    std::vector<std::string> free;
    std::vector<GpuHolding> held;
    std::vector<GpuTicketSeen> tickets;
    /// What we want, with or without a ticket; nothing: we do not wait.
    std::optional<GpuWish> own;
};

/// What is ours to take now.
struct GpuTurn {
    /// Of `free`: enough for one or more jobs like `own`, or empty.
    std::vector<std::string> gpus;
    /// Of `free`: what others are to take.
    std::vector<std::string> others;
    /// Whose turn goes before ours, while `gpus` is empty and some are free.
    std::optional<std::uint32_t> ahead;
    /// When to look again, though nothing changes.
    std::optional<std::chrono::nanoseconds> look_again;

    bool operator==(const GpuTurn&) const = default;
};

class GpuTurns {
public:
    using Time = std::chrono::nanoseconds;
    static constexpr Time patience = std::chrono::seconds(5);
    static constexpr Time shortest_pass = std::chrono::minutes(1),
                          longest_pass = std::chrono::hours(1);

    GpuTurns(std::uint32_t uid, std::string spool) : uid_(uid), spool_(std::move(spool)) {}

    /// To be called after each look at the locks while we wait for GPUs.
    GpuTurn may_take(const GpuView& view);

private:
    /// Another user, or one of our own user's spools (which trust each other).
    using Who = std::pair<std::uint32_t, std::string>;
    struct Known {
        std::optional<Time> offered;  ///< the last look, if it could take a GPU then
        Time left_lying{0};           ///< how long it could have taken one and has not, in all
        Time passed_until{0};
        Time next_pass = shortest_pass;
    };
    struct Claim {
        Who who;
        Time since{0};
        GpuWish wish;
        int rounds = 0;
        std::vector<std::string> gpus;  ///< that would be its own
    };

    [[nodiscard]] Who who(std::uint32_t uid, const std::string& spool) const;
    void note_takers(const GpuView& view);
    [[nodiscard]] std::vector<Claim> claims(const GpuView& view);
    void note_offers(const std::vector<Claim>& claims, Time now);
    void pass_over(const std::vector<Claim>& claims, Time now);
    [[nodiscard]] GpuTurn answer(const std::vector<Claim>& claims, const GpuView& view) const;

    std::uint32_t uid_;
    std::string spool_;
    std::map<Who, Known> known_;
    std::map<std::uint32_t, std::pair<std::int64_t, Time>> taken_;  ///< youngest lock: born, when
    std::map<std::pair<Who, std::string>, Time> since_;  ///< by ticket: since when it waits
    std::optional<Time> own_since_;                      ///< while we wait without a ticket
};

}  // namespace spool
