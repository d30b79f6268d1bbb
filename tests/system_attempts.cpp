// Jobs that ask to be executed again, after failures and by their exit code: how often, and what is
// kept and shown of each attempt.
#include <QtTest>

#include "tests/support/attempt_jobs.h"

using namespace std::chrono_literals;

class AttemptsTest : public QObject {
    Q_OBJECT

private slots:
    void failures_are_retried_with_a_log_each();
    void retries_end();
    void only_chosen_codes_are_retried();
    void the_exit_code_asks_for_more();
    void restarts_are_limited();
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
