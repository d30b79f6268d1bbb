// What a starting daemon makes of the records of arrays and of their tasks.
#include <QtTest>

#include "libspool/done.h"
#include "tests/array_scratch.h"

namespace record = spool::record;
using spool::ArrayRecord;
using spool::Outcome;
using spool::RecoveryAction;
using test::other_boot;
using test::script;
using test::this_boot;
using Scratch = test::ArrayScratch;

class UnitArrayRecovery : public QObject {
    Q_OBJECT

private slots:
    void a_damaged_record_is_left_alone_data() {
        QTest::addColumn<int>("offset");
        QTest::newRow("head") << 40;
        QTest::newRow("outcome") << 4 * 4096 + 2;
        QTest::newRow("body") << 5 * 4096 + 3;
    }
    void a_damaged_record_is_left_alone() {
        QFETCH(int, offset);
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QVERIFY(scratch.files.write(array.file.get(), static_cast<std::uint64_t>(offset), "\x77"));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(recovery.arrays.empty());
        // What it names is not known: nothing goes back.
        QVERIFY(scratch.has(scratch.spool.running, "x.job"));
        QVERIFY(scratch.has(scratch.spool.records, "array-42"));
    }

    void a_file_that_has_not_moved_waits_again() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QCOMPARE(::rename((scratch.spool.path + "/running/x.job").c_str(),
                          (scratch.spool.path + "/incoming/x.job").c_str()),
                 0);
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.arrays.empty());
        QCOMPARE(recovery.undone.size(), std::size_t(1));
        QCOMPARE(recovery.undone[0].number, std::uint64_t(42));
        QVERIFY(!scratch.has(scratch.spool.records, "array-42"));
        QVERIFY(!scratch.has(scratch.spool.running, "x.tasks"));
        QVERIFY(scratch.has(scratch.spool.incoming, "x.job"));
    }

    void one_that_has_begun_goes_on_without_its_file() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_outcome(scratch.files, array, 0, Outcome::failed));
        QCOMPARE(::rename((scratch.spool.path + "/running/x.job").c_str(),
                          (scratch.spool.path + "/incoming/x.job").c_str()),
                 0);
        QCOMPARE(scratch.recover().arrays.size(), std::size_t(1));
        QVERIFY(scratch.has(scratch.spool.incoming, "x.job"));
    }

    void one_that_was_saved_anew_before_it_moved_waits_again() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        scratch.put(scratch.spool.incoming, "x.job", script + "true\n");
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.arrays.empty());
        QVERIFY(!scratch.has(scratch.spool.records, "array-42"));
    }

    void a_result_says_what_its_record_has_lost() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::failed, {}));
        spool::JobResult result = spool::array_result(array, 99);
        QVERIFY(spool::publish_array(scratch.spool, array, result));
        QVERIFY(scratch.files.write(array.file.get(), 4 * 4096, std::string(5, '\0')));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.arrays.size(), std::size_t(1));
        QVERIFY(recovery.arrays.front().has_ended());
        QCOMPARE(spool::worst_outcome(recovery.arrays.front()), Outcome::failed);
    }

    void a_task_that_outlives_its_array_is_released() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const spool::ActiveJob job = scratch.claimed(array, 0, other_boot);
        spool::JobResult result;
        result.id = 42;
        result.task = 1;
        result.token = spool::to_hex(job.token);
        QVERIFY(spool::publish(scratch.spool, job, result));
        QVERIFY(spool::remove_array_record(scratch.spool, array));
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        for (int again = 0; again < 2; ++again) {
            const spool::Recovery recovery = scratch.recover();
            QVERIFY(recovery.problems.empty());
            QVERIFY(recovery.jobs.empty());
        }
    }

    void what_is_no_file_keeps_nobody_from_starting() {
        Scratch scratch;
        QVERIFY(scratch.files.make_directory(scratch.spool.records.get(), "array-7"));
        QCOMPARE(scratch.recover().problems.size(), std::size_t(1));
    }

    void records_of_tasks_data() {
        QTest::addColumn<bool>("this_one");
        QTest::addColumn<bool>("runs");
        QTest::addColumn<bool>("ended");
        QTest::addColumn<bool>("cancelled");
        QTest::addColumn<int>("action");  // -1: released, the task waits
        const auto row = [](const char* title, bool same, bool runs, bool ended, bool cancelled,
                            int action) {
            QTest::newRow(title) << same << runs << ended << cancelled << action;
        };
        const int finish = static_cast<int>(RecoveryAction::finish);
        row("claimed", true, false, false, false, -1);
        row("claimed and cancelled", true, false, false, true, finish);
        row("claimed in another boot", false, false, false, false, finish);
        row("ran, its supervisor is dead", true, true, false, false, finish);
        row("ran in another boot", false, true, false, false, finish);
        row("ended", true, true, true, false, finish);
    }
    void records_of_tasks() {
        QFETCH(bool, this_one);
        QFETCH(bool, runs);
        QFETCH(bool, ended);
        QFETCH(bool, cancelled);
        QFETCH(int, action);
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const auto& boot = this_one ? this_boot : other_boot;
        const spool::ActiveJob job = scratch.claimed(array, 2, boot);
        QVERIFY(scratch.has(scratch.spool.running, "x.tasks/5.log"));
        if (runs) {
            record::Run run{};
            run.boot_id = boot;
            scratch.write(job, record::run_page, run);
        }
        record::Exit exit{};
        exit.phase = record::Phase::complete;
        if (ended) scratch.write(job, record::exit_page, exit);
        if (cancelled) scratch.write(job, record::cancel_page, record::Cancel{});
        for (int again = 0; again < 2; ++again) {
            const spool::Recovery recovery = scratch.recover();
            QVERIFY(recovery.problems.empty());
            QCOMPARE(recovery.arrays.size(), std::size_t(1));
            QVERIFY(recovery.undone.empty());
            QCOMPARE(recovery.jobs.size(), std::size_t(action < 0 ? 0 : 1));
            if (action < 0) {
                QVERIFY(!scratch.has(scratch.spool.running, "x.tasks/5.log"));
                continue;
            }
            const spool::Recovered& found = recovery.jobs.front();
            QCOMPARE(static_cast<int>(found.action), action);
            QCOMPARE(found.job.number, array.first + 2);
            QCOMPARE(found.job.facts.array, std::uint64_t(42));
            QCOMPARE(found.job.facts.task, std::uint64_t(5));
            QCOMPARE(QString::fromStdString(found.job.shown_number()), "42_5");
        }
    }

    void one_without_a_record_is_left_alone_data() {
        QTest::addColumn<bool>("done");
        QTest::newRow("running/") << false;
        QTest::newRow("done/") << true;
    }
    void one_without_a_record_is_left_alone() {
        QFETCH(bool, done);
        Scratch scratch;
        scratch.put(scratch.spool.running, "x.job", script);
        QVERIFY(scratch.files.make_directory(
            (done ? scratch.spool.done : scratch.spool.running).get(), "x.tasks"));
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.requeued.empty());
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(scratch.has(scratch.spool.running, "x.job"));
    }

    /// Somebody has tidied up done/ before the free mark reached the disk.
    void a_task_of_an_array_in_the_history_is_released() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const spool::ActiveJob job = scratch.claimed(array, 0, other_boot);
        QVERIFY(spool::remove_array_record(scratch.spool, array));
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        QCOMPARE(scratch.recover().problems.size(), std::size_t(1));
        const spool::Recovery recovery = scratch.recover(job.number);
        QVERIFY(recovery.problems.empty());
        QVERIFY(recovery.jobs.empty());
        QVERIFY(scratch.recover().problems.empty());
    }

    void directories_that_nobody_names_take_no_names() {
        Scratch scratch;
        for (const spool::OpenFile* place : {&scratch.spool.running, &scratch.spool.scripts})
            for (const char* name : {"x.tasks", "kept.tasks"})
                QVERIFY(scratch.files.make_directory(place->get(), name));
        scratch.put(scratch.spool.running, "kept.tasks/7.log", "");
        (void)scratch.recover();
        QCOMPARE(scratch.opened().name, "x");
        QVERIFY(!scratch.has(scratch.spool.scripts, "x.tasks"));
        // What was in them may matter to somebody.
        QVERIFY(scratch.has(scratch.spool.running, "kept.tasks/7.log"));
    }

    void a_claim_that_a_supervisor_has_by_now_is_adopted() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        (void)scratch.claimed(array, 2);
        scratch.files.lend_locks();
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.jobs.size(), std::size_t(1));
        QCOMPARE(recovery.jobs.front().action, RecoveryAction::adopt);
        QVERIFY(scratch.has(scratch.spool.running, "x.tasks/5.log"));
    }
};

QTEST_GUILESS_MAIN(UnitArrayRecovery)
#include "unit_array_recovery.moc"
