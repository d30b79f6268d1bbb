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

}  // namespace

GpuTurns::Who GpuTurns::who(std::uint32_t uid, const std::string& spool) const {
    return {uid, uid == uid_ ? spool : std::string()};
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
        Claim claim{who(ticket.uid, ticket.spool), Time{0}, ticket.wish, 0, {}};
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
        add({self, *own_since_, *view.own, 0, {}});
    } else {
        own_since_.reset();
    }
    std::vector<Claim> all;
    for (auto& [who, claim] : oldest)
        all.push_back(std::move(claim));
    return all;
}

namespace {

/// Deals the free GPUs out as if everybody took what is his turn at once, and wanted more of the
/// same: who wants no more takes his ticket away.
template <typename Claims, typename IsOwn, typename IsPassed>
void deal(Claims& claims, std::vector<std::string> free, Counts held, IsOwn is_own,
          IsPassed is_passed) {
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

GpuTurn GpuTurns::may_take(const GpuView& view) {
    note_takers(view);
    const Counts held = gpus_held(view.held);
    const Who self{uid_, spool_};
    const auto is_own = [&](const Claim& claim) { return claim.who == self; };
    const auto is_passed = [&](const Claim& claim) {
        const auto known = known_.find(claim.who);
        return !is_own(claim) && known != known_.end() && known->second.passed_until > view.now;
    };
    std::vector<Claim> all = claims(view);
    for (;;) {
        for (Claim& claim : all) {
            claim.gpus.clear();
            claim.rounds = 0;
        }
        deal(all, view.free, held, is_own, is_passed);
        note_offers(all, view.now);
        const auto passed = std::count_if(all.begin(), all.end(), is_passed);
        pass_over(all, view.now);
        if (std::count_if(all.begin(), all.end(), is_passed) == passed) break;
    }
    return answer(all, view);
}

GpuTurn GpuTurns::answer(const std::vector<Claim>& claims, const GpuView& view) const {
    GpuTurn turn;
    if (!view.own) return turn;
    for (const Claim& claim : claims)
        if (claim.who == Who{uid_, spool_})
            turn.gpus = claim.gpus;
        else
            turn.others.insert(turn.others.end(), claim.gpus.begin(), claim.gpus.end());
    for (const Claim& claim : claims) {
        const auto known = known_.find(claim.who);
        if (claim.who == Who{uid_, spool_} || claim.gpus.empty() || known == known_.end() ||
            !known->second.offered)
            continue;
        const Time end = view.now + patience - known->second.left_lying;
        if (!turn.look_again || end < *turn.look_again) turn.look_again = end;
        if (turn.gpus.empty() && !turn.ahead) turn.ahead = claim.who.first;
    }
    return turn;
}

}  // namespace spool
