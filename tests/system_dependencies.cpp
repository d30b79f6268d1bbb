// Jobs that follow others: when they start, and what becomes of those that never can.
#include <QtTest>

#include "tests/support/look.h"

class DependenciesTest : public QObject {
    Q_OBJECT

private slots:
    void jobs_follow_others_data();
    void jobs_follow_others();
    void what_can_never_start_ends_with_the_reason();
    void a_chain_without_hope_ends();
    void a_circle_ends();
    void singletons_run_one_after_the_other();
};

void DependenciesTest::jobs_follow_others_data() {
    QTest::addColumn<QByteArray>("condition");
    QTest::addColumn<QByteArray>("end");  // of job a
    QTest::addColumn<QString>("state");   // of the follower
    QTest::newRow("afterok, success")
        << QByteArray("afterok:a") << QByteArray("true") << "succeeded";
    QTest::newRow("afterok, failure")
        << QByteArray("afterok:a") << QByteArray("exit 3") << "cancelled";
    QTest::newRow("afternotok, failure")
        << QByteArray("afternotok:a") << QByteArray("exit 3") << "succeeded";
    QTest::newRow("afternotok, success")
        << QByteArray("afternotok:a") << QByteArray("true") << "cancelled";
    QTest::newRow("afterany, failure")
        << QByteArray("afterany:1") << QByteArray("exit 3") << "succeeded";
    QTest::newRow("one of two") << QByteArray("afterok:a?afternotok:a") << QByteArray("exit 3")
                                << "succeeded";
    QTest::newRow("both") << QByteArray("afterok:a,afterany:a") << QByteArray("true")
                          << "succeeded";
}

/// It waits while job a runs, over a restart of the daemon too.
void DependenciesTest::jobs_follow_others() {
    QFETCH(QByteArray, condition);
    QFETCH(QByteArray, end);
    QFETCH(QString, state);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("a.job", gated_job("a") + end + "\n"));
    QVERIFY(wait_until_ran(spool, "a\n"));
    QVERIFY(spool.drop("b.job", "#SPOOL --gpus=0 --dependency=" + condition + "\ntrue\n"));
    QVERIFY(spool.drop("c.job", "#SPOOL --gpus=0\n#SBATCH -d after:1\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "b", "dependency"));
    QCOMPARE(state_of_result(spool, "c"), "succeeded");
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    // What the daemon before has published is there until this one has looked.
    QVERIFY(spool.wait_for([&] { return wait_sentence(spool, "b").contains("job 1"); },
                           "b to wait for job 1"));
    QVERIFY(open_gate(spool, "a"));
    QCOMPARE(state_of_result(spool, "b"), state);
    QCOMPARE(spool.exists("done/b.log"), state == "succeeded");
}

void DependenciesTest::what_can_never_start_ends_with_the_reason() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("a.job", "#SPOOL --gpus=0\nfalse\n"));
    QCOMPARE(state_of_result(spool, "a"), "failed");
    QVERIFY(spool.drop("b.job", "#SPOOL --gpus=0 --dependency=afterok:a\ntrue\n"));
    QJsonObject result = spool.wait_for_result("b");
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY2(result["reason"].toString().contains("1"), qPrintable(result["reason"].toString()));
    // A job that was never there; the daemon's memory of others is in the history.
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("c.job", "#SPOOL --gpus=0 --dependency=afterok:99\ntrue\n"));
    QCOMPARE(state_of_result(spool, "c"), "cancelled");
    QVERIFY(spool.drop("d.job", "#SPOOL --gpus=0 --dependency=afternotok:a\ntrue\n"));
    QCOMPARE(state_of_result(spool, "d"), "succeeded");
}

void DependenciesTest::a_chain_without_hope_ends() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("a.job", gated_job("a") + "false\n"));
    QVERIFY(wait_until_ran(spool, "a\n"));
    QByteArray before = "a";
    for (const QByteArray name : {"b", "c", "d"}) {
        QVERIFY(spool.drop(name + ".job",
                           "#SPOOL --gpus=0 --dependency=afterok:" + before + "\ntrue\n"));
        QVERIFY(wait_for_reason(spool, name, "dependency"));
        before = name;
    }
    QVERIFY(open_gate(spool, "a"));
    for (const char* name : {"b", "c", "d"})
        QCOMPARE(state_of_result(spool, name), "cancelled");
}

void DependenciesTest::a_circle_ends() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("a.job", "#SPOOL --gpus=0 --hold\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "a", "held"));
    QVERIFY(spool.drop("b.job", "#SPOOL --gpus=0 --dependency=afterany:a\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "b", "dependency"));
    QVERIFY(spool.drop("a.job", "#SPOOL --gpus=0 --dependency=afterany:2\ntrue\n"));
    const QJsonObject result = spool.wait_for_result("a");
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY2(result["reason"].toString().contains("1, 2"), qPrintable(result["reason"].toString()));
    QCOMPARE(state_of_result(spool, "b"), "succeeded");
}

void DependenciesTest::singletons_run_one_after_the_other() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", gated_job("one", "#SBATCH --dependency=singleton\n")));
    QVERIFY(wait_until_ran(spool, "one\n"));
    QVERIFY(spool.drop("x.job", gated_job("two", "#SBATCH --dependency=singleton\n")));
    QVERIFY(wait_for_reason(spool, "x", "dependency"));
    QVERIFY(open_gate(spool, "one"));
    QVERIFY(wait_until_ran(spool, "one\ntwo\n"));
}

QTEST_GUILESS_MAIN(DependenciesTest)
#include "system_dependencies.moc"
