// An array outlives its daemon, as often as that is killed.
#include <QtTest>
#include <random>
#include <thread>

#include "tests/support/array_jobs.h"

class ArrayDaemonsTest : public QObject {
    Q_OBJECT

private slots:
    void it_outlives_its_daemon();
    void it_outlives_many_daemons();
    void a_restart_changes_nothing_of_what_ended();
};

void ArrayDaemonsTest::it_outlives_its_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-9%2\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(spool.wait_for([&] { return array_named(spool, "x")["running"].toInt() == 2; },
                           "two to be shown as running"));
    spool.kill9();
    const Finished shown = spool.gpuspool({"status"});
    QVERIFY2(shown.out.contains("2 running, 8 waiting"), shown.out);
    QVERIFY(write_home_file(spool, "go.0", ""));
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    // One has ended meanwhile, one is adopted: there is a place for one.
    QVERIFY(wait_until_ran(spool, numbers(0, 2)));
    QVERIFY(spool.wait_for([&] { return array_named(spool, "x")["running"].toInt() == 2; },
                           "two to run"));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 2));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-9");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 9));
}

void ArrayDaemonsTest::it_outlives_many_daemons() {
    std::mt19937 random(QTest::currentTestFunction()[0]);
    for (int round = 0; round < 3; ++round) {
        TestSpool spool;
        QVERIFY(spool.start({"--cpu-slots", "4"}));
        QVERIFY(spool.drop("x.job",
                           "#SPOOL --gpus=0 --array=0-29%3\n"
                           "echo $SLURM_ARRAY_TASK_ID >> ~/ran\nsleep 0.05\n"));
        for (int kill = 0; kill < 6; ++kill) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 250));
            spool.kill9();
            QVERIFY(spool.start({"--cpu-slots", "4"}));
        }
        const QJsonObject result = spool.wait_for_result("x");
        QCOMPARE(result["state"].toString(), "succeeded");
        QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "0-29");
        QCOMPARE(lines_of(spool, "ran"), numbers(0, 29));
        for (int task = 0; task < 30; ++task)
            QCOMPARE(spool.result(QString("x.tasks/%1").arg(task))["state"].toString(),
                     "succeeded");
    }
}

void ArrayDaemonsTest::a_restart_changes_nothing_of_what_ended() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(
        spool.drop("x.job", "#SPOOL --gpus=0 --array=0-3\necho $SLURM_ARRAY_TASK_ID >> ~/ran\n"));
    const QJsonObject before = spool.wait_for_result("x");
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ntrue\n"));
    const QJsonObject next = spool.wait_for_result("y");
    // The numbers of the tasks are not given again.
    QVERIFY(next["id"].toInt() >= before["tasks"].toObject()["first_number"].toInt() + 4);
    QCOMPARE(spool.result("x"), before);
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 3));
    QCOMPARE(names_in(spool, "done"),
             (QList<QByteArray>{"x.job", "x.json", "x.tasks", "y.job", "y.json", "y.log"}));
}

QTEST_GUILESS_MAIN(ArrayDaemonsTest)
#include "system_array_daemons.moc"
