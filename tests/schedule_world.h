// A machine with a queue, and a clock that jumps from event to event. Durations are at most the
// time limits, as if the supervisor had ended what was late.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/policy_model.h"

namespace test {

class ScheduleWorld {
public:
    using Time = std::chrono::nanoseconds;
    static constexpr int gpus = 4, cpus = 8, cpu_slots = 3;
    static constexpr Time longest = std::chrono::seconds(50);

    explicit ScheduleWorld(unsigned seed) : random_(seed) { policy_.set_pool(pool()); }

    /// Time goes on to the next event, and a decision is made; what is wrong, or nothing.
    std::string step() {
        if (!closed_ && (running_.empty() || pick(2) == 0)) {
            now_ += std::chrono::seconds(pick(3));
            end_those_due();
            for (int count = pick(3); count > 0; --count)
                arrive();
        } else if (const auto next = next_end()) {
            now_ = std::max(now_, *next);
            end_those_due();
        } else {
            now_ += std::chrono::seconds(1);
        }
        // A start or an end may be what others wait for.
        for (std::size_t before = left() + 1; before != left();) {
            before = left();
            end_hopeless();
            if (std::string fault = decide(); !fault.empty()) return fault;
        }
        return check_waiting();
    }
    /// What has not been started.
    [[nodiscard]] std::size_t left() const {
        std::size_t count = waiting_.size();
        for (const auto& [array, tasks] : open_tasks_)
            count += tasks.size();
        return count;
    }
    void close() { closed_ = true; }
    [[nodiscard]] bool is_done() const { return waiting_.empty() && running_.empty(); }
    [[nodiscard]] const std::string& trace() const { return trace_; }
    [[nodiscard]] int backfilled() const { return backfilled_; }
    [[nodiscard]] int followers() const { return followers_; }
    [[nodiscard]] int hopeless() const { return hopeless_; }
    [[nodiscard]] int full_groups() const { return full_groups_; }
    [[nodiscard]] int tasks() const { return static_cast<int>(started_tasks_.size()); }
    [[nodiscard]] int full_arrays() const { return full_arrays_; }

private:
    struct Running {
        Terms terms;
        Time started{0}, ends{0};
        std::vector<std::size_t> gpu_slots;
        std::uint64_t array = 0;
    };

    int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
    static Pool pool() {
        Pool out = pool_of({"0", "1", "2", "3"}, cpu_slots);
        out.amounts.cpus = cpus;
        return out;
    }
    [[nodiscard]] spool::Moment moment() const { return {now_, now_.count()}; }
    [[nodiscard]] spool::Standing standing(std::uint64_t job) const {
        if (begun_.contains(job) && !ended_.contains(job)) return spool::Standing::running;
        if (waiting_.contains(job)) return spool::Standing::waiting;
        if (running_.contains(job)) return spool::Standing::running;
        const auto ended = ended_.find(job);
        return ended == ended_.end() ? spool::Standing::unknown : ended->second;
    }

    void arrive() {
        const std::uint64_t job = ++last_;
        Terms wanted = terms(0, need(pick(3) == 0 ? 0 : 1 + pick(gpus)));
        if (pick(3) == 0) wanted.need.cpus = 1 + pick(cpus);
        if (pick(2) == 0) wanted.time_limit = std::chrono::seconds(1 + pick(50));
        if (pick(4) == 0) {
            wanted.group = pick(2) == 0 ? "a" : "b";
            wanted.group_limit = wanted.group == "a" ? 1 : 2;
        }
        if (pick(5) == 0) wanted.begin = (now_ + std::chrono::seconds(pick(20))).count();
        for (int count = pick(3) == 0 ? 1 + pick(2) : 0; count > 0 && job > 1; --count) {
            const auto back = static_cast<std::uint64_t>(pick(10));
            wanted.after.list.push_back(
                {static_cast<spool::After>(pick(4)), job - 1 > back ? job - 1 - back : 1});
            wanted.after.any = pick(2) == 0;
        }
        if (pick(5) == 0) return arrive_as_array(job, std::move(wanted));
        waiting_[job] = wanted;
        policy_.add(job, wanted, [this](std::uint64_t other) { return standing(other); });
    }

    /// An open array: what it followed is over.
    void arrive_as_array(std::uint64_t job, Terms wanted) {
        wanted.after = {};
        wanted.begin = 0;
        wanted.tasks = static_cast<std::size_t>(1 + pick(6));
        wanted.array_limit = pick(3);
        spool::NumberSet& open = open_tasks_[job];
        for (std::size_t task = 0; task < wanted.tasks; ++task)
            open.insert(1'000'000 + job * 100 + task);
        waiting_[job] = wanted;
        policy_.add_array(job, wanted, open);
    }
    [[nodiscard]] int tasks_running(std::uint64_t array) const {
        return static_cast<int>(
            std::count_if(running_.begin(), running_.end(),
                          [&](const auto& entry) { return entry.second.array == array; }));
    }

    [[nodiscard]] std::optional<Time> next_end() const {
        std::optional<Time> next;
        for (const auto& [job, run] : running_)
            if (!next || run.ends < *next) next = run.ends;
        return next;
    }
    void end_those_due() {
        for (auto run = running_.begin(); run != running_.end();) {
            const std::uint64_t job = run->first;
            if (run->second.ends > now_) {
                ++run;
                continue;
            }
            const std::uint64_t array = run->second.array;
            run = running_.erase(run);
            policy_.release(job);
            const auto standing =
                pick(4) == 0 ? spool::Standing::failed : spool::Standing::succeeded;
            if (array == 0)
                note_end(job, standing);
            else if (!waiting_.contains(array) && tasks_running(array) == 0)
                note_end(array, standing);
        }
    }
    void note_end(std::uint64_t job, spool::Standing standing) {
        ended_[job] = standing;
        policy_.note(job, standing);
    }
    void end_hopeless() {
        while (!policy_.hopeless().empty()) {
            const std::uint64_t job = *policy_.hopeless().begin();
            policy_.remove(job);
            waiting_.erase(job);
            ++hopeless_;
            note_end(job, spool::Standing::failed);
        }
    }

    /// Whether it waits for the machine alone, found out without the policy.
    [[nodiscard]] bool may_go(std::uint64_t job, const Terms& wanted) const {
        if (wanted.array_limit != 0 && tasks_running(job) >= wanted.array_limit) return false;
        if (wanted.begin > now_.count()) return false;
        int same = 0;
        for (const auto& [other, run] : running_)
            same += run.terms.group == wanted.group ? 1 : 0;
        if (wanted.group_limit != 0 && same >= wanted.group_limit) return false;
        bool all = true, any = wanted.after.list.empty();
        for (const spool::Dependency& dependency : wanted.after.list) {
            const bool met =
                spool::judge(dependency.after, standing(dependency.job)) == spool::Verdict::met;
            all = all && met;
            any = any || met;
        }
        return wanted.after.any ? any : all;
    }

    /// The same state, as a daemon that is started anew finds it.
    [[nodiscard]] Policy rebuilt() {
        Policy policy;
        policy.set_pool(pool());
        for (const auto& [job, run] : running_) {
            spool::GrantedGpus had;
            for (const std::size_t slot : run.gpu_slots)
                had.texts.push_back(std::to_string(slot));
            const auto until = run.terms.time_limit ? run.started + *run.terms.time_limit
                                                    : spool::Tenure::open_end;
            policy.adopt(job, run.terms.group, had,
                         {run.gpu_slots.empty() ? 1 : 0, run.terms.need.cpus, 0},
                         {run.started, until});
            if (run.array != 0) policy.adopt_task(run.array, job);
        }
        for (const auto& [job, wanted] : waiting_)
            if (wanted.tasks != 0)
                policy.add_array(job, wanted, open_tasks_.at(job));
            else
                policy.add(job, wanted, [this](std::uint64_t other) { return standing(other); });
        return policy;
    }

    std::string decide() {
        Policy fresh = rebuilt();
        const auto starts = policy_.decide(moment());
        if (numbers(fresh.decide(moment())) != numbers(starts))
            return "a policy built anew decides otherwise";
        for (const Start& start : starts) {
            const std::uint64_t turn = start.array != 0 ? start.array : start.job;
            if (start.array != 0) {
                if (!open_tasks_.at(turn).contains(start.job))
                    return said(turn, "a task that does not wait is started");
                if (!started_tasks_.insert(start.job).second)
                    return said(turn, "a task is started twice");
                first_since_ = now_;
            }
            const Terms wanted = waiting_.at(turn);
            if (!may_go(turn, wanted)) return said(start.job, "started before its time");
            for (const auto& [other, terms_of_other] : waiting_)
                if (other < turn && may_go(other, terms_of_other)) ++backfilled_;
            if (!wanted.after.list.empty()) ++followers_;
            if (first_ && turn < *first_) first_.reset();  // whose time has come since
            run(start, wanted);
            if (std::string fault = overdrawn(); !fault.empty()) return said(start.job, fault);
        }
        return "";
    }
    void run(const Start& start, const Terms& wanted) {
        const Time most = wanted.time_limit.value_or(longest);
        const Time lasts =
            pick(3) == 0 ? most
                         : Time(1 + pick(static_cast<int>(most.count() / 1'000'000)) * 1'000'000LL);
        if (start.array == 0) {
            waiting_.erase(start.job);
        } else {
            begun_.insert(start.array);
            open_tasks_.at(start.array).erase(start.job);
            if (open_tasks_.at(start.array).empty()) waiting_.erase(start.array);
        }
        running_[start.job] = {wanted, now_, now_ + lasts, start.grant.gpu_slots, start.array};
        policy_.note(start.array != 0 ? start.array : start.job, spool::Standing::running);
        trace_ += std::to_string(start.job) + " ";
    }

    /// What is had twice, or too much of.
    [[nodiscard]] std::string overdrawn() const {
        std::set<std::size_t> taken;
        int processors = 0, without_gpu = 0;
        for (const auto& [job, run] : running_) {
            for (const std::size_t slot : run.gpu_slots)
                if (!taken.insert(slot).second) return "a GPU is given twice";
            if (run.gpu_slots.size() != static_cast<std::size_t>(*run.terms.need.gpus))
                return "not the number of GPUs";
            processors += run.terms.need.cpus;
            without_gpu += run.gpu_slots.empty() ? 1 : 0;
        }
        if (processors > cpus) return "too many processors";
        return without_gpu > cpu_slots ? "too many CPU slots" : "";
    }

    /// Nobody starves: who is first of those that may go starts when all that ran then have ended.
    std::string check_waiting() {
        std::optional<std::uint64_t> first;
        for (const auto& [job, wanted] : waiting_) {
            if (!first && may_go(job, wanted)) first = job;
            const auto why = policy_.why(job);
            if (!why) return said(job, "waits for nothing");
            if (why->kind == WaitReason::Kind::next) return said(job, "could start");
            if (why->kind == WaitReason::Kind::group_limit) ++full_groups_;
            if (why->kind == WaitReason::Kind::array_limit) ++full_arrays_;
        }
        if (first != first_) first_since_ = now_;
        first_ = first;
        if (first && now_ - first_since_ > longest) return said(*first, "starves");
        return "";
    }
    static std::string said(std::uint64_t job, const std::string& what) {
        return "job " + std::to_string(job) + ": " + what;
    }

    std::mt19937 random_;
    Policy policy_;
    Time now_{0};
    bool closed_ = false;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Terms> waiting_;
    std::map<std::uint64_t, Running> running_;
    std::map<std::uint64_t, spool::Standing> ended_;
    std::map<std::uint64_t, spool::NumberSet> open_tasks_;  ///< by array
    std::set<std::uint64_t> started_tasks_, begun_;         ///< tasks; arrays
    std::optional<std::uint64_t> first_;
    Time first_since_{0};
    int backfilled_ = 0, followers_ = 0, hopeless_ = 0, full_groups_ = 0, full_arrays_ = 0;
    std::string trace_;
};

}  // namespace test
