// What follows arrays and their tasks, and tasks that follow those of others.
#include <QtTest>

#include "tests/support/array_jobs.h"

class ArrayFollowersTest : public QObject {
    Q_OBJECT

private slots:
    void others_follow_it();
    void others_follow_its_tasks();
};

void ArrayFollowersTest::others_follow_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    QVERIFY(spool.drop("x.job",
                       gated_tasks("#SPOOL --array=0-3\n") + "[ $SLURM_ARRAY_TASK_ID != 2 ]\n"));
    QVERIFY(wait_until_ran(spool, numbers(0, 3)));
    QVERIFY(spool.drop("ok.job", "#SPOOL --gpus=0 --dependency=afterok:x\ntrue\n"));
    QVERIFY(spool.drop("any.job", "#SPOOL --gpus=0 --dependency=afterany:x\ntrue\n"));
    QVERIFY(spool.drop("bad.job", "#SPOOL --gpus=0 --dependency=afternotok:x\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "ok", "dependency"));
    for (const char* gate : {"go.0", "go.1", "go.2"})
        QVERIFY(write_home_file(spool, gate, ""));
    QVERIFY(!spool.wait_for_result("x.tasks/2").isEmpty());
    QVERIFY(wait_for_reason(spool, "any", "dependency"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("any")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("bad")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("ok")["state"].toString(), "cancelled");
}

void ArrayFollowersTest::others_follow_its_tasks() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job",
                       gated_tasks("#SPOOL --array=0-3\n") + "[ $SLURM_ARRAY_TASK_ID != 2 ]\n"));
    QVERIFY(wait_until_ran(spool, numbers(0, 3)));
    QVERIFY(spool.drop("b.job",
                       "#SPOOL --gpus=0 --array=0-3 --dependency=aftercorr:a\n"
                       "echo $SLURM_ARRAY_TASK_ID >> ~/second\n"));
    QVERIFY(spool.drop("one.job", "#SPOOL --gpus=0 --dependency=afterok:a_1\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "one", "dependency"));
    const QByteArray shown = spool.gpuspool({"show", "one"}).out;
    const QString leader =
        QString("job %1_1 to succeed").arg(array_named(spool, "a")["id"].toInt());
    QVERIFY2(shown.contains(leader.toUtf8()), shown);
    QVERIFY(write_home_file(spool, "go.1", ""));
    QCOMPARE(spool.wait_for_result("b.tasks/1")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("one")["state"].toString(), "succeeded");
    QCOMPARE(lines_of(spool, "second"), numbers(1, 1));
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(write_home_file(spool, "go", ""));
    const QJsonObject tasks = tasks_of(spool, "b");
    QCOMPARE(tasks["succeeded"].toString(), "0-1,3");
    QCOMPARE(tasks["cancelled"].toString(), "2");
    QCOMPARE(lines_of(spool, "second"), (QList<QByteArray>{"0", "1", "3"}));
}

QTEST_GUILESS_MAIN(ArrayFollowersTest)
#include "system_array_followers.moc"
