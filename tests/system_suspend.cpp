// Running jobs that stand still and go on, with all their processes.
#include <QtTest>

#include "tests/support/look.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

/// Three processes that write on: the job's main one, a child, and one that has left its session.
QByteArray ticking(const QByteArray& directives = {}, const QByteArray& before = {}) {
    return "#SPOOL --gpus=0 --grace=5s --leftover-grace=0s " + directives + "\n" + before +
           "tick() { until [ -e ~/x.go ]; do echo $1 >> ~/ticks; sleep 0.02; done; }\n"
           "export -f tick\n"
           "setsid bash -c 'tick away' &\n"
           "bash -c 'tick child' &\n"
           "echo up\n"
           "tick main\n"
           "wait\n";
}

qint64 ticks(const TestSpool& spool, const QByteArray& of) {
    return home_file(spool, "ticks").count(of);
}

bool all_tick(const TestSpool& spool) {
    for (const char* of : {"main", "child", "away"}) {
        const qint64 before = ticks(spool, of);
        if (!spool.wait_for([&] { return ticks(spool, of) > before + 2; },
                            QString(of) + " to go on"))
            return false;
    }
    return true;
}

/// Nothing is written for a time in which dozens of lines would be.
bool stands_still(const TestSpool& spool) {
    qint64 size = -1;
    QElapsedTimer unchanged;
    return spool.wait_for(
        [&] {
            const qint64 now = home_file(spool, "ticks").size();
            if (now != std::exchange(size, now)) unchanged.start();
            return unchanged.elapsed() > 600;
        },
        "the job to stand still", 20s);
}

bool wait_for_phase(const TestSpool& spool, const QString& phase) {
    return spool.wait_for([&] { return running_job(spool, "x")["phase"] == phase; },
                          "x to be shown as " + phase);
}

}  // namespace

class SuspendTest : public QObject {
    Q_OBJECT

private slots:
    void the_whole_tree_stands_still_and_goes_on_data();
    void the_whole_tree_stands_still_and_goes_on();
    void it_goes_on_in_the_way_in_which_it_was_suspended_data();
    void it_goes_on_in_the_way_in_which_it_was_suspended();
    void its_gpu_stays_bound();
    void it_outlives_the_daemon();
    void a_wish_that_was_only_noted_is_told();
    void a_suspended_job_is_cancelled_politely();
    void the_time_limit_does_not_count_it();
    void without_a_supervisor_it_goes_on_data();
    void without_a_supervisor_it_goes_on();
    void only_running_jobs_can_be_asked();
    void one_that_is_over_does_not_stand_still();
};

void SuspendTest::the_whole_tree_stands_still_and_goes_on_data() {
    QTest::addColumn<bool>("cgroups");
    QTest::newRow("as it is here") << true;
    QTest::newRow("without cgroups") << false;
}

void SuspendTest::the_whole_tree_stands_still_and_goes_on() {
    QFETCH(bool, cgroups);
    TestSpool spool;
    const QString leave = "umount -a -l -t cgroup2 && ! grep -q ' - cgroup2 ' /proc/self/mountinfo";
    if (!cgroups) {
        if (spool.run("unshare", {"-m", "sh", "-c", leave}).exit_code != 0)
            QSKIP("no mount namespace to be had");
        spool.wrapper = {"unshare", "-m", "sh", "-c", leave + " && exec \"$0\" \"$@\""};
    }
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking({}, "cat /proc/self/cgroup\n")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    if (!cgroups) QVERIFY(!spool.read("running/x.log").contains("/gpuspool-"));
    QVERIFY(all_tick(spool));
    for (int round = 0; round < 2; ++round) {
        const Finished done = spool.gpuspool({"suspend", "x"});
        QVERIFY2(done.exit_code == 0 && done.out.contains("gpuspool continue"),
                 done.out + done.err);
        QVERIFY(stands_still(spool));
        QVERIFY(wait_for_phase(spool, "suspended"));
        QVERIFY(spool.gpuspool({"status"}).out.contains("[suspended]"));
        QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);  // again: nothing changes
        QVERIFY(stands_still(spool));
        QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
        QVERIFY(wait_for_phase(spool, "running"));
        QVERIFY(all_tick(spool));
    }
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void SuspendTest::without_a_supervisor_it_goes_on_data() {
    QTest::addColumn<bool>("daemon_sees_it");
    QTest::newRow("the daemon sees it") << true;
    QTest::newRow("no daemon") << false;
}

/// Nobody else could let it, and it has its GPU.
void SuspendTest::without_a_supervisor_it_goes_on() {
    QFETCH(bool, daemon_sees_it);
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking()));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["pid"].toInt() > 1; }, "its pid"));
    const int process = running_job(spool, "x")["pid"].toInt();
    QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);
    QVERIFY(stands_still(spool));
    if (!daemon_sees_it) spool.kill9();
    QVERIFY(shell(spool, QString("kill -9 $(cut -d' ' -f4 /proc/%1/stat)").arg(process)));
    if (!daemon_sees_it) QVERIFY(spool.start());
    QVERIFY(all_tick(spool));
    QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 1);
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "lost");
}

void SuspendTest::it_goes_on_in_the_way_in_which_it_was_suspended_data() {
    QTest::addColumn<bool>("freezes");
    QTest::newRow("stopped, since it cannot be frozen") << false;
    QTest::newRow("frozen, and cannot be thawed at first") << true;
}

/// Its cgroup.freeze cannot be opened for a while.
void SuspendTest::it_goes_on_in_the_way_in_which_it_was_suspended() {
    QFETCH(bool, freezes);
    if (!strace::works()) QSKIP("strace is needed");
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking({}, "cat /proc/self/cgroup\n")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    if (!spool.read("running/x.log").contains("/gpuspool-")) QSKIP("jobs have no cgroups here");
    QVERIFY(all_tick(spool));
    const int supervisor = supervisor_of(spool, "x");
    if (freezes) {
        QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);
        QVERIFY(stands_still(spool));
    }
    strace::Attached fault(
        spool, supervisor,
        QStringList{"-P", "cgroup.freeze"} + strace::inject("openat", "error=EACCES"));
    if (!fault.works()) QSKIP("strace cannot be attached");
    QCOMPARE(spool.gpuspool({freezes ? "continue" : "suspend", "x"}).exit_code, 0);
    QVERIFY(spool.wait_for([&] { return fault.calls() > 0; }, "the supervisor to try"));
    QVERIFY(stands_still(spool));
    fault.let_go();
    if (!freezes) QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QVERIFY(all_tick(spool));
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void SuspendTest::its_gpu_stays_bound() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", ticking().replace("--gpus=0", "--gpus=1")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QCOMPARE(spool.gpuspool({"suspend"}).exit_code, 0);
    QVERIFY(wait_for_phase(spool, "suspended"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    QCOMPARE(running_job(spool, "x")["gpus"].toArray().size(), 1);
    QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void SuspendTest::it_outlives_the_daemon() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking()));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);
    QVERIFY(stands_still(spool));
    spool.kill9();
    QVERIFY(QFile::remove(spool.path(".spool/state.json")));
    QVERIFY(stands_still(spool));
    QVERIFY(spool.start());
    QVERIFY(wait_for_phase(spool, "suspended"));
    QVERIFY(stands_still(spool));
    QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QVERIFY(all_tick(spool));
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

/// The request comes while no daemon runs.
void SuspendTest::a_wish_that_was_only_noted_is_told() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking()));
    QVERIFY(wait_for_log(spool, "x", "up"));
    spool.kill9();
    const Finished queued = spool.gpuspool({"suspend", "x"});
    QVERIFY2(queued.out.contains("queued") || queued.err.contains("queued"),
             queued.out + queued.err);
    QVERIFY(all_tick(spool));
    QVERIFY(spool.start());
    QVERIFY(stands_still(spool));
    QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QVERIFY(all_tick(spool));
}

void SuspendTest::a_suspended_job_is_cancelled_politely() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking({}, "trap 'echo polite; exit 9' TERM\n")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);
    QVERIFY(stands_still(spool));
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["exit_code"].toInt(), 9);
    QVERIFY(spool.read("done/x.log").contains("polite"));
    QVERIFY(stands_still(spool));  // nobody was left behind
}

void SuspendTest::the_time_limit_does_not_count_it() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", ticking("--time=3s")));
    QVERIFY(wait_for_log(spool, "x", "up"));
    QCOMPARE(spool.gpuspool({"suspend", "x"}).exit_code, 0);
    QVERIFY(stands_still(spool));
    QElapsedTimer suspended;
    suspended.start();
    QVERIFY(spool.wait_for([&] { return suspended.elapsed() > 3500; }, "the limit to pass"));
    QVERIFY(spool.result("x").isEmpty());
    QCOMPARE(spool.gpuspool({"continue", "x"}).exit_code, 0);
    QVERIFY(all_tick(spool));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "timeout");
    const auto time = [&](const char* key) {
        return QDateTime::fromString(result[key].toString(), Qt::ISODateWithMs);
    };
    QVERIFY(time("started_at").msecsTo(time("ended_at")) >= 3000 + 3500);
}

void SuspendTest::only_running_jobs_can_be_asked() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("held.job", "#SPOOL --hold\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "held", "held"));
    Finished refused = spool.gpuspool({"suspend", "held"});
    QCOMPARE(refused.exit_code, 1);
    QVERIFY2(refused.err.contains("gpuspool hold"), refused.err);
    QVERIFY(spool.drop("done.job", "#SPOOL --gpus=0\ntrue\n"));
    QVERIFY(!spool.wait_for_result("done").isEmpty());
    refused = spool.gpuspool({"continue", "done"});
    QCOMPARE(refused.exit_code, 1);
    QVERIFY2(refused.err.contains("has ended already"), refused.err);
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --retries=1 --retry-delay=1h\nfalse\n"));
    QVERIFY(wait_for_phase(spool, "retrying"));
    refused = spool.gpuspool({"suspend", "x"});
    QCOMPARE(refused.exit_code, 1);
    QVERIFY2((refused.err + refused.out).contains("is not executed just now"), refused.err);
}

/// What ends as at a shutdown is judged two seconds later: until then no page says that it ended.
void SuspendTest::one_that_is_over_does_not_stand_still() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", gated_job("x") + "exit 143\n"));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x")["pid"].toInt() > 1; }, "its pid"));
    const int process = running_job(spool, "x")["pid"].toInt();
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(spool.wait_for([&] { return !QFile::exists(QString("/proc/%1").arg(process)); },
                           "its process to end"));
    const Finished asked = spool.gpuspool({"suspend", "x"});
    QVERIFY2(asked.exit_code == 1, asked.out);
    QVERIFY2((asked.out + asked.err).contains("end"), asked.out + asked.err);
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 143);
}

QTEST_GUILESS_MAIN(SuspendTest)
#include "system_suspend.moc"
