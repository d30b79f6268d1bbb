// What is kept for jobs that cannot start yet, while one decision is made, so that later ones go
// before them only where that delays nobody.
//
// For a job that must wait it is worked out when it can start at the latest, if every job that runs
// uses its time limit up, and on what. A later job may have what is kept if its own limit ends
// before; else only what is left beside it. (Backfill as in Lifka's EASY scheduler, 1995, with a
// reservation for each of the first few jobs instead of the first alone.) Jobs without a limit end
// at no known time: then the order of their starts decides what is kept, so that it stays the same
// from one decision to the next, and drains.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "libspool/slot_book.h"

namespace spool {

struct Reservation {
    std::uint64_t job = 0;
    std::chrono::nanoseconds from{
        0};             ///< when it can start at the latest; Tenure::open_end: unknown
    SlotSet gpu_slots;  ///< that it will have then
    Amounts beside;     ///< what will be left beside it then

    bool operator==(const Reservation&) const = default;
};

class Reservations {
public:
    /// With each the cost of a decision grows; jobs behind so many keep nothing.
    static constexpr std::size_t most = 8;

    /// What a job that holds it until `until` can be given now; nothing if it would delay another.
    [[nodiscard]] std::optional<Grant> fit(const SlotBook& book, const Need& need,
                                           std::chrono::nanoseconds until) const;
    /// A job was started: what it takes beside the reservations is gone.
    void note_start(const Grant& grant, std::chrono::nanoseconds until);
    /// Keeps for `job`, which does not fit now, what it will need. Keeps nothing if it cannot have
    /// its turn without strangers leaving, nor beside the reservations before it. True if it keeps
    /// something.
    bool reserve(const SlotBook& book, std::uint64_t job, const Need& need,
                 std::chrono::nanoseconds now);

    /// The first whose slots or amounts keep `need` from starting, though they are free.
    [[nodiscard]] const Reservation* obstacle(const SlotBook& book, const Need& need,
                                              std::chrono::nanoseconds until) const;
    [[nodiscard]] const std::vector<Reservation>& list() const { return list_; }

private:
    std::vector<Reservation> list_;
};

}  // namespace spool
