// --mem and --cpus through a real spoold: enforced where the kernel's controllers can be had, said
// to be counted only where they cannot.
#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTest>
#include <csignal>

#include "tests/support/cgroups.h"
#include "tests/support/daemon.h"

using spool::test::ControlledCgroup;

namespace {

constexpr const char* no_controllers =
    "needs cgroup v2 with the controllers memory and cpu, and the right to use them";

QJsonObject status(const TestSpool& spool) {
    return QJsonDocument::fromJson(spool.gpuspool({"status", "--json"}).out).object();
}

QJsonObject running(const TestSpool& spool, const QString& name) {
    for (const auto& job : status(spool)["running"].toArray())
        if (job.toObject()["name"] == name) return job.toObject();
    return {};
}

QByteArray waiting_job(const QByteArray& directives) {
    return "#SPOOL --gpus=0 " + directives +
           "\ncat /proc/self/cgroup\necho up\nwhile [ ! -e \"$HOME/go\" ]; do sleep 0.02; done\n";
}

bool is_up(const TestSpool& spool, const QString& name) {
    return spool.wait_for([&] { return spool.read("running/" + name + ".log").contains("up\n"); },
                          name + " to run");
}

bool let_go(const TestSpool& spool) {
    QFile gate(spool.scratch("go"));
    return gate.open(QIODevice::WriteOnly);
}

/// The daemon moves itself there before it is one.
void start_in(TestSpool& spool, const std::string& cgroup) {
    spool.wrapper = {
        "sh", "-c",
        QString::fromStdString("echo $$ > " + cgroup + "/cgroup.procs && exec \"$0\" \"$@\"")};
}

/// Of the running job x; what one file of its cgroup says.
QByteArray setting_of(const TestSpool& spool, const char* file) {
    const QByteArray log = spool.read("running/x.log");
    const qsizetype at = log.indexOf("0::") + 3;
    const QByteArray path = log.mid(at, log.indexOf('\n', at) - at);
    return QByteArray::fromStdString(spool::test::read_text(spool::test::cgroup_mount() +
                                                            path.toStdString() + "/" + file))
        .trimmed();
}

/// systemd-run as far as a daemon sees it: what it executes is in a cgroup of its own.
void add_systemd_run(TestSpool& spool, const std::string& scope, const QByteArray& first = {}) {
    const QString directory = spool.scratch("bin");
    QDir().mkpath(directory);
    QFile program(directory + "/systemd-run");
    QVERIFY(program.open(QIODevice::WriteOnly));
    program.write("#!/bin/sh\n" + first + "echo $$ > " + QByteArray::fromStdString(scope) +
                  "/cgroup.procs\necho \"$@\" > \"$HOME/asked\"\n"
                  "while [ \"$1\" != cat ]; do shift; done\nexec \"$@\"\n");
    program.setPermissions(QFile::ReadOwner | QFile::ExeOwner);
    spool.environment.insert("PATH", directory + ":" + spool.environment.value("PATH"));
}

}  // namespace

class LimitsTest : public QObject {
    Q_OBJECT

private slots:
    void what_is_not_enforced_is_said_data();
    void what_is_not_enforced_is_said();
    void jobs_that_ask_for_nothing_are_told_nothing();
    void jobs_have_what_they_ask_for();
    void more_memory_than_asked_for_is_the_reason();
    void limits_outlive_the_daemon();
    void others_in_the_cgroup_are_named();
    void a_service_has_its_jobs_in_a_scope();
    void a_service_without_a_scope();
};

void LimitsTest::what_is_not_enforced_is_said_data() {
    QTest::addColumn<bool>("cgroups");
    QTest::newRow("no cgroup v2") << false;
    QTest::newRow("switched off") << true;
}

void LimitsTest::what_is_not_enforced_is_said() {
    QFETCH(bool, cgroups);
    TestSpool spool;
    const QString leave = "umount -a -l -t cgroup2 && ! grep -q ' - cgroup2 ' /proc/self/mountinfo";
    if (cgroups) {
        QDir().mkpath(spool.path());
        QFile::setPermissions(spool.path(), QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
        QFile config(spool.path("config.json"));
        QVERIFY(config.open(QIODevice::WriteOnly));
        config.write("{\"enforce_limits\": false}\n");
    } else {
        if (spool.run("unshare", {"-m", "sh", "-c", leave}).exit_code != 0)
            QSKIP("no mount namespace to be had");
        spool.wrapper = {"unshare", "-m", "sh", "-c", leave + " && exec \"$0\" \"$@\""};
    }
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job("--mem=64M --cpus=1")));
    QVERIFY(is_up(spool, "x"));
    QVERIFY(spool.wait_for([&] { return running(spool, "x")["unenforced"].toArray().size() == 2; },
                           "the state to say what is not enforced"));
    QCOMPARE(running(spool, "x")["unenforced"].toArray(), (QJsonArray{"--mem=64M", "--cpus=1"}));
    const QByteArray sentence = "--mem=64M and --cpus=1 are counted, not enforced";
    const Finished shown = spool.gpuspool({"show", "x"});
    QVERIFY2(shown.out.contains(sentence), shown.out);
    const Finished doctor = spool.gpuspool({"doctor"});
    QVERIFY2(doctor.out.contains("counted, not enforced: "), doctor.out);
    QVERIFY2(doctor.out.contains(cgroups ? "enforce_limits" : "cgroup v2 is not mounted"),
             doctor.out);
    QCOMPARE(status(spool)["daemon"].toObject()["enforced"].toArray(), QJsonArray());
    QVERIFY(let_go(spool));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    const QString notes = QJsonDocument(result["notes"].toArray()).toJson();
    QVERIFY2(notes.contains("--mem=64M and --cpus=1 were counted, not enforced"),
             qPrintable(notes));
}

void LimitsTest::jobs_that_ask_for_nothing_are_told_nothing() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job({})));
    QVERIFY(is_up(spool, "x"));
    QCOMPARE(running(spool, "x")["unenforced"].toArray(), QJsonArray());
    QVERIFY(let_go(spool));
    QCOMPARE(spool.wait_for_result("x")["notes"].toArray(), QJsonArray());
}

void LimitsTest::jobs_have_what_they_ask_for() {
    const ControlledCgroup cgroup;
    if (cgroup.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    start_in(spool, cgroup.path);
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job("--mem=64M --cpus=1")));
    QVERIFY(is_up(spool, "x"));
    QCOMPARE(setting_of(spool, "memory.max"), QByteArray("67108864"));
    QCOMPARE(setting_of(spool, "memory.oom.group"), QByteArray("1"));
    QCOMPARE(setting_of(spool, "cpu.max"), QByteArray("100000 100000"));
    QVERIFY(spool.wait_for([&] { return running(spool, "x")["pid"].toInt() != 0; }, "its pid"));
    QCOMPARE(running(spool, "x")["unenforced"].toArray(), QJsonArray());
    QCOMPARE(status(spool)["daemon"].toObject()["enforced"].toArray(), (QJsonArray{"mem", "cpus"}));
    const Finished doctor = spool.gpuspool({"doctor"});
    QVERIFY2(doctor.out.contains("is counted and enforced, by cgroup"), doctor.out);
    QVERIFY(let_go(spool));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["notes"].toArray(), QJsonArray());
}

void LimitsTest::more_memory_than_asked_for_is_the_reason() {
    const ControlledCgroup cgroup;
    if (cgroup.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    start_in(spool, cgroup.path);
    QVERIFY(spool.start());
    // Not its first process, and not one of its own group.
    const QByteArray hog =
        "setsid dd if=/dev/zero of=/dev/null bs=200M count=1 & wait; sleep 1000\n";
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --mem=64M\n" + hog));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ndd if=/dev/zero of=/dev/null bs=200M count=1\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["signal"].toInt(), SIGKILL);
    const QString reason = result["reason"].toString();
    QVERIFY2(reason.startsWith("killed for memory: more than --mem=64M"), qPrintable(reason));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void LimitsTest::limits_outlive_the_daemon() {
    const ControlledCgroup cgroup, second("gpuspool-test-next");
    if (cgroup.path.empty() || second.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    start_in(spool, cgroup.path);
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job("--mem=64M")));
    QVERIFY(is_up(spool, "x"));
    spool.kill9();
    start_in(spool, second.path);
    QVERIFY(spool.start());
    QCOMPARE(setting_of(spool, "memory.max"), QByteArray("67108864"));
    QVERIFY(spool.wait_for([&] { return !running(spool, "x").isEmpty(); }, "x to be adopted"));
    QCOMPARE(running(spool, "x")["unenforced"].toArray(), QJsonArray());
    QVERIFY(let_go(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void LimitsTest::others_in_the_cgroup_are_named() {
    const ControlledCgroup cgroup;
    if (cgroup.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    // The shell stays.
    spool.wrapper = {"sh", "-c",
                     QString::fromStdString("echo $$ > " + cgroup.path +
                                            "/cgroup.procs; sleep 1000 & exec \"$0\" \"$@\"")};
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --mem=64M\ntrue\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["notes"].toArray().size(), 1);
    const Finished doctor = spool.gpuspool({"doctor"});
    QVERIFY2(doctor.out.contains("which is not spoold's, is in the same cgroup"), doctor.out);
}

void LimitsTest::a_service_has_its_jobs_in_a_scope() {
    const ControlledCgroup service("gpuspool-test", ".service"), scope("gpuspool-test", ".scope");
    if (service.path.empty() || scope.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    add_systemd_run(spool, scope.path);
    start_in(spool, service.path);
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job("--mem=64M")));
    QVERIFY(is_up(spool, "x"));
    QVERIFY(spool.read("running/x.log").contains(".scope/gpuspool-"));
    QCOMPARE(setting_of(spool, "memory.max"), QByteArray("67108864"));
    QFile asked(spool.scratch("asked"));
    QVERIFY(asked.open(QIODevice::ReadOnly));
    const QByteArray arguments = asked.readAll();
    QVERIFY2(arguments.contains("--scope") && arguments.contains("Delegate=yes"), arguments);
    // Where systemd starts the service: it is restarted beside the running job.
    QCOMPARE(spool::test::read_text(service.path + "/cgroup.subtree_control"), std::string());
    QVERIFY(spool.stop());
    QVERIFY(spool::test::wait_until(
        [&] { return spool::test::read_text(service.path + "/cgroup.procs").empty(); }));
    const ControlledCgroup next("gpuspool-test-next", ".scope");
    add_systemd_run(spool, next.path);
    QVERIFY(spool.start());
    QVERIFY(let_go(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void LimitsTest::a_service_without_a_scope() {
    const ControlledCgroup service("gpuspool-test", ".service");
    if (service.path.empty()) QSKIP(no_controllers);
    TestSpool spool;
    add_systemd_run(spool, service.path, "echo 'Failed to connect to bus' >&2; exit 1\n");
    start_in(spool, service.path);
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", waiting_job("--mem=64M")));
    QVERIFY(is_up(spool, "x"));
    QVERIFY(spool.read("running/x.log").contains(".service/gpuspool-"));
    QCOMPARE(spool::test::read_text(service.path + "/cgroup.subtree_control"), std::string());
    const Finished doctor = spool.gpuspool({"doctor"});
    QVERIFY2(doctor.out.contains("Failed to connect to bus"), doctor.out);
    QVERIFY(let_go(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(LimitsTest)
#include "system_limits.moc"
