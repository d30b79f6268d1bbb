#include "libspool/policy.h"

#include <algorithm>

namespace spool {

void Policy::add(std::uint64_t job, int priority, Need need) {
    remove(job);
    buckets_[need].insert({priority, job});
    waiting_[job] = {priority, std::move(need)};
}

void Policy::remove(std::uint64_t job) {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    const auto bucket = buckets_.find(found->second.need);
    bucket->second.erase({found->second.priority, job});
    if (bucket->second.empty()) buckets_.erase(bucket);
    waiting_.erase(found);
}

/// Whether it can have its turn without strangers leaving.
bool Policy::in_reach(const Need& need) const {
    if (!book_.possible(need)) return false;
    return !book_.wants_gpu(need) || book_.choose(need, Among::in_reach, Limit::alone).has_value();
}

std::optional<Grant> Policy::fit(const Need& need, const SlotSet& reserved) const {
    if (!book_.wants_gpu(need)) {
        if (book_.cpu_slots_used() < pool().cpu_slots) return Grant{{}, 0, 1};
        return std::nullopt;
    }
    return book_.choose(need, Among::free, Limit::now, reserved);
}

/// A job that waits keeps later ones from what suits it, if it can have its turn without strangers
/// leaving.
void Policy::reserve(const Need& need, SlotSet& reserved) const {
    if (!book_.wants_gpu(need) || !in_reach(need)) return;
    reserved.merge(book_.suitable(need));
}

std::vector<Start> Policy::decide(bool gpus) {
    std::vector<Start> starts;
    SlotSet reserved;
    std::set<Need> passed;  // shapes of which no more can start now
    for (;;) {
        // The first of each bucket is the only one of its shape that may go; the earliest of these
        // decides.
        std::optional<Turn> first;
        Need need;
        for (const auto& [shape, bucket] : buckets_) {
            if (passed.contains(shape) || (!gpus && book_.wants_gpu(shape))) continue;
            if (!first || *bucket.begin() < *first) {
                first = *bucket.begin();
                need = shape;
            }
        }
        if (!first) return starts;
        if (auto grant = fit(need, reserved)) {
            started_[first->job] = waiting_.at(first->job);
            remove(first->job);
            book_.take(first->job, *grant);
            starts.push_back({first->job, std::move(*grant)});
        } else {
            reserve(need, reserved);
            passed.insert(std::move(need));
        }
    }
}

/// Visits waiting jobs in the order of their turn until `visit` returns false.
template <typename Visit>
void Policy::in_order(Visit visit) const {
    std::vector<std::pair<Bucket::const_iterator, std::map<Need, Bucket>::const_iterator>> heads;
    for (auto bucket = buckets_.begin(); bucket != buckets_.end(); ++bucket)
        heads.emplace_back(bucket->second.begin(), bucket);
    while (!heads.empty()) {
        const auto head =
            std::min_element(heads.begin(), heads.end(),
                             [](const auto& a, const auto& b) { return *a.first < *b.first; });
        if (!visit(head->first->job, head->second->first)) return;
        if (++head->first == head->second->second.end()) heads.erase(head);
    }
}

void Policy::take_back(std::uint64_t job) {
    const auto found = started_.find(job);
    if (found == started_.end()) return;
    book_.release(job);
    add(job, found->second.priority, std::move(found->second.need));
    started_.erase(found);
}

void Policy::release(std::uint64_t job) {
    book_.release(job);
    started_.erase(job);
}

std::optional<std::uint64_t> Policy::first_for_gpus() const {
    std::optional<std::uint64_t> first;
    in_order([&](std::uint64_t job, const Need& need) {
        if (!book_.wants_gpu(need) || !in_reach(need)) return true;
        const bool waits_for_ours = book_.choose(need, Among::unheld, Limit::none) &&
                                    !book_.choose(need, Among::unheld, Limit::now);
        if (!waits_for_ours) first = job;
        return !first;
    });
    return first;
}

bool Policy::gpus_wanted() const {
    return std::any_of(buckets_.begin(), buckets_.end(),
                       [&](const auto& bucket) { return book_.wants_gpu(bucket.first); });
}

std::vector<std::uint64_t> Policy::next(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    if (count == 0) return jobs;
    in_order([&](std::uint64_t job, const Need& need) {
        if (in_reach(need)) jobs.push_back(job);
        return jobs.size() < count;
    });
    return jobs;
}

std::vector<std::uint64_t> Policy::queue(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    in_order([&](std::uint64_t job, const Need&) {
        if (jobs.size() < count) jobs.push_back(job);
        return jobs.size() < count;
    });
    return jobs;
}

std::optional<WaitReason> Policy::why(std::uint64_t job) const {
    using Kind = WaitReason::Kind;
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return std::nullopt;
    const Need& need = found->second.need;
    if (!book_.wants_gpu(need))
        return WaitReason{Kind::cpu_slots, 1, pool().cpu_slots - cpu_slots_used(), {}, {}};
    const int wanted = static_cast<int>(need.wanted_gpus().value_or(1));
    if (!pool().known) return WaitReason{Kind::gpus_unknown, wanted, 0, pool().problem, {}};
    const auto limit = pool().max_gpus;
    if (!book_.choose(need, Among::all, Limit::none))
        return WaitReason{
            Kind::never_gpus, wanted, book_.count_gpus(need, Among::all), wish_text(need), {}};
    const bool limited = !book_.possible(need) || (book_.choose(need, Among::free, Limit::none) &&
                                                   !book_.choose(need, Among::free, Limit::now));
    if (limit && limited) return WaitReason{Kind::max_gpus, wanted, *limit, {}, {}};
    return WaitReason{Kind::gpus, wanted, book_.count_gpus(need, Among::free), wish_text(need), {}};
}

std::vector<std::size_t> Policy::suitable(std::uint64_t job) const {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return {};
    const SlotSet slots = book_.suitable(found->second.need);
    return {slots.begin(), slots.end()};
}

}  // namespace spool
