// Why a job waits.
#include "libspool/policy.h"
#include "libspool/values.h"
#include "libspool/wait_reason.h"

namespace spool {
namespace {

using Kind = WaitReason::Kind;

WaitReason reason(Kind kind, std::string detail, int wanted = 0, int free = 0) {
    return {kind, wanted, free, std::move(detail), {}};
}

std::string listed(const std::vector<std::uint64_t>& jobs) {
    std::string out;
    for (const std::uint64_t job : jobs)
        out += (out.empty() ? "" : ", ") + std::to_string(job);
    return out;
}

std::string condition(After after, const std::string& job) {
    switch (after) {
        case After::start:
        case After::task_success:
            return job + " to start";
        case After::success:
            return job + " to succeed";
        case After::failure:
            return job + " to fail";
        case After::end:
            break;
    }
    return job + " to end";
}

}  // namespace

std::optional<WaitReason> Policy::why(std::uint64_t job, const Label& label) const {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) return std::nullopt;
    if (auto not_yet = why_not_yet(job, found->second, label)) return not_yet;
    return why_no_room(found->second.terms);
}

/// What keeps it from wanting anything of the machine.
std::optional<WaitReason> Policy::why_not_yet(std::uint64_t job, const Waiting& waiting,
                                              const Label& label) const {
    const Terms& terms = waiting.terms;
    if (terms.held) return reason(Kind::held, {});
    if (const auto held = held_groups_.find(terms.group); held != held_groups_.end())
        return reason(Kind::group_held, terms.group + ": " + held->second);
    if (const auto jobs = dependencies_.circle(job); hopeless_.contains(job) && !jobs.empty())
        return reason(Kind::never_dependency, "jobs that wait for each other: " + listed(jobs));
    if (const auto obstacle = dependencies_.obstacle(job))
        return hopeless_.contains(job)
                   ? reason(Kind::never_dependency,
                            hopeless_text(*obstacle, label(obstacle->job), {}))
                   : reason(Kind::dependency,
                            condition(obstacle->after, "job " + label(obstacle->job)));
    if (terms.begin > wall_) return reason(Kind::begin, format_time(terms.begin));
    if (array_is_full(job, waiting)) return reason(Kind::array_limit, {}, 1, terms.array_limit);
    if (group_is_full(shape_of(terms), {terms.priority, job}))
        return reason(Kind::group_limit, terms.group, 1, terms.group_limit);
    return std::nullopt;
}

/// Processors or memory that are too few, now or for ever.
std::optional<WaitReason> Policy::why_amounts(const Need& need) const {
    const Amounts wanted = book_.amounts(need), all = pool().amounts, left = book_.amounts_left();
    if (wanted.cpus > all.cpus) return reason(Kind::never_cpus, {}, wanted.cpus, all.cpus);
    if (wanted.memory > all.memory)
        return reason(Kind::never_memory,
                      format_size(wanted.memory) + " of " + format_size(all.memory));
    if (wanted.cpu_slots > left.cpu_slots)
        return reason(Kind::cpu_slots, {}, wanted.cpu_slots, left.cpu_slots);
    if (wanted.cpus > left.cpus) return reason(Kind::cpus, {}, wanted.cpus, left.cpus);
    if (wanted.memory > left.memory)
        return reason(Kind::memory, format_size(wanted.memory) + ": " + format_size(left.memory));
    return std::nullopt;
}

WaitReason Policy::why_no_room(const Terms& terms) const {
    const Need& need = terms.need;
    if (const auto label = missing_label(pool(), need)) return reason(Kind::never_label, *label);
    const auto amounts = why_amounts(need);
    if (!book_.wants_gpu(need) && amounts) return *amounts;
    if (book_.wants_gpu(need)) {
        const int wanted = static_cast<int>(need.wanted_gpus().value_or(1));
        if (!pool().known) return reason(Kind::gpus_unknown, pool().problem, wanted);
        const auto limit = pool().max_gpus;
        if (!book_.choose(need, Among::all, Limit::none))
            return reason(Kind::never_gpus, wish_text(need), wanted,
                          book_.count_gpus(need, Among::all));
        const auto grant = book_.choose(need, Among::free, Limit::none);
        const bool limited =
            !book_.possible(need) || (grant && !book_.choose(need, Among::free, Limit::now));
        if (limit && limited) return reason(Kind::max_gpus, {}, wanted, *limit);
        if (grant && amounts) return *amounts;
        if (!grant)
            return reason(Kind::gpus, wish_text(need), wanted, book_.count_gpus(need, Among::free));
    }
    const auto until = end_of(shape_of(terms), {monotonic_, wall_});
    if (const Reservation* kept = reservations_.obstacle(book_, need, until))
        return reason(Kind::reserved, std::to_string(kept->job));
    return reason(Kind::next, {});
}

}  // namespace spool
