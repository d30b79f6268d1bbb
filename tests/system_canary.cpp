// --canary through a real spoold: the first one runs alone, and its early failure holds the rest.
#include <QtTest>
#include <algorithm>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// Notes in ~/ran that it runs, then waits for ~/go or ~/go.ME, and ends as ~/code.ME says.
QByteArray body(const QByteArray& me) {
    return "echo " + me + " >> ~/ran\n" + "until [ -e ~/go ] || [ -e ~/go." + me +
           " ]; do sleep 0.02; done\n" + "exit $(cat ~/code." + me + " 2>/dev/null || echo 0)\n";
}

QByteArray array_job(const QByteArray& more = {}) {
    return "#SPOOL --gpus=0 --array=0-3 --canary " + more + "\n" + body("$SLURM_ARRAY_TASK_ID");
}

QByteArray group_job(const QByteArray& name, const QByteArray& more = {}) {
    return "#SPOOL --gpus=0 --group=sweep --canary " + more + "\n" + body(name);
}

QStringList begun(const TestSpool& spool) {
    QStringList lines = QString::fromUtf8(home_file(spool, "ran")).split('\n', Qt::SkipEmptyParts);
    lines.sort();
    return lines;
}

bool wait_until_begun(const TestSpool& spool, const QStringList& names) {
    return spool.wait_for([&] { return begun(spool) == names; }, "to run: " + names.join(' '));
}

bool let_go(const TestSpool& spool, const QString& name, const QByteArray& code = "0") {
    return write_home_file(spool, "code." + name, code) && write_home_file(spool, "go." + name, "");
}

QJsonObject array_state(const TestSpool& spool) {
    const QJsonArray arrays = state_of(spool)["arrays"].toArray();
    return arrays.isEmpty() ? QJsonObject() : arrays[0].toObject();
}

bool wait_for_array_reason(const TestSpool& spool, const QString& kind) {
    return spool.wait_for([&] { return array_state(spool)["reason"].toObject()["kind"] == kind; },
                          "the array to wait: " + kind);
}

QByteArray number_of_array(const TestSpool& spool) {
    return QByteArray::number(array_state(spool)["id"].toInteger());
}

/// As after a crash: what was published is gone.
bool start_anew(TestSpool& spool) {
    spool.kill9();
    return QFile::remove(spool.path(".spool/state.json")) && spool.start({"--cpu-slots", "8"});
}

}  // namespace

class CanaryTest : public QObject {
    Q_OBJECT

private slots:
    void the_rest_of_an_array_follows_a_success();
    void a_failed_task_holds_the_rest();
    void a_failed_job_holds_its_group();
    void a_success_lets_the_group_go();
    void one_that_was_cancelled_says_nothing();
    void further_attempts_are_waited_for();
    void the_trial_outlives_the_daemon();
    void after_a_minute_the_rest_goes();
    void it_can_be_asked_for_in_all_ways();
    void of_a_single_job_there_is_none();
};

void CanaryTest::the_rest_of_an_array_follows_a_success() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job", array_job()));
    QVERIFY(wait_until_begun(spool, {"0"}));
    QVERIFY(wait_for_array_reason(spool, "canary"));
    const Finished status = spool.gpuspool({"status"});
    QVERIFY2(status.out.contains("--canary") || status.out.contains("1 running"), status.out);
    const Finished shown = spool.gpuspool({"show", "x"});
    QVERIFY2(shown.out.contains("runs alone (--canary)"), shown.out);
    QCOMPARE(begun(spool), QStringList{"0"});
    QVERIFY(let_go(spool, "0"));
    QVERIFY(wait_until_begun(spool, {"0", "1", "2", "3"}));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void CanaryTest::a_failed_task_holds_the_rest() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job", array_job()));
    QVERIFY(wait_until_begun(spool, {"0"}));
    QVERIFY(let_go(spool, "0", "3"));
    QVERIFY(wait_for_array_reason(spool, "held"));
    const QByteArray number = number_of_array(spool);
    const QString named = "task " + number + "_0 ran alone (--canary) and failed: see " +
                          spool.path("done/x.tasks/0.log");
    for (int start = 0; start < 2; ++start) {
        QVERIFY2(problems_of(spool).contains(named) &&
                     problems_of(spool).contains("gpuspool release " + number),
                 qPrintable(problems_of(spool)));
        const Finished shown = spool.gpuspool({"show", "x"});
        QVERIFY2(shown.out.contains(named.toUtf8()), shown.out);
        if (start == 1) break;
        QVERIFY(start_anew(spool));
        QVERIFY(wait_for_array_reason(spool, "held"));
    }
    QVERIFY(spool.exists("done/x.tasks/0.log"));
    QCOMPARE(begun(spool), QStringList{"0"});

    // The next one is tried alone again.
    QCOMPARE(spool.gpuspool({"release", number}).exit_code, 0);
    QVERIFY(wait_until_begun(spool, {"0", "1"}));
    QVERIFY(wait_for_array_reason(spool, "canary"));
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem"));
    QVERIFY(let_go(spool, "1"));
    QVERIFY(wait_until_begun(spool, {"0", "1", "2", "3"}));
    QVERIFY(write_home_file(spool, "go", ""));
    const QJsonObject tasks = spool.wait_for_result("x")["tasks"].toObject();
    QCOMPARE(tasks["failed"].toString(), "0");
    QCOMPARE(tasks["succeeded"].toString(), "1-3");
}

void CanaryTest::a_failed_job_holds_its_group() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job", group_job("a")));
    QVERIFY(wait_until_begun(spool, {"a"}));
    QVERIFY(spool.drop("b.job", group_job("b")));
    QVERIFY(spool.drop("c.job", group_job("c")));
    QVERIFY(wait_for_reason(spool, "c", "canary"));
    QVERIFY(let_go(spool, "a", "3"));
    QVERIFY(wait_for_reason(spool, "c", "group_held"));
    for (int start = 0; start < 2; ++start) {
        const QString sentence = wait_sentence(spool, "b");
        QVERIFY2(sentence.contains("(a) ran alone (--canary) and failed: see " +
                                   spool.path("done/a.log")) &&
                     sentence.contains("gpuspool release --group=sweep"),
                 qPrintable(sentence));
        if (start == 1) break;
        QVERIFY(start_anew(spool));
        QVERIFY(wait_for_reason(spool, "b", "group_held"));
    }
    QCOMPARE(begun(spool), QStringList{"a"});
    QCOMPARE(spool.gpuspool({"release", "--group=sweep"}).exit_code, 0);
    QVERIFY(wait_until_begun(spool, {"a", "b"}));
    QVERIFY(wait_for_reason(spool, "c", "canary"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
}

void CanaryTest::a_success_lets_the_group_go() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job", group_job("a")));
    QVERIFY(wait_until_begun(spool, {"a"}));
    QVERIFY(spool.drop("b.job", group_job("b")));
    QVERIFY(spool.drop("c.job", group_job("c")));
    QVERIFY(wait_for_reason(spool, "b", "canary"));
    QVERIFY(wait_for_reason(spool, "c", "canary"));
    QVERIFY(let_go(spool, "a"));
    QVERIFY(wait_until_begun(spool, {"a", "b", "c"}));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
}

void CanaryTest::one_that_was_cancelled_says_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job", group_job("a")));
    QVERIFY(wait_until_begun(spool, {"a"}));
    QVERIFY(spool.drop("b.job", group_job("b")));
    QVERIFY(wait_for_reason(spool, "b", "canary"));
    QVERIFY(spool.drop("c.job", group_job("c")));
    QCOMPARE(spool.gpuspool({"cancel", "a"}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "cancelled");
    QVERIFY(wait_until_begun(spool, {"a", "b"}));
    QVERIFY(wait_for_reason(spool, "c", "canary"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
}

void CanaryTest::further_attempts_are_waited_for() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job", group_job("a", "--retries=1 --retry-delay=1s")));
    QVERIFY(wait_until_begun(spool, {"a"}));
    QVERIFY(spool.drop("b.job", group_job("b")));
    QVERIFY(wait_for_reason(spool, "b", "canary"));
    QVERIFY(let_go(spool, "a", "3"));
    QVERIFY(wait_until_begun(spool, {"a", "a"}));
    QVERIFY(wait_for_reason(spool, "b", "group_held"));
    QCOMPARE(spool.wait_for_result("a")["attempt"].toInt(), 2);
    QCOMPARE(begun(spool), (QStringList{"a", "a"}));
}

void CanaryTest::the_trial_outlives_the_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job", array_job()));
    QVERIFY(wait_until_begun(spool, {"0"}));
    QVERIFY(start_anew(spool));
    QVERIFY(wait_for_array_reason(spool, "canary"));
    QCOMPARE(begun(spool), QStringList{"0"});
    QVERIFY(let_go(spool, "0", "3"));
    QVERIFY(wait_for_array_reason(spool, "held"));
    QCOMPARE(begun(spool), QStringList{"0"});
    QCOMPARE(spool.gpuspool({"release", number_of_array(spool)}).exit_code, 0);
    QVERIFY(wait_until_begun(spool, {"0", "1"}));
    QVERIFY(let_go(spool, "1"));
    QVERIFY(wait_until_begun(spool, {"0", "1", "2", "3"}));
    // One has succeeded: nothing is tried again.
    QVERIFY(start_anew(spool));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("x")["tasks"].toObject()["succeeded"].toString(), "1-3");
}

void CanaryTest::after_a_minute_the_rest_goes() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job", array_job()));
    QVERIFY(wait_until_begun(spool, {"0"}));
    QElapsedTimer since;
    since.start();
    QVERIFY(spool.wait_for([&] { return begun(spool).size() > 1; }, "the rest to go", 120s));
    QVERIFY2(since.elapsed() > 55'000, qPrintable(QString::number(since.elapsed())));
    QVERIFY(wait_until_begun(spool, {"0", "1", "2", "3"}));
    // A failure now is the task's own.
    QVERIFY(let_go(spool, "0", "3"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("x")["tasks"].toObject()["failed"].toString(), "0");
}

void CanaryTest::it_can_be_asked_for_in_all_ways() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    const QByteArray script = body("$GPUSPOOL_JOB_NAME");
    QVERIFY(write_home_file(spool, "s.sh", script));
    const QString file = spool.scratch("s.sh");
    const QStringList options{"submit", "--gpus", "0", "--group", "sweep", "--canary", "--name"};
    QCOMPARE(spool.gpuspool(options + QStringList{"a", file}).exit_code, 0);
    QVERIFY(wait_until_begun(spool, {"a"}));
    const Finished second = spool.gpuspool(options + QStringList{"b", "--", "true"});
    QVERIFY2(second.exit_code == 0, second.err);
    QVERIFY(wait_for_reason(spool, "b", "canary"));
    QVERIFY2(spool.read("incoming/b.job").contains("\"canary\": true"),
             spool.read("incoming/b.job"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

void CanaryTest::of_a_single_job_there_is_none() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0\n#SPOOL --canary\ntrue\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "rejected");
    QCOMPARE(result["line"].toInt(), 2);
    QVERIFY(result["reason"].toString().contains("--group=NAME"));
}

QTEST_GUILESS_MAIN(CanaryTest)
#include "system_canary.moc"
