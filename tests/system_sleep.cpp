// While jobs run the machine is kept awake. The program that asks logind for it is the real one
// where a system bus with logind is there; here a stand-in says how it is called and for how long
// it runs.
#include <QtTest>

#include "tests/support/look.h"

namespace {

bool stand_in(TestSpool& spool, const QByteArray& script) {
    spool.environment.insert("PATH", spool.scratch("bin") + ":" + spool.environment.value("PATH"));
    return shell(spool, "mkdir ~/bin") && write_home_file(spool, "bin/systemd-inhibit", script) &&
           shell(spool, "chmod 700 ~/bin/systemd-inhibit");
}

const QByteArray holds =
    "#!/bin/sh\necho \"took $1 $2\" >> ~/locks\n"
    "for command; do :; done\n$command\necho released >> ~/locks\n";

bool wait_until(const TestSpool& spool, const QByteArray& locks) {
    return spool.wait_for([&] { return home_file(spool, "locks") == locks; }, locks);
}

const QByteArray took = "took --what=sleep --mode=block\n", released = "released\n";

}  // namespace

class SleepTest : public QObject {
    Q_OBJECT

private slots:
    void it_is_kept_awake_while_jobs_run();
    void the_lock_goes_with_the_daemon();
    void a_refusal_harms_nothing();
    void it_can_be_switched_off();
};

void SleepTest::it_is_kept_awake_while_jobs_run() {
    TestSpool spool;
    QVERIFY(stand_in(spool, holds));
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("a.job", gated("a")));
    QVERIFY(wait_until(spool, took));
    QVERIFY(spool.drop("b.job", gated("b")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran") == "a\nb\n"; }, "both to run"));
    QVERIFY(open_gate(spool, "a"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "locks"), took);
    QVERIFY(open_gate(spool, "b"));
    QVERIFY(wait_until(spool, took + released));
    QVERIFY(spool.drop("c.job", gated("c")));
    QVERIFY(wait_until(spool, took + released + took));
}

void SleepTest::the_lock_goes_with_the_daemon() {
    TestSpool spool;
    QVERIFY(stand_in(spool, holds));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("a.job", gated("a")));
    QVERIFY(wait_until(spool, took));
    spool.kill9();
    QVERIFY(wait_until(spool, took + released));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_until(spool, took + released + took));
    QVERIFY(open_gate(spool, "a"));
    QVERIFY(wait_until(spool, took + released + took + released));
}

void SleepTest::a_refusal_harms_nothing() {
    TestSpool spool;
    QVERIFY(stand_in(spool, "#!/bin/sh\necho refused >> ~/locks\nexit 1\n"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("a.job", gated("a")));
    QVERIFY(spool.wait_for([&] { return spool.daemon_log().contains("may go to sleep"); },
                           "the daemon to say so"));
    QVERIFY(open_gate(spool, "a"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "locks"), QByteArray("refused\n"));
}

void SleepTest::it_can_be_switched_off() {
    TestSpool spool;
    QVERIFY(stand_in(spool, holds));
    QVERIFY(shell(spool,
                  "mkdir -p -m 700 $GPUSPOOL_DIR && echo '{\"inhibit_sleep\": false}' > "
                  "$GPUSPOOL_DIR/config.json"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("a.job", "true\n"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "locks"), QByteArray());
}

QTEST_GUILESS_MAIN(SleepTest)
#include "system_sleep.moc"
