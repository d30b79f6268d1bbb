#include "libspool/reservations.h"

#include <algorithm>

namespace spool {
namespace {

using Among = SlotBook::Among;

/// What `need` gets of a pool, whoever else waits.
std::optional<Grant> available(const SlotBook& book, const Need& need, Among among,
                               const SlotSet& reserved) {
    const Amounts amounts = book.amounts(need);
    if (among == Among::free && !amounts.within(book.amounts_left())) return std::nullopt;
    if (!book.wants_gpu(need)) return Grant{{}, 0, amounts};
    return book.choose(need, among, SlotBook::Limit::now, reserved);
}

}  // namespace

std::optional<Grant> Reservations::fit(const SlotBook& book, const Need& need,
                                       std::chrono::nanoseconds until) const {
    SlotSet reserved;
    for (const Reservation& reservation : list_) {
        if (until <= reservation.from && reservation.from != Tenure::open_end) continue;
        if (!book.amounts(need).within(reservation.beside)) return std::nullopt;
        reserved.insert(reservation.gpu_slots.begin(), reservation.gpu_slots.end());
    }
    return available(book, need, Among::free, reserved);
}

void Reservations::note_start(const Grant& grant, std::chrono::nanoseconds until) {
    for (Reservation& reservation : list_)
        if (until > reservation.from || reservation.from == Tenure::open_end)
            reservation.beside -= grant.amounts;
}

bool Reservations::reserve(const SlotBook& book, std::uint64_t job, const Need& need,
                           std::chrono::nanoseconds now) {
    // All that ask for a CPU slot alone are the same: none can go before another.
    const bool shares = book.wants_gpu(need) || need.cpus != 0 || need.memory != 0;
    if (!shares || list_.size() >= most || !book.amounts(need).within(book.pool().amounts))
        return false;
    SlotSet reserved;
    for (const Reservation& reservation : list_)
        reserved.insert(reservation.gpu_slots.begin(), reservation.gpu_slots.end());
    if (book.wants_gpu(need) &&
        !book.choose(need, Among::in_reach, SlotBook::Limit::alone, reserved))
        return false;

    SlotBook later = book;
    Reservation reservation{job, now, {}, {}};
    auto grant = available(later, need, Among::free, reserved);
    for (const auto& [holder, until] : book.by_end()) {
        if (grant) break;
        later.release(holder);
        reservation.from = std::max(reservation.from, until);
        grant = available(later, need, Among::free, reserved);
    }
    if (!grant) {  // what other spools have must come back too
        grant = available(later, need, Among::in_reach, reserved);
        reservation.from = Tenure::open_end;
    }
    if (!grant) return false;
    reservation.gpu_slots.insert(grant->gpu_slots.begin(), grant->gpu_slots.end());
    // Who ends at no known time may end first: then only what is left now is sure.
    const bool known = reservation.from != Tenure::open_end;
    reservation.beside = known ? later.amounts_left() : book.amounts_left();
    reservation.beside -= grant->amounts;
    list_.push_back(std::move(reservation));
    return true;
}

const Reservation* Reservations::obstacle(const SlotBook& book, const Need& need,
                                          std::chrono::nanoseconds until) const {
    if (!available(book, need, Among::free, {})) return nullptr;
    Reservations before;
    for (const Reservation& reservation : list_) {
        before.list_.push_back(reservation);
        if (!before.fit(book, need, until)) return &reservation;
    }
    return nullptr;
}

}  // namespace spool
