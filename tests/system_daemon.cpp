// The daemon as its user steers it: pause, drain, signals, and one daemon per spool.
#include <signal.h>

#include <QProcess>
#include <QtTest>
#include <memory>
#include <vector>

#include "tests/support/look.h"

namespace {

const QByteArray until_go =
    "echo $GPUSPOOL_JOB_NAME >> ~/ran\necho \"gpus=$CUDA_VISIBLE_DEVICES\"\n"
    "until [ -e ~/go ]; do sleep 0.02; done\n";

bool open_gate(const TestSpool& spool) {
    return write_home_file(spool, "go", {});
}

bool wait_for_end_of_daemon(const TestSpool& spool) {
    return spool.wait_for([&] { return !spool.is_running(); }, "the daemon to end");
}

/// Names, types, sizes and times of everything in the spool.
QByteArray listing(const TestSpool& spool) {
    return spool
        .run("/bin/bash", {"-c", "cd $GPUSPOOL_DIR && find . -printf '%p %y %s %T@\\n' | sort"})
        .out;
}

}  // namespace

class DaemonTest : public QObject {
    Q_OBJECT

private slots:
    void pause_and_resume_by_touch_and_rm();
    void pause_and_resume_by_command();
    void a_pause_outlives_the_daemon();
    void drain_data();
    void drain();
    void term_and_int_leave_jobs_data();
    void term_and_int_leave_jobs();
    void nothing_is_left_among_the_cgroups();
    void once_does_one_pass();
    void a_second_daemon_is_refused();
    void of_twenty_daemons_one_stays_data();
    void of_twenty_daemons_one_stays();
    void the_spool_of_another_host_is_refused();
    void a_newer_format_is_left_alone();
};

void DaemonTest::pause_and_resume_by_touch_and_rm() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", until_go));
    QVERIFY(wait_for_log(spool, "x", "gpus=0\n"));
    QVERIFY(shell(spool, "echo 'demo at noon' > $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("y.job", until_go));
    QVERIFY(wait_for_reason(spool, "y", "paused"));
    QVERIFY2(wait_sentence(spool, "y").contains("demo at noon"),
             qPrintable(wait_sentence(spool, "y")));
    QVERIFY(open_gate(spool));  // what runs, runs on
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/y.job"));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/control/pause"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void DaemonTest::pause_and_resume_by_command() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.exists("control/pause"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "paused"));
    QVERIFY(wait_sentence(spool, "y").contains("gpuspool resume"));
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void DaemonTest::a_pause_outlives_the_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    for (const bool killed : {false, true}) {
        if (killed)
            spool.kill9();
        else
            QVERIFY(spool.stop());
        // Dropped while no daemon is there: the first thing that the next one sees.
        QVERIFY(spool.drop(killed ? "b.job" : "a.job", "echo run >> ~/ran\n"));
        QVERIFY(spool.start({"--gpus", "0"}));
        QVERIFY(wait_for_reason(spool, killed ? "b" : "a", "paused"));
        QCOMPARE(names_in(spool, "running"), {});
    }
    QCOMPARE(home_file(spool, "ran"), "");
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(!spool.wait_for_result("a").isEmpty());
    QVERIFY(!spool.wait_for_result("b").isEmpty());
}

void DaemonTest::drain_data() {
    QTest::addColumn<bool>("by_signal");
    QTest::newRow("signal") << true;
    QTest::newRow("command") << false;
}

void DaemonTest::drain() {
    QFETCH(bool, by_signal);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", until_go));
    QVERIFY(wait_for_log(spool, "x", "gpus="));
    if (by_signal)
        QCOMPARE(kill(static_cast<pid_t>(spool.pid()), SIGUSR1), 0);
    else
        QCOMPARE(spool.gpuspool({"drain"}).exit_code, 0);
    QVERIFY(spool.wait_for(
        [&] { return state_of(spool)["daemon"].toObject()["draining"].toBool(); }, "drain"));
    QVERIFY(spool.drop("y.job", until_go));
    QVERIFY(wait_for_reason(spool, "y", "draining"));
    QVERIFY(spool.is_running());
    QVERIFY(open_gate(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(wait_for_end_of_daemon(spool));
    QVERIFY(spool.exists("incoming/y.job"));
    QCOMPARE(home_file(spool, "ran"), "x\n");
    // Drained is not paused: the next daemon starts what waits.
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void DaemonTest::term_and_int_leave_jobs_data() {
    QTest::addColumn<int>("number");
    QTest::newRow("TERM") << SIGTERM;
    QTest::newRow("INT") << SIGINT;
}

void DaemonTest::term_and_int_leave_jobs() {
    QFETCH(int, number);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", until_go));
    QVERIFY(wait_for_log(spool, "x", "gpus=0\n"));
    QCOMPARE(kill(static_cast<pid_t>(spool.pid()), number), 0);
    QVERIFY(wait_for_end_of_daemon(spool));
    QVERIFY(spool.exists("running/x.job"));
    QCOMPARE(processes_with(spool, "spool-exec") > 0, true);
    const QByteArray status = spool.gpuspool({"status"}).out;
    QVERIFY2(status.contains("No daemon runs"), status);
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(!running_job(spool, "x").isEmpty() ||
            spool.wait_for([&] { return !running_job(spool, "x").isEmpty(); }, "x to be adopted"));
    QVERIFY(open_gate(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "x\n");
}

void DaemonTest::nothing_is_left_among_the_cgroups() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "echo $(sed -n '/ - cgroup2 /{s/^[^/]*[^ ]* //;s/ .*//;p;q}' "
                       "/proc/self/mountinfo)$(sed -n s/^0:://p /proc/self/cgroup)\n" +
                           until_go));
    QVERIFY(wait_for_log(spool, "x", "gpus=0\n"));
    const QString cgroup = spool.read("running/x.log").split('\n')[0];
    if (!cgroup.contains("/gpuspool-") || !QDir(cgroup).exists())
        QSKIP("jobs have no cgroups here");
    const QString of_spool = cgroup.section('/', 0, -2);
    QVERIFY(spool.stop());
    QVERIFY(QDir(cgroup).exists());
    QVERIFY(QDir().mkdir(of_spool + "/job-7.1"));  // as a supervisor that was killed leaves it
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(open_gate(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(spool.stop());
    QVERIFY(!QDir(of_spool).exists());
}

void DaemonTest::once_does_one_pass() {
    TestSpool spool;
    QVERIFY(shell(spool, "mkdir -m 700 -p $GPUSPOOL_DIR; mkdir -m 700 $I"));
    for (const char* name : {"a", "b", "c"})
        QVERIFY(spool.drop(QString(name) + ".job", until_go));
    const auto once = [&] { return spool.run(SPOOLD, {"--once", "--gpus", "0,1"}); };
    QCOMPARE(once().exit_code, 0);
    QVERIFY(wait_for_log(spool, "a", "gpus=0\n"));
    QVERIFY(wait_for_log(spool, "b", "gpus=1\n"));
    QVERIFY(spool.exists("incoming/c.job"));
    QCOMPARE(once().exit_code, 0);  // nothing is free
    QVERIFY(spool.exists("incoming/c.job"));
    QVERIFY(open_gate(spool));
    const auto all_ended = [&] {
        return once().exit_code == 0 && !spool.result("a").isEmpty() &&
               !spool.result("b").isEmpty() && !spool.result("c").isEmpty();
    };
    QVERIFY(spool.wait_for(all_ended, "some passes to do it all"));
    QCOMPARE(home_file(spool, "ran").size(), 6);
    for (const char* name : {"a", "b", "c"})
        QCOMPARE(spool.result(name)["state"].toString(), "succeeded");
}

void DaemonTest::a_second_daemon_is_refused() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    for (const QStringList& more :
         {QStringList{}, QStringList{"--once"}, QStringList{"--take-over"}}) {
        const Finished second = spool.run(SPOOLD, QStringList{"--gpus", "0"} + more);
        QVERIFY(second.exit_code > 0);
        QVERIFY2(second.err.contains("another spoold (pid " + QByteArray::number(spool.pid())),
                 second.err);
    }
    QVERIFY(spool.is_running());
    QVERIFY(spool.drop("x.job", "true\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void DaemonTest::of_twenty_daemons_one_stays_data() {
    QTest::addColumn<QString>("harm");
    QTest::newRow("new spool") << "";
    QTest::newRow("lock removed") << "rm $GPUSPOOL_DIR/.spool/lock";
    QTest::newRow("lock moved away") << "mv $GPUSPOOL_DIR/.spool/lock old";
    QTest::newRow("lock replaced")
        << "cp $GPUSPOOL_DIR/.spool/lock l; mv l $GPUSPOOL_DIR/.spool/lock";
}

void DaemonTest::of_twenty_daemons_one_stays() {
    QFETCH(QString, harm);
    TestSpool spool;
    if (!harm.isEmpty()) {
        QVERIFY(spool.start({"--gpus", "0"}));
        QVERIFY(shell(spool, harm));
    }
    std::vector<std::unique_ptr<QProcess>> daemons;
    for (int i = 0; i < 20; ++i) {
        daemons.push_back(std::make_unique<QProcess>());
        daemons.back()->setProcessEnvironment(spool.environment);
        daemons.back()->setStandardErrorFile(QProcess::nullDevice());
        daemons.back()->start(SPOOLD, {"--gpus", "0"});
    }
    const auto alive = [&] {
        return std::count_if(daemons.begin(), daemons.end(), [](const auto& daemon) {
            return daemon->state() != QProcess::NotRunning && !daemon->waitForFinished(0);
        });
    };
    const int wanted = harm.isEmpty() ? 1 : 0;
    QVERIFY(spool.wait_for([&] { return alive() == wanted; }, "all but one to end"));
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran; sleep 0.3\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(alive(), wanted);
    QCOMPARE(home_file(spool, "ran"), "one\n");
    for (const auto& daemon : daemons) {
        daemon->terminate();
        daemon->waitForFinished();
    }
}

void DaemonTest::the_spool_of_another_host_is_refused() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.stop());
    QVERIFY(shell(spool,
                  "cd $GPUSPOOL_DIR/.spool; sed -i -E "
                  "'s/\"machine_id\":\"[^\"]*\"/\"machine_id\":\"0123456789abcdef\"/; "
                  "s/\"host\":\"[^\"]*\"/\"host\":\"hal9000\"/' owner"));
    QVERIFY(spool.drop("x.job", "echo run >> ~/ran\n"));
    const QByteArray before = listing(spool);
    const Finished refused = spool.run(SPOOLD, {"--gpus", "0"});
    QVERIFY(refused.exit_code > 0);
    QVERIFY2(refused.err.contains("hal9000") && refused.err.contains("GPUSPOOL_DIR") &&
                 refused.err.contains("--take-over"),
             refused.err);
    QCOMPARE(listing(spool), before);
    QVERIFY(spool.start({"--gpus", "0", "--take-over"}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--gpus", "0"}));  // it is ours now
}

void DaemonTest::a_newer_format_is_left_alone() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.stop());
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/.spool; sed -i 's/\"format\":1/\"format\":2/' format"));
    QVERIFY(spool.drop("x.job", "echo run >> ~/ran\n"));
    const QByteArray before = listing(spool);
    const Finished refused = spool.run(SPOOLD, {"--gpus", "0"});
    QVERIFY(refused.exit_code > 0);
    QVERIFY2(refused.err.contains("newer gpuspool"), refused.err);
    QCOMPARE(listing(spool), before);
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/.spool; sed -i 's/\"format\":2/\"format\":1/' format"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(DaemonTest)
#include "system_daemon.moc"
