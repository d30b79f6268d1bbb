// Arrays whose record, files or directories cannot be written for a while, or are taken away: what
// was answered holds, nothing is cancelled that nobody has cancelled, and it goes on when it is
// over.
#include <QtTest>

#include "tests/support/array_jobs.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

/// Calls of the daemon on `path`, in the spool, fail from now on.
strace::Attached failing(const TestSpool& spool, const QString& call, const QString& how,
                         const QString& path) {
    return {spool, spool.pid(), QStringList{"-P", spool.path(path)} + strace::inject(call, how)};
}

}  // namespace

class ArrayFaultsTest : public QObject {
    Q_OBJECT

private slots:
    void init();
    void an_outcome_is_noted_when_that_is_possible();
    void a_cancellation_that_cannot_be_noted_is_no_success();
    void a_cancellation_outlives_an_opening_that_fails();
    void a_moved_running_directory_cancels_nothing_data();
    void a_moved_running_directory_cancels_nothing();
    void files_that_cannot_be_put_back_are_tried_again();
};

void ArrayFaultsTest::init() {
    if (!strace::works()) QSKIP("strace is needed");
}

void ArrayFaultsTest::an_outcome_is_noted_when_that_is_possible() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-2\n")));
    QVERIFY(wait_until_ran(spool, numbers(1, 2)));
    strace::Attached fault = failing(spool, "pwrite64", "error=ENOSPC", ".spool/records/array-1");
    if (!fault.works()) QSKIP("strace cannot be attached");
    QVERIFY(write_home_file(spool, "go.1", {}));
    QVERIFY(wait_for_problem(spool, "what became of a task of array 1 (x) cannot be noted"));
    QVERIFY(write_home_file(spool, "go", {}));
    QVERIFY(!spool.wait_for_result("x.tasks/2").isEmpty());
    QVERIFY(spool.result("x").isEmpty());
    fault.let_go();
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "1-2");
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "the problem to be over"));
}

void ArrayFaultsTest::a_cancellation_that_cannot_be_noted_is_no_success() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-3\n")));
    QVERIFY(wait_until_ran(spool, numbers(1, 1)));
    {
        const strace::Attached fault =
            failing(spool, "pwrite64", "error=ENOSPC", ".spool/records/array-1");
        if (!fault.works()) QSKIP("strace cannot be attached");
        const Finished cancelled = spool.gpuspool({"cancel", "x_3"});
        QCOMPARE(cancelled.exit_code, 1);
        QVERIFY2(cancelled.err.contains("cannot be cancelled"), cancelled.err);
    }
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "1-3");
    QCOMPARE(lines_of(spool, "ran"), numbers(1, 3));
}

void ArrayFaultsTest::a_cancellation_outlives_an_opening_that_fails() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    {
        const strace::Attached fault =
            failing(spool, "fsync", "error=EIO:delay_enter=1000000", "running");
        if (!fault.works()) QSKIP("strace cannot be attached");
        QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-3\n")));
        QVERIFY(spool.wait_for([&] { return spool.exists("running/x.job"); }, "x to be opened"));
        const Finished cancelled = spool.gpuspool({"cancel", "x_2"});
        QVERIFY2(cancelled.exit_code == 0, cancelled.out + cancelled.err);
        QVERIFY(wait_for_problem(spool, "arrays cannot be opened durably"));
    }
    QVERIFY(write_home_file(spool, "go", {}));
    const QJsonObject tasks = tasks_of(spool, "x");
    QCOMPARE(tasks["cancelled"].toString(), "2");
    QCOMPARE(tasks["succeeded"].toString(), "1,3");
    QCOMPARE(lines_of(spool, "ran"), (QList<QByteArray>{"1", "3"}));
}

void ArrayFaultsTest::a_moved_running_directory_cancels_nothing_data() {
    QTest::addColumn<QString>("way");
    QTest::newRow("moved away") << "mv $GPUSPOOL_DIR/running ~/away";
    QTest::newRow("removed") << "rm -r $GPUSPOOL_DIR/running";
}

void ArrayFaultsTest::a_moved_running_directory_cancels_nothing() {
    QFETCH(QString, way);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-2\n")));
    QVERIFY(wait_until_ran(spool, numbers(1, 1)));
    QVERIFY(shell(spool, way));
    QVERIFY(spool.wait_for([&] { return spool.exists("running/x.job"); }, "x to be put back"));
    QVERIFY(write_home_file(spool, "go", {}));
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(result["state"] == "succeeded", QJsonDocument(result).toJson());
    QCOMPARE(lines_of(spool, "ran"), numbers(1, 2));
}

/// Once a second, not as fast as the machine can.
void ArrayFaultsTest::files_that_cannot_be_put_back_are_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    for (const QByteArray name : {"a", "b"})
        QVERIFY(spool.drop(name + ".job", gated_tasks("#SPOOL --array=1-2\n")));
    QVERIFY(wait_until_open(spool, "a") && wait_until_open(spool, "b"));
    {
        const strace::Attached fault = failing(spool, "openat", "error=ENOSPC", ".spool/tmp");
        if (!fault.works()) QSKIP("strace cannot be attached");
        QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/running/a.job $GPUSPOOL_DIR/running/b.job"));
        QVERIFY(spool.wait_for([&] { return fault.calls() > 1; }, "files to be put back"));
        const qsizetype before = fault.calls();
        QElapsedTimer time;
        time.start();
        QVERIFY(spool.wait_for([&] { return fault.calls() > before + 4; }, "more tries"));
        QVERIFY2(time.elapsed() > 900, qPrintable(QString::number(time.elapsed())));
    }
    QVERIFY(spool.wait_for(
        [&] { return spool.exists("running/a.job") && spool.exists("running/b.job"); },
        "the files to be put back"));
    QVERIFY(write_home_file(spool, "go", {}));
    for (const char* name : {"a", "b"})
        QCOMPARE(tasks_of(spool, name)["succeeded"].toString(), "1-2");
}

QTEST_GUILESS_MAIN(ArrayFaultsTest)
#include "system_array_faults.moc"
