// The user's own programs that are told what happens.
#include <QJsonDocument>
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// Makes hooks/NAME of a shell script.
bool make_hook(const TestSpool& spool, const QByteArray& name, const QByteArray& script) {
    return write_home_file(spool, "hook", "#!/bin/sh\n" + script) &&
           shell(
               spool,
               "mkdir -p -m 700 $GPUSPOOL_DIR $GPUSPOOL_DIR/hooks && chmod 700 ~/hook && mv ~/hook "
               "$GPUSPOOL_DIR/hooks/" +
                   name);
}

/// The lines that hooks have appended to ~/told.
QList<QByteArray> told(const TestSpool& spool) {
    QList<QByteArray> lines = home_file(spool, "told").split('\n');
    lines.removeLast();
    return lines;
}

bool wait_until_told(const TestSpool& spool, int lines) {
    return spool.wait_for([&] { return told(spool).size() >= lines; },
                          QString("%1 lines of hooks").arg(lines));
}

const QByteArray writes_down =
    "read -r record\nprintf '%s %s\\n' \"$GPUSPOOL_HOOK\" \"$record\" >> ~/told\n";

}  // namespace

class HooksTest : public QObject {
    Q_OBJECT

private slots:
    void they_are_told_what_happens();
    void one_that_fails_is_named();
    void one_that_hangs_is_killed();
    void what_is_no_program_is_left_alone();
    void many_ends_are_all_told();
    void drain_and_once_wait_for_them();
};

void HooksTest::they_are_told_what_happens() {
    TestSpool spool;
    for (const char* name : {"job-started", "job-ended", "queue-empty"})
        QVERIFY(
            make_hook(spool, name, writes_down + "[ -d incoming ] || echo elsewhere >> ~/told\n"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "echo hello; sleep 0.2; exit 3\n"));
    QVERIFY(wait_until_told(spool, 3));
    QStringList names;
    for (const QByteArray& line : told(spool))
        names << QString::fromUtf8(line.left(line.indexOf(' ')));
    names.sort();
    QCOMPARE(names, (QStringList{"job-ended", "job-started", "queue-empty"}));
    for (const QByteArray& line : told(spool)) {
        const QJsonObject record = QJsonDocument::fromJson(line.mid(line.indexOf(' '))).object();
        if (line.startsWith("job-started")) QCOMPARE(record["id"].toInt(), 1);
        if (!line.startsWith("job-ended")) continue;
        QCOMPARE(record["name"].toString(), "x");
        QCOMPARE(record["state"].toString(), "failed");
        QCOMPARE(record["exit_code"].toInt(), 3);
        QCOMPARE(record, spool.result("x"));
    }
}

void HooksTest::one_that_fails_is_named() {
    TestSpool spool;
    QVERIFY(make_hook(spool, "job-ended", "echo no mail here >&2\nexit 5\n"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "true\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(wait_for_problem(spool, "hooks/job-ended failed with exit code 5: no mail here"));
    // The next one that succeeds takes it back.
    QVERIFY(make_hook(spool, "job-ended", "true\n"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(spool.wait_for([&] { return !problems_of(spool).contains("job-ended"); },
                           "the problem to go"));
}

void HooksTest::one_that_hangs_is_killed() {
    TestSpool spool;
    QVERIFY(shell(spool,
                  "mkdir -p -m 700 $GPUSPOOL_DIR && echo '{\"hook_timeout\": \"300ms\"}' > "
                  "$GPUSPOOL_DIR/config.json"));
    QVERIFY(make_hook(spool, "job-started", "trap '' TERM\nsleep 1000 & sleep 1000\n"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    for (const char* name : {"a", "b", "c"})
        QVERIFY(spool.drop(QString(name) + ".job", "true\n"));
    for (const char* name : {"a", "b", "c"})
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
    QVERIFY(wait_for_problem(spool, "hooks/job-started did not end in time and was killed"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "sleep") == 0; },
                           "all that the hook has started to be gone"));
}

void HooksTest::what_is_no_program_is_left_alone() {
    TestSpool spool;
    QVERIFY(make_hook(spool, "job-ended", writes_down));
    QVERIFY(shell(spool, "chmod 600 $GPUSPOOL_DIR/hooks/job-ended"));
    QVERIFY(make_hook(spool, "job-started", writes_down));
    QVERIFY(
        shell(spool, "rm $GPUSPOOL_DIR/hooks/job-started; mkdir $GPUSPOOL_DIR/hooks/job-started"));
    QVERIFY(make_hook(spool, "queue-empty", writes_down));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "true\n"));
    QVERIFY(wait_until_told(spool, 1));
    QCOMPARE(told(spool), QList<QByteArray>{"queue-empty {}"});
}

void HooksTest::many_ends_are_all_told() {
    TestSpool spool;
    QVERIFY(make_hook(spool, "job-ended", "sleep 0.05\n" + writes_down));
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    for (int job = 0; job < 40; ++job)
        QVERIFY(spool.drop(QString("x%1.job").arg(job), "true\n"));
    QVERIFY(wait_until_told(spool, 40));
    QSet<int> jobs;
    for (const QByteArray& line : told(spool))
        jobs.insert(QJsonDocument::fromJson(line.mid(line.indexOf(' '))).object()["id"].toInt());
    QCOMPARE(jobs.size(), 40);
}

void HooksTest::drain_and_once_wait_for_them() {
    TestSpool spool;
    QVERIFY(make_hook(spool, "job-ended", "sleep 0.5\n" + writes_down));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran") == "x\n"; }, "x to run"));
    QCOMPARE(spool.gpuspool({"drain"}).exit_code, 0);
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(spool.wait_for([&] { return !spool.is_running(); }, "the daemon to end"));
    QCOMPARE(told(spool).size(), 1);
}

QTEST_GUILESS_MAIN(HooksTest)
#include "system_hooks.moc"
