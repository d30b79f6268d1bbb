#include "libspool/policy.h"

#include <algorithm>
#include <utility>

namespace spool {

Policy::Shape Policy::shape_of(const Terms& terms) {
    return {terms.need, terms.time_limit, terms.group, terms.group_limit};
}

std::chrono::nanoseconds Policy::end_of(const Shape& shape, Moment now) {
    return shape.time_limit ? now.monotonic + *shape.time_limit : Tenure::open_end;
}

void Policy::add(std::uint64_t job, Terms terms, const DependencyBook::Lookup& standing) {
    remove(job);
    turns_.insert({terms.priority, job});
    dependencies_.add(job, terms.after, standing);
    place(job, waiting_.emplace(job, Waiting{std::move(terms), std::nullopt}).first->second);
}

void Policy::remove(std::uint64_t job) {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    unplace(job, found->second);
    dependencies_.remove(job);
    turns_.erase({found->second.terms.priority, job});
    waiting_.erase(found);
}

/// Whether it waits for the machine alone.
bool Policy::may_go(std::uint64_t job, const Waiting& waiting) const {
    const Terms& terms = waiting.terms;
    return !terms.held && terms.begin <= wall_ && !held_groups_.contains(terms.group) &&
           dependencies_.verdict(job) == Verdict::met && !array_is_full(job, waiting);
}

/// Puts a job where it belongs, in no bucket before.
void Policy::place(std::uint64_t job, Waiting& waiting) {
    const Terms& terms = waiting.terms;
    if (terms.begin > wall_) begins_.emplace(terms.begin, job);
    const bool never = dependencies_.verdict(job) == Verdict::never ||
                       (!terms.after.list.empty() && !dependencies_.circle(job).empty());
    if (never) hopeless_.insert(job);
    if (never || !may_go(job, waiting)) return;
    const auto bucket = buckets_.try_emplace(shape_of(terms)).first;
    if (!bucket->second.empty()) heads_.erase(*bucket->second.begin());
    bucket->second.insert({terms.priority, job});
    heads_.emplace(*bucket->second.begin(), bucket);
    waiting.bucket = bucket;
}

void Policy::unplace(std::uint64_t job, Waiting& waiting) {
    begins_.erase({waiting.terms.begin, job});
    hopeless_.erase(job);
    if (!waiting.bucket) return;
    const Bucket bucket = *std::exchange(waiting.bucket, std::nullopt);
    heads_.erase(*bucket->second.begin());
    bucket->second.erase({waiting.terms.priority, job});
    if (bucket->second.empty())
        buckets_.erase(bucket);
    else
        heads_.emplace(*bucket->second.begin(), bucket);
}

void Policy::replace(std::uint64_t job) {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    unplace(job, found->second);
    place(job, found->second);
}

/// The terms of a job that was started, or of such tasks of an array: a start may be taken back.
template <typename Change>
void Policy::change_started(std::uint64_t job, Change change) {
    if (const auto found = started_.find(job); found != started_.end()) change(found->second);
    if (!started_tasks_.contains(job)) return;
    for (const auto& [task, array] : array_of_)
        if (const auto found = started_.find(task); array == job && found != started_.end())
            change(found->second);
}

void Policy::set_priority(std::uint64_t job, int priority) {
    change_started(job, [&](Terms& terms) { terms.priority = priority; });
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    unplace(job, found->second);
    turns_.erase({found->second.terms.priority, job});
    found->second.terms.priority = priority;
    turns_.insert({priority, job});
    place(job, found->second);
}

void Policy::set_held(std::uint64_t job, bool held) {
    change_started(job, [&](Terms& terms) { terms.held = held; });
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return;
    found->second.terms.held = held;
    replace(job);
}

void Policy::hold_group(const std::string& group, std::optional<std::string> reason) {
    if (group.empty()) return;
    if (reason)
        held_groups_[group] = *reason;
    else
        held_groups_.erase(group);
    for (auto& [job, waiting] : waiting_)
        if (waiting.terms.group == group) {
            unplace(job, waiting);
            place(job, waiting);
        }
}

void Policy::note(std::uint64_t job, Standing standing) {
    for (const std::uint64_t follower : dependencies_.note(job, standing))
        replace(follower);
}

/// Jobs whose begin time has come wait for the machine alone; if the clock was set back, others do
/// no longer.
void Policy::wake(Moment now) {
    const bool back = now.wall < std::exchange(wall_, now.wall);
    monotonic_ = now.monotonic;
    while (!begins_.empty() && begins_.begin()->first <= now.wall)
        replace(begins_.begin()->second);
    if (!back) return;
    for (auto& [job, waiting] : waiting_)
        if (waiting.bucket && waiting.terms.begin > now.wall) {
            unplace(job, waiting);
            place(job, waiting);
        }
}

std::optional<std::int64_t> Policy::next_begin() const {
    if (begins_.empty()) return std::nullopt;
    return begins_.begin()->first;
}

/// With the places that are kept for those whose turn is before.
bool Policy::group_is_full(const Shape& shape, const Turn& turn) const {
    if (shape.group_limit == 0) return false;
    const auto running = group_sizes_.find(shape.group);
    const auto kept = kept_places_.find(shape.group);
    std::ptrdiff_t size = running == group_sizes_.end() ? 0 : running->second;
    if (kept != kept_places_.end())
        size += std::count_if(kept->second.begin(), kept->second.end(),
                              [&](const Turn& other) { return other < turn; });
    return size >= shape.group_limit;
}

/// Whether it can have its turn without strangers leaving.
bool Policy::in_reach(const Need& need) const {
    if (!book_.possible(need)) return false;
    return !book_.wants_gpu(need) || book_.choose(need, Among::in_reach, Limit::alone).has_value();
}

std::vector<Start> Policy::decide(Moment now, bool gpus) {
    wake(now);
    reservations_ = {};
    kept_places_.clear();
    std::vector<Start> starts;
    // The next of those buckets whose first one cannot start: neither can these, but they may keep
    // something too.
    std::map<Turn, Bucket> behind;
    for (auto head = heads_.begin(); book_.has_room();) {
        const bool is_behind =
            !behind.empty() && (head == heads_.end() || behind.begin()->first < head->first);
        if (!is_behind && head == heads_.end()) break;
        const auto [turn, bucket] = is_behind ? *behind.begin() : *head;
        const Shape& shape = bucket->first;
        const auto until = end_of(shape, now);
        const bool decidable = (gpus || !book_.wants_gpu(shape.need)) &&
                               !missing_label(pool(), shape.need) && !group_is_full(shape, turn);
        const bool may_start = decidable && !is_behind;
        if (auto grant = may_start ? reservations_.fit(book_, shape.need, until) : std::nullopt) {
            reservations_.note_start(*grant, until);
            starts.push_back(start(turn, std::move(*grant), now));
            // The next of its bucket is a head now, behind this turn; an array may be one still.
            head = heads_.lower_bound(turn);
            continue;
        }
        if (is_behind)
            behind.erase(behind.begin());
        else
            ++head;
        if (!decidable) continue;
        if (!shape.group.empty() && in_reach(shape.need)) kept_places_[shape.group].push_back(turn);
        if (!reservations_.reserve(book_, turn.job, shape.need, now.monotonic)) continue;
        const auto next = bucket->second.upper_bound(turn);
        if (next != bucket->second.end()) behind.emplace(*next, bucket);
    }
    return starts;
}

Start Policy::start(const Turn& turn, Grant grant, Moment now) {
    const Terms terms = waiting_.at(turn.job).terms;
    const std::uint64_t job = take_task(turn);
    book_.take(job, grant, {now.monotonic, end_of(shape_of(terms), now)});
    if (!terms.group.empty()) {
        groups_[job] = terms.group;
        ++group_sizes_[terms.group];
    }
    started_[job] = terms;
    return {job, std::move(grant), job == turn.job ? 0 : turn.job};
}

void Policy::take_back(std::uint64_t job) {
    const auto found = started_.find(job);
    if (found == started_.end()) return;
    Terms terms = std::move(found->second);
    const auto task = array_of_.find(job);
    const std::uint64_t array = task == array_of_.end() ? 0 : task->second;
    release(job);
    if (array != 0) return open_task(array, job, terms);
    // What it followed had come as far as it must.
    terms.after = {};
    add(job, std::move(terms), [](std::uint64_t) { return Standing::unknown; });
}

void Policy::adopt(std::uint64_t job, const std::string& group, const GrantedGpus& gpus,
                   const Amounts& amounts, Tenure tenure) {
    book_.adopt(job, gpus, amounts, tenure);
    if (group.empty()) return;
    groups_[job] = group;
    ++group_sizes_[group];
}

void Policy::release(std::uint64_t job) {
    book_.release(job);
    started_.erase(job);
    forget_task(job);
    const auto found = groups_.find(job);
    if (found == groups_.end()) return;
    const auto size = group_sizes_.find(found->second);
    if (--size->second == 0) group_sizes_.erase(size);
    groups_.erase(found);
}

/// Visits the jobs that wait for the machine alone, in the order of their turn, until `visit`
/// returns false.
template <typename Visit>
void Policy::in_order(Visit visit) const {
    struct Next {
        std::set<Turn>::const_iterator turn, end;
        const Need* need;
        bool operator<(const Next& other) const { return *other.turn < *turn; }  // a heap's order
    };
    std::vector<Next> next;
    for (const auto& [turn, bucket] : heads_)
        next.push_back({bucket->second.begin(), bucket->second.end(), &bucket->first.need});
    std::make_heap(next.begin(), next.end());
    while (!next.empty()) {
        std::pop_heap(next.begin(), next.end());
        Next& first = next.back();
        if (!visit(first.turn->job, *first.need)) return;
        if (++first.turn == first.end)
            next.pop_back();
        else
            std::push_heap(next.begin(), next.end());
    }
}

std::optional<std::uint64_t> Policy::first_for_gpus() const {
    for (const auto& [turn, bucket] : heads_) {
        const Need& need = bucket->first.need;
        if (!book_.wants_gpu(need) || group_is_full(bucket->first, turn) || !in_reach(need))
            continue;
        const bool waits_for_ours = book_.choose(need, Among::unheld, Limit::none) &&
                                    !book_.choose(need, Among::unheld, Limit::now);
        if (!waits_for_ours) return turn.job;
    }
    return std::nullopt;
}

bool Policy::gpus_wanted() const {
    return std::any_of(heads_.begin(), heads_.end(), [&](const auto& head) {
        const Need& need = head.second->first.need;
        return book_.wants_gpu(need) && !missing_label(pool(), need);
    });
}

std::vector<std::uint64_t> Policy::next(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    if (count == 0) return jobs;
    in_order([&](std::uint64_t job, const Need& need) {
        if (in_reach(need) && waiting_.at(job).terms.tasks == 0) jobs.push_back(job);
        return jobs.size() < count;
    });
    return jobs;
}

std::vector<std::uint64_t> Policy::queue(std::size_t count) const {
    std::vector<std::uint64_t> jobs;
    for (auto turn = turns_.begin(); turn != turns_.end() && jobs.size() < count; ++turn)
        jobs.push_back(turn->job);
    return jobs;
}

std::optional<int> Policy::priority(std::uint64_t job) const {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return std::nullopt;
    return found->second.terms.priority;
}

int Policy::highest_priority() const {
    return turns_.empty() ? 0 : turns_.begin()->priority;
}

std::vector<std::size_t> Policy::suitable(std::uint64_t job) const {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return {};
    const SlotSet slots = book_.suitable(found->second.terms.need);
    return {slots.begin(), slots.end()};
}

}  // namespace spool
