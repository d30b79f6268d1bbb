// The daemon is killed between attempts and during them, supervisors die, the machine starts anew:
// each attempt is executed once, and a job that is lost is executed again only where it asks for
// that.
#include <signal.h>

#include <QtTest>

#include "tests/support/attempt_jobs.h"

using namespace std::chrono_literals;

namespace {

/// From the next start on the daemon is of this boot. False where no mount namespace can be had.
bool set_boot(TestSpool& spool, const QByteArray& digit) {
    const QByteArray id = "00000000-0000-0000-0000-00000000000" + digit + "\n";
    if (!write_home_file(spool, "boot_id", id)) return false;
    const QString mount =
        "mount --bind " + spool.scratch("boot_id") + " /proc/sys/kernel/random/boot_id";
    spool.wrapper = {"unshare", "-m", "sh", "-c", mount + " && exec \"$0\" \"$@\""};
    return spool.run("unshare", {"-m", "sh", "-c", mount}).exit_code == 0;
}

}  // namespace

class AttemptLossesTest : public QObject {
    Q_OBJECT

private slots:
    void the_daemon_is_killed_in_back_off();
    void the_daemon_is_killed_while_attempts_run();
    void a_lost_job_is_requeued_only_when_asked_data();
    void a_lost_job_is_requeued_only_when_asked();
    void what_hides_its_token_is_not_lost_data();
    void what_hides_its_token_is_not_lost();
    void after_a_reboot_a_job_is_requeued_only_when_asked_data();
    void after_a_reboot_a_job_is_requeued_only_when_asked();
    void a_reboot_in_back_off_is_none_of_its_attempts();
};

void AttemptLossesTest::the_daemon_is_killed_in_back_off() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop(
        "x.job", counted("--retries=3 --retry-delay=3s", "[ $GPUSPOOL_ATTEMPT = 2 ] || exit 7")));
    QVERIFY(wait_until_retrying(spool, "x"));
    const QString detail = running_job(spool, "x")["detail"].toString();
    QVERIFY2(detail.contains("exit code 7") && detail.contains("retry 1 of 3"), qPrintable(detail));
    spool.kill9();
    QVERIFY(QFile::remove(spool.path(".spool/state.json")));
    QVERIFY(spool.start());
    QVERIFY(wait_until_retrying(spool, "x"));
    QCOMPARE(running_job(spool, "x")["detail"].toString(), detail);  // the same time, too
    QCOMPARE(ran(spool), "1\n");
    QVERIFY(spool.stop());
    QVERIFY(spool.exists("running/x.job") && spool.exists("running/x.log"));
    QVERIFY(spool.start());
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(ran(spool), "1\n2\n");
    const auto time = [](const QJsonValue& value) {
        return QDateTime::fromString(value.toString(), Qt::ISODateWithMs);
    };
    const QJsonObject first = result["attempts"].toArray()[0].toObject();
    QVERIFY(time(first["ended_at"]).msecsTo(time(result["started_at"])) >= 3000);
}

void AttemptLossesTest::the_daemon_is_killed_while_attempts_run() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=9 --retry-delay=1ms",
                                        "until [ -e ~/x$GPUSPOOL_ATTEMPT.go ]; do sleep 0.02; done"
                                        "\n[ $GPUSPOOL_ATTEMPT = 6 ] || exit 3")));
    QByteArray expected;
    for (int attempt = 1; attempt <= 6; ++attempt) {
        expected += QByteArray::number(attempt) + "\n";
        QVERIFY(spool.wait_for([&] { return ran(spool) == expected; }, "the next attempt"));
        if (attempt % 2 == 0) spool.kill9();
        QVERIFY(open_gate(spool, QString("x%1").arg(attempt)));
        if (attempt % 2 != 0) {  // in the middle of what follows, or before
            QTest::qWait(attempt * 7);
            spool.kill9();
        }
        QVERIFY(spool.start());
    }
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["attempt"].toInt(), 6);
    QCOMPARE(ran(spool), expected);
    for (int attempt = 1; attempt < 6; ++attempt)
        QCOMPARE(spool.read(QString("done/x.try%1.log").arg(attempt)),
                 "try " + QByteArray::number(attempt) + "\n");
}

void AttemptLossesTest::a_lost_job_is_requeued_only_when_asked_data() {
    QTest::addColumn<QByteArray>("directives");
    QTest::addColumn<bool>("daemon_sees_it");
    QTest::addColumn<QString>("state");
    QTest::newRow("not asked") << QByteArray("--retries=3") << true << "lost";
    QTest::newRow("asked") << QByteArray("--requeue") << true << "succeeded";
    QTest::newRow("asked, no daemon") << QByteArray("--requeue") << false << "succeeded";
}

void AttemptLossesTest::a_lost_job_is_requeued_only_when_asked() {
    QFETCH(QByteArray, directives);
    QFETCH(bool, daemon_sees_it);
    QFETCH(QString, state);
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted(directives + " --retry-delay=50ms",
                                        "echo up\nuntil [ -e ~/x.go ]; do sleep 0.02; done")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    const int supervisor = supervisor_of(spool, "x"),
              process = running_job(spool, "x")["pid"].toInt();
    QVERIFY(supervisor > 1 && process > 1);
    if (!daemon_sees_it) spool.kill9();
    QVERIFY(shell(spool, QString("kill -9 %1 %2; touch ~/x.go").arg(supervisor).arg(process)));
    if (!daemon_sees_it) QVERIFY(spool.start());
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), state);
    QCOMPARE(states_of(result), state == "lost" ? QStringList() : QStringList{"lost"});
    QCOMPARE(ran(spool), state == "lost" ? "1\n" : "1\n2\n");
}

void AttemptLossesTest::what_hides_its_token_is_not_lost_data() {
    QTest::addColumn<bool>("daemon_sees_it");
    QTest::newRow("the daemon sees it") << true;
    QTest::newRow("no daemon") << false;
}

/// As programs do that write their title over their environment.
void AttemptLossesTest::what_hides_its_token_is_not_lost() {
    QFETCH(bool, daemon_sees_it);
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop(
        "x.job", counted("--requeue --retry-delay=1ms",
                         "exec env -i HOME=$HOME PATH=$PATH bash -c 'echo up; until [ -e ~/x.go ]; "
                         "do read -t 0.02 < <(:); done; echo end >> ~/ran'")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    const int supervisor = supervisor_of(spool, "x"),
              process = running_job(spool, "x")["pid"].toInt();
    QVERIFY(supervisor > 1 && process > 1);
    if (!daemon_sees_it) {
        spool.kill9();
        QVERIFY(QFile::remove(spool.path(".spool/state.json")));
    }
    QCOMPARE(::kill(supervisor, SIGKILL), 0);
    if (!daemon_sees_it) QVERIFY(spool.start());
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["phase"] == "ending"; },
                           "the daemon to see that its supervisor is dead"));
    QCOMPARE(ran(spool), "1\n");
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(states_of(spool.wait_for_result("x")), QStringList{"lost"});
    QCOMPARE(ran(spool), "1\nend\n2\nend\n");
}

void AttemptLossesTest::after_a_reboot_a_job_is_requeued_only_when_asked_data() {
    QTest::addColumn<QByteArray>("directives");
    QTest::addColumn<QString>("state");
    QTest::newRow("not asked") << QByteArray("--retries=3") << "interrupted";
    QTest::newRow("asked") << QByteArray("--requeue") << "succeeded";
}

void AttemptLossesTest::after_a_reboot_a_job_is_requeued_only_when_asked() {
    QFETCH(QByteArray, directives);
    QFETCH(QString, state);
    TestSpool spool;
    if (!set_boot(spool, "1")) QSKIP("no mount namespace to be had");
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted(directives + " --retry-delay=1h",
                                        "echo up\nuntil [ -e ~/x.go ]; do sleep 0.02; done")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    const int supervisor = supervisor_of(spool, "x"),
              process = running_job(spool, "x")["pid"].toInt();
    QVERIFY(supervisor > 1 && process > 1);
    spool.kill9();
    QVERIFY(shell(spool, QString("kill -9 %1 %2; touch ~/x.go").arg(supervisor).arg(process)));
    QVERIFY(set_boot(spool, "2"));
    QVERIFY(spool.start());
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), state);
    QCOMPARE(states_of(result),
             state == "interrupted" ? QStringList() : QStringList{"interrupted"});
    QCOMPARE(ran(spool), state == "interrupted" ? "1\n" : "1\n2\n");
}

void AttemptLossesTest::a_reboot_in_back_off_is_none_of_its_attempts() {
    TestSpool spool;
    if (!set_boot(spool, "1")) QSKIP("no mount namespace to be had");
    QVERIFY(spool.start());
    QVERIFY(
        spool.drop("x.job", counted("--retries=1 --retry-delay=2s", "[ $GPUSPOOL_ATTEMPT = 2 ]")));
    QVERIFY(wait_until_retrying(spool, "x"));
    spool.kill9();
    QVERIFY(set_boot(spool, "2"));
    QVERIFY(spool.start());
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(states_of(result), QStringList{"failed"});
    QCOMPARE(ran(spool), "1\n2\n");
}

QTEST_GUILESS_MAIN(AttemptLossesTest)
#include "system_attempt_losses.moc"
