// Tasks of arrays that are executed again, and tasks that are suspended.
#include <QtTest>

#include "libspool/array_record.h"
#include "libspool/layout.h"
#include "libspool/posix_files.h"
#include "tests/support/array_jobs.h"

namespace {

/// Each task fails the first time, and counts its attempts in ~/N.
QByteArray failing_once(const QByteArray& directives) {
    return "#SPOOL --gpus=0 --array=1-3 " + directives +
           "\necho $GPUSPOOL_ATTEMPT >> ~/$SLURM_ARRAY_TASK_ID\n"
           "echo attempt $GPUSPOOL_ATTEMPT\n[ $GPUSPOOL_ATTEMPT -gt 1 ]\n";
}

}  // namespace

class ArrayAttemptsTest : public QObject {
    Q_OBJECT

private slots:
    void tasks_are_tried_again();
    void back_off_outlives_the_daemon();
    void a_cancelled_array_tries_nothing_again();
    void a_cancelled_array_tries_nothing_again_after_a_restart();
    void the_limit_holds_for_further_attempts();
    void a_single_task_is_suspended();
    void one_that_is_deleted_while_no_daemon_runs_does_not_begin();
    void a_task_of_an_array_that_never_was_lets_nothing_go();
};

void ArrayAttemptsTest::tasks_are_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", failing_once("--retries=2 --retry-delay=100ms")));
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(result["state"] == "succeeded", QJsonDocument(result).toJson());
    for (const QString task : {"1", "2", "3"}) {
        QCOMPARE(home_file(spool, task), QByteArray("1\n2\n"));
        QCOMPARE(spool.read("done/x.tasks/" + task + ".try1.log"), QByteArray("attempt 1\n"));
        QCOMPARE(spool.read("done/x.tasks/" + task + ".log"), QByteArray("attempt 2\n"));
        QCOMPARE(spool.result("x.tasks/" + task)["attempt"].toInt(), 2);
    }
}

void ArrayAttemptsTest::back_off_outlives_the_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", failing_once("--retries=1 --retry-delay=2s")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "3") == "1\n"; },
                           "the first attempts to have begun"));
    for (int restart = 0; restart < 3; ++restart) {
        spool.kill9();
        QVERIFY(spool.start({"--cpu-slots", "3"}));
    }
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), QString("succeeded"));
    for (const QString task : {"1", "2", "3"})
        QCOMPARE(home_file(spool, task), QByteArray("1\n2\n"));
}

void ArrayAttemptsTest::a_cancelled_array_tries_nothing_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", failing_once("--retries=1 --retry-delay=1h")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "3") == "1\n"; },
                           "the first attempts to have begun"));
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(result["state"] != "succeeded", QJsonDocument(result).toJson());
    QCOMPARE(home_file(spool, "1"), QByteArray("1\n"));
}

/// The daemon is killed when the page of the array is on the disk, and no task was told yet.
void ArrayAttemptsTest::a_cancelled_array_tries_nothing_again_after_a_restart() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", failing_once("--retries=1 --retry-delay=1s")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "3") == "1\n"; },
                           "the first attempts to have begun"));
    spool.kill9();
    {
        spool::PosixFiles files;
        auto opened = spool::open_spool(files, spool.path().toStdString(), spool::IfMissing::fail);
        QVERIFY(opened);
        const auto names = spool::array_record_names(*opened);
        QVERIFY(names && names->size() == 1);
        auto array = spool::load_array(*opened, names->front(), spool::OpenMode::read_write);
        QVERIFY(array);
        QVERIFY(spool::note_cancelled(files, *array, "cancelled by request", 1));
    }
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.wait_for_result("x")["state"] != "succeeded");
    for (const QString task : {"1", "2", "3"})
        QCOMPARE(home_file(spool, task), QByteArray("1\n"));
}

void ArrayAttemptsTest::the_limit_holds_for_further_attempts() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=1-4%1 --retries=1 --retry-delay=10ms\n"
                       "mkdir ~/alone || exit 7\nsleep 0.05\nrmdir ~/alone\n"
                       "[ $GPUSPOOL_ATTEMPT -gt 1 ]\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(result["state"] == "succeeded", QJsonDocument(result).toJson());
}

void ArrayAttemptsTest::a_single_task_is_suspended() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=1-2\n"
                       "while ! [ -e ~/go ]; do date +%s%N > ~/now-$SLURM_ARRAY_TASK_ID; "
                       "sleep 0.02; done\n"));
    QVERIFY(spool.wait_for([&] { return !home_file(spool, "now-1").isEmpty(); }, "task 1 to run"));
    QByteArray said;  // that it runs the daemon knows in a moment, whatever is published
    QVERIFY(spool.wait_for(
        [&] {
            const Finished asked = spool.gpuspool({"suspend", "x_1"});
            said += asked.err;
            return asked.exit_code == 0;
        },
        "task 1 to be suspended"));
    QVERIFY2(!said.contains("does not run yet"), said);
    QByteArray before;
    QVERIFY(spool.wait_for(
        [&] {
            const QByteArray now = home_file(spool, "now-1");
            QTest::qWait(200);  // ten rounds of the job
            before = home_file(spool, "now-1");
            return now == before;
        },
        "task 1 to stand still"));
    const QByteArray other = home_file(spool, "now-2");
    QVERIFY(spool.wait_for([&] { return home_file(spool, "now-2") != other; },
                           "task 2 to go on meanwhile"));
    QCOMPARE(home_file(spool, "now-1"), before);
    QCOMPARE(spool.gpuspool({"continue", "x_1"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), QString("succeeded"));
}

void ArrayAttemptsTest::one_that_is_deleted_while_no_daemon_runs_does_not_begin() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-3\n")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran") == "1\n"; }, "task 1 to run"));
    spool.kill9();
    QVERIFY(QFile::remove(spool.path("running/x.job")));
    QVERIFY(write_home_file(spool, "go", {}));
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.wait_for_result("x")["state"] != "succeeded");
    QCOMPARE(home_file(spool, "ran"), QByteArray("1\n"));
}

void ArrayAttemptsTest::a_task_of_an_array_that_never_was_lets_nothing_go() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("before.job", "#SPOOL --gpus=0\n" + gated("before")));
    QVERIFY(spool.wait_for([&] { return !running_job(spool, "before").isEmpty(); }, "it to run"));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --array=1-3\ntrue\n"));
    QVERIFY(spool.wait_for([&] { return !waiting_job(spool, "x").isEmpty(); }, "x to wait"));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0 --dependency=afterok:x_2\ntouch ~/y-ran\n"));
    QVERIFY(spool.wait_for([&] { return !waiting_job(spool, "y").isEmpty(); }, "y to wait"));
    QVERIFY(QFile::remove(spool.path("incoming/x.job")));
    const QJsonObject result = spool.wait_for_result("y");
    QVERIFY2(result["state"] == "cancelled", QJsonDocument(result).toJson());
    QVERIFY(!QFile::exists(spool.scratch("y-ran")));
}

QTEST_GUILESS_MAIN(ArrayAttemptsTest)
#include "system_array_attempts.moc"
