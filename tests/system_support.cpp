// The test helper itself: what it promises to all other tests.
#include <signal.h>

#include <QtTest>

#include "tests/support/daemon.h"

class SupportTest : public QObject {
    Q_OBJECT

private slots:
    void nothing_outlives_a_scratch_spool();
    void a_daemon_starts_again_after_stop_and_kill();
    void waiting_in_vain_ends();
};

void SupportTest::nothing_outlives_a_scratch_spool() {
    QByteArray entry;
    {
        TestSpool spool;
        entry = "GPUSPOOL_DIR=" + spool.path().toUtf8();
        QVERIFY(spool.start({"--cpu-slots", "1"}));
        QVERIFY(
            spool.drop("x.job", "trap '' TERM\nsetsid sleep 1000 &\necho started\nsleep 1000\n"));
        QVERIFY(spool.wait_for([&] { return spool.read("running/x.log") == "started\n"; },
                               "x to start"));
        spool.kill9();
        QVERIFY(!spool.is_running());
        QVERIFY(signal_processes_with_environment(entry, 0) >= 2);
    }
    QCOMPARE(signal_processes_with_environment(entry, 0), 0);
}

void SupportTest::a_daemon_starts_again_after_stop_and_kill() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    const qint64 first = spool.pid();
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.pid() != first);
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.write_in_place("x.job", "echo hello\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.log"), "hello\n");
}

void SupportTest::waiting_in_vain_ends() {
    TestSpool spool;
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression("^waited 20 ms in vain for rain"));
    QVERIFY(!spool.wait_for([] { return false; }, "rain", std::chrono::milliseconds(20)));
}

QTEST_GUILESS_MAIN(SupportTest)
#include "system_support.moc"
