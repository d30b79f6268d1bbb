// What gpuspool says of a spool that belongs to the daemon of another host: it reads, and starts
// nothing.
#include <QtTest>

#include "tests/support/look.h"

class SystemOtherHost : public QObject {
    Q_OBJECT
private slots:
    void commands_data();
    void commands();
    void requests_wait_for_that_daemon();
    void a_job_that_is_submitted_waits_there();

private:
    /// One job has ended, one runs, one waits; then the daemon is one of hal9000, of this age.
    static void make(TestSpool& spool, const QString& age);
};

void SystemOtherHost::make(TestSpool& spool, const QString& age) {
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("ended.job", "echo well; exit 3\n"));
    QVERIFY(!spool.wait_for_result("ended").isEmpty());
    QVERIFY(spool.drop("runs.job", gated("runs")));
    QVERIFY(wait_for_log(spool, "runs", "started\n"));
    QVERIFY(spool.wait_for([&] { return !running_job(spool, "runs").isEmpty(); }, "runs"));
    QVERIFY(spool.drop("waits.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "waits", "gpus"));
    spool.kill9();
    QVERIFY(shell(spool,
                  "cd $GPUSPOOL_DIR/.spool; sed -i -E "
                  "'s/\"machine_id\":\"[^\"]*\"/\"machine_id\":\"0123456789abcdef\"/; "
                  "s/\"host\":\"[^\"]*\"/\"host\":\"hal9000\"/' owner state.json; touch -d '" +
                      age + "' owner"));
}

void SystemOtherHost::commands_data() {
    QTest::addColumn<QString>("age");
    QTest::addColumn<QByteArray>("daemon");
    QTest::newRow("it is alive") << "now" << QByteArray("spoold on hal9000, started ");
    QTest::newRow("it is silent")
        << "-1 hour"
        << QByteArray(
               "Jobs wait: the daemon on hal9000 was last heard of 1 h ago; gpuspool doctor");
}

void SystemOtherHost::commands() {
    QFETCH(QString, age);
    QFETCH(QByteArray, daemon);
    TestSpool spool;
    make(spool, age);
    if (QTest::currentTestFailed()) return;
    const Finished status = spool.gpuspool({"status"});
    QVERIFY2(status.exit_code == 0 && status.out.startsWith(daemon), status.out);
    for (const char* name : {"runs", "waits", "ended"})
        QVERIFY2(status.out.contains(name), name);
    const Finished list = spool.gpuspool({"list"});
    QVERIFY2(list.exit_code == 0 && list.out.contains("failed (exit code 3)"), list.out);
    QCOMPARE(spool.gpuspool({"log", "ended"}).out, "well\n");
    QCOMPARE(spool.gpuspool({"log", "runs"}).out, "started\n");
    const Finished waits = spool.gpuspool({"log", "waits"});
    QVERIFY2((waits.out + waits.err).contains("wait"), waits.out + waits.err);
    QVERIFY(spool.gpuspool({"show", "runs"}).out.contains("running"));
    QCOMPARE(spool.gpuspool({"wait", "ended"}).exit_code, 3);
}

void SystemOtherHost::requests_wait_for_that_daemon() {
    TestSpool spool;
    make(spool, "now");
    if (QTest::currentTestFailed()) return;
    const Finished cancel = spool.gpuspool({"cancel", "runs", "waits"});
    QVERIFY2(cancel.exit_code == 0 && cancel.out.contains("not answered yet"),
             cancel.out + cancel.err);
    QVERIFY(spool.exists("incoming/waits.job"));
    // It takes them in when it answers: here, as the one that takes the spool over.
    QVERIFY(spool.start({"--gpus", "0", "--take-over"}));
    QCOMPARE(spool.wait_for_result("runs")["state"].toString(), "cancelled");
    QCOMPARE(spool.wait_for_result("waits")["state"].toString(), "cancelled");
}

void SystemOtherHost::a_job_that_is_submitted_waits_there() {
    TestSpool spool;
    make(spool, "now");
    if (QTest::currentTestFailed()) return;
    const Finished alive = spool.gpuspool({"submit", "-n", "new", "--", "true"});
    QVERIFY2(alive.exit_code == 0 && alive.out == "4\n" && alive.err.isEmpty(), alive.err);
    QVERIFY(shell(spool, "touch -d '-1 hour' $GPUSPOOL_DIR/.spool/owner"));
    const Finished silent = spool.gpuspool({"submit", "-n", "newer", "--", "true"});
    QVERIFY2(silent.exit_code == 0 && silent.out == "5\n", silent.out);
    QVERIFY2(silent.err.contains("job 5 (newer) waits: the daemon on hal9000"), silent.err);
    QVERIFY(spool.exists("incoming/new.job") && spool.exists("incoming/newer.job"));
}

QTEST_GUILESS_MAIN(SystemOtherHost)
#include "system_other_host.moc"
