// The first job of an array or group runs alone (--canary): what its end says, and what starts.
#include <QtTest>

#include "libspool/canaries.h"
#include "tests/policy_model.h"

using namespace std::chrono_literals;
using spool::Outcome;
using spool::Policy;
using spool::Terms;
using spool::Trial;
using test::Jobs;
using test::numbers;
using Kind = spool::WaitReason::Kind;

namespace {

constexpr std::int64_t second = 1'000'000'000;

Terms canary_terms(const std::string& group = {}) {
    Terms terms = test::terms(0, test::need(0));
    terms.group = group;
    terms.canary = true;
    return terms;
}

void add(Policy& policy, std::uint64_t job, const Terms& terms) {
    policy.add(job, terms, test::follows_nobody);
}

Policy group_of(std::initializer_list<std::uint64_t> jobs) {
    Policy policy = test::policy_of({}, 9);
    for (const std::uint64_t job : jobs)
        add(policy, job, canary_terms("g"));
    return policy;
}

spool::NumberSet set_of(std::initializer_list<std::uint64_t> numbers) {
    spool::NumberSet set;
    for (const std::uint64_t number : numbers)
        set.insert(number);
    return set;
}

Jobs decide(Policy& policy, std::chrono::nanoseconds now = 1s) {
    return numbers(policy.decide({now, 0}));
}

void end(Policy& policy, std::uint64_t job) {
    policy.release(job);
    policy.remove(job);
}

}  // namespace

Q_DECLARE_METATYPE(Outcome)
Q_DECLARE_METATYPE(Trial)

class UnitCanaries : public QObject {
    Q_OBJECT

private slots:
    void what_an_end_says_data() {
        QTest::addColumn<Outcome>("state");
        QTest::addColumn<int>("seconds");  // -1: it was never executed
        QTest::addColumn<Trial>("trial");
        using enum Outcome;
        QTest::newRow("success") << succeeded << 1 << Trial::passed;
        QTest::newRow("early failure") << failed << 59 << Trial::failed;
        QTest::newRow("late failure") << failed << 60 << Trial::passed;
        QTest::newRow("could not be executed") << failed << -1 << Trial::failed;
        QTest::newRow("short limit") << timeout << 5 << Trial::unknown;
        QTest::newRow("long limit") << timeout << 90 << Trial::passed;
        for (const Outcome state : {cancelled, lost, interrupted, rejected})
            for (const int seconds : {1, 90})
                QTest::addRow("%s after %d s", std::string(spool::outcome_name(state)).c_str(),
                              seconds)
                    << state << seconds << Trial::unknown;
    }
    void what_an_end_says() {
        QFETCH(Outcome, state);
        QFETCH(int, seconds);
        spool::JobResult result;
        result.state = state;
        result.ended_at = 1000 * second;
        if (seconds >= 0) result.started_at = result.ended_at - seconds * second;
        QTEST(spool::trial_of(result), "trial");
    }

    void the_first_of_a_group_runs_alone() {
        Policy policy = group_of({1, 2, 3});
        add(policy, 4, canary_terms("other"));
        test::add(policy, 5, 0, test::need(0));
        QCOMPARE(decide(policy), (Jobs{1, 4, 5}));
        QCOMPARE(policy.why(2)->kind, Kind::canary);
        policy.note_executed(1, 2s);
        QVERIFY(decide(policy, 30s).empty());
        end(policy, 1);
        QVERIFY(decide(policy, 31s).empty());  // what became of it is still to come
        QVERIFY(policy.judge_canary(1, Trial::passed));
        QCOMPARE(decide(policy, 32s), (Jobs{2, 3}));
        QVERIFY(!policy.judge_canary(2, Trial::failed));
    }

    void so_does_the_first_task_of_an_array() {
        Policy policy = test::policy_of({}, 9);
        policy.add_array(42, canary_terms(), set_of({43, 44, 45}));
        QCOMPARE(decide(policy), Jobs{43});
        QCOMPARE(policy.why(42)->kind, Kind::canary);
        end(policy, 43);
        QVERIFY(decide(policy).empty());
        QVERIFY(policy.judge_canary(43, Trial::passed));
        QCOMPARE(decide(policy), (Jobs{44, 45}));
    }

    /// An array that was not opened yet has no tasks to try.
    void an_array_is_opened_at_once() {
        Policy policy = group_of({1});
        Terms terms = canary_terms("g");
        terms.tasks = 3;
        add(policy, 2, terms);
        QCOMPARE(decide(policy), (Jobs{1, 2}));
    }

    void after_a_minute_the_rest_goes() {
        Policy policy = group_of({1, 2});
        (void)decide(policy, 100s);
        QVERIFY(!policy.next_canary());  // it is not executed yet
        QVERIFY(decide(policy, 300s).empty());
        policy.note_executed(1, 301s);
        QCOMPARE(*policy.next_canary(), std::chrono::nanoseconds(361s));
        QVERIFY(decide(policy, 361s - 1ns).empty());
        QCOMPARE(decide(policy, 361s), Jobs{2});
        QVERIFY(!policy.next_canary());
        QVERIFY(!policy.judge_canary(1, Trial::failed));
    }

    void a_failure_lets_the_next_one_be_tried() {
        Policy policy = group_of({1, 2, 3});
        (void)decide(policy);
        end(policy, 1);
        QVERIFY(policy.judge_canary(1, Trial::failed));
        policy.hold_group("g", "1 has failed");
        QVERIFY(decide(policy).empty());
        policy.hold_group("g", std::nullopt);
        QCOMPARE(decide(policy), Jobs{2});
    }

    void what_says_nothing_does_so_too() {
        Policy policy = group_of({1, 2, 3});
        (void)decide(policy);
        end(policy, 1);
        QVERIFY(policy.judge_canary(1, Trial::unknown));
        QCOMPARE(decide(policy), Jobs{2});
        QVERIFY(decide(policy).empty());
    }

    void a_further_attempt_is_the_same_trial() {
        Policy policy = group_of({1, 2});
        (void)decide(policy);
        policy.note_executed(1, 2s);
        policy.release(1);
        QVERIFY(decide(policy, 100s).empty());  // the pause between two attempts does not count
        add(policy, 1, canary_terms("g"));
        QCOMPARE(decide(policy, 101s), Jobs{1});
        QVERIFY(decide(policy, 102s).empty());
    }

    void and_of_a_task_it_goes_before_earlier_ones() {
        Policy policy = test::policy_of({}, 9);
        policy.add_array(42, canary_terms(), set_of({44, 45}));
        QCOMPARE(decide(policy), Jobs{44});
        policy.release(44);
        policy.open_task(42, 43, canary_terms());  // it followed another one
        QVERIFY(decide(policy).empty());
        policy.open_task(42, 44, canary_terms());
        QCOMPARE(decide(policy), Jobs{44});
    }

    void a_start_that_is_taken_back_is_the_same_trial() {
        Policy policy = group_of({1, 2});
        (void)decide(policy);
        policy.take_back(1);
        QCOMPARE(decide(policy), Jobs{1});
    }

    void one_that_was_found_running_is_on_trial() {
        Policy policy = group_of({2, 3});
        policy.adopt(1, "g", {}, {1, 0, 0});
        policy.adopt_canary(1, canary_terms("g"), 0, -50s);
        QVERIFY(decide(policy, 9s).empty());
        QCOMPARE(decide(policy, 10s), (Jobs{2, 3}));
    }

    void two_that_were_found_running_have_passed() {
        Policy policy = group_of({3});
        for (const std::uint64_t job : {1, 2}) {
            policy.adopt(job, "g", {}, {1, 0, 0});
            policy.adopt_canary(job, canary_terms("g"), 0, 0s);
        }
        QCOMPARE(decide(policy, 1s), Jobs{3});
    }

    void an_array_that_is_known_to_be_good() {
        Policy policy = test::policy_of({}, 9);
        policy.pass_canary(42);
        policy.add_array(42, canary_terms(), set_of({43, 44}));
        QCOMPARE(decide(policy), (Jobs{43, 44}));
    }

    /// A group's name may be used again and again.
    void the_next_batch_has_its_own() {
        Policy policy = group_of({1, 2});
        (void)decide(policy);
        end(policy, 1);
        policy.judge_canary(1, Trial::passed);
        QCOMPARE(decide(policy), Jobs{2});
        add(policy, 3, canary_terms("g"));  // one of it still runs
        QCOMPARE(decide(policy), Jobs{3});
        end(policy, 2);
        end(policy, 3);
        add(policy, 4, canary_terms("g"));
        add(policy, 5, canary_terms("g"));
        QCOMPARE(decide(policy), Jobs{4});
    }

    void others_of_the_group_do_not_wait_for_it() {
        Policy policy = group_of({1, 2});
        Terms plain = canary_terms("g");
        plain.canary = false;
        add(policy, 3, plain);
        QCOMPARE(decide(policy), (Jobs{1, 3}));
    }
};

QTEST_GUILESS_MAIN(UnitCanaries)
#include "unit_canaries.moc"
