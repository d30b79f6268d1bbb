// Steps of active jobs that only faults lead to: barriers that fail, results that cannot be read.
#include <QtTest>

#include "tests/active_bench.h"

namespace {

/// What a daemon leaves that dies right before it starts a second attempt.
void leave_an_unstarted_attempt(test::ActiveBench& bench) {
    const auto job = bench.claimed_with_rules();
    bench.fail(job);
    (void)bench.next_of(job);
    QVERIFY(spool::release(bench.spool, job).has_value());
}

}  // namespace

class UnitActiveJobs : public QObject {
    Q_OBJECT

private slots:
    void an_attempt_is_not_started_before_the_disk_has_it() {
        test::ActiveBench bench;
        leave_an_unstarted_attempt(bench);
        auto recovery = bench.recover();
        QCOMPARE(recovery.jobs.size(), std::size_t(1));
        bench.files.fail_syncs(EIO);
        bench.active->adopt(std::move(recovery.jobs.front()));
        QVERIFY(bench.work_until([&] { return bench.troubles_told > 2; }));
        QVERIFY(bench.trouble("claim") != "");
        QVERIFY(bench.asked.empty());
        QVERIFY(bench.freed > 0);
        QVERIFY(!bench.active->bind(42, {}));
        QCOMPARE(bench.executor.starts, 0);
        bench.files.fail_syncs(0);
        QVERIFY(bench.work_until([&] { return !bench.asked.empty(); }));
        QCOMPARE(bench.trouble("claim"), "");
        QVERIFY(bench.active->bind(42, {}));
        QCOMPARE(bench.executor.starts, 1);
    }

    void an_adopted_attempt_asks_for_what_its_record_says() {
        test::ActiveBench bench;
        leave_an_unstarted_attempt(bench);
        bench.adopt_what_is_left();
        QVERIFY(bench.work_until([&] { return !bench.asked.empty(); }));
        const spool::RecordContent& content = bench.asked.front();
        QVERIFY(content.claimed());
        const auto& job = bench.active->jobs().at(42).job;
        const auto body = spool::read_body(bench.files, job.record, content.claim);
        QVERIFY2(body, body ? "" : body.error().text().c_str());
        QCOMPARE(body->job_file, script);
    }

    void a_result_that_cannot_be_read_is_tried_again() {
        test::ActiveBench bench;
        const auto job = bench.claimed("x.job");
        auto result = bench.result_of(job);
        QVERIFY(spool::publish(bench.spool, job, result));
        auto recovery = bench.recover();
        QCOMPARE(recovery.jobs.size(), std::size_t(1));
        QVERIFY(recovery.jobs.front().action == spool::RecoveryAction::release);
        bench.files.fail_opens_of(".json", EMFILE);
        bench.active->adopt(std::move(recovery.jobs.front()));
        QVERIFY(bench.work_until([&] { return bench.troubles_told > 2; }));
        QVERIFY(bench.active->jobs().contains(42));
        QCOMPARE(bench.ended, 0);
        QVERIFY(spool::read_record(bench.files, job.record)->claimed());
        bench.files.fail_opens_of(".json", 0);
        QVERIFY(bench.work_until([&] { return bench.active->jobs().empty(); }));
        QCOMPARE(bench.ended, 1);
        QVERIFY(!spool::read_record(bench.files, job.record)->claimed());
    }

    void only_what_may_be_started_takes_slots() {
        test::ActiveBench bench;
        bench.active->add(bench.claimed("x.job"));
        QVERIFY(bench.active->bind(42, {}));
        QVERIFY(bench.work_until([&] { return bench.executor.starts > 0; }));
        QVERIFY(!bench.active->bind(42, {}));
        QVERIFY(!bench.active->bind(43, {}));
        QCOMPARE(bench.executor.starts, 1);
    }
};

QTEST_GUILESS_MAIN(UnitActiveJobs)
#include "unit_active_jobs.moc"
