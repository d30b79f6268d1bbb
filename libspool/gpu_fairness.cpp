#include "libspool/gpu_fairness.h"

#include <algorithm>
#include <tuple>

namespace spool {
namespace {

using Time = GpuTurns::Time;
using Counts = std::map<std::uint32_t, int>;

/// By how much daemons may differ in when they saw that a GPU was free.
constexpr Time tolerance = std::chrono::milliseconds(500);

/// By user: several jobs on one GPU count once.
Counts gpus_held(const std::vector<GpuHolding>& held) {
    std::set<std::pair<std::uint32_t, std::string>> distinct;
    for (const GpuHolding& holding : held)
        distinct.emplace(holding.uid, holding.gpu);
    Counts counts;
    for (const auto& [uid, gpu] : distinct)
        ++counts[uid];
    return counts;
}

/// On our clock; what is dated in the future (the wall clock was set back) is from now.
Time on_clock(std::int64_t born, const GpuView& view) {
    return view.now - Time(std::max<std::int64_t>(view.wall - born, 0));
}

bool could_take(const GpuWish& wish, const std::string& gpu) {
    return wish.gpus.empty() ||
           std::find(wish.gpus.begin(), wish.gpus.end(), gpu) != wish.gpus.end();
}

/// Takes `wish.wants` GPUs for it out of `free`: for ourselves from the front, for others from the
/// back, where they are less likely to be those that we would take.
std::vector<std::string> pick(std::vector<std::string>& free, const GpuWish& wish, bool own) {
    std::vector<std::string> picked;
    const auto wanted = static_cast<std::size_t>(wish.wants);
    std::vector<std::string> order = free;
    if (!own) std::reverse(order.begin(), order.end());
    for (const std::string& gpu : order)
        if (picked.size() < wanted && could_take(wish, gpu)) picked.push_back(gpu);
    if (picked.size() < wanted) return {};
    for (const std::string& gpu : picked)
        std::erase(free, gpu);
    return picked;
}

/// All that it could take, out of `free`.
std::vector<std::string> set_aside(std::vector<std::string>& free, const GpuWish& wish) {
    std::vector<std::string> kept;
    for (const std::string& gpu : free)
        if (could_take(wish, gpu)) kept.push_back(gpu);
    for (const std::string& gpu : kept)
        std::erase(free, gpu);
    return kept;
}

}  // namespace

GpuWish wish_for_slots(int count, const std::vector<std::vector<std::string>>& devices) {
    GpuWish wish;
    std::size_t fewest = 0;
    for (const auto& of_slot : devices) {
        wish.gpus.insert(wish.gpus.end(), of_slot.begin(), of_slot.end());
        if (fewest == 0 || of_slot.size() < fewest) fewest = of_slot.size();
    }
    wish.wants = count * static_cast<int>(std::max<std::size_t>(1, fewest));
    return wish;
}

GpuTurns::Who GpuTurns::who(std::uint32_t uid, const std::string& spool) const {
    return {uid, uid == uid_ ? spool : std::string()};
}

void GpuTurns::note_time(Time now) {
    if (last_look_ && now - *last_look_ > longest_gap) {
        for (auto& [who, known] : known_)
            known.offered.reset();
        for (auto& [who, reservation] : reservations_)
            reservation.seen.reset();
        own_since_.reset();
    }
    last_look_ = now;
}

// Who takes a GPU is alive, waits anew from then, and is no longer passed over. A lock for a GPU
// that may not exist shows nothing.
void GpuTurns::note_takers(const GpuView& view) {
    const std::set<std::string> pool(view.pool.begin(), view.pool.end());
    for (const GpuHolding& holding : view.held) {
        if (!pool.contains(holding.gpu)) continue;
        const auto [entry, is_new] = taken_.try_emplace(holding.uid, holding.born, Time{0});
        auto& [born, when] = entry->second;
        if (!is_new && holding.born <= born) continue;
        born = holding.born;
        when = on_clock(holding.born, view);
        known_.erase(who(holding.uid, holding.spool));
    }
}

/// A reservation is over when a job has as many GPUs. Smaller jobs do not make up for it.
void GpuTurns::note_takers_of_many(const GpuView& view) {
    const std::set<std::string> pool(view.pool.begin(), view.pool.end());
    std::map<std::pair<Who, std::int64_t>, int> jobs;  // all GPUs of one are locked by one file
    for (const GpuHolding& holding : view.held)
        if (pool.contains(holding.gpu)) ++jobs[{who(holding.uid, holding.spool), holding.born}];
    for (const auto& [job, gpus] : jobs) {
        const auto found = reservations_.find(job.first);
        if (found == reservations_.end()) continue;
        const Reservation& reservation = found->second;
        if (gpus >= reservation.wants && job.second > reservation.begun) reservations_.erase(found);
    }
}

void GpuTurns::note_usable(const GpuView& view) {
    const std::set<std::string> pool(view.pool.begin(), view.pool.end());
    std::erase_if(usable_, [&](const auto& entry) { return view.now - entry.second > letting_go; });
    for (const std::string& gpu : view.free)
        usable_[gpu] = view.now;
    for (const GpuHolding& holding : view.held)
        if (pool.contains(holding.gpu)) usable_[holding.gpu] = view.now;
}

/// Whether it can have its turn when jobs of spools end.
bool GpuTurns::may_reserve(const Claim& claim, Time now) const {
    if (claim.rounds > 0) return false;
    const auto known = reservations_.find(claim.who);
    if (known != reservations_.end() && known->second.none_until > now) return false;
    const auto usable = std::count_if(usable_.begin(), usable_.end(), [&](const auto& entry) {
        return could_take(claim.wish, entry.first);
    });
    return usable >= claim.wish.wants;
}

/// One for each user but ours: his oldest ticket.
std::vector<GpuTurns::Claim> GpuTurns::claims(const GpuView& view) {
    std::map<std::pair<Who, std::string>, Time> still;
    std::map<Who, Claim> oldest;
    const auto add = [&](const Claim& claim) {
        const auto [entry, added] = oldest.try_emplace(claim.who, claim);
        if (!added && claim.since < entry->second.since) entry->second = claim;
    };
    const Who self{uid_, spool_};
    for (const GpuTicketSeen& ticket : view.tickets) {
        Claim claim{who(ticket.uid, ticket.spool), Time{0}, ticket.wish, 0, {}, {}};
        const auto key = std::make_pair(Who{ticket.uid, ticket.spool}, ticket.nonce);
        const auto seen = since_.find(key);
        claim.since = seen != since_.end() ? seen->second : on_clock(ticket.born, view);
        still.emplace(key, claim.since);
        if (const auto taken = taken_.find(ticket.uid); taken != taken_.end())
            claim.since = std::max(claim.since, taken->second.second);
        claim.wish.wants = std::max(claim.wish.wants, 1);
        if (claim.who != self) add(claim);
        if (claim.who == self && view.own) {
            claim.wish = *view.own;
            add(claim);
        }
    }
    since_ = std::move(still);
    if (!oldest.contains(self) && view.own) {
        if (!own_since_) own_since_ = view.now;
        add({self, *own_since_, *view.own, 0, {}, {}});
    } else {
        own_since_.reset();
    }
    std::vector<Claim> all;
    all.reserve(oldest.size());
    for (auto& [who, claim] : oldest)
        all.push_back(std::move(claim));
    return all;
}

namespace {

/// Deals the free GPUs out as if everybody took what is his turn at once, and wanted more of the
/// same: who wants no more takes his ticket away.
template <typename Claims, typename IsOwn, typename IsPassed, typename MayReserve>
void deal(Claims& claims, std::vector<std::string> free, const Counts& held_before, IsOwn is_own,
          IsPassed is_passed, MayReserve may_reserve) {
    Counts held = held_before;
    std::vector<typename Claims::value_type*> open;
    for (auto& claim : claims)
        if (!is_passed(claim)) open.push_back(&claim);
    while (!open.empty() && !free.empty()) {
        const auto next = std::min_element(open.begin(), open.end(), [&](auto* a, auto* b) {
            const auto rank = [&](const auto& claim) {
                return std::make_tuple(held[claim.who.first], claim.rounds, claim.since, claim.who);
            };
            return rank(*a) < rank(*b);
        });
        auto& claim = **next;
        const auto picked = pick(free, claim.wish, is_own(claim));
        if (picked.empty()) {
            if (may_reserve(claim)) claim.set_aside = set_aside(free, claim.wish);
            open.erase(next);
            continue;
        }
        claim.gpus.insert(claim.gpus.end(), picked.begin(), picked.end());
        held[claim.who.first] += static_cast<int>(picked.size());
        ++claim.rounds;
    }
}

}  // namespace

// The time that was left lying adds up until something is taken: whoever is first to pass a dead
// ticket over takes the GPU, and would keep all others from ever coming to the end of theirs.
void GpuTurns::note_offers(const std::vector<Claim>& claims, Time now) {
    for (auto& [who, known] : known_) {
        if (known.offered) known.left_lying += now - *known.offered;
        known.offered.reset();
    }
    for (const Claim& claim : claims)
        if (!claim.gpus.empty()) known_[claim.who].offered = now;
}

void GpuTurns::pass_over(const std::vector<Claim>& claims, Time now) {
    for (const Claim& claim : claims) {
        Known& known = known_[claim.who];
        // Somebody else has just passed him over, whose clock runs a little ahead of ours.
        const Time enough = known.offered ? patience : patience - tolerance;
        const bool self = claim.who == Who{uid_, spool_};
        if (self || known.left_lying < enough) continue;
        known.passed_until = now + known.next_pass;
        known.next_pass = std::min(2 * known.next_pass, longest_pass);
        known.left_lying = Time{0};
        known.offered.reset();
    }
}

/// True if somebody has had GPUs set aside for long enough.
bool GpuTurns::note_reservations(const std::vector<Claim>& claims, const GpuView& view) {
    for (auto& [who, reservation] : reservations_) {
        if (reservation.seen) reservation.lasted += view.now - *reservation.seen;
        reservation.seen.reset();
    }
    bool worn_out = false;
    for (const Claim& claim : claims) {
        if (claim.set_aside.empty()) continue;
        Reservation& reservation = reservations_[claim.who];
        if (reservation.begun == 0) reservation.begun = view.wall;
        reservation.seen = view.now;
        reservation.wants = claim.wish.wants;
        if (reservation.lasted < longest_reservation) continue;
        reservation.seen.reset();
        reservation.lasted = Time{0};
        reservation.none_until = view.now + no_reservation;
        worn_out = true;
    }
    return worn_out;
}

GpuTurn GpuTurns::may_take(const GpuView& view) {
    note_time(view.now);
    note_takers(view);
    note_takers_of_many(view);
    note_usable(view);
    const Counts held = gpus_held(view.held);
    const Who self{uid_, spool_};
    const auto is_own = [&](const Claim& claim) { return claim.who == self; };
    const auto is_passed = [&](const Claim& claim) {
        const auto known = known_.find(claim.who);
        return !is_own(claim) && known != known_.end() && known->second.passed_until > view.now;
    };
    const auto may_reserve = [&](const Claim& claim) { return this->may_reserve(claim, view.now); };
    std::vector<Claim> all = claims(view);
    for (;;) {
        for (Claim& claim : all) {
            claim.gpus.clear();
            claim.set_aside.clear();
            claim.rounds = 0;
        }
        deal(all, view.free, held, is_own, is_passed, may_reserve);
        note_offers(all, view.now);
        const auto passed = std::count_if(all.begin(), all.end(), is_passed);
        pass_over(all, view.now);
        if (std::count_if(all.begin(), all.end(), is_passed) != passed) continue;
        if (!note_reservations(all, view)) break;
    }
    return answer(all, view);
}

/// When what is left to him need not be left any longer, though nothing changes.
std::optional<Time> GpuTurns::left_until(const Claim& claim, Time now) const {
    if (!claim.set_aside.empty())
        return now + longest_reservation - reservations_.at(claim.who).lasted;
    const auto known = known_.find(claim.who);
    if (claim.gpus.empty() || known == known_.end() || !known->second.offered) return std::nullopt;
    return now + patience - known->second.left_lying;
}

GpuTurn GpuTurns::answer(const std::vector<Claim>& claims, const GpuView& view) const {
    GpuTurn turn;
    if (!view.own) return turn;
    for (const Claim& claim : claims) {
        if (claim.who == Who{uid_, spool_}) {
            turn.gpus = claim.gpus;
            continue;
        }
        for (const std::string& gpu : claim.gpus)
            turn.others[gpu] = {claim.who.first, 0};
        for (const std::string& gpu : claim.set_aside)
            turn.others[gpu] = {claim.who.first, claim.wish.wants};
    }
    for (const Claim& claim : claims) {
        if (claim.who == Who{uid_, spool_}) continue;
        const auto end = left_until(claim, view.now);
        if (!end) continue;
        if (!turn.look_again || *end < *turn.look_again) turn.look_again = end;
        if (turn.gpus.empty() && !turn.ahead) turn.ahead = claim.who.first;
    }
    return turn;
}

}  // namespace spool
