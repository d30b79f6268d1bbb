// Ways to end a job before its time, and what must not end one.
#include <signal.h>
#include <unistd.h>

#include <QDir>
#include <QElapsedTimer>
#include <QtTest>
#include <algorithm>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// A job with a child, and one that has left its session and its parents.
const QByteArray family =
    "sleep 1001 &\n"
    "setsid bash -c '(sleep 1002 & ) ; exec sleep 1003' &\n"
    "echo started\nsleep 1004\n";

bool all_gone(const TestSpool& spool) {
    return spool.wait_for([&] { return processes_with(spool, "sleep 100") == 0; },
                          "all processes of the job to end");
}

/// What the process has used so far: fields 14 and 15 of its stat.
double processor_seconds(qint64 pid) {
    QFile file(QString("/proc/%1/stat").arg(pid));
    if (!file.open(QIODevice::ReadOnly)) return 0;
    const QByteArray text = file.readAll();
    const QList<QByteArray> fields = text.mid(text.lastIndexOf(')') + 2).split(' ');
    return double(fields.value(11).toInt() + fields.value(12).toInt()) /
           double(sysconf(_SC_CLK_TCK));
}

bool remove(const TestSpool& spool, const QString& inside) {
    return QFile::remove(spool.path(inside));
}

}  // namespace

class CancelTest : public QObject {
    Q_OBJECT

private slots:
    void a_waiting_job();
    void a_waiting_job_while_no_daemon_runs();
    void a_running_job_with_its_whole_tree();
    void a_job_that_ignores_sigterm();
    void a_job_that_tidies_up();
    void a_running_job_while_no_daemon_runs();
    void an_ended_job_is_refused();
    void deleting_the_running_file_cancels();
    void waiting_for_the_end_costs_nothing();
    void leftovers_are_shown_and_ended();
    void leftovers_of_a_dead_supervisor_keep_the_gpu();
    void a_tree_stopped_by_a_dead_supervisor_goes_on();
    void a_reply_that_could_not_be_written_comes_later();
};

void CancelTest::a_waiting_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY(result["exit_code"].isNull());
    QCOMPARE(spool.read("done/x.job"), "echo one >> ~/ran\n");
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QCOMPARE(home_file(spool, "ran"), "");
}

void CancelTest::a_waiting_job_while_no_daemon_runs() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(spool.stop());
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    QVERIFY(!spool.exists("incoming/x.job"));
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    QCOMPARE(home_file(spool, "ran"), "");
}

void CancelTest::a_running_job_with_its_whole_tree() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", family));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "sleep 100") >= 4; }, "the family"));
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["signal"].toInt(), SIGTERM);
    QCOMPARE(processes_with(spool, "sleep 100"), 0);
    QCOMPARE(spool.read("done/x.job"), family);
    QCOMPARE(spool.read("done/x.log"), "started\n");
    QCOMPARE(names_in(spool, "running"), QList<QByteArray>());
    QVERIFY(spool.drop("y.job", "true\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void CancelTest::a_job_that_ignores_sigterm() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --grace=1s\ntrap '' TERM\n" + family));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QElapsedTimer since;
    since.start();
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(since.elapsed() >= 950, qPrintable(QString::number(since.elapsed())));
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["signal"].toInt(), SIGKILL);
    QCOMPARE(processes_with(spool, "sleep 100"), 0);
}

void CancelTest::a_job_that_tidies_up() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "trap 'echo saved; exit 0' TERM\necho started\n"
                       "while :; do sleep 0.05; done\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");  // never "succeeded"
    QCOMPARE(result["exit_code"].toInt(-1), 0);
    QVERIFY2(spool.read("done/x.log").endsWith("saved\n"), spool.read("done/x.log"));
}

void CancelTest::a_running_job_while_no_daemon_runs() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", family));
    QVERIFY(wait_for_log(spool, "x", "started"));
    spool.kill9();
    const Finished asked = spool.gpuspool({"cancel", "x"});
    QVERIFY2((asked.out + asked.err).contains("spoold"), asked.out + asked.err);
    QVERIFY(processes_with(spool, "sleep 1004") > 0);
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    QVERIFY(all_gone(spool));
    QVERIFY(spool.wait_for(
        [&] {
            const auto names = names_in(spool, "control");
            return std::none_of(names.begin(), names.end(),
                                [](const QByteArray& name) { return name.endsWith(".request"); });
        },
        "the request to be taken in"));
}

void CancelTest::an_ended_job_is_refused() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "true\n"));
    const QJsonObject result = spool.wait_for_result("x");
    const Finished refused = spool.gpuspool({"cancel", "x"});
    QVERIFY(refused.exit_code > 0);
    QVERIFY2(refused.err.contains("has ended already"), refused.err);
    QVERIFY(spool.gpuspool({"cancel", "nothing-like-it"}).exit_code > 0);
    QCOMPARE(spool.result("x"), result);
    // Asked for by a file, as any program may.
    QVERIFY(shell(spool,
                  "cd $GPUSPOOL_DIR/control; echo '{\"verb\":\"cancel\",\"job\":1,"
                  "\"at\":\"2026-01-01T00:00:00Z\"}' > ../.t; mv ../.t abc.request"));
    QVERIFY(spool.wait_for([&] { return spool.read("control/abc.reply").contains("false"); },
                           "the reply"));
    QVERIFY(spool.wait_for([&] { return !spool.exists("control/abc.request"); }, "the removal"));
    QCOMPARE(spool.result("x"), result);
}

void CancelTest::deleting_the_running_file_cancels() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray text = family + "# \xff\xfe bytes\n";
    QVERIFY(spool.drop("x.job", text));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QElapsedTimer since;
    since.start();
    QVERIFY(remove(spool, "running/x.job"));
    const QJsonObject result = spool.wait_for_result("x");
    QVERIFY2(since.elapsed() >= 990, qPrintable(QString::number(since.elapsed())));
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY2(result["reason"].toString().contains("running/"),
             qPrintable(result["reason"].toString()));
    QCOMPARE(spool.read("done/x.job"), text);
    QVERIFY(all_gone(spool));
}

/// While a job takes its time to end, the daemon has nothing to do.
void CancelTest::waiting_for_the_end_costs_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --grace=4s\ntrap '' TERM\n" + family));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(remove(spool, "running/x.job"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["phase"] == "cancelling"; },
                           "x to be cancelled"));
    const double before = processor_seconds(spool.pid());
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    const double used = processor_seconds(spool.pid()) - before;
    QVERIFY2(used < 0.5, qPrintable(QString::number(used)));
}

/// Its main process has ended; what that has left behind still has the GPU.
void CancelTest::leftovers_of_a_dead_supervisor_keep_the_gpu() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --leftover-grace=60s\n"
                       "setsid sh -c 'until [ -e ~/go ]; do sleep 0.05; done' &\n"
                       "echo $PPID > ~/supervisor\n"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["phase"] == "ending"; },
                           "the main process to end"));
    const int supervisor = home_file(spool, "supervisor").trimmed().toInt();
    QVERIFY(supervisor > 1);
    QCOMPARE(::kill(supervisor, SIGKILL), 0);
    QVERIFY(spool.wait_for([&] { return spool.daemon_log().contains("its supervisor is dead"); },
                           "the death to be seen"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.wait_for(
        [&] { return state_of(spool)["daemon"].toObject()["pid"].toInt() == spool.pid(); },
        "the state of the new daemon"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    QVERIFY(!spool.exists("done/x.json") && !spool.exists("done/y.json"));
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

/// A supervisor stops all processes of a job while it ends them; killed then, it leaves them so.
void CancelTest::a_tree_stopped_by_a_dead_supervisor_goes_on() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "echo $$ $PPID > ~/new; mv ~/new ~/processes\n"
                       "until [ -e ~/go ]; do sleep 0.05; done\n"));
    QVERIFY(spool.wait_for([&] { return !home_file(spool, "processes").isEmpty(); }, "x to run"));
    const QByteArrayList processes = home_file(spool, "processes").trimmed().split(' ');
    QCOMPARE(::kill(processes.at(0).toInt(), SIGSTOP), 0);
    QCOMPARE(::kill(processes.at(1).toInt(), SIGKILL), 0);
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(spool.wait_for_result("x", 20s)["state"].toString(), "lost");
}

/// A full disk may refuse it; here something has its name.
void CancelTest::a_reply_that_could_not_be_written_comes_later() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(QDir().mkpath(spool.path("control/abc.reply")));
    QFile request(spool.path("control/abc.request"));
    QVERIFY(request.open(QIODevice::WriteOnly));
    QVERIFY(request.write(R"({"verb":"reload"})") > 0);
    request.close();
    QVERIFY(wait_for_problem(spool, "cannot be answered"));
    QVERIFY(QDir().rmdir(spool.path("control/abc.reply")));
    QVERIFY(spool.wait_for([&] { return !spool.exists("control/abc.request"); }, "the answer"));
    QVERIFY(spool.read("control/abc.reply").contains("reading the settings"));
}

void CancelTest::leftovers_are_shown_and_ended() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --leftover-grace=2s\n"
                       "setsid bash -c 'trap \"\" HUP; while :; do echo tick; sleep 0.1; done' &\n"
                       "echo main ends\nexit 3\n"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["phase"].toString() == "ending"; },
                           "x to be shown as ending"));
    QVERIFY2(running_job(spool, "x")["detail"].toString().contains("process left"),
             qPrintable(running_job(spool, "x")["detail"].toString()));
    // Its GPU is not free meanwhile.
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["exit_code"].toInt(), 3);
    const QByteArray log = spool.read("done/x.log");
    QVERIFY(log.contains("main ends\n"));
    QVERIFY2(log.count("tick\n") >= 5, log);
    QCOMPARE(processes_with(spool, "echo tick"), 0);
    const auto time = [&](const char* key) {
        return QDateTime::fromString(result[QString(key)].toString(), Qt::ISODateWithMs);
    };
    QVERIFY(time("started_at").msecsTo(time("ended_at")) < 1900);  // that of the main process
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(CancelTest)
#include "system_cancel.moc"
