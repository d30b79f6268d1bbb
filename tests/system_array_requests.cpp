// What is asked of arrays: single tasks and all of them are cancelled, held and tried again.
#include <QtTest>

#include "tests/support/array_jobs.h"

class ArrayRequestsTest : public QObject {
    Q_OBJECT

private slots:
    void single_tasks_are_cancelled();
    void all_of_it_is_cancelled();
    void deleting_the_file_cancels_it();
    void single_tasks_are_tried_again();
    void what_failed_is_tried_again();
    void held_and_moved_as_a_whole();
};

void ArrayRequestsTest::single_tasks_are_cancelled() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-7\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    const Finished waiting = spool.gpuspool({"cancel", "x_7"});
    QVERIFY2(waiting.exit_code == 0, waiting.err);
    const Finished several = spool.gpuspool({"cancel", "x_[5-6]"});
    QVERIFY2(several.exit_code == 0, several.err);
    const Finished running = spool.gpuspool({"cancel", "x_1"});
    QVERIFY2(running.exit_code == 0, running.err);
    QCOMPARE(spool.wait_for_result("x.tasks/1")["state"].toString(), "cancelled");
    QCOMPARE(spool.gpuspool({"cancel", "x_1"}).exit_code, 1);
    QCOMPARE(spool.gpuspool({"cancel", "x_99"}).exit_code, 3);
    // A daemon that is killed just then has it on the disk.
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(write_home_file(spool, "go", ""));
    const QJsonObject tasks = tasks_of(spool, "x");
    QCOMPARE(tasks["cancelled"].toString(), "1,5-7");
    QCOMPARE(tasks["succeeded"].toString(), "0,2-4");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 4));
    QVERIFY(spool.gpuspool({"show", "x_7"}).out.contains("cancelled before it started"));
}

void ArrayRequestsTest::all_of_it_is_cancelled() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-99999\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["tasks"].toObject()["cancelled"].toString(), "0-99999");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 1));
    QCOMPARE(spool.result("x.tasks/0")["state"].toString(), "cancelled");
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 1);
}

void ArrayRequestsTest::deleting_the_file_cancels_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-9\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(QFile::remove(spool.path("running/x.job")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY2(result["reason"].toString().contains("removed from running/"),
             qPrintable(result["reason"].toString()));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 1));
    QVERIFY(spool.read("done/x.job").contains("--array=0-9"));
}

void ArrayRequestsTest::single_tasks_are_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=0-4%2\n"
                       "echo $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT\n[ -e ~/mended ]\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "failed");
    QVERIFY(write_home_file(spool, "mended", ""));
    const Finished again = spool.gpuspool({"retry", "x_3"});
    QVERIFY2(again.exit_code == 0, again.err);
    const QJsonObject result = spool.wait_for_result("x~2");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "3");
    QCOMPARE(result["retry_of"].toInt(), spool.result("x")["id"].toInt());
    QCOMPARE(spool.read("done/x~2.tasks/3.log"), "3 of 5\n");
}

void ArrayRequestsTest::what_failed_is_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=0-4\n"
                       "[ -e ~/mended ] || [ $((SLURM_ARRAY_TASK_ID % 2)) = 0 ]\n"));
    QCOMPARE(tasks_of(spool, "x")["failed"].toString(), "1,3");
    QVERIFY(write_home_file(spool, "mended", ""));
    QCOMPARE(spool.gpuspool({"retry", "--failed"}).exit_code, 0);
    QCOMPARE(tasks_of(spool, "x~2")["succeeded"].toString(), "1,3");
    QCOMPARE(spool.gpuspool({"retry", "x~2"}).exit_code, 0);
    QCOMPARE(tasks_of(spool, "x~3")["succeeded"].toString(), "1,3");
}

void ArrayRequestsTest::held_and_moved_as_a_whole() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-2\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 0)));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\necho y >> ~/order\n"));
    QVERIFY(wait_for_reason(spool, "y", "cpu_slots"));
    const Finished held = spool.gpuspool({"hold", "x"});
    QVERIFY2(held.exit_code == 0, held.err);
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(write_home_file(spool, "go.0", ""));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for(
        [&] { return array_named(spool, "x")["reason"].toObject()["kind"] == "held"; },
        "the hold to be the reason"));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 0));
    QCOMPARE(spool.gpuspool({"priority", "x", "7"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"release", "x"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-2");
    QCOMPARE(spool.gpuspool({"hold", "x"}).exit_code, 1);
}

QTEST_GUILESS_MAIN(ArrayRequestsTest)
#include "system_array_requests.moc"
