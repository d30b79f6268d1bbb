// Which job starts, on what, and why the others wait: first by cases, then against a model that
// sorts everything.
#include <QtTest>
#include <algorithm>
#include <random>

#include "libspool/policy.h"

using spool::GpuSlot;
using spool::Need;
using spool::Policy;
using spool::Pool;
using spool::Start;
using spool::WaitReason;

namespace {

using Jobs = std::vector<std::uint64_t>;
using Texts = std::vector<std::string>;

Pool pool_of(const Texts& listed, int cpu_slots = 2) {
    Pool pool;
    for (const std::string& slot : listed)
        pool.gpu_slots.push_back(spool::make_gpu_slot(slot));
    pool.cpu_slots = cpu_slots;
    return pool;
}

Policy policy_of(const Texts& listed, int cpu_slots = 2) {
    Policy policy;
    policy.set_pool(pool_of(listed, cpu_slots));
    return policy;
}

Jobs numbers(const std::vector<Start>& starts) {
    Jobs jobs;
    for (const Start& start : starts)
        jobs.push_back(start.job);
    return jobs;
}

Texts texts(const Policy& policy, const Start& start) {
    Texts out;
    for (const std::size_t slot : start.grant.gpu_slots)
        out.push_back(policy.pool().gpu_slots[slot].text);
    return out;
}

std::set<std::string> devices_of(const Texts& listed) {
    std::set<std::string> devices;
    for (const std::string& text : listed)
        for (const std::string& device : spool::make_gpu_slot(text).devices)
            devices.insert(device);
    return devices;
}

/// What the policy is measured against: sorts all waiting jobs at every decision, and knows no
/// slots, only how many of each text are taken. Valid for pools whose slots are disjoint or equal.
class Model {
public:
    struct Waiting {
        std::uint64_t job;
        int priority;
        Need need;
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
        return wants_gpu(need) ? fits(need, all) : pool.cpu_slots > 0;
    }
    [[nodiscard]] int cpu_used() const {
        int used = 0;
        for (const auto& [job, had] : running)
            used += had.second;
        return used;
    }

    void sort() {
        std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
            return a.priority != b.priority ? a.priority > b.priority : a.job < b.job;
        });
    }

    /// The job that must start next, or nothing.
    std::optional<Waiting> next_start() {
        sort();
        bool gpus_closed = false, cpus_closed = false;
        for (const Waiting& job : waiting) {
            bool& closed = wants_gpu(job.need) ? gpus_closed : cpus_closed;
            if (closed || !possible(job.need)) continue;
            const bool fits_now =
                wants_gpu(job.need) ? fits(job.need, free_slots()) : cpu_used() < pool.cpu_slots;
            if (fits_now) return job;
            closed = true;
        }
        return std::nullopt;
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
        const Need need{kind < 3 ? std::nullopt : std::optional(kind - 3)};
        model_.waiting.push_back({job, priority, need});
        policy_.add(job, priority, need);
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
            policy.adopt(job, model_.running[job].first, model_.running[job].second);
        auto waiting = model_.waiting;
        std::shuffle(waiting.begin(), waiting.end(), random_);
        for (const Model::Waiting& job : waiting)
            policy.add(job.job, job.priority, job.need);
        return policy;
    }

    std::string decide() {
        const Jobs expected_next = possible_first(5);
        if (policy_.next(5) != expected_next) return "next() is not what is first in line";
        Policy fresh = rebuilt();
        const auto starts = policy_.decide();
        if (numbers(fresh.decide()) != numbers(starts))
            return "a policy built anew decides otherwise";
        for (const Start& start : starts)
            if (const std::string fault = check(start); !fault.empty())
                return "job " + std::to_string(start.job) + ": " + fault;
        if (const auto idle = model_.next_start())
            return "job " + std::to_string(idle->job) + " waits while what it needs is free";
        if (policy_.waiting() != model_.waiting.size()) return "the number of waiting jobs";
        if (policy_.cpu_slots_used() != model_.cpu_used()) return "the number of CPU slots in use";
        return check_holders();
    }

    std::string check(const Start& start) {
        const auto next = model_.next_start();
        if (!next) return "should not start";
        if (next->job != start.job) return "started before job " + std::to_string(next->job);
        const Texts listed = texts(policy_, start);
        if (std::string fault = model_.fault(next->need, listed, start.grant.cpu_slots);
            !fault.empty())
            return fault;
        model_.running[start.job] = {listed, start.grant.cpu_slots};
        std::erase_if(model_.waiting, [&](const auto& job) { return job.job == start.job; });
        trace_ += std::to_string(start.job) + ":";
        for (const std::size_t slot : start.grant.gpu_slots)
            trace_ += std::to_string(slot) + "+";
        trace_ += " ";
        return "";
    }

    std::string check_holders() {
        std::multiset<std::string> free;
        for (std::size_t slot = 0; slot < model_.pool.gpu_slots.size(); ++slot) {
            const std::uint64_t holder = policy_.holder(slot);
            if (holder == 0)
                free.insert(model_.pool.gpu_slots[slot].text);
            else if (!model_.running.contains(holder))
                return "slot " + std::to_string(slot) + " is held by an ended job";
        }
        return free == model_.free_slots() ? "" : "which slots are free";
    }

    Jobs possible_first(std::size_t count) {
        model_.sort();
        Jobs jobs;
        for (const Model::Waiting& job : model_.waiting)
            if (model_.possible(job.need) && jobs.size() < count) jobs.push_back(job.job);
        return jobs;
    }

    std::mt19937 random_;
    Policy policy_;
    Model model_;
    std::uint64_t last_ = 0;
    std::string trace_;
};

struct Queued {
    std::uint64_t job;
    int priority;
    Need need;
};

}  // namespace

Q_DECLARE_METATYPE(Texts)
Q_DECLARE_METATYPE(std::vector<Queued>)
Q_DECLARE_METATYPE(Jobs)
Q_DECLARE_METATYPE(spool::WaitReason)

class UnitPolicy : public QObject {
    Q_OBJECT

private slots:
    void splits_a_slot_into_its_devices_data() {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QStringList>("devices");
        QTest::newRow("one") << "0" << QStringList{"0"};
        QTest::newRow("two") << "0,1" << QStringList{"0", "1"};
        QTest::newRow("blanks") << " 0 , 1 " << QStringList{"0", "1"};
        QTest::newRow("none") << "" << QStringList{};
        QTest::newRow("commas only") << ",," << QStringList{};
        QTest::newRow("a name") << "MIG-1234/1/0" << QStringList{"MIG-1234/1/0"};
    }
    void splits_a_slot_into_its_devices() {
        QFETCH(QString, text);
        QFETCH(QStringList, devices);
        const GpuSlot slot = spool::make_gpu_slot(text.toStdString());
        QCOMPARE(slot.text, text.toStdString());
        QStringList found;
        for (const std::string& device : slot.devices)
            found << QString::fromStdString(device);
        QCOMPARE(found, devices);
    }

    void starts_in_the_order_of_turns_data() {
        QTest::addColumn<Texts>("listed");
        QTest::addColumn<std::vector<Queued>>("queue");
        QTest::addColumn<Jobs>("started");
        const Need any{}, cpu{0}, two{2}, five{5};
        QTest::newRow("first come, first served")
            << Texts{"0", "1"} << std::vector<Queued>{{3, 0, any}, {1, 0, any}, {2, 0, any}}
            << Jobs{1, 2};
        QTest::newRow("priority goes before number")
            << Texts{"0", "1"} << std::vector<Queued>{{1, 0, any}, {2, -5, any}, {3, 7, any}}
            << Jobs{3, 1};
        QTest::newRow("no pool: jobs that say nothing take CPU slots")
            << Texts{} << std::vector<Queued>{{1, 0, any}, {2, 0, any}, {3, 0, any}} << Jobs{1, 2};
        QTest::newRow("a waiting GPU job holds back GPU jobs, not CPU jobs")
            << Texts{"0"} << std::vector<Queued>{{1, 0, any}, {2, 0, any}, {3, 0, cpu}, {4, 0, any}}
            << Jobs{1, 3};
        QTest::newRow("a big job at the head is not starved by small ones")
            << Texts{"0"} << std::vector<Queued>{{1, 0, Need{1}}, {2, 0, any}} << Jobs{1};
        QTest::newRow("a waiting CPU job holds back CPU jobs, not GPU jobs")
            << Texts{"0"} << std::vector<Queued>{{1, 0, cpu}, {2, 0, cpu}, {3, 0, cpu}, {4, 0, any}}
            << Jobs{1, 2, 4};
        QTest::newRow("what is impossible holds back nobody")
            << Texts{"0", "1"} << std::vector<Queued>{{1, 9, five}, {2, 0, two}, {3, 0, any}}
            << Jobs{2};
        QTest::newRow("GPUs wanted where there is no pool")
            << Texts{} << std::vector<Queued>{{1, 0, Need{1}}, {2, 0, any}} << Jobs{2};
    }
    void starts_in_the_order_of_turns() {
        QFETCH(Texts, listed);
        QFETCH(std::vector<Queued>, queue);
        QFETCH(Jobs, started);
        Policy policy = policy_of(listed);
        for (const Queued& job : queue)
            policy.add(job.job, job.priority, job.need);
        QCOMPARE(numbers(policy.decide()), started);
        QCOMPARE(numbers(policy.decide()), Jobs{});
        for (const std::uint64_t job : started)
            QVERIFY(!policy.waits(job));
        QCOMPARE(policy.waiting(), queue.size() - started.size());
    }

    void chooses_slots_data() {
        QTest::addColumn<Texts>("listed");
        QTest::addColumn<int>("gpus");  // -1: not said
        QTest::addColumn<Jobs>("chosen");
        QTest::newRow("not said: the first slot") << Texts{"0,1", "2"} << -1 << Jobs{0};
        QTest::newRow("not said: a slot without a GPU is one") << Texts{"", "0"} << -1 << Jobs{0};
        QTest::newRow("one of singles: the first") << Texts{"0", "1", "2"} << 1 << Jobs{0};
        QTest::newRow("two of singles: the first two") << Texts{"0", "1", "2"} << 2 << Jobs{0, 1};
        QTest::newRow("two: one slot that holds both") << Texts{"0", "1", "2,3"} << 2 << Jobs{2};
        QTest::newRow("one: the smallest surplus") << Texts{"0,1", "2"} << 1 << Jobs{1};
        QTest::newRow("one where all slots are pairs") << Texts{"0,1", "2,3"} << 1 << Jobs{0};
        QTest::newRow("three of pairs") << Texts{"0,1", "2,3"} << 3 << Jobs{0, 1};
        QTest::newRow("three: a pair and a single") << Texts{"0", "1,2", "3"} << 3 << Jobs{0, 1};
        QTest::newRow("empty slots are no GPUs") << Texts{"", "0"} << 1 << Jobs{1};
        QTest::newRow("a GPU twice is one GPU") << Texts{"0", "0", "1"} << 2 << Jobs{0, 2};
        QTest::newRow("too many") << Texts{"0", "1"} << 3 << Jobs{};
        QTest::newRow("two of the same GPU") << Texts{"0", "0"} << 2 << Jobs{};
        QTest::newRow("GPUs of empty slots") << Texts{"", ""} << 1 << Jobs{};
    }
    void chooses_slots() {
        QFETCH(Texts, listed);
        QFETCH(int, gpus);
        QFETCH(Jobs, chosen);
        Policy policy = policy_of(listed);
        policy.add(1, 0, Need{gpus < 0 ? std::nullopt : std::optional(gpus)});
        const auto starts = policy.decide();
        QCOMPARE(starts.size(), chosen.empty() ? 0u : 1u);
        if (chosen.empty()) return;
        QCOMPARE(Jobs(starts[0].grant.gpu_slots.begin(), starts[0].grant.gpu_slots.end()), chosen);
        QCOMPARE(starts[0].grant.cpu_slots, 0);
        for (std::size_t slot = 0; slot < listed.size(); ++slot)
            QCOMPARE(policy.holder(slot),
                     std::uint64_t(std::count(chosen.begin(), chosen.end(), slot)));
        policy.release(1);
        for (std::size_t slot = 0; slot < listed.size(); ++slot)
            QCOMPARE(policy.holder(slot), std::uint64_t(0));
    }

    void says_why_a_job_waits_data() {
        QTest::addColumn<Texts>("listed");
        QTest::addColumn<int>("cpu_slots");
        QTest::addColumn<int>("gpus");
        QTest::addColumn<WaitReason>("reason");
        using Kind = WaitReason::Kind;
        const auto reason = [](Kind kind, int wanted, int free) {
            return WaitReason{kind, wanted, free, {}, {}};
        };
        QTest::newRow("GPUs") << Texts{"0", "1"} << 1 << 2 << reason(Kind::gpus, 2, 1);
        QTest::newRow("one") << Texts{"0"} << 1 << -1 << reason(Kind::gpus, 1, 0);
        QTest::newRow("more than there are")
            << Texts{"0", "1"} << 1 << 3 << reason(Kind::never_gpus, 3, 2);
        QTest::newRow("a GPU twice counts once")
            << Texts{"0", "0"} << 1 << 2 << reason(Kind::never_gpus, 2, 1);
        QTest::newRow("pairs") << Texts{"0,1", "2,3"} << 1 << 5 << reason(Kind::never_gpus, 5, 4);
        QTest::newRow("no pool") << Texts{} << 1 << 1 << reason(Kind::never_gpus, 1, 0);
        QTest::newRow("CPU slots") << Texts{} << 1 << 0 << reason(Kind::cpu_slots, 1, 0);
        QTest::newRow("CPU slots, not said") << Texts{} << 1 << -1 << reason(Kind::cpu_slots, 1, 0);
    }
    /// Job 1 has taken the first slot, or the only CPU slot; job 2 waits.
    void says_why_a_job_waits() {
        QFETCH(Texts, listed);
        QFETCH(int, cpu_slots);
        QFETCH(int, gpus);
        QFETCH(WaitReason, reason);
        Policy policy = policy_of(listed, cpu_slots);
        policy.add(1, 0, Need{});
        policy.add(2, 0, Need{gpus < 0 ? std::nullopt : std::optional(gpus)});
        QCOMPARE(numbers(policy.decide()), Jobs{1});
        QVERIFY(policy.why(2).has_value());
        QVERIFY(*policy.why(2) == reason);
        QVERIFY(!policy.why(1));
        QVERIFY(!policy.why(99));
    }

    void queue_and_next_are_in_the_order_of_turns() {
        Policy policy = policy_of({"0"});
        policy.add(5, 0, Need{0});
        policy.add(3, 0, Need{});
        policy.add(4, 0, Need{7});  // never
        policy.add(9, 2, Need{});
        policy.add(3, 0, Need{1});  // said again: still one job
        QCOMPARE(policy.queue(10), (Jobs{9, 3, 4, 5}));
        QCOMPARE(policy.queue(2), (Jobs{9, 3}));
        QCOMPARE(policy.queue(0), Jobs{});
        QCOMPARE(policy.next(10), (Jobs{9, 3, 5}));
        QCOMPARE(policy.next(1), Jobs{9});
        QCOMPARE(policy.next(0), Jobs{});
        policy.remove(9);
        policy.remove(9);
        QCOMPARE(policy.queue(10), (Jobs{3, 4, 5}));
    }

    void jobs_keep_their_slots_when_the_pool_changes_data() {
        QTest::addColumn<Texts>("before");
        QTest::addColumn<int>("jobs");  // that hold a slot each, in order
        QTest::addColumn<Texts>("after");
        QTest::addColumn<Jobs>("holders");
        QTest::newRow("unchanged") << Texts{"0", "1"} << 2 << Texts{"0", "1"} << Jobs{1, 2};
        QTest::newRow("other order") << Texts{"0", "1"} << 2 << Texts{"1", "0"} << Jobs{2, 1};
        QTest::newRow("one more") << Texts{"0"} << 1 << Texts{"5", "0"} << Jobs{0, 1};
        QTest::newRow("gone") << Texts{"0", "1"} << 2 << Texts{"1"} << Jobs{2};
        QTest::newRow("split") << Texts{"0,1"} << 1 << Texts{"0", "1", "2"} << Jobs{1, 1, 0};
        QTest::newRow("joined") << Texts{"0", "1"} << 1 << Texts{"0,1", "2"} << Jobs{1, 0};
        QTest::newRow("of two that overlap the exact one stays")
            << Texts{"0,1", "0"} << 2 << Texts{"0"} << Jobs{2};
        QTest::newRow("twice, then once") << Texts{"0", "0"} << 2 << Texts{"0"} << Jobs{1};
        QTest::newRow("no pool any more") << Texts{"0"} << 1 << Texts{} << Jobs{};
    }
    void jobs_keep_their_slots_when_the_pool_changes() {
        QFETCH(Texts, before);
        QFETCH(int, jobs);
        QFETCH(Texts, after);
        QFETCH(Jobs, holders);
        Policy policy = policy_of(before);
        for (int job = 1; job <= jobs; ++job)
            policy.add(static_cast<std::uint64_t>(job), 0, Need{});
        QCOMPARE(policy.decide().size(), std::size_t(jobs));
        policy.set_pool(pool_of(after));
        Jobs found;
        for (std::size_t slot = 0; slot < after.size(); ++slot)
            found.push_back(policy.holder(slot));
        QCOMPARE(found, holders);
        // And back: as if nothing had been.
        policy.set_pool(pool_of(before));
        for (int job = 1; job <= jobs; ++job)
            QCOMPARE(policy.holder(static_cast<std::size_t>(job - 1)), std::uint64_t(job));
    }

    /// Two jobs on overlapping slots, of which one is taken out of the pool: its end must not free
    /// what the other one has.
    void an_overlapping_job_keeps_a_slot_until_its_own_end() {
        for (const bool first_ends_first : {true, false}) {
            Policy policy = policy_of({"0,1", "0"});
            policy.add(1, 0, Need{});
            policy.add(2, 0, Need{});
            QCOMPARE(numbers(policy.decide()), (Jobs{1, 2}));
            policy.set_pool(pool_of({"0"}));
            policy.add(3, 0, Need{});
            policy.release(first_ends_first ? 1 : 2);
            QCOMPARE(numbers(policy.decide()), Jobs{});
            policy.release(first_ends_first ? 2 : 1);
            QCOMPARE(numbers(policy.decide()), Jobs{3});
        }
    }

    void adopts_what_an_earlier_daemon_started() {
        Policy policy = policy_of({"0", "1,2", "3"}, 1);
        policy.adopt(7, {"1,2"}, 0);
        policy.adopt(8, {"0", "9"}, 0);  // 9 is not in the pool any more
        policy.adopt(9, {}, 1);
        QCOMPARE(policy.holder(0), std::uint64_t(8));
        QCOMPARE(policy.holder(1), std::uint64_t(7));
        QCOMPARE(policy.holder(2), std::uint64_t(0));
        QCOMPARE(policy.holder(3), std::uint64_t(0));  // there is none
        QCOMPARE(policy.cpu_slots_used(), 1);
        policy.add(10, 0, Need{2});
        policy.add(11, 0, Need{0});
        QCOMPARE(numbers(policy.decide()), Jobs{});
        policy.release(9);
        QCOMPARE(numbers(policy.decide()), Jobs{11});
        policy.release(8);
        QCOMPARE(numbers(policy.decide()), Jobs{10});
        QCOMPARE(policy.holder(0), std::uint64_t(10));
        QCOMPARE(policy.holder(2), std::uint64_t(10));
    }

    void releasing_what_holds_nothing_changes_nothing() {
        Policy policy = policy_of({"0"});
        policy.add(1, 0, Need{});
        policy.release(1);
        policy.release(99);
        QVERIFY(policy.waits(1));
        QCOMPARE(numbers(policy.decide()), Jobs{1});
        policy.release(1);
        policy.release(1);
        QCOMPARE(policy.cpu_slots_used(), 0);
    }

    void random_schedules_follow_the_model() {
        for (unsigned seed = 0; seed < 2000; ++seed) {
            Simulation simulation(seed);
            for (int step = 0; step < 60; ++step) {
                const std::string fault = simulation.step();
                QVERIFY2(fault.empty(), qPrintable(QString("seed %1, step %2: %3")
                                                       .arg(seed)
                                                       .arg(step)
                                                       .arg(QString::fromStdString(fault))));
            }
        }
    }

    void a_seed_decides_the_same_twice() {
        for (const unsigned seed : {1u, 17u, 4711u}) {
            Simulation first(seed), second(seed);
            for (int step = 0; step < 300; ++step) {
                first.step();
                second.step();
            }
            QVERIFY(!first.trace().empty());
            QCOMPARE(first.trace(), second.trace());
        }
    }

    /// The bound is a hundred times what it takes; a pass over all waiting jobs would be far above.
    void a_decision_is_cheap_with_many_waiting_jobs() {
        Policy policy = policy_of({"0", "1", "2,3"}, 4);
        for (std::uint64_t job = 1; job <= 100'000; ++job) {
            const int kind = static_cast<int>(job % 5);
            policy.add(job, static_cast<int>(job % 3),
                       Need{kind == 4 ? std::nullopt : std::optional(kind)});
        }
        QElapsedTimer timer;
        timer.start();
        std::size_t started = 0;
        for (int turn = 0; turn < 1000; ++turn)
            for (const Start& start : policy.decide()) {
                ++started;
                policy.release(start.job);
            }
        QVERIFY2(started >= 1000, qPrintable(QString::number(started)));
        QCOMPARE(policy.next(8).size(), std::size_t(8));
        QCOMPARE(policy.queue(200).size(), std::size_t(200));
        QVERIFY2(timer.elapsed() < 5000, qPrintable(QString::number(timer.elapsed())));
    }
};

QTEST_GUILESS_MAIN(UnitPolicy)
#include "unit_policy.moc"
