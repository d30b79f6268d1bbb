// spool-exec: what the exit page says when the machine goes down, the disk refuses, or the
// supervisor dies.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QTest>
#include <csignal>

#include "tests/support/running_job.h"

using Running = spool::test::RunningJob;
using spool::test::processes_of;
using spool::test::read_text;
using spool::test::script_job;
using spool::test::wait_until;
namespace record = spool::record;

namespace {

constexpr std::uint32_t none = 0;

/// The letter of /proc/PID/stat, whose name holds no parenthesis here.
char state_of(pid_t pid) {
    const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t end = stat.find(") ");
    return end == std::string::npos ? '?' : stat[end + 2];
}

}  // namespace

class SystemExecShutdown : public QObject {
    Q_OBJECT

private slots:
    void shutdown_data();
    void shutdown();
    void shutdown_seen_after_the_end();
    void shutdown_and_cancel();
    void a_page_that_cannot_be_written();
    void a_killed_supervisor_leaves_no_outcome();
};

void SystemExecShutdown::shutdown_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<bool>("before");
    QTest::addColumn<bool>("after");
    QTest::addColumn<bool>("interrupted");
    const QString wait = "echo ready; until test -e \"$0.go\"; do sleep 0.01; done; ";
    QTest::newRow("TERM, then success") << wait + "exit 0" << true << false << false;
    QTest::newRow("TERM, then failure") << wait + "exit 1" << true << false << true;
    QTest::newRow("TERM, then a signal") << wait + "kill -9 $$" << true << false << true;
    QTest::newRow("a signal, then TERM") << wait + "kill -TERM $$" << false << true << true;
    QTest::newRow("HUP, then TERM") << wait + "kill -HUP $$" << false << true << true;
    QTest::newRow("KILL, then TERM") << wait + "kill -KILL $$" << false << true << true;
    QTest::newRow("143, then TERM") << wait + "exit 143" << false << true << true;
    QTest::newRow("129, then TERM") << wait + "exit 129" << false << true << true;
    QTest::newRow("a signal and no TERM") << wait + "kill -TERM $$" << false << false << false;
    QTest::newRow("143 and no TERM") << wait + "exit 143" << false << false << false;
}

void SystemExecShutdown::shutdown() {
    QFETCH(QString, script);
    QFETCH(bool, before);
    QFETCH(bool, after);
    QFETCH(bool, interrupted);
    Running running(script_job(script.toStdString() + "\n"));
    QVERIFY(running.says("ready"));
    const pid_t main = running.main();
    QVERIFY(main > 0);
    if (before) running.signal(SIGTERM);
    running.let_go();
    QVERIFY(wait_until([&] { return kill(main, 0) != 0; }));
    if (after) {
        QVERIFY2(!running.builder().exit(), "judged before the shutdown could be seen");
        running.signal(SIGTERM);
    }
    QElapsedTimer timer;
    timer.start();
    QCOMPARE(running.finish(20), 0);
    if (!before && !after)
        QVERIFY(timer.elapsed() > 1500);
    else
        QVERIFY(timer.elapsed() < 1500);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, interrupted ? static_cast<std::uint32_t>(record::interrupted) : none);
}

void SystemExecShutdown::shutdown_seen_after_the_end() {
    // SIGTERM comes first, but the supervisor wakes up for something else and finds the end.
    Running running(
        script_job("echo ready; until test -e \"$0.go\"; do sleep 0.01; done; exit 1\n"));
    QVERIFY(running.says("ready"));
    const pid_t main = running.main();
    QVERIFY(main > 0);
    running.signal(SIGSTOP);
    QVERIFY(wait_until([&] { return state_of(running.supervisor()) == 'T'; }));
    running.signal(SIGTERM);
    running.let_go();
    QVERIFY(wait_until([&] { return state_of(main) == 'Z'; }));
    running.signal(SIGCONT);
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::interrupted));
}

void SystemExecShutdown::shutdown_and_cancel() {
    Running running(script_job("echo ready; sleep 1000\n"));
    QVERIFY(running.says("ready"));
    running.signal(SIGTERM);
    running.signal(SIGHUP);
    running.signal(SIGINT);
    running.cancel();
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
}

void SystemExecShutdown::a_page_that_cannot_be_written() {
    Running running(
        script_job("echo ready; until test -e \"$0.go\"; do sleep 0.01; done; exit 5\n"));
    QVERIFY(running.says("ready"));
    const pid_t main = running.main();
    QVERIFY(main > 0);
    // Any write of the supervisor fails from here on, as on a disk that refuses.
    const rlimit nothing{0, RLIM_INFINITY}, all{RLIM_INFINITY, RLIM_INFINITY};
    QCOMPARE(prlimit(running.supervisor(), RLIMIT_FSIZE, &nothing, nullptr), 0);
    running.let_go();
    QVERIFY(wait_until([&] { return kill(main, 0) != 0; }));
    QVERIFY(running.builder().locked());
    QVERIFY(!running.builder().exit());
    QCOMPARE(prlimit(running.supervisor(), RLIMIT_FSIZE, &all, nullptr), 0);
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(WEXITSTATUS(page->wait_status), 5);
}

void SystemExecShutdown::a_killed_supervisor_leaves_no_outcome() {
    Running running(script_job("echo ready; exec sleep 1000\n"));
    QVERIFY(running.says("ready"));
    const pid_t main = running.main();
    QVERIFY(main > 0);
    running.signal(SIGKILL);
    QCOMPARE(running.finish(20), 256 + SIGKILL);
    QVERIFY(!running.builder().locked());
    QVERIFY(!running.builder().exit());
    const auto survivors = processes_of(running.builder());
    QCOMPARE(survivors, std::vector<pid_t>{main});
    kill(main, SIGKILL);
}

QTEST_GUILESS_MAIN(SystemExecShutdown)
#include "system_exec_shutdown.moc"
