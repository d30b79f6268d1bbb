// A model of the policy that is simple and slow, and random schedules for both.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "libspool/policy.h"

namespace test {

using spool::GpuSlot;
using spool::Need;
using spool::Policy;
using spool::Pool;
using spool::Start;
using spool::Terms;
using spool::WaitReason;

using Jobs = std::vector<std::uint64_t>;
using Texts = std::vector<std::string>;

/// What a job needs that says a number of GPUs, or none.
inline Need need(std::optional<int> gpus) {
    Need out;
    out.gpus = gpus;
    return out;
}

inline Terms terms(int priority, Need need) {
    Terms out;
    out.priority = priority;
    out.need = std::move(need);
    return out;
}

/// For jobs that follow no other.
inline spool::Standing follows_nobody(std::uint64_t) {
    return spool::Standing::unknown;
}

inline void add(Policy& policy, std::uint64_t job, int priority, Need need) {
    policy.add(job, terms(priority, std::move(need)), follows_nobody);
}

inline Pool pool_of(const Texts& listed, int cpu_slots = 2) {
    Pool pool;
    for (const std::string& slot : listed)
        pool.gpu_slots.push_back(spool::make_gpu_slot(slot));
    pool.amounts.cpu_slots = cpu_slots;
    return pool;
}

inline Policy policy_of(const Texts& listed, int cpu_slots = 2) {
    Policy policy;
    policy.set_pool(pool_of(listed, cpu_slots));
    return policy;
}

inline Jobs numbers(const std::vector<Start>& starts) {
    Jobs jobs;
    for (const Start& start : starts)
        jobs.push_back(start.job);
    return jobs;
}

/// The job that has a slot, or 0.
inline std::uint64_t holder(const Policy& policy, std::size_t slot) {
    const auto holders = policy.book().holders(slot);
    return holders.empty() ? 0 : holders.front();
}

inline Texts texts(const Policy& policy, const Start& start) {
    Texts out;
    for (const std::size_t slot : start.grant.gpu_slots)
        out.push_back(policy.pool().gpu_slots[slot].text);
    return out;
}

inline std::set<std::string> devices_of(const Texts& listed) {
    std::set<std::string> devices;
    for (const std::string& text : listed)
        for (const std::string& device : spool::make_gpu_slot(text).devices)
            devices.insert(device);
    return devices;
}

/// What the policy is measured against: sorts all waiting jobs at every decision, and looks at each
/// of them. Whether a grant is right it judges without slots, only by how many of each text are
/// taken; valid for pools whose slots are disjoint or equal.
class Model {
public:
    struct Waiting {
        std::uint64_t job;
        Terms terms;
    };
    Pool pool;
    std::vector<Waiting> waiting;
    std::map<std::uint64_t, std::pair<Texts, int>> running;  ///< slot texts, CPU slots

    [[nodiscard]] bool wants_gpu(const Need& need) const {
        return need.gpus ? *need.gpus > 0 : !pool.gpu_slots.empty();
    }

    /// The texts of the free slots. A job whose slot is no longer in the pool keeps those that
    /// share a GPU with it.
    [[nodiscard]] std::multiset<std::string> free_slots() const {
        std::multiset<std::string> free;
        for (const GpuSlot& slot : pool.gpu_slots)
            free.insert(slot.text);
        std::set<std::string> blocked;
        for (const auto& [job, had] : running)
            for (const std::string& text : had.first)
                if (const auto found = free.find(text); found != free.end())
                    free.erase(found);
                else
                    blocked.merge(devices_of({text}));
        std::erase_if(free, [&](const std::string& text) {
            const auto devices = devices_of({text});
            return std::any_of(devices.begin(), devices.end(),
                               [&](const auto& device) { return blocked.contains(device); });
        });
        return free;
    }

    [[nodiscard]] bool fits(const Need& need, const std::multiset<std::string>& listed) const {
        if (!need.gpus) return !listed.empty();
        return devices_of({listed.begin(), listed.end()}).size() >=
               static_cast<std::size_t>(*need.gpus);
    }
    [[nodiscard]] bool possible(const Need& need) const {
        std::multiset<std::string> all;
        for (const GpuSlot& slot : pool.gpu_slots)
            all.insert(slot.text);
        return wants_gpu(need) ? fits(need, all) : pool.amounts.cpu_slots > 0;
    }
    [[nodiscard]] int cpu_used() const {
        int used = 0;
        for (const auto& [job, had] : running)
            used += had.second;
        return used;
    }

    void sort() {
        std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
            if (a.terms.priority != b.terms.priority) return a.terms.priority > b.terms.priority;
            return a.job < b.job;
        });
    }

    /// The jobs that must start now, in order, from what the policy's book says of the slots.
    Jobs starts(spool::SlotBook book, spool::Moment now) {
        sort();
        Jobs jobs;
        spool::Reservations reservations;
        for (const Waiting& job : waiting) {
            const auto until = job.terms.time_limit ? now.monotonic + *job.terms.time_limit
                                                    : spool::Tenure::open_end;
            const auto grant = reservations.fit(book, job.terms.need, until);
            if (!grant) {
                (void)reservations.reserve(book, job.job, job.terms.need, now.monotonic);
                continue;
            }
            reservations.note_start(*grant, until);
            book.take(job.job, *grant, {now.monotonic, until});
            jobs.push_back(job.job);
        }
        return jobs;
    }

    /// What is wrong with a grant; empty if nothing is.
    [[nodiscard]] std::string fault(const Need& need, const Texts& listed, int cpu_slots) const {
        if (!wants_gpu(need))
            return listed.empty() && cpu_slots == 1 ? "" : "a CPU job was given something else";
        if (cpu_slots != 0) return "a GPU job was given CPU slots";
        auto free = free_slots();
        for (const std::string& text : listed) {
            const auto found = free.find(text);
            if (found == free.end()) return "slot '" + text + "' is not free";
            free.erase(found);
        }
        if (!need.gpus) return listed.size() == 1 ? "" : "not one slot";
        const auto wanted = static_cast<std::size_t>(*need.gpus);
        if (devices_of(listed).size() < wanted) return "too few GPUs";
        for (std::size_t i = 0; i < listed.size(); ++i) {
            Texts fewer = listed;
            fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
            if (devices_of(fewer).size() >= wanted) return "slot '" + listed[i] + "' is too much";
        }
        return "";
    }
};

/// A policy and the model side by side, driven by one seed.
class Simulation {
public:
    explicit Simulation(unsigned seed) : random_(seed) { change_pool(); }

    /// Makes one random event and one decision; what differs, or nothing.
    std::string step() {
        switch (pick(10)) {
            case 0:
                change_pool();
                break;
            case 1:
            case 2:
            case 3:
                end_one();
                break;
            case 4:
                withdraw_one();
                break;
            default:
                arrive();
        }
        return decide();
    }
    [[nodiscard]] const std::string& trace() const { return trace_; }

private:
    int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

    void change_pool() {
        static const std::vector<Texts> pools = {{},
                                                 {"0"},
                                                 {"0", "0"},
                                                 {"0", "1", "2", "3"},
                                                 {"0,1", "2,3"},
                                                 {"0,1,2", "3"},
                                                 {"0", "1", "2,3"},
                                                 {"", ""},
                                                 {"", "0", "1"},
                                                 {"0,1", "0,1"}};
        model_.pool =
            pool_of(pools[static_cast<std::size_t>(pick(static_cast<int>(pools.size())))], pick(4));
        policy_.set_pool(model_.pool);
    }
    void arrive() {
        const std::uint64_t job = ++last_;
        const int priority = pick(4) == 0 ? pick(3) - 1 : 0;
        const int kind = pick(8);
        const Need wanted = need(kind < 3 ? std::nullopt : std::optional(kind - 3));
        Terms asked = terms(priority, wanted);
        if (pick(2) == 0) asked.time_limit = std::chrono::seconds(1 + pick(60));
        model_.waiting.push_back({job, std::move(asked)});
        policy_.add(job, model_.waiting.back().terms, follows_nobody);
    }
    void end_one() {
        if (model_.running.empty()) return;
        auto job = model_.running.begin();
        std::advance(job, pick(static_cast<int>(model_.running.size())));
        policy_.release(job->first);
        model_.running.erase(job);
    }
    void withdraw_one() {
        if (model_.waiting.empty()) return;
        const auto at = static_cast<std::size_t>(pick(static_cast<int>(model_.waiting.size())));
        policy_.remove(model_.waiting[at].job);
        model_.waiting.erase(model_.waiting.begin() + static_cast<std::ptrdiff_t>(at));
    }

    /// The same state, reached by another way.
    Policy rebuilt() {
        Policy policy;
        policy.set_pool(model_.pool);
        Jobs running;
        for (const auto& [job, had] : model_.running)
            running.push_back(job);
        std::shuffle(running.begin(), running.end(), random_);
        for (const std::uint64_t job : running)
            policy.adopt(job, "", {model_.running[job].first, {}, 0},
                         {model_.running[job].second, 0, 0}, tenures_[job]);
        auto waiting = model_.waiting;
        std::shuffle(waiting.begin(), waiting.end(), random_);
        for (const Model::Waiting& job : waiting)
            policy.add(job.job, job.terms, follows_nobody);
        return policy;
    }

    std::string decide() {
        now_.monotonic += std::chrono::seconds(pick(5));
        const Jobs expected_next = possible_first(5);
        if (policy_.next(5) != expected_next) return "next() is not what is first in line";
        Policy fresh = rebuilt();
        const Jobs expected = model_.starts(policy_.book(), now_);
        const auto starts = policy_.decide(now_);
        if (numbers(fresh.decide(now_)) != numbers(starts))
            return "a policy built anew decides otherwise";
        if (numbers(starts) != expected) return "one that looks at every job decides otherwise";
        for (const Start& start : starts)
            if (const std::string fault = check(start); !fault.empty())
                return "job " + std::to_string(start.job) + ": " + fault;
        if (policy_.waiting() != model_.waiting.size()) return "the number of waiting jobs";
        if (policy_.cpu_slots_used() != model_.cpu_used()) return "the number of CPU slots in use";
        return check_holders();
    }

    std::string check(const Start& start) {
        const auto job = std::find_if(model_.waiting.begin(), model_.waiting.end(),
                                      [&](const auto& other) { return other.job == start.job; });
        if (job == model_.waiting.end()) return "does not wait";
        const Texts listed = texts(policy_, start);
        if (std::string fault =
                model_.fault(job->terms.need, listed, start.grant.amounts.cpu_slots);
            !fault.empty())
            return fault;
        model_.running[start.job] = {listed, start.grant.amounts.cpu_slots};
        tenures_[start.job] = {now_.monotonic, job->terms.time_limit
                                                   ? now_.monotonic + *job->terms.time_limit
                                                   : spool::Tenure::open_end};
        model_.waiting.erase(job);
        trace_ += std::to_string(start.job) + ":";
        for (const std::size_t slot : start.grant.gpu_slots)
            trace_ += std::to_string(slot) + "+";
        trace_ += " ";
        return "";
    }

    std::string check_holders() {
        std::multiset<std::string> free;
        for (std::size_t slot = 0; slot < model_.pool.gpu_slots.size(); ++slot) {
            const std::uint64_t job = holder(policy_, slot);
            if (job == 0)
                free.insert(model_.pool.gpu_slots[slot].text);
            else if (!model_.running.contains(job))
                return "slot " + std::to_string(slot) + " is held by an ended job";
        }
        return free == model_.free_slots() ? "" : "which slots are free";
    }

    Jobs possible_first(std::size_t count) {
        model_.sort();
        Jobs jobs;
        for (const Model::Waiting& job : model_.waiting)
            if (model_.possible(job.terms.need) && jobs.size() < count) jobs.push_back(job.job);
        return jobs;
    }

    std::mt19937 random_;
    Policy policy_;
    Model model_;
    std::map<std::uint64_t, spool::Tenure> tenures_;
    spool::Moment now_;
    std::uint64_t last_ = 0;
    std::string trace_;
};

}  // namespace test
