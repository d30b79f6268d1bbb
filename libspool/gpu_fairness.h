// Whose turn it is when a GPU is free and several users' spools wait. A value without clock or
// files; each daemon has one and feeds it with what it sees. Nobody talks to anybody: that two
// daemons judge differently costs time, never a GPU given twice, which only locks prevent.
//
// A free GPU goes to the user who holds fewest, among equals to the oldest ticket. Who does not
// take what is his turn within 5 s is passed over, for a minute at first, for twice as long each
// time after that (until he takes one). A user counts once, however many tickets he leaves, and
// what he says of himself counts only where a lie can cost him alone: how long he waits is told by
// the kernel's time of the ticket, and he waits anew from when he last took a GPU.
//
// Whose turn it is and who wants more GPUs than are free has those that are set aside for him, if
// the others are held by jobs of spools, which end: else he would starve beside jobs of one GPU.
// That lasts 6 h at most; then, for an hour, nothing is set aside for him.
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

/// For a job that takes `count` slots, from those with these devices: of a slot with several it
/// takes all, or none.
GpuWish wish_for_slots(int count, const std::vector<std::vector<std::string>>& devices);

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

/// To whom a free GPU is left.
struct GpuLeft {
    std::uint32_t uid = 0;
    /// How many GPUs he waits for, of which there are too few yet; 0: it is his turn to take it.
    int reserved_for = 0;

    bool operator==(const GpuLeft&) const = default;
};

/// What is ours to take now.
struct GpuTurn {
    /// Of `free`: enough for one or more jobs like `own`, or empty.
    std::vector<std::string> gpus;
    /// Of `free`: what others are to take, now or when there are enough for them.
    std::map<std::string, GpuLeft> others;
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
    /// How long GPUs are set aside for one user in all, and how long nothing is after that.
    static constexpr Time longest_reservation = std::chrono::hours(6),
                          no_reservation = std::chrono::hours(1);
    /// A GPU that nobody has locked any more may be busy for that long with what its job leaves.
    static constexpr Time letting_go = std::chrono::seconds(10);
    /// Looks that are further apart say nothing of the time between: we did not wait then.
    static constexpr Time longest_gap = std::chrono::seconds(10);

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
    struct Reservation {
        std::optional<Time> seen;  ///< the last look, if something was set aside then
        Time lasted{0};            ///< for how long something was
        Time none_until{0};
        std::int64_t begun = 0;  ///< wall clock
        int wants = 0;
    };
    struct Claim {
        Who who;
        Time since{0};
        GpuWish wish;
        int rounds = 0;
        std::vector<std::string> gpus;       ///< that would be its own
        std::vector<std::string> set_aside;  ///< until there are enough of them
    };

    [[nodiscard]] Who who(std::uint32_t uid, const std::string& spool) const;
    void note_time(Time now);
    void note_takers(const GpuView& view);
    void note_takers_of_many(const GpuView& view);
    void note_usable(const GpuView& view);
    [[nodiscard]] bool may_reserve(const Claim& claim, Time now) const;
    [[nodiscard]] std::vector<Claim> claims(const GpuView& view);
    void note_offers(const std::vector<Claim>& claims, Time now);
    void pass_over(const std::vector<Claim>& claims, Time now);
    bool note_reservations(const std::vector<Claim>& claims, const GpuView& view);
    [[nodiscard]] std::optional<Time> left_until(const Claim& claim, Time now) const;
    [[nodiscard]] GpuTurn answer(const std::vector<Claim>& claims, const GpuView& view) const;

    std::uint32_t uid_;
    std::string spool_;
    std::map<Who, Known> known_;
    std::map<Who, Reservation> reservations_;
    /// GPUs of the pool that are free or held by jobs of spools: when each was last seen so.
    std::map<std::string, Time> usable_;
    std::optional<Time> last_look_;
    std::map<std::uint32_t, std::pair<std::int64_t, Time>> taken_;  ///< youngest lock: born, when
    std::map<std::pair<Who, std::string>, Time> since_;  ///< by ticket: since when it waits
    std::optional<Time> own_since_;                      ///< while we wait without a ticket
};

}  // namespace spool
