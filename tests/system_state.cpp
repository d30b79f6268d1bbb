// What the daemon publishes keeps up with what it knows.
#include <QtTest>

#include "tests/support/look.h"
#include "tests/support/strace.h"

class StateTest : public QObject {
    Q_OBJECT

private slots:
    void a_process_that_is_noted_late_is_shown();
};

/// The run page is written twice, and the state is published between the two.
void StateTest::a_process_that_is_noted_late_is_shown() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    TestSpool spool;
    const QString slow_notes =
        strace::exec_wrapper(spool, strace::inject("pwrite64", "delay_enter=2000000:when=2"));
    QVERIFY(spool.start({"--gpus", "0", "--exec", slow_notes}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(spool.wait_for([&] { return !running_job(spool, "x").isEmpty(); }, "x to be shown"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["pid"].toInt() > 0; },
                           "the process of x to be shown"));
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(StateTest)
#include "system_state.moc"
