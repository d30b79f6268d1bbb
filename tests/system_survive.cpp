// The daemon, the supervisors and the spool's own files are killed, damaged and removed: no job is
// lost, none runs twice, and no unknown end is called a success.
#include <signal.h>

#include <QDir>
#include <QFile>
#include <QtTest>

#include "tests/support/look.h"

namespace {

/// .spool/records/N of the job with this file name.
QString record_of(const TestSpool& spool, const QByteArray& file_name) {
    for (const QByteArray& name : names_in(spool, ".spool/records")) {
        const QString record = ".spool/records/" + name;
        if (spool.read(record).left(4096).contains(file_name)) return record;
    }
    return {};
}

/// Whether the supervisor of a record has written that nothing of its job is left.
bool has_ended(const TestSpool& spool, const QString& record) {
    constexpr int exit_page = 2 * 4096, phase = 32, complete = 2;
    const QByteArray page = spool.read(record).mid(exit_page, 4096);
    return page.startsWith("GLX1") && page.size() > phase && page[phase] == complete;
}

bool overwrite(const TestSpool& spool, const QString& inside, qint64 at, const QByteArray& bytes) {
    QFile file(spool.path(inside));
    return file.open(QIODevice::ReadWrite) && file.seek(at) && file.write(bytes) == bytes.size();
}

/// What a user sees in the three directories, with content.
QByteArray contents(const TestSpool& spool) {
    return spool
        .run("/bin/bash", {"-c",
                           "cd $GPUSPOOL_DIR; find incoming running done -type f | sort | "
                           "xargs -d '\\n' sha256sum"})
        .out;
}

constexpr qint64 claim_page = 0, exit_page = 2 * 4096;

}  // namespace

class SurviveTest : public QObject {
    Q_OBJECT

private slots:
    void jobs_outlive_the_daemon();
    void a_dead_supervisor_is_a_lost_job();
    void a_dead_supervisor_holds_the_gpu_while_its_job_lives();
    void starting_again_changes_nothing();
    void a_damaged_record_is_left_and_reported_data();
    void a_damaged_record_is_left_and_reported();
    void a_damaged_exit_page_is_no_success();
    void the_zygote_is_started_again();
};

void SurviveTest::jobs_outlive_the_daemon() {
    TestSpool spool;
    const QStringList pool = {"--gpus", "0,1,2,3"};
    QVERIFY(spool.start(pool));
    QVERIFY(spool.drop("good.job", gated("good")));
    QVERIFY(spool.drop("seven.job", gated("seven", "exit 7\n")));
    QVERIFY(spool.drop("killed.job", gated("killed", "kill -9 $$\n")));
    QVERIFY(spool.drop("away.job", gated("away", "exit 3\n")));
    for (const char* name : {"good", "seven", "killed", "away"})
        QVERIFY(wait_for_log(spool, name, "started"));
    spool.kill9();
    QVERIFY(open_gate(spool, "away"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "away.job") == 0; }, "away to end"));
    QVERIFY(spool.start(pool));
    QCOMPARE(spool.wait_for_result("away")["exit_code"].toInt(), 3);
    spool.kill9();
    QVERIFY(spool.start(pool));
    for (const char* name : {"good", "seven", "killed"})
        QVERIFY(open_gate(spool, name));
    QCOMPARE(spool.wait_for_result("good")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("seven")["exit_code"].toInt(), 7);
    const QJsonObject killed = spool.wait_for_result("killed");
    QCOMPARE(killed["state"].toString(), "failed");
    QCOMPARE(killed["signal"].toInt(), SIGKILL);
    QVERIFY(killed["exit_code"].isNull());
    QByteArrayList ran = home_file(spool, "ran").trimmed().split('\n');
    std::sort(ran.begin(), ran.end());
    QCOMPARE(ran, (QByteArrayList{"away", "good", "killed", "seven"}));
}

void SurviveTest::a_dead_supervisor_is_a_lost_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    const int supervisor = supervisor_of(spool, "x");
    QVERIFY(supervisor > 1);
    // Both at once: what the job would have ended with, nobody knows.
    QVERIFY(shell(
        spool,
        QString("kill -9 %1 %2").arg(supervisor).arg(running_job(spool, "x")["pid"].toInt())));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "lost");
    QVERIFY(result["exit_code"].isNull() && result["signal"].isNull());
    QVERIFY(spool.drop("y.job", "true\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "x\n");
    QVERIFY(spool.exists("done/x.job"));
}

void SurviveTest::a_dead_supervisor_holds_the_gpu_while_its_job_lives() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", gated("x", "echo end\n")));
    const int supervisor = supervisor_of(spool, "x");
    QVERIFY(supervisor > 1);
    QCOMPARE(kill(supervisor, SIGKILL), 0);
    QVERIFY(spool.wait_for(
        [&] { return running_job(spool, "x")["detail"].toString().contains("supervisor"); },
        "the death to be seen"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    // The next daemon knows it too.
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    QVERIFY(!running_job(spool, "x").isEmpty());
    QVERIFY(open_gate(spool, "x"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "lost");
    QVERIFY(result["exit_code"].isNull());
    QCOMPARE(spool.read("done/x.log"), "started\nend\n");
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void SurviveTest::starting_again_changes_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("good.job", "echo one\n"));
    QVERIFY(spool.drop("bad.job", "exit 4\n"));
    QVERIFY(spool.drop("odd.job", "#SPOOL --odd\ntrue\n"));
    for (const char* name : {"good", "bad", "odd"})
        QVERIFY(!spool.wait_for_result(name).isEmpty());
    QVERIFY(spool.drop("runs.job", gated("runs")));
    QVERIFY(wait_for_log(spool, "runs", "started"));
    QVERIFY(spool.drop("waits.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "waits", "gpus"));
    const QByteArray before = contents(spool);
    const int number = waiting_job(spool, "waits")["id"].toInt();
    for (int i = 0; i < 3; ++i) {
        if (i == 1)
            QVERIFY(spool.stop());
        else
            spool.kill9();
        QVERIFY(spool.start({"--gpus", "0"}));
        QVERIFY(wait_for_reason(spool, "waits", "gpus"));
        QCOMPARE(waiting_job(spool, "waits")["id"].toInt(), number);
        QVERIFY(!running_job(spool, "runs").isEmpty());
        QCOMPARE(contents(spool), before);
    }
    QVERIFY(open_gate(spool, "runs"));
    QCOMPARE(spool.wait_for_result("runs")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("waits")["id"].toInt(), number);
    QCOMPARE(home_file(spool, "ran"), "runs\n");
}

void SurviveTest::a_damaged_record_is_left_and_reported_data() {
    QTest::addColumn<QString>("harm");
    QTest::addColumn<QString>("problem");
    QTest::newRow("one byte") << "byte"
                              << "damaged";
    QTest::newRow("truncated") << "truncate"
                               << "damaged";
    QTest::newRow("newer format") << "format"
                                  << "newer";
}

void SurviveTest::a_damaged_record_is_left_and_reported() {
    QFETCH(QString, harm);
    QFETCH(QString, problem);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(spool.drop("y.job", gated("y", "exit 5\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(wait_for_log(spool, "y", "started"));
    spool.kill9();
    QVERIFY(open_gate(spool, "x") && open_gate(spool, "y"));
    const QString record = record_of(spool, "x.job"), other = record_of(spool, "y.job");
    QVERIFY(!record.isEmpty() && !other.isEmpty());
    // Their supervisors write no more.
    QVERIFY(spool.wait_for([&] { return has_ended(spool, record) && has_ended(spool, other); },
                           "both to end"));
    if (harm == "byte") QVERIFY(overwrite(spool, record, claim_page + 60, "\xa5"));
    if (harm == "format") QVERIFY(overwrite(spool, record, claim_page + 4, "\x02"));
    if (harm == "truncate") QVERIFY(QFile::resize(spool.path(record), 100));
    const QByteArray left = spool.read(record);

    QVERIFY(spool.start({"--gpus", "0,1"}));
    QCOMPARE(spool.wait_for_result("y")["exit_code"].toInt(), 5);
    QVERIFY(wait_for_problem(spool, problem));
    QVERIFY2(problems_of(spool).contains(record), qPrintable(problems_of(spool)));
    QVERIFY(spool.exists("running/x.job") && spool.exists("running/x.log"));
    QVERIFY(spool.drop("z.job", "true\n"));
    QCOMPARE(spool.wait_for_result("z")["state"].toString(), "succeeded");
    QCOMPARE(spool.read(record), left);
    QVERIFY(!spool.exists("done/x.json"));
    QByteArrayList ran = home_file(spool, "ran").trimmed().split('\n');
    std::sort(ran.begin(), ran.end());
    QCOMPARE(ran, (QByteArrayList{"x", "y"}));
    // The remedy that the problem names.
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR; mv running/x.job incoming/"));
    const auto runs_again = [&] { return home_file(spool, "ran").count("x\n") == 2; };
    QVERIFY(spool.wait_for(runs_again, "x to run again"));
}

void SurviveTest::a_damaged_exit_page_is_no_success() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    spool.kill9();
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "x.job") == 0; }, "x to end"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "spool-exec") == 0; }, "supervisor"));
    QVERIFY(overwrite(spool, record_of(spool, "x.job"), exit_page + 20, "\xa5\x5a"));
    QVERIFY(spool.start({"--gpus", "0"}));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "lost");
    QVERIFY(result["exit_code"].isNull());
    QCOMPARE(home_file(spool, "ran"), "x\n");
}

void SurviveTest::the_zygote_is_started_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x", "exit 8\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(shell(spool, QString("kill -9 $(pgrep -P %1 -f zygote)").arg(spool.pid())));
    QVERIFY(spool.drop("y.job", "true\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 8);
}

QTEST_GUILESS_MAIN(SurviveTest)
#include "system_survive.moc"
