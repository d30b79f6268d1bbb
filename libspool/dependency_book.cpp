#include "libspool/dependency_book.h"

#include <algorithm>

namespace spool {

Verdict judge(After after, Standing standing) {
    using enum Standing;
    if (standing == unknown) return Verdict::never;
    const bool ended = standing == succeeded || standing == failed;
    switch (after) {
        case After::start:
        case After::task_success:  // the rest is a matter of its tasks
            return standing == waiting ? Verdict::open : Verdict::met;
        case After::end:
            return ended ? Verdict::met : Verdict::open;
        case After::success:
            if (!ended) return Verdict::open;
            return standing == succeeded ? Verdict::met : Verdict::never;
        case After::failure:
            if (!ended) return Verdict::open;
            return standing == failed ? Verdict::met : Verdict::never;
    }
    return Verdict::never;
}

void DependencyBook::add(std::uint64_t job, const Dependencies& after, const Lookup& standing) {
    remove(job);
    if (after.list.empty()) return;
    after_[job] = after;
    for (const Dependency& dependency : after.list) {
        const auto [entry, is_new] = predecessors_.try_emplace(dependency.job);
        if (is_new) entry->second.standing = standing(dependency.job);
        entry->second.followers.insert(job);
    }
}

void DependencyBook::remove(std::uint64_t job) {
    const auto found = after_.find(job);
    if (found == after_.end()) return;
    for (const Dependency& dependency : found->second.list) {
        const auto predecessor = predecessors_.find(dependency.job);
        if (predecessor == predecessors_.end()) continue;  // named twice
        predecessor->second.followers.erase(job);
        if (predecessor->second.followers.empty()) predecessors_.erase(predecessor);
    }
    after_.erase(found);
}

std::vector<std::uint64_t> DependencyBook::note(std::uint64_t job, Standing standing) {
    std::vector<std::uint64_t> changed;
    const auto found = predecessors_.find(job);
    if (found == predecessors_.end()) return changed;
    std::map<std::uint64_t, Verdict> before;
    for (const std::uint64_t follower : found->second.followers)
        before[follower] = verdict(follower);
    found->second.standing = standing;
    for (const auto& [follower, verdict_before] : before)
        if (verdict(follower) != verdict_before) changed.push_back(follower);
    return changed;
}

Verdict DependencyBook::judge_one(const Dependency& dependency) const {
    const auto found = predecessors_.find(dependency.job);
    return judge(dependency.after,
                 found == predecessors_.end() ? Standing::unknown : found->second.standing);
}

Verdict DependencyBook::verdict(std::uint64_t job) const {
    const auto found = after_.find(job);
    if (found == after_.end()) return Verdict::met;
    bool open = false, met = false, never = false;
    for (const Dependency& dependency : found->second.list) {
        const Verdict verdict = judge_one(dependency);
        (verdict == Verdict::open ? open : verdict == Verdict::met ? met : never) = true;
    }
    if (found->second.any) return met ? Verdict::met : open ? Verdict::open : Verdict::never;
    return never ? Verdict::never : open ? Verdict::open : Verdict::met;
}

std::optional<Dependency> DependencyBook::obstacle(std::uint64_t job) const {
    const Verdict wanted = verdict(job);
    const auto found = after_.find(job);
    if (wanted == Verdict::met || found == after_.end()) return std::nullopt;
    for (const Dependency& dependency : found->second.list)
        if (judge_one(dependency) == wanted) return dependency;
    return std::nullopt;
}

std::vector<std::uint64_t> DependencyBook::circle(std::uint64_t job) const {
    // Breadth first: the shortest one. `reached_from` is also what has been seen.
    std::map<std::uint64_t, std::uint64_t> reached_from;
    std::vector<std::uint64_t> next{job};
    for (std::size_t i = 0; i < next.size(); ++i) {
        const std::uint64_t follower = next[i];
        const auto found = after_.find(follower);
        if (found == after_.end()) continue;
        for (const Dependency& dependency : found->second.list) {
            if (dependency.job == job) {
                std::vector<std::uint64_t> path{follower};
                while (path.back() != job)
                    path.push_back(reached_from.at(path.back()));
                std::reverse(path.begin(), path.end());
                return path;
            }
            if (reached_from.emplace(dependency.job, follower).second)
                next.push_back(dependency.job);
        }
    }
    return {};
}

}  // namespace spool
