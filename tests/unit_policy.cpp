// Which job starts, on what, and why the others wait: first by cases, then against a model that
// sorts everything.
#include <QtTest>

#include "tests/policy_model.h"

using spool::GpuSlot;
using spool::Need;
using spool::Policy;
using spool::Pool;
using spool::Start;
using spool::WaitReason;
using test::add;
using test::holder;
using test::Jobs;
using test::need;
using test::numbers;
using test::policy_of;
using test::pool_of;
using test::Simulation;
using test::Texts;
using test::texts;

namespace {

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
        const Need any, cpu = need(0), two = need(2), five = need(5);
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
            << Texts{"0"} << std::vector<Queued>{{1, 0, need(1)}, {2, 0, any}} << Jobs{1};
        QTest::newRow("a waiting CPU job holds back CPU jobs, not GPU jobs")
            << Texts{"0"} << std::vector<Queued>{{1, 0, cpu}, {2, 0, cpu}, {3, 0, cpu}, {4, 0, any}}
            << Jobs{1, 2, 4};
        QTest::newRow("what is impossible holds back nobody")
            << Texts{"0", "1"} << std::vector<Queued>{{1, 9, five}, {2, 0, two}, {3, 0, any}}
            << Jobs{2};
        QTest::newRow("GPUs wanted where there is no pool")
            << Texts{} << std::vector<Queued>{{1, 0, need(1)}, {2, 0, any}} << Jobs{2};
    }
    void starts_in_the_order_of_turns() {
        QFETCH(Texts, listed);
        QFETCH(std::vector<Queued>, queue);
        QFETCH(Jobs, started);
        Policy policy = policy_of(listed);
        for (const Queued& job : queue)
            add(policy, job.job, job.priority, job.need);
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
        add(policy, 1, 0, need(gpus < 0 ? std::nullopt : std::optional(gpus)));
        const auto starts = policy.decide();
        QCOMPARE(starts.size(), chosen.empty() ? 0u : 1u);
        if (chosen.empty()) return;
        QCOMPARE(Jobs(starts[0].grant.gpu_slots.begin(), starts[0].grant.gpu_slots.end()), chosen);
        QCOMPARE(starts[0].grant.amounts.cpu_slots, 0);
        for (std::size_t slot = 0; slot < listed.size(); ++slot)
            QCOMPARE(holder(policy, slot),
                     std::uint64_t(std::count(chosen.begin(), chosen.end(), slot)));
        policy.release(1);
        for (std::size_t slot = 0; slot < listed.size(); ++slot)
            QCOMPARE(holder(policy, slot), std::uint64_t(0));
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
        add(policy, 1, 0, Need{});
        add(policy, 2, 0, need(gpus < 0 ? std::nullopt : std::optional(gpus)));
        QCOMPARE(numbers(policy.decide()), Jobs{1});
        QVERIFY(policy.why(2).has_value());
        QVERIFY(*policy.why(2) == reason);
        QVERIFY(!policy.why(1));
        QVERIFY(!policy.why(99));
    }

    void queue_and_next_are_in_the_order_of_turns() {
        Policy policy = policy_of({"0"});
        add(policy, 5, 0, need(0));
        add(policy, 3, 0, Need{});
        add(policy, 4, 0, need(7));  // never
        add(policy, 9, 2, Need{});
        add(policy, 3, 0, need(1));  // said again: still one job
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
            add(policy, static_cast<std::uint64_t>(job), 0, Need{});
        QCOMPARE(policy.decide().size(), std::size_t(jobs));
        policy.set_pool(pool_of(after));
        Jobs found;
        for (std::size_t slot = 0; slot < after.size(); ++slot)
            found.push_back(holder(policy, slot));
        QCOMPARE(found, holders);
        // And back: as if nothing had been.
        policy.set_pool(pool_of(before));
        for (int job = 1; job <= jobs; ++job)
            QCOMPARE(holder(policy, static_cast<std::size_t>(job - 1)), std::uint64_t(job));
    }

    /// Two jobs on overlapping slots, of which one is taken out of the pool: its end must not free
    /// what the other one has.
    void an_overlapping_job_keeps_a_slot_until_its_own_end() {
        for (const bool first_ends_first : {true, false}) {
            Policy policy = policy_of({"0,1", "0"});
            add(policy, 1, 0, Need{});
            add(policy, 2, 0, Need{});
            QCOMPARE(numbers(policy.decide()), (Jobs{1, 2}));
            policy.set_pool(pool_of({"0"}));
            add(policy, 3, 0, Need{});
            policy.release(first_ends_first ? 1 : 2);
            QCOMPARE(numbers(policy.decide()), Jobs{});
            policy.release(first_ends_first ? 2 : 1);
            QCOMPARE(numbers(policy.decide()), Jobs{3});
        }
    }

    void adopts_what_an_earlier_daemon_started() {
        Policy policy = policy_of({"0", "1,2", "3"}, 1);
        policy.adopt(7, "", {{"1,2"}, {}, 0}, {});
        policy.adopt(8, "", {{"0", "9"}, {}, 0}, {});  // 9 is not in the pool any more
        policy.adopt(9, "", {}, {1, 0, 0});
        QCOMPARE(holder(policy, 0), std::uint64_t(8));
        QCOMPARE(holder(policy, 1), std::uint64_t(7));
        QCOMPARE(holder(policy, 2), std::uint64_t(0));
        QCOMPARE(holder(policy, 3), std::uint64_t(0));  // there is none
        QCOMPARE(policy.cpu_slots_used(), 1);
        add(policy, 10, 0, need(2));
        add(policy, 11, 0, need(0));
        QCOMPARE(numbers(policy.decide()), Jobs{});
        policy.release(9);
        QCOMPARE(numbers(policy.decide()), Jobs{11});
        policy.release(8);
        QCOMPARE(numbers(policy.decide()), Jobs{10});
        QCOMPARE(holder(policy, 0), std::uint64_t(10));
        QCOMPARE(holder(policy, 2), std::uint64_t(10));
    }

    void releasing_what_holds_nothing_changes_nothing() {
        Policy policy = policy_of({"0"});
        add(policy, 1, 0, Need{});
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
            add(policy, job, static_cast<int>(job % 3),
                need(kind == 4 ? std::nullopt : std::optional(kind)));
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
