// Several users' daemons on one machine wait for one another's GPUs, and obey root's rules. Made-up
// users: needs root.
#include <QJsonArray>
#include <QTest>
#include <csignal>

#include "libspool/values.h"
#include "tests/support/gpu_users.h"
#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

std::int64_t time_of(const QJsonObject& result, const char* key) {
    return spool::parse_time(result[key].toString().toStdString()).value_or(0);
}

}  // namespace

class SystemGpuUsers : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes processes of other users: needs root");
    }

    void a_gpu_of_another_user_is_waited_for();
    void who_wants_two_gets_them_beside_jobs_of_one();
    void who_waits_is_told_for_whom_a_gpu_is_reserved();
    void root_drains_the_machine();
    void root_limits_everybody();
};

void SystemGpuUsers::a_gpu_of_another_user_is_waited_for() {
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    const QString go = machine.path("oracle/go");
    ada.drop("a.job", "#SPOOL --gpus=4\nuntil [[ -e " + go.toUtf8() + " ]]; do sleep 0.05; done\n");
    QVERIFY(ada.spool.wait_for([&] { return ada.spool.exists("running/a.log"); }, "a to run"));
    bob.drop("b.job", "echo $CUDA_VISIBLE_DEVICES");
    const auto reason = [&] {
        const auto state = QJsonDocument::fromJson(bob.gpuspool({"status", "--json"}));
        return state.object()["waiting"].toArray().at(0).toObject()["reason"].toString();
    };
    const auto surveyed_at = [&] { return state_of(bob.spool)["surveyed_at"].toString(); };
    QVERIFY2(
        bob.spool.wait_for([&] { return reason().contains("0 used by a spool of user 61201"); },
                           "b's reason"),
        qPrintable(reason()));
    // The supervisor keeps the lock, whatever becomes of its daemon: however often bob's looks.
    ada.spool.kill9();
    for (int look = 0; look < 2; ++look) {
        const QString before = surveyed_at();
        ::kill(static_cast<pid_t>(bob.spool.pid()), SIGHUP);
        QVERIFY(bob.spool.wait_for([&] { return surveyed_at() != before; }, "another look"));
        QVERIFY(!bob.spool.exists("running/b.job"));
        QVERIFY2(reason().contains("0 used by a spool of user 61201"), qPrintable(reason()));
    }
    QFile file(go);
    QVERIFY(file.open(QIODevice::WriteOnly));
    QCOMPARE(bob.spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(ada.spool.start());
    QCOMPARE(ada.spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuUsers::who_wants_two_gets_them_beside_jobs_of_one() {
    constexpr int jobs = 100, most_ends = 15;
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    for (int job = 0; job < jobs; ++job)
        ada.drop(QString("j%1.job").arg(job), "sleep 0.$((RANDOM % 6 + 4))");
    QVERIFY(ada.spool.wait_for([&] { return ada.results().size() > 4; }, "ada's jobs to run"));
    bob.drop("two.job", "#SPOOL --gpus=2\necho $CUDA_VISIBLE_DEVICES");
    const QJsonObject two = bob.spool.wait_for_result("two");
    QCOMPARE(two["gpus"].toArray().size(), 2);
    QVERIFY(ada.spool.wait_for([&] { return ada.results().size() == jobs; }, "ada's jobs", 60s));
    int ends = 0;
    for (const QString& file : ada.results()) {
        const auto at = time_of(ada.spool.result(file.chopped(5)), "ended_at");
        if (at > time_of(two, "submitted_at") && at < time_of(two, "started_at")) ++ends;
    }
    qInfo("%d jobs of one GPU ended while one of two waited", ends);
    QVERIFY(ends <= most_ends);
}

/// One of ada's four jobs has ended, and its GPU waits for bob's second.
void SystemGpuUsers::who_waits_is_told_for_whom_a_gpu_is_reserved() {
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    for (const char* job : {"a", "b", "c", "d", "e"})
        ada.drop(QString(job) + ".job",
                 QByteArray("until [ -e ~/") + job + ".go ]; do sleep 0.05; done");
    QVERIFY(ada.spool.wait_for(
        [&] { return state_of(ada.spool)["running"].toArray().size() == machine_gpus; },
        "ada's jobs to run"));
    bob.drop("two.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(wait_for_reason(bob.spool, "two", "gpus"));
    QVERIFY(open_gate(ada.spool, "a"));
    QVERIFY(bob.spool.wait_for(
        [&] { return ada.gpuspool({"status"}).contains("which waits for 2 GPUs"); },
        "ada to be told for whom a GPU is reserved"));
    QVERIFY(open_gate(ada.spool, "b"));
    QCOMPARE(bob.spool.wait_for_result("two")["gpus"].toArray().size(), 2);
    for (const char* job : {"c", "d", "e"})
        QVERIFY(open_gate(ada.spool, job));
    QVERIFY(!ada.spool.wait_for_result("e").isEmpty());
}

void SystemGpuUsers::root_drains_the_machine() {
    const Machine machine;
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", machine.path("root"));
    const QString drain = machine.path("root/run/gpuspool/drain");
    QDir().mkpath(QFileInfo(drain).path());
    QFile file(drain);
    QVERIFY(file.open(QIODevice::WriteOnly) && file.write("new driver at noon\n") > 0);
    file.close();
    QVERIFY(ada.spool.start());
    ada.drop("a.job", "#SPOOL --gpus=0\ntrue");
    QVERIFY(ada.spool.wait_for(
        [&] { return ada.gpuspool({"status"}).contains("lets nothing start: new driver at noon"); },
        "the reason"));
    QVERIFY(file.remove());
    QCOMPARE(ada.spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuUsers::root_limits_everybody() {
    const Machine machine;
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", machine.path("root"));
    const QString config = machine.path("root/etc/gpuspool/config.json");
    QDir().mkpath(QFileInfo(config).path());
    QFile file(config);
    QVERIFY(file.open(QIODevice::WriteOnly) &&
            file.write(R"({"max_gpus": 1, "gpus": [2, 3]})") > 0);
    file.close();
    QVERIFY(ada.spool.start());
    const QByteArray go = machine.path("oracle/go").toUtf8();
    for (const char* name : {"a", "b"})
        ada.drop(QString(name) + ".job",
                 "echo $CUDA_VISIBLE_DEVICES\nuntil [[ -e " + go + " ]]; do sleep 0.05; done\n");
    QVERIFY(ada.spool.wait_for([&] { return ada.spool.read("running/a.log") == "2\n"; },
                               "a on the first that is allowed"));
    QVERIFY(ada.spool.wait_for(
        [&] {
            return ada.gpuspool({"status"}).contains("\"max_gpus\" allows this spool 1 at once");
        },
        "the reason of b"));
    QFile done(machine.path("oracle/go"));
    QVERIFY(done.open(QIODevice::WriteOnly));
    QCOMPARE(ada.spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"2"});
}

QTEST_GUILESS_MAIN(SystemGpuUsers)
#include "system_gpu_users.moc"
