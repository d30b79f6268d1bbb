// What is kept for jobs that must wait, and which later ones may go before them.
#include <QtTest>

#include "tests/policy_model.h"

using spool::Need;
using spool::Policy;
using spool::Terms;
using spool::WaitReason;
using test::follows_nobody;
using test::Jobs;
using test::need;
using test::numbers;
using test::pool_of;
using test::Texts;

namespace {

using namespace std::chrono_literals;

struct Wanted {
    std::uint64_t job;
    int gpus;
    int limit;  ///< seconds; 0: none
    int cpus = 0;
};

Terms terms(const Wanted& wanted) {
    Terms out = test::terms(0, need(wanted.gpus));
    out.need.cpus = wanted.cpus;
    if (wanted.limit != 0) out.time_limit = std::chrono::seconds(wanted.limit);
    return out;
}

void add_all(Policy& policy, const std::vector<Wanted>& jobs) {
    for (const Wanted& job : jobs)
        policy.add(job.job, terms(job), follows_nobody);
}

}  // namespace

Q_DECLARE_METATYPE(Texts)
Q_DECLARE_METATYPE(std::vector<Wanted>)
Q_DECLARE_METATYPE(Jobs)

class UnitReservations : public QObject {
    Q_OBJECT

private slots:
    void who_goes_before_a_job_that_waits_data() {
        QTest::addColumn<Texts>("listed");
        QTest::addColumn<std::vector<Wanted>>("running");
        QTest::addColumn<std::vector<Wanted>>("waiting");
        QTest::addColumn<Jobs>("started");
        const Texts two{"0", "1"}, three{"0", "1", "2"};
        QTest::newRow("who ends before it can start")
            << two << std::vector<Wanted>{{1, 1, 100}}
            << std::vector<Wanted>{{2, 2, 0}, {3, 1, 100}} << Jobs{3};
        QTest::newRow("not who ends later")
            << two << std::vector<Wanted>{{1, 1, 100}}
            << std::vector<Wanted>{{2, 2, 0}, {3, 1, 101}, {4, 1, 0}} << Jobs{};
        QTest::newRow("nobody, while it is not known when it can start")
            << two << std::vector<Wanted>{{1, 1, 0}} << std::vector<Wanted>{{2, 2, 0}, {3, 1, 1}}
            << Jobs{};
        QTest::newRow("the shorter one behind the longer")
            << two << std::vector<Wanted>{{1, 1, 100}}
            << std::vector<Wanted>{{2, 2, 0}, {3, 1, 200}, {4, 1, 50}} << Jobs{4};
        QTest::newRow("who needs no GPU") << two << std::vector<Wanted>{{1, 1, 0}}
                                          << std::vector<Wanted>{{2, 2, 0}, {3, 0, 0}} << Jobs{3};
        QTest::newRow("the second that waits keeps what is beside the first")
            << three << std::vector<Wanted>{{1, 2, 100}}
            << std::vector<Wanted>{{2, 2, 0}, {3, 1, 0}, {4, 1, 50}} << Jobs{3};
        QTest::newRow("what can never be keeps nothing")
            << two << std::vector<Wanted>{{1, 1, 100}} << std::vector<Wanted>{{2, 3, 0}, {3, 1, 0}}
            << Jobs{3};
    }
    void who_goes_before_a_job_that_waits() {
        QFETCH(Texts, listed);
        QFETCH(std::vector<Wanted>, running);
        QFETCH(std::vector<Wanted>, waiting);
        QFETCH(Jobs, started);
        Policy policy = test::policy_of(listed);
        add_all(policy, running);
        QCOMPARE(policy.decide().size(), running.size());
        add_all(policy, waiting);
        QCOMPARE(numbers(policy.decide()), started);
        // Once more, as the next pass does: nothing has changed.
        QCOMPARE(numbers(policy.decide()), Jobs{});
    }

    void it_starts_when_it_can() {
        Policy policy = test::policy_of({"0", "1"});
        add_all(policy, {{1, 1, 100}});
        QCOMPARE(policy.decide({0s, 0}).size(), std::size_t(1));
        add_all(policy, {{2, 2, 0}, {3, 1, 40}, {4, 1, 40}, {5, 1, 40}});
        QCOMPARE(numbers(policy.decide({10s, 0})), Jobs{3});
        policy.release(3);
        QCOMPARE(numbers(policy.decide({40s, 0})), Jobs{4});
        policy.release(4);
        QCOMPARE(numbers(policy.decide({61s, 0})), Jobs{});  // 5 would end at 101
        policy.release(1);
        QCOMPARE(numbers(policy.decide({70s, 0})), Jobs{2});
    }

    void only_what_it_will_have_is_kept() {
        Policy policy = test::policy_of({"0", "1"});
        add_all(policy, {{1, 1, 0}});
        QCOMPARE(policy.decide().size(), std::size_t(1));
        Terms first = test::terms(0, need(std::nullopt));
        first.need.gpu_ids = {"0"};
        policy.add(2, first, follows_nobody);
        add_all(policy, {{3, 1, 0}});
        QCOMPARE(numbers(policy.decide()), Jobs{3});
    }

    void processors_are_counted_data() {
        QTest::addColumn<std::vector<Wanted>>("waiting");
        QTest::addColumn<Jobs>("started");
        // 8 processors, of which job 1 has 6 for 100 s; job 2 waits for 4.
        QTest::newRow("beside it, when it has started")
            << std::vector<Wanted>{{3, 0, 0, 2}} << Jobs{3};
        QTest::newRow("not more than is left") << std::vector<Wanted>{{3, 0, 0, 3}} << Jobs{};
        QTest::newRow("one after the other")
            << std::vector<Wanted>{{3, 0, 0, 1}, {4, 0, 0, 1}, {5, 0, 0, 1}} << Jobs{3, 4};
    }
    void processors_are_counted() {
        QFETCH(std::vector<Wanted>, waiting);
        QFETCH(Jobs, started);
        Policy policy;
        auto pool = pool_of({}, 100);
        pool.amounts.cpus = 8;
        policy.set_pool(pool);
        add_all(policy, {{1, 0, 100, 6}});
        QCOMPARE(policy.decide().size(), std::size_t(1));
        add_all(policy, {{2, 0, 0, 4}});
        add_all(policy, waiting);
        QCOMPARE(numbers(policy.decide()), started);
        QVERIFY(policy.why(2)->kind == WaitReason::Kind::cpus);
    }

    /// Job 2 needs 7 of 8 processors in 100 s: one is beside it for as long as one likes.
    void processors_beside_a_reservation_run_out() {
        Policy policy;
        auto pool = pool_of({}, 100);
        pool.amounts.cpus = 8;
        policy.set_pool(pool);
        add_all(policy, {{1, 0, 100, 4}});
        QCOMPARE(policy.decide().size(), std::size_t(1));
        add_all(policy, {{2, 0, 0, 7}, {3, 0, 0, 1}, {4, 0, 0, 1}, {5, 0, 90, 1}});
        QCOMPARE(numbers(policy.decide()), (Jobs{3, 5}));
        QVERIFY(policy.why(4)->kind == WaitReason::Kind::reserved);
        QCOMPARE(policy.why(4)->detail, std::string("2"));
    }

    void memory_is_counted() {
        Policy policy;
        auto pool = pool_of({}, 100);
        pool.amounts.memory = 1000;
        policy.set_pool(pool);
        for (std::uint64_t job = 1; job <= 3; ++job) {
            Terms wanted = test::terms(0, need(0));
            wanted.need.memory = job == 3 ? 1001 : 600;
            policy.add(job, wanted, follows_nobody);
        }
        QCOMPARE(numbers(policy.decide()), Jobs{1});
        QVERIFY(policy.why(2)->kind == WaitReason::Kind::memory);
        QVERIFY(policy.why(3)->kind == WaitReason::Kind::never_memory);
        policy.release(1);
        QCOMPARE(numbers(policy.decide()), Jobs{2});
    }

    void a_label_that_the_machine_has_not_keeps_nothing_from_others() {
        Policy policy;
        auto pool = pool_of({"0"}, 1);
        pool.labels = {"nvlink"};
        policy.set_pool(pool);
        for (std::uint64_t job = 1; job <= 2; ++job) {
            Terms wanted = test::terms(0, need(1));
            wanted.need.labels = {"nvlink"};
            if (job == 1) wanted.need.labels.emplace_back("bigmem");
            policy.add(job, wanted, follows_nobody);
        }
        QCOMPARE(numbers(policy.decide()), Jobs{2});
        QVERIFY(policy.why(1)->kind == WaitReason::Kind::never_label);
        QCOMPARE(policy.why(1)->detail, std::string("bigmem"));
        QVERIFY2(!policy.gpus_wanted(), "drivers would be asked for a job that cannot start here");
        policy.release(2);
        pool.labels.insert("bigmem");
        policy.set_pool(pool);
        QCOMPARE(numbers(policy.decide()), Jobs{1});
    }
};

QTEST_GUILESS_MAIN(UnitReservations)
#include "unit_reservations.moc"
