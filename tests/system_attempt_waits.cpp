// Between two attempts: the job is cancelled or paused, others have its GPU, those that follow it
// wait.
#include <QtTest>

#include "tests/support/attempt_jobs.h"

class AttemptWaitsTest : public QObject {
    Q_OBJECT

private slots:
    void a_job_in_back_off_is_cancelled_data();
    void a_job_in_back_off_is_cancelled();
    void a_file_removed_as_the_attempt_ends_is_noticed();
    void a_cancelled_attempt_is_the_last();
    void a_pause_keeps_a_further_attempt();
    void the_gpu_is_free_meanwhile();
    void one_failing_job_drains_no_gpu();
    void dependents_wait_for_the_last_attempt();
};

void AttemptWaitsTest::a_job_in_back_off_is_cancelled_data() {
    QTest::addColumn<QString>("way");
    QTest::newRow("by request") << "gpuspool cancel x";
    QTest::newRow("by deletion") << "rm $GPUSPOOL_DIR/running/x.job";
    QTest::newRow("by request, then killed") << "gpuspool cancel x";
    QTest::newRow("by deletion, no daemon, its time is over") << "rm $GPUSPOOL_DIR/running/x.job";
}

void AttemptWaitsTest::a_job_in_back_off_is_cancelled() {
    QFETCH(QString, way);
    TestSpool spool;
    QVERIFY(spool.start());
    const bool no_daemon = QString(QTest::currentDataTag()).contains("no daemon");
    const QByteArray delay = no_daemon ? "1s" : "10m";
    QVERIFY(spool.drop("x.job", counted("--retries=3 --retry-delay=" + delay, "exit 7")));
    QVERIFY(wait_until_retrying(spool, "x"));
    if (no_daemon) spool.kill9();
    way.replace("gpuspool", GPUSPOOL);
    QVERIFY(shell(spool, way));
    if (no_daemon) QVERIFY(shell(spool, "sleep 1") && spool.start());
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["exit_code"].toInt(), 7);
    QVERIFY(result["reason"].toString().contains("before its next attempt"));
    QVERIFY(spool.exists("done/x.job"));
    QCOMPARE(spool.read("done/x.log"), "try 1\n");
    if (QString(QTest::currentDataTag()).contains("killed")) {
        spool.kill9();
        QVERIFY(spool.start());
    }
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ntrue\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QCOMPARE(ran(spool), "1\n");
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x").isEmpty(); }, "x to be gone"));
}

void AttemptWaitsTest::a_file_removed_as_the_attempt_ends_is_noticed() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=3 --retry-delay=1ms",
                                        "rm $GPUSPOOL_DIR/running/x.job; exit 7")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(ran(spool), "1\n");
}

void AttemptWaitsTest::a_cancelled_attempt_is_the_last() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=3 --retry-delay=1ms --requeue-exit=85",
                                        "trap 'exit 85' TERM\n[ $GPUSPOOL_ATTEMPT = 2 ] || exit 1\n"
                                        "echo up\nuntil [ -e ~/x.go ]; do sleep 0.02; done")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["exit_code"].toInt(), 85);
    QCOMPARE(ran(spool), "1\n2\n");
}

void AttemptWaitsTest::a_pause_keeps_a_further_attempt() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(
        spool.drop("x.job", counted("--retries=1 --retry-delay=1s", "[ $GPUSPOOL_ATTEMPT = 2 ]")));
    QVERIFY(wait_until_retrying(spool, "x"));
    QCOMPARE(spool.gpuspool({"pause", "lunch"}).exit_code, 0);
    QVERIFY(spool.wait_for(
        [&] { return running_job(spool, "x")["detail"].toString().contains("lunch"); },
        "the pause to be the reason"));
    QCOMPARE(ran(spool), "1\n");
    spool.kill9();
    QVERIFY(spool.start());
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(ran(spool), "1\n2\n");
}

void AttemptWaitsTest::the_gpu_is_free_meanwhile() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --retries=1 --retry-delay=1s\n"
                       "echo $CUDA_VISIBLE_DEVICES >> ~/gpus\n"
                       "[ $GPUSPOOL_ATTEMPT = 2 ]\n"));
    QVERIFY(wait_until_retrying(spool, "x"));
    QVERIFY(running_job(spool, "x")["gpus"].toArray().isEmpty());
    QVERIFY(spool.drop("y.job", gated("y")));
    QVERIFY(wait_for_log(spool, "y", "started"));
    // Its time has come, the GPU is taken.
    QVERIFY(spool.wait_for(
        [&] { return running_job(spool, "x")["detail"].toString().contains("waiting for 1 GPU"); },
        "x to wait for the GPU"));
    QVERIFY(waiting_job(spool, "x").isEmpty());
    QVERIFY(open_gate(spool, "y"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "gpus"), "0\n0\n");
}

void AttemptWaitsTest::one_failing_job_drains_no_gpu() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --retries=3 --retry-delay=1ms\nexit 1\n"));
    QCOMPARE(spool.wait_for_result("x")["attempt"].toInt(), 4);
    QVERIFY(spool.drop("y.job", "#SPOOL --requeue-exit=85 --max-restarts=4\nexit 85\n"));
    QCOMPARE(spool.wait_for_result("y")["attempt"].toInt(), 5);
    QCOMPARE(problems_of(spool), QString());
}

void AttemptWaitsTest::dependents_wait_for_the_last_attempt() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(
        spool.drop("x.job", counted("--retries=1 --retry-delay=1s", "[ $GPUSPOOL_ATTEMPT = 2 ]")));
    QVERIFY(wait_until_retrying(spool, "x"));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0 --dependency=afterok:x\necho y >> ~/ran\n"));
    QVERIFY(spool.drop("z.job", "#SPOOL --gpus=0 --dependency=afternotok:x\necho z >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "y", "dependency"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("z")["state"].toString(), "cancelled");
    QCOMPARE(ran(spool), "1\n2\ny\n");
}

QTEST_GUILESS_MAIN(AttemptWaitsTest)
#include "system_attempt_waits.moc"
