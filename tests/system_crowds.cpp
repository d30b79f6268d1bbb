// Many files at once, and several writers of one name.
#include <unistd.h>

#include <QElapsedTimer>
#include <QJsonDocument>
#include <QtTest>
#include <thread>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// GPUSPOOL_SWEEP=full (tests/run --full) takes as many as the daemon must bear.
int crowd() {
    return qEnvironmentVariable("GPUSPOOL_SWEEP") == "full" ? 100'000 : 10'000;
}

bool drop_held_jobs(const TestSpool& spool, int count) {
    for (int i = 0; i < count; ++i) {
        QFile file(spool.path(QString("incoming/held-%1.job").arg(i)));
        if (!file.open(QIODevice::WriteOnly) || file.write("#SPOOL --hold\ntrue\n") < 0)
            return false;
    }
    return true;
}

int waiting_jobs(const TestSpool& spool) {
    return state_of(spool)["counts"].toObject()["waiting"].toInt();
}

QByteArrayList lines_of(const TestSpool& spool, const QString& file) {
    QByteArrayList lines = home_file(spool, file).split('\n');
    lines.removeAll({});
    return lines;
}

}  // namespace

class CrowdsTest : public QObject {
    Q_OBJECT

private slots:
    void many_files_hold_nobody_up();
    void two_writers_at_once_make_one_job();
    void renames_over_one_another_lose_nothing();
    void a_name_that_runs_can_be_dropped_again();
};

/// They wait; a job that is dropped while they are looked through runs, and so does the next, also
/// after the daemon was killed.
void CrowdsTest::many_files_hold_nobody_up() {
    const int count = crowd();
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QElapsedTimer since;
    since.start();
    QVERIFY(drop_held_jobs(spool, count));
    const qint64 dropped = since.elapsed();
    QVERIFY(spool.drop("meanwhile.job", "echo meanwhile >> ~/ran\n"));
    QCOMPARE(spool.wait_for_result("meanwhile", 60s)["state"].toString(), "succeeded");
    const qint64 ran = since.elapsed();
    QVERIFY(spool.wait_for([&] { return waiting_jobs(spool) == count; }, "all to wait", 300s));
    qInfo(
        "%d files: dropped in %lld ms, a job among them had run after %lld ms, all were known "
        "after %lld ms",
        count, dropped, ran, since.elapsed());

    since.restart();
    QCOMPARE(spool.gpuspool({"status"}).exit_code, 0);
    QVERIFY2(since.elapsed() < 10'000, qPrintable(QString::number(since.elapsed())));
    QVERIFY(spool.read(".spool/state.json").size() <= 64 * 1024);
    QVERIFY(spool.gpuspool({"cancel", QString("held-%1").arg(count - 1)}).exit_code == 0);
    QCOMPARE(spool.wait_for_result(QString("held-%1").arg(count - 1))["state"].toString(),
             "cancelled");
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("after.job", "echo after >> ~/ran\n"));
    QCOMPARE(spool.wait_for_result("after", 60s)["state"].toString(), "succeeded");
    QVERIFY(
        spool.wait_for([&] { return waiting_jobs(spool) == count - 1; }, "the rest to wait", 300s));
    QCOMPARE(lines_of(spool, "ran"), (QByteArrayList{"meanwhile", "after"}));
    spool.kill9();
}

/// One of them closes the file while the other goes on.
void CrowdsTest::two_writers_at_once_make_one_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QFile one(spool.path("incoming/x.job")), other(spool.path("incoming/x.job"));
    QVERIFY(one.open(QIODevice::Append | QIODevice::Unbuffered));
    QVERIFY(other.open(QIODevice::Append | QIODevice::Unbuffered));
    QVERIFY(one.write("echo one >> ~/ran\n") > 0);
    one.close();
    QVERIFY(wait_for_reason(spool, "x", "open"));
    QVERIFY(other.write("echo other >> ~/ran\n") > 0);
    // Longer than a file has to be quiet: another job has its turn and comes to its end.
    QVERIFY(spool.drop("y.job", "sleep 0.3\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QCOMPARE(home_file(spool, "ran"), "");
    QVERIFY(other.write("echo end >> ~/ran\n") > 0);
    other.close();
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "one\nother\nend\n");
    QVERIFY(!spool.exists("done/x~2.json"));
}

/// What was replaced before it was taken is gone, as with any rename; nothing runs twice, and what
/// came last runs.
void CrowdsTest::renames_over_one_another_lose_nothing() {
    constexpr int rounds = 40;
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    std::atomic<bool> good{true};
    const auto write = [&](const QString& writer) {
        for (int i = 0; i < rounds; ++i) {
            const QString label = writer + QString::number(i);
            const QString staged = "staged-" + label;
            const QByteArray text = "#SPOOL --gpus=0\necho " + label.toUtf8() + " >> ~/ran\n";
            if (!write_home_file(spool, staged, text) ||
                ::rename(qPrintable(spool.scratch(staged)),
                         qPrintable(spool.path("incoming/x.job"))) != 0)
                good = false;
            if (i % 8 == 7) QThread::msleep(2);
        }
    };
    std::thread a(write, "a"), b(write, "b");
    a.join();
    b.join();
    QVERIFY(good);
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0\necho end >> ~/ran\n"));
    QVERIFY(spool.wait_for([&] { return lines_of(spool, "ran").contains("end"); }, "the last"));
    const auto results = [&] {
        QStringList names;
        for (const QByteArray& name : names_in(spool, "done"))
            if (name.endsWith(".json")) names << QString::fromUtf8(name.chopped(5));
        return names;
    };
    QVERIFY(spool.wait_for(
        [&] {
            return names_in(spool, "incoming").isEmpty() && names_in(spool, "running").isEmpty() &&
                   results().size() == lines_of(spool, "ran").size();
        },
        "as many results as executions"));
    const QByteArrayList ran = lines_of(spool, "ran");
    QCOMPARE(QSet<QByteArray>(ran.begin(), ran.end()).size(), ran.size());
    QSet<int> numbers;
    for (const QString& name : results()) {
        const QJsonObject result = spool.result(name);
        QCOMPARE(result["state"].toString(), "succeeded");
        QVERIFY(ran.contains(spool.read("done/" + name + ".job").split(' ').at(2)));
        numbers.insert(result["id"].toInt());
    }
    QCOMPARE(numbers.size(), ran.size());
}

void CrowdsTest::a_name_that_runs_can_be_dropped_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(spool.drop("x.job", "echo again >> ~/ran\n"));
    const QJsonObject second = spool.wait_for_result("x~2");
    QCOMPARE(second["state"].toString(), "succeeded");
    QCOMPARE(second["file"].toString(), "x.job");
    QVERIFY(spool.exists("running/x.job") && !spool.exists("done/x.json"));
    QVERIFY(open_gate(spool, "x"));
    const QJsonObject first = spool.wait_for_result("x");
    QCOMPARE(first["state"].toString(), "succeeded");
    QVERIFY(first["id"].toInt() < second["id"].toInt());
    QCOMPARE(home_file(spool, "ran"), "x\nagain\n");
    QCOMPARE(spool.read("done/x.job"), gated("x"));
    QCOMPARE(spool.read("done/x~2.job"), "echo again >> ~/ran\n");
}

QTEST_GUILESS_MAIN(CrowdsTest)
#include "system_crowds.moc"
