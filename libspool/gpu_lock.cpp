#include "libspool/gpu_lock.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "libspool/gpu_slots.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/values.h"

namespace spool {
namespace {

/// Files for GPUs that are not ours to use, which only show who holds how many; all files where it
/// is not said which GPUs matter.
constexpr std::size_t most_of_others = 256, most_of_all = 8192;

std::set<std::string> names_in_the_way(const std::vector<GpuWanted>& gpus) {
    std::set<std::string> ids;
    for (const GpuWanted& gpu : gpus) {
        ids.insert(escape_gpu_id(gpu.id));
        for (const std::string& other : gpu.conflicts)
            ids.insert(escape_gpu_id(other));
    }
    return ids;
}

/// Whether a lock for `other` may be one for the same GPU, though it has another name.
bool is_in_doubt(const GpuWanted& wanted, const std::string& other) {
    if (wanted.by_name) return may_be_same_gpu(wanted.id, other);
    if (wanted.names.empty()) return false;
    PoolGpu gpu;
    gpu.names = wanted.names;
    return is_called(gpu, other);
}

/// The escaped ids of locks that are in doubt.
void add_doubtful(const std::vector<std::string>& file_names, const std::vector<GpuWanted>& gpus,
                  std::set<std::string>& ids) {
    std::set<std::string> seen;
    for (const std::string& file_name : file_names) {
        const auto name = read_lock_name(file_name);
        if (!name || name->kind != LockFileName::Kind::lock || !seen.insert(name->gpu).second)
            continue;
        if (std::any_of(gpus.begin(), gpus.end(),
                        [&](const GpuWanted& wanted) { return is_in_doubt(wanted, name->gpu); }))
            ids.insert(escape_gpu_id(name->gpu));
    }
}

std::string where(const LockFileText& text) {
    std::string out = text.job != 0 ? "job " + std::to_string(text.job) : std::string("a job");
    if (!text.spool.empty()) out += " of " + printable(text.spool);
    if (text.since != 0) out += ", since " + format_time(text.since);
    return out;
}

}  // namespace

std::string holder_sentence(const GpuHolder& holder) {
    const std::string file = printable(holder.file);
    if (holder.too_many != 0)
        return printable(holder.gpu) + " counts as held: " + std::to_string(holder.too_many) +
               " lock files for it are too many to be examined, most of them are " +
               printable(holder.user) + "'s (" + file + "*); ask " + printable(holder.user) +
               " or the administrator to remove them";
    if (!holder.problem.empty())
        return printable(holder.gpu) + " counts as held by " + printable(holder.user) + ", whose " +
               file + " cannot be examined: " + holder.problem +
               "; ask its owner or the administrator to remove it";
    return printable(holder.gpu) + " is held by " + printable(holder.user) + ": " +
           (holder.text ? where(*holder.text) : "it does not say for what") + " (" + file + ")";
}

Result<void> GpuTicket::update(const GpuWish& wish) {
    if (text_.wants == wish.wants && text_.gpus == wish.gpus) return {};
    LockFileText text = text_;
    text.wants = wish.wants;
    text.gpus = wish.gpus;
    return file_.rewrite(write_lock_text(text)).map([&] { text_ = text; });
}

Result<GpuLocks> GpuLocks::open(const std::string& directory, const std::string& mark,
                                const std::string& spool_path, LockDirectory::Making making) {
    auto opened = LockDirectory::open(directory, making);
    if (!opened) return tl::unexpected(opened.error());
    GpuLocks locks(std::move(*opened));
    locks.mark_ = mark;
    locks.spool_path_ = spool_path;
    locks.uid_ = geteuid();
    return locks;
}

LockFileText GpuLocks::new_text() const {
    LockFileText text;
    text.nonce = random_hex().substr(0, 16);
    text.spool = spool_path_;
    text.pid = getpid();
    text.since = wall_time();
    return text;
}

Result<LockedFile> GpuLocks::make(LockFileName::Kind kind, const LockFileText& text) const {
    LockFileName name{kind, {}, uid_, mark_, text.nonce};
    std::vector<std::string> names;
    if (kind == LockFileName::Kind::lock)
        for (const std::string& gpu : text.gpus) {
            name.gpu = gpu;
            names.push_back(write_lock_name(name));
        }
    else
        names.push_back(write_lock_name(name));
    name.kind = LockFileName::Kind::making;
    return directory_.make(names, write_lock_name(name), write_lock_text(text));
}

// Our names are there before we look at those of others. Of two that do so at the same time, at
// least one sees the other's; if both do, both give way.
Result<std::variant<GpuLock, GpuHolder>> GpuLocks::take(const std::vector<GpuWanted>& gpus,
                                                        std::uint64_t job) {
    LockFileText text = new_text();
    text.job = job;
    for (const GpuWanted& gpu : gpus)
        if (!gpu.id.empty() &&
            std::find(text.gpus.begin(), text.gpus.end(), gpu.id) == text.gpus.end())
            text.gpus.push_back(gpu.id);
    if (text.gpus.empty()) return GpuLock();
    auto lock = make(LockFileName::Kind::lock, text);
    if (!lock) return tl::unexpected(lock.error());
    auto holder = holder_of(gpus, text.nonce);
    if (holder && !*holder) return std::move(*lock);
    lock->remove();
    if (!holder) return tl::unexpected(holder.error());
    return std::move(**holder);
}

template <typename Visit>
Result<void> GpuLocks::each(const std::vector<std::string>& file_names, Visit visit) const {
    for (const std::string& file_name : file_names) {
        const auto name = read_lock_name(file_name);
        if (!name) continue;
        auto found = find(file_name, *name);
        if (!found) return tl::unexpected(found.error());
        if (!visit(*found)) break;
    }
    return {};
}

Result<std::optional<GpuHolder>> GpuLocks::holder_of(const std::vector<GpuWanted>& gpus,
                                                     const std::string& own_nonce) {
    const auto names = directory_.names();
    if (!names) return tl::unexpected(names.error());
    auto ids = names_in_the_way(gpus);
    add_doubtful(*names, gpus, ids);
    const LockPiles piles = sort_lock_files(*names, ids, uid_, mark_);
    std::optional<GpuHolder> holder;
    for (const auto& [gpu, pile] : piles.locks) {
        if (pile.count > LockPile::most_examined(ids.size())) return flood_of(gpu, pile);
        for (const auto* files : {&pile.own, &pile.others}) {
            const auto looked = each(*files, [&](const Found& found) {
                if (is_ours(found) && found.name.nonce == own_nonce) return true;
                if (is_in_the_way(found))
                    holder = describe(found);
                else
                    clean(found);
                return !holder;
            });
            if (!looked) return tl::unexpected(looked.error());
            if (holder) return holder;
        }
    }
    return std::nullopt;
}

/// Who has left most of them, judged by some.
GpuHolder GpuLocks::flood_of(const std::string& gpu, const LockPile& pile) {
    std::map<std::uint32_t, std::size_t> owners;
    for (const auto* files : {&pile.others, &pile.own})
        for (std::size_t i = 0; i < std::min(files->size(), LockPile::sample); ++i)
            if (const auto owner = directory_.owner((*files)[i])) ++owners[*owner];
    const auto most = std::max_element(owners.begin(), owners.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    GpuHolder holder;
    const std::string& file = pile.others.empty() ? pile.own.front() : pile.others.front();
    const auto name = read_lock_name(file);
    holder.gpu = name ? name->gpu : gpu;
    holder.uid = most == owners.end() ? uid_ : most->first;
    holder.user = user(holder.uid);
    holder.file = directory_.path() + "/gpuspool." + gpu + ".";
    holder.too_many = pile.count;
    return holder;
}

Result<GpuLocks::Found> GpuLocks::find(const std::string& file_name,
                                       const LockFileName& name) const {
    auto look = directory_.look(file_name);
    if (!look) return tl::unexpected(look.error());
    Found found{name, file_name, std::move(*look), std::nullopt};
    found.text = read_lock_text(found.look.text);
    return found;
}

bool GpuLocks::is_ours(const Found& found) const {
    return found.look.owner == uid_ && found.name.spool == mark_;
}

// A file is believed by its lock, whatever uid its name claims: an owner harms nobody by it but by
// making a GPU look busy, and in a container the numbers differ. A link to a lock for something
// else is none: its owner never said so.
bool GpuLocks::is_in_the_way(const Found& found) const {
    if (is_ours(found)) return false;
    if (found.look.kind == LockFileLook::Kind::unknown) return true;
    if (found.look.kind != LockFileLook::Kind::held) return false;
    return !found.text || was_made_as(*found.text, found.name);
}

void GpuLocks::clean(const Found& found) const {
    const bool made_here = found.look.owner == uid_ && found.look.kind == LockFileLook::Kind::free;
    if (!made_here) return;
    // Only a file in the making may be unlocked and alive, and only our own daemon makes it here.
    const bool safe = found.name.kind == LockFileName::Kind::making
                          ? found.name.spool == mark_
                          : found.text && was_made_as(*found.text, found.name);
    if (safe) directory_.remove(found.file_name);
}

Result<std::vector<std::string>> GpuLocks::gpus_of(std::uint64_t job) const {
    const auto names = directory_.names();
    if (!names) return tl::unexpected(names.error());
    std::vector<std::string> gpus;
    for (const auto& [gpu, pile] : sort_lock_files(*names, {}, uid_, mark_).locks) {
        const auto looked = each(pile.own, [&](const Found& found) {
            if (is_ours(found) && found.look.kind == LockFileLook::Kind::held && found.text &&
                found.text->job == job && was_made_as(*found.text, found.name))
                gpus = found.text->gpus;
            return gpus.empty();
        });
        if (!looked) return tl::unexpected(looked.error());
        if (!gpus.empty()) break;
    }
    return gpus;
}

Result<GpuScene> GpuLocks::look(const std::set<std::string>& ids) {
    const auto names = directory_.names();
    if (!names) return tl::unexpected(names.error());
    std::set<std::string> escaped;
    for (const std::string& id : ids)
        escaped.insert(escape_gpu_id(id));
    const LockPiles piles = sort_lock_files(*names, escaped, uid_, mark_);
    GpuScene scene;
    std::size_t left = most_of_all;
    Result<void> looked;
    for (const auto& [gpu, pile] : piles.locks) {
        const std::size_t most = std::min(left, LockPile::most_examined(ids.size()));
        if (pile.count > most) {
            const GpuHolder flood = flood_of(gpu, pile);
            scene.held.push_back({flood.gpu, flood.uid, {}, 0});
            scene.problems.emplace(flood.gpu, holder_sentence(flood));
        }
        if (looked) looked = look_at_pile(pile, most, scene);
        left -= std::min(left, pile.count);
    }
    if (looked) looked = look_at_pile(piles.of_other_gpus, most_of_others, scene);
    if (looked) looked = look_at_tickets(piles.tickets, scene);
    if (looked)
        looked = each(piles.making, [&](const Found& found) {
            clean(found);
            return true;
        });
    if (!looked) return tl::unexpected(looked.error());
    return scene;
}

/// Our own in any case: those that are left behind go, so that there are fewer at the next look.
Result<void> GpuLocks::look_at_pile(const LockPile& pile, std::size_t most, GpuScene& scene) {
    const auto note = [&](const Found& found) {
        note_lock(found, scene);
        return true;
    };
    auto looked = each(pile.own, note);
    if (!looked || pile.count > most) return looked;
    return each(pile.others, note);
}

void GpuLocks::note_lock(const Found& found, GpuScene& scene) {
    const GpuHolding holding{found.name.gpu, found.look.owner, found.name.spool, found.look.born};
    if (found.look.kind == LockFileLook::Kind::unknown && !is_ours(found)) {
        scene.held.push_back(holding);
        scene.problems.emplace(found.name.gpu, holder_sentence(describe(found)));
        return;
    }
    const bool proven = found.look.kind == LockFileLook::Kind::held &&
                        (!found.text || was_made_as(*found.text, found.name));
    if (proven)
        scene.held.push_back(holding);
    else
        clean(found);
}

/// Those of one owner beyond a few hundred are no more than noise: a user counts once.
Result<void> GpuLocks::look_at_tickets(const std::vector<std::string>& file_names,
                                       GpuScene& scene) {
    std::map<std::uint32_t, std::size_t> counts;
    return each(file_names, [&](const Found& found) {
        const bool proven = found.look.kind == LockFileLook::Kind::held &&
                            (!found.text || was_made_as(*found.text, found.name));
        if (!proven)
            clean(found);
        else if (++counts[found.look.owner] <= LockPiles::tickets_of_one)
            scene.tickets.push_back(
                {found.look.owner, found.name.spool, found.name.nonce, found.look.born,
                 found.text ? GpuWish{found.text->wants, found.text->gpus} : GpuWish{}});
        return true;
    });
}

Result<GpuTicket> GpuLocks::make_ticket(const GpuWish& wish) {
    GpuTicket ticket;
    ticket.text_ = new_text();
    ticket.text_.wants = wish.wants;
    ticket.text_.gpus = wish.gpus;
    auto file = make(LockFileName::Kind::ticket, ticket.text_);
    if (!file) return tl::unexpected(file.error());
    ticket.file_ = std::move(*file);
    return ticket;
}

GpuHolder GpuLocks::describe(const Found& found) {
    return {found.name.gpu,
            found.look.owner,
            user(found.look.owner),
            directory_.path() + "/" + found.file_name,
            found.text,
            found.look.problem,
            0};
}

const std::string& GpuLocks::user(std::uint32_t uid) {
    const auto [entry, added] = users_.try_emplace(uid);
    if (added) entry->second = user_name(uid);
    return entry->second;
}

std::chrono::milliseconds gpu_retry_delay(int failures, double random) {
    const int doublings = std::clamp(failures - 1, 0, 7);
    const double base = std::min(10.0 * std::exp2(doublings), 1000.0);
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(base * (0.5 + std::clamp(random, 0.0, 1.0))));
}

}  // namespace spool
