// What a starting daemon makes of records and logs of several attempts of one job.
#include <QtTest>

#include "libspool/outcome.h"
#include "tests/attempt_scratch.h"

namespace record = spool::record;
using spool::JobResult;
using spool::Outcome;

Q_DECLARE_METATYPE(spool::RecoveryAction)

class UnitRecoverAttempts : public QObject {
    Q_OBJECT

private slots:
    void which_of_two_records_counts_data() {
        QTest::addColumn<QString>("steps");  // after the claim of the second attempt
        QTest::addColumn<unsigned>("attempt");
        QTest::addColumn<spool::RecoveryAction>("action");
        using enum spool::RecoveryAction;
        // It may not be on the disk, and the first one is not marked free before it is started.
        QTest::newRow("not started") << "" << 1u << finish;
        QTest::newRow("cancelled, not started") << "cancel" << 1u << finish;
        QTest::newRow("its supervisor is on its way") << "lock" << 2u << adopt;
        QTest::newRow("started") << "run" << 2u << finish;
        QTest::newRow("what survived a loss of power may have been started")
            << "reboot" << 2u << finish;
    }
    void which_of_two_records_counts() {
        QFETCH(QString, steps);
        QFETCH(unsigned, attempt);
        QFETCH(spool::RecoveryAction, action);
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        scratch.put(scratch.spool.running, "x.log", "first\n");
        const auto next = scratch.next_of(job);
        spool::OpenFile supervisor;
        if (steps == "lock") {
            supervisor = std::move(*spool::open_file(scratch.files, scratch.spool.records.get(),
                                                     std::to_string(next.record.index),
                                                     spool::OpenMode::read_write));
            QVERIFY(scratch.files.lock(supervisor.get()).value_or(false));
        }
        if (steps == "run") scratch.write_empty<record::Run>(next, record::run_page);
        if (steps == "cancel") scratch.write_empty<record::Cancel>(next, record::cancel_page);
        for (int time = 0; time < 2; ++time) {  // doing it twice changes nothing
            const spool::Recovery recovery =
                scratch.recover(steps == "reboot" ? record::BootId{9} : boot);
            QCOMPARE(recovery.jobs.size(), 1u);
            QCOMPARE(recovery.jobs.front().job.attempt, attempt);
            QVERIFY(recovery.jobs.front().action == action);
            QCOMPARE(spool::read_record(scratch.files, job.record)->claimed(), attempt == 1);
            QCOMPARE(spool::read_record(scratch.files, next.record)->claimed(), attempt == 2);
            // The mark of the one that goes is in the one that stays.
            QCOMPARE(recovery.jobs.front().content.cancelled(), steps == "cancel");
            QCOMPARE(spool::read_record(scratch.files, job.record)->cancelled(), steps == "cancel");
            QCOMPARE(scratch.get(scratch.spool.running, "x.log"), attempt == 1 ? "first\n" : "");
        }
    }

    void a_file_with_logs_of_attempts_never_goes_back_data() {
        QTest::addColumn<QString>("file");
        QTest::addColumn<bool>("goes_back");
        QTest::newRow("nothing else") << "" << true;
        QTest::newRow("a log of an attempt") << "x.try1.log" << false;
        QTest::newRow("of another job") << "xx.try1.log" << true;
    }
    void a_file_with_logs_of_attempts_never_goes_back() {
        QFETCH(QString, file);
        QFETCH(bool, goes_back);
        AttemptScratch scratch;
        scratch.put(scratch.spool.running, "x.job", script);
        scratch.put(scratch.spool.running, "x.log", "");
        if (!file.isEmpty()) scratch.put(scratch.spool.running, file.toStdString(), "");
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(scratch.has(scratch.spool.incoming, "x.job"), goes_back);
        QCOMPARE(recovery.problems.size(), goes_back ? 0u : 1u);
    }

    void what_the_history_has_is_superseded_data() {
        QTest::addColumn<int>("record");
        QTest::addColumn<int>("history");
        QTest::addColumn<bool>("same_token");
        QTest::addColumn<bool>("superseded");
        QTest::newRow("the last one, its x.json is torn") << 2 << 2 << true << false;
        QTest::newRow("undone, the next one has its number") << 2 << 2 << false << true;
        QTest::newRow("others followed") << 1 << 3 << true << true;
        QTest::newRow("undone, none followed") << 2 << 1 << true << true;
        QTest::newRow("a first one") << 1 << 1 << true << false;
        QTest::newRow("a line without attempts") << 1 << 0 << true << false;
    }
    void what_the_history_has_is_superseded() {
        QFETCH(int, record);
        QFETCH(int, history);
        QFETCH(bool, same_token);
        QFETCH(bool, superseded);
        spool::ActiveJob job;
        job.attempt = static_cast<std::uint32_t>(record);
        job.token = spool::random_token();
        JobResult result = test::verdict(Outcome::failed, 1);
        result.attempt = history;
        result.token = spool::to_hex(same_token ? job.token : spool::random_token());
        const auto end = spool::read_history_entry(spool::write_line(spool::history_entry(result)));
        QVERIFY(end.has_value());
        QCOMPARE(spool::is_superseded(job, *end), superseded);
    }

    void a_further_attempt_goes_on_with_another_file_of_its_name() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        const auto next = scratch.next_of(job);
        QVERIFY(spool::release(scratch.spool, job).has_value());
        scratch.put(scratch.spool.running, "new", "saved anew\n");
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job").has_value());
        QVERIFY(scratch.files.rename(scratch.spool.running.get(), "new",
                                     scratch.spool.running.get(), "x.job"));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.jobs.size(), 1u);
        QVERIFY(recovery.jobs.front().action == spool::RecoveryAction::start);
    }

    void a_claim_that_is_not_whole_is_void_data() {
        QTest::addColumn<bool>("started");
        QTest::newRow("not started") << false;
        QTest::newRow("started: then it counts") << true;
    }
    void a_claim_that_is_not_whole_is_void() {
        QFETCH(bool, started);
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        const auto next = scratch.next_of(job);
        QVERIFY(scratch.files.write(next.record.file.get(), record::body_offset, "torn"));
        if (started) {
            record::Run run{};
            run.token = next.token;
            run.boot_id = boot;
            QVERIFY(spool::write_page(scratch.files, next.record, record::run_page, run));
        }
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.jobs.size(), 1u);
        QCOMPARE(recovery.jobs.front().job.attempt, started ? 2u : 1u);
        QVERIFY(recovery.jobs.front().action == spool::RecoveryAction::finish);
    }

    void a_further_attempt_never_goes_back_to_the_queue() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        const auto next = scratch.next_of(job);
        QVERIFY(scratch.files.rename(scratch.spool.running.get(), "x.job",
                                     scratch.spool.incoming.get(), "x.job"));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.undone.size(), 0u);
        QCOMPARE(recovery.jobs.size(), 1u);
        const auto result =
            spool::decide_outcome(recovery.jobs[0].job, recovery.jobs[0].content, boot, 9);
        QVERIFY(result.state == Outcome::cancelled);
    }

    void an_undone_attempt_is_no_more() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        const auto next = scratch.next_of(job);
        QVERIFY(spool::undo_next_attempt(scratch.spool, next).has_value());
        QCOMPARE(scratch.recover().jobs.front().job.attempt, 1u);
        // And once more.
        const auto third = scratch.next_of(job);
        QCOMPARE(third.attempt, 2u);
        QCOMPARE(third.facts.earlier.front().log, "x.try1.log");
    }
};

QTEST_GUILESS_MAIN(UnitRecoverAttempts)
#include "unit_recover_attempts.moc"
