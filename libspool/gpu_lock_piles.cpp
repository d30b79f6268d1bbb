#include "libspool/gpu_lock_piles.h"

#include <algorithm>
#include <unordered_map>

#include "libspool/gpu_lock_name.h"

namespace spool {
namespace {

constexpr std::string_view lock_prefix = "gpuspool.", ticket_prefix = "gpuspool-ticket.",
                           making_prefix = ".gpuspool-new.";
constexpr std::size_t most_for_one = 256, least_for_one = 64, most_in_all = 8192;

/// Takes the part before the next dot off.
std::string_view next_part(std::string_view& text) {
    const std::size_t end = std::min(text.find('.'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

void add(LockPile& pile, const std::string& name, bool is_own) {
    ++pile.count;
    auto& kept = is_own ? pile.own : pile.others;
    if (kept.size() < most_for_one) kept.push_back(name);
}

using TicketsByUser = std::unordered_map<std::string_view, std::vector<const std::string*>>;

/// The first of each user, then the second of each, and so on: who claims to be one user cannot
/// crowd the others out.
std::vector<std::string> some_of_each(const TicketsByUser& tickets) {
    std::vector<std::string> out;
    for (std::size_t depth = 0; depth < LockPiles::tickets_of_one; ++depth)
        for (const auto& [user, names] : tickets) {
            if (depth < names.size()) out.push_back(*names[depth]);
            if (out.size() == LockPiles::most_tickets) return out;
        }
    return out;
}

}  // namespace

std::size_t LockPile::most_examined(std::size_t gpus) {
    return std::clamp(most_in_all / std::max<std::size_t>(gpus, 1), least_for_one, most_for_one);
}

LockPiles sort_lock_files(const std::vector<std::string>& names, const std::set<std::string>& gpus,
                          std::uint32_t uid, std::string_view mark) {
    LockPiles piles;
    TicketsByUser tickets;
    const std::string own = std::to_string(uid);
    const std::set<std::string, std::less<>> wanted(gpus.begin(), gpus.end());
    for (const std::string& name : names) {
        std::string_view rest = name;
        if (name.starts_with(lock_prefix)) {
            rest.remove_prefix(lock_prefix.size());
            const std::string_view gpu = next_part(rest);
            const bool is_wanted = wanted.empty() || wanted.contains(gpu);
            auto pile = piles.locks.find(gpu);
            if (is_wanted && pile == piles.locks.end())
                pile = piles.locks.emplace(gpu, LockPile{}).first;
            add(is_wanted ? pile->second : piles.of_other_gpus, name, next_part(rest) == own);
        } else if (name.starts_with(ticket_prefix)) {
            rest.remove_prefix(ticket_prefix.size());
            auto& of_user = tickets[next_part(rest)];
            if (of_user.size() < LockPiles::tickets_of_one) of_user.push_back(&name);
        } else if (name.starts_with(making_prefix)) {
            rest.remove_prefix(making_prefix.size());
            const bool is_ours = next_part(rest) == own && next_part(rest) == mark;
            if (is_ours && piles.making.size() < most_for_one) piles.making.push_back(name);
        }
    }
    piles.tickets = some_of_each(tickets);
    return piles;
}

}  // namespace spool
