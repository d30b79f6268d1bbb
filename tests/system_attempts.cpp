// Jobs that ask to be executed again: after failures, by their exit code, after the loss of a
// supervisor; with the daemon killed in between. Each attempt is executed exactly once.
#include <signal.h>

#include <QJsonArray>
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// Writes its attempt into ~/ran, then does what `end` says.
QByteArray counted(const QByteArray& directives, const QByteArray& end) {
    return "#SPOOL --gpus=0 " + directives +
           "\necho try $GPUSPOOL_ATTEMPT\necho $GPUSPOOL_ATTEMPT >> ~/ran\n" + end + "\n";
}

QByteArray ran(const TestSpool& spool) {
    return home_file(spool, "ran");
}

bool wait_until_retrying(const TestSpool& spool, const QString& name) {
    return spool.wait_for([&] { return running_job(spool, name)["phase"] == "retrying"; },
                          name + " to wait for its next attempt");
}

QStringList states_of(const QJsonObject& result) {
    QStringList states;
    for (const QJsonValue& attempt : result["attempts"].toArray())
        states << attempt.toObject()["state"].toString();
    return states;
}

/// From the next start on the daemon is of this boot. False where no mount namespace can be had.
bool set_boot(TestSpool& spool, const QByteArray& digit) {
    const QByteArray id = "00000000-0000-0000-0000-00000000000" + digit + "\n";
    if (!write_home_file(spool, "boot_id", id)) return false;
    const QString mount =
        "mount --bind " + spool.scratch("boot_id") + " /proc/sys/kernel/random/boot_id";
    spool.wrapper = {"unshare", "-m", "sh", "-c", mount + " && exec \"$0\" \"$@\""};
    return spool.run("unshare", {"-m", "sh", "-c", mount}).exit_code == 0;
}

int supervisor_of(const TestSpool& spool, const QString& name) {
    int pid = 0;
    if (!spool.wait_for([&] { return (pid = running_job(spool, name)["pid"].toInt()) > 0; },
                        "the process of " + name))
        return 0;
    QFile file(QString("/proc/%1/stat").arg(pid));
    if (!file.open(QIODevice::ReadOnly)) return 0;
    const QByteArray stat = file.readAll();
    return stat.mid(stat.lastIndexOf(')') + 2).split(' ')[1].toInt();
}

}  // namespace

class AttemptsTest : public QObject {
    Q_OBJECT

private slots:
    void failures_are_retried_with_a_log_each();
    void retries_end();
    void only_chosen_codes_are_retried();
    void the_exit_code_asks_for_more();
    void restarts_are_limited();
    void the_daemon_is_killed_in_back_off();
    void the_daemon_is_killed_while_attempts_run();
    void a_job_in_back_off_is_cancelled_data();
    void a_job_in_back_off_is_cancelled();
    void a_file_removed_as_the_attempt_ends_is_noticed();
    void a_cancelled_attempt_is_the_last();
    void the_gpu_is_free_meanwhile();
    void one_failing_job_drains_no_gpu();
    void dependents_wait_for_the_last_attempt();
    void a_lost_job_is_requeued_only_when_asked_data();
    void a_lost_job_is_requeued_only_when_asked();
    void what_hides_its_token_is_not_lost_data();
    void what_hides_its_token_is_not_lost();
    void after_a_reboot_a_job_is_requeued_only_when_asked_data();
    void after_a_reboot_a_job_is_requeued_only_when_asked();
    void a_reboot_in_back_off_is_none_of_its_attempts();
    void a_pause_keeps_a_further_attempt();
    void output_files_are_kept();
    void sbatch_scripts_find_their_restart_count();
    void status_and_show_say_it();
    void the_log_is_followed_over_attempts();
};

void AttemptsTest::failures_are_retried_with_a_log_each() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", ""}));
    QVERIFY(spool.drop("x.job", counted("--retries=5 --retry-delay=50ms",
                                        "[ $GPUSPOOL_ATTEMPT = 3 ] || exit $GPUSPOOL_ATTEMPT")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["attempt"].toInt(), 3);
    QCOMPARE(ran(spool), "1\n2\n3\n");
    QCOMPARE(states_of(result), (QStringList{"failed", "failed"}));
    const QJsonObject second = result["attempts"].toArray()[1].toObject();
    QCOMPARE(second["exit_code"].toInt(), 2);
    QCOMPARE(second["attempt"].toInt(), 2);
    QCOMPARE(second["log"].toString(), "x.try2.log");
    QVERIFY(!second["started_at"].toString().isEmpty() && !second["ended_at"].toString().isEmpty());
    QCOMPARE(spool.read("done/x.try1.log"), "try 1\n");
    QCOMPARE(spool.read("done/x.try2.log"), "try 2\n");
    QCOMPARE(spool.read("done/x.log"), "try 3\n");
    QCOMPARE(names_in(spool, "running"), QList<QByteArray>());
    // The record of each attempt is free again.
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ntrue\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void AttemptsTest::retries_end() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=2 --retry-delay=20ms", "exit 4")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["exit_code"].toInt(), 4);
    QCOMPARE(result["attempt"].toInt(), 3);
    QCOMPARE(ran(spool), "1\n2\n3\n");
    // The numbers of jobs count jobs, not attempts.
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ntrue\n"));
    QCOMPARE(spool.wait_for_result("y")["id"].toInt(), result["id"].toInt() + 1);
}

void AttemptsTest::only_chosen_codes_are_retried() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=5 --retry-on=75-78 --retry-delay=20ms",
                                        "exit $((74 + 2 * GPUSPOOL_ATTEMPT))")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["exit_code"].toInt(), 80);
    QCOMPARE(ran(spool), "1\n2\n3\n");
}

void AttemptsTest::the_exit_code_asks_for_more() {
    TestSpool spool;
    QVERIFY(spool.start());
    // Not a second passes between them.
    QVERIFY(spool.drop("x.job", counted("--requeue-exit=85 --retries=1 --retry-delay=1h",
                                        "[ $GPUSPOOL_ATTEMPT = 6 ] || exit 85")));
    const QJsonObject result = spool.wait_for_result("x", 30s);
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["attempt"].toInt(), 6);
    QCOMPARE(ran(spool), "1\n2\n3\n4\n5\n6\n");
    QVERIFY(result["attempts"].toArray()[4].toObject()["next"].toString().contains("85"));
}

void AttemptsTest::restarts_are_limited() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--requeue-exit=85 --max-restarts=2", "exit 85")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["exit_code"].toInt(), 85);
    QCOMPARE(ran(spool), "1\n2\n3\n");
}

void AttemptsTest::the_daemon_is_killed_in_back_off() {
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

void AttemptsTest::the_daemon_is_killed_while_attempts_run() {
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

void AttemptsTest::a_job_in_back_off_is_cancelled_data() {
    QTest::addColumn<QString>("way");
    QTest::newRow("by request") << "gpuspool cancel x";
    QTest::newRow("by deletion") << "rm $GPUSPOOL_DIR/running/x.job";
    QTest::newRow("by request, then killed") << "gpuspool cancel x";
    QTest::newRow("by deletion, no daemon, its time is over") << "rm $GPUSPOOL_DIR/running/x.job";
}

void AttemptsTest::a_job_in_back_off_is_cancelled() {
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

void AttemptsTest::a_file_removed_as_the_attempt_ends_is_noticed() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--retries=3 --retry-delay=1ms",
                                        "rm $GPUSPOOL_DIR/running/x.job; exit 7")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(ran(spool), "1\n");
}

void AttemptsTest::a_cancelled_attempt_is_the_last() {
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

void AttemptsTest::the_gpu_is_free_meanwhile() {
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

void AttemptsTest::one_failing_job_drains_no_gpu() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --retries=3 --retry-delay=1ms\nexit 1\n"));
    QCOMPARE(spool.wait_for_result("x")["attempt"].toInt(), 4);
    QVERIFY(spool.drop("y.job", "#SPOOL --requeue-exit=85 --max-restarts=4\nexit 85\n"));
    QCOMPARE(spool.wait_for_result("y")["attempt"].toInt(), 5);
    QCOMPARE(problems_of(spool), QString());
}

void AttemptsTest::dependents_wait_for_the_last_attempt() {
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

void AttemptsTest::a_lost_job_is_requeued_only_when_asked_data() {
    QTest::addColumn<QByteArray>("directives");
    QTest::addColumn<bool>("daemon_sees_it");
    QTest::addColumn<QString>("state");
    QTest::newRow("not asked") << QByteArray("--retries=3") << true << "lost";
    QTest::newRow("asked") << QByteArray("--requeue") << true << "succeeded";
    QTest::newRow("asked, no daemon") << QByteArray("--requeue") << false << "succeeded";
}

void AttemptsTest::a_lost_job_is_requeued_only_when_asked() {
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

void AttemptsTest::what_hides_its_token_is_not_lost_data() {
    QTest::addColumn<bool>("daemon_sees_it");
    QTest::newRow("the daemon sees it") << true;
    QTest::newRow("no daemon") << false;
}

/// As programs do that write their title over their environment.
void AttemptsTest::what_hides_its_token_is_not_lost() {
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

void AttemptsTest::after_a_reboot_a_job_is_requeued_only_when_asked_data() {
    QTest::addColumn<QByteArray>("directives");
    QTest::addColumn<QString>("state");
    QTest::newRow("not asked") << QByteArray("--retries=3") << "interrupted";
    QTest::newRow("asked") << QByteArray("--requeue") << "succeeded";
}

void AttemptsTest::after_a_reboot_a_job_is_requeued_only_when_asked() {
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

void AttemptsTest::a_reboot_in_back_off_is_none_of_its_attempts() {
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

void AttemptsTest::a_pause_keeps_a_further_attempt() {
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

void AttemptsTest::output_files_are_kept() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", counted("--output=out.txt --retries=1 --retry-delay=1ms",
                                        "[ $GPUSPOOL_ATTEMPT = 2 ]")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "out.txt"), "try 1\ntry 2\n");
    QVERIFY(!spool.exists("done/x.try1.log"));
    QCOMPARE(result["attempts"].toArray()[0].toObject()["log"].toString(), "");
}

void AttemptsTest::sbatch_scripts_find_their_restart_count() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.sbatch",
                       "#!/bin/bash\n#SBATCH --gres=gpu:0\n#SBATCH --requeue\n"
                       "#SPOOL --requeue-exit=85\n"
                       "echo \"restart ${SLURM_RESTART_COUNT-none}\"\n"
                       "[ \"${SLURM_RESTART_COUNT-0}\" = 1 ] || exit 85\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.try1.log"), "restart none\n");
    QCOMPARE(spool.read("done/x.log"), "restart 1\n");
}

void AttemptsTest::status_and_show_say_it() {
    TestSpool spool;
    QVERIFY(spool.start());
    const Finished submitted =
        spool.gpuspool({"submit", "--retries", "2", "--retry-delay", "2s", "-g", "0", "-n", "x",
                        "--", "sh", "-c", "test $GPUSPOOL_ATTEMPT = 2"});
    QCOMPARE(submitted.exit_code, 0);
    QVERIFY(wait_until_retrying(spool, "x"));
    const Finished status = spool.gpuspool({"status"});
    QVERIFY2(status.out.contains("retry 1 of 2"), status.out);
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    const Finished show = spool.gpuspool({"show", "x"});
    QVERIFY2(show.out.contains("attempt 1") && show.out.contains("x.try1.log"), show.out);
    QCOMPARE(spool.gpuspool({"submit", "--requeue-exit", "256", "--", "true"}).exit_code, 2);
}

void AttemptsTest::the_log_is_followed_over_attempts() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(
        spool.drop("x.job", counted("--retries=1 --retry-delay=1s", "[ $GPUSPOOL_ATTEMPT = 2 ]")));
    QVERIFY(wait_until_retrying(spool, "x"));
    const Finished followed = spool.gpuspool({"log", "-f", "x"});
    QCOMPARE(followed.out, "try 1\ntry 2\n");
}

QTEST_GUILESS_MAIN(AttemptsTest)
#include "system_attempts.moc"
