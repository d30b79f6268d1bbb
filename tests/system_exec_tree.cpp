// spool-exec: how a job's process tree is ended, and what the exit page says of it.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QTest>
#include <csignal>

#include "tests/support/running_job.h"

using Running = spool::test::RunningJob;
using spool::test::Job;
using spool::test::processes_of;
using spool::test::read_text;
using spool::test::script_job;
using spool::test::wait_until;
namespace record = spool::record;

namespace {

constexpr std::uint32_t none = 0;

}  // namespace

class SystemExecTree : public QObject {
    Q_OBJECT

private slots:
    void cancel_data();
    void cancel();
    void cancel_of_a_stopped_job();
    void cancel_while_leftovers_are_there();
    void cancel_mark_without_a_signal();
    void leftovers_are_ended();
    void leftovers_that_ignore_term();
    void leftovers_go_by_themselves();
    void leftovers_are_awaited();
    void time_limit();
    void warning();
    void warning_for_nobody();
    void resource_use();
};

void SystemExecTree::cancel_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<int>("grace");
    QTest::addColumn<int>("ended_by");
    const QString python = "exec /usr/bin/python3 -c '%1'\n";
    QTest::newRow("plain") << "echo ready; exec sleep 1000\n" << 30'000 << SIGTERM;
    QTest::newRow("a shell that waits") << "echo ready; sleep 1000\n" << 30'000 << SIGTERM;
    QTest::newRow("starts others meanwhile")
        << "echo ready; for i in {1..300}; do sleep 1000 & done; wait\n"
        << 30'000 << SIGTERM;
    QTest::newRow("ignores TERM") << "trap '' TERM HUP INT; echo ready; sleep 1000; sleep 1000\n"
                                  << 200 << SIGKILL;
    QTest::newRow("no grace") << "trap '' TERM; echo ready; sleep 1000; sleep 1000\n"
                              << 0 << SIGKILL;
    QTest::newRow("an escapee that closed everything")
        << python.arg(
               "import os,signal,time\n"
               "signal.signal(15,signal.SIG_IGN)\n"
               "if os.fork()==0:\n"
               "  os.setsid()\n"
               "  if os.fork()==0:\n"
               "    os.setsid(); os.chdir(\"/\"); os.write(1,b\"ready\\n\"); os.closerange(0,99)\n"
               "    time.sleep(1000)\n"
               "  os._exit(0)\n"
               "time.sleep(1000)")
        << 200 << SIGKILL;
    QTest::newRow("forks while it is killed")
        << python.arg(
               "import os,signal,time\n"
               "signal.signal(15,signal.SIG_IGN); signal.signal(17,signal.SIG_IGN)\n"
               "end=time.time()+40\n"
               "for i in range(12):\n"
               "  if os.fork()==0: break\n"
               "else: os.write(1,b\"ready\\n\")\n"
               "while time.time()<end:\n"
               "  if os.fork()==0: time.sleep(0.2); os._exit(0)\n"
               "  time.sleep(0.002)")
        << 200 << SIGKILL;
    QTest::newRow("jumps from process to process")
        << python.arg(
               "import os,signal,time\n"
               "signal.signal(15,signal.SIG_IGN)\n"
               "end=time.time()+40\n"
               "if os.fork(): os.write(1,b\"ready\\n\"); time.sleep(1000)\n"
               "while time.time()<end:\n"
               "  if os.fork(): os._exit(0)")
        << 200 << SIGKILL;
    QTest::newRow("other threads go on after the first")
        << python.arg(
               "import ctypes,signal,threading,time\n"
               "signal.signal(15,signal.SIG_IGN)\n"
               "threading.Thread(target=lambda: "
               "(print(\"ready\",flush=True),time.sleep(1000))).start()\n"
               "ctypes.CDLL(None).pthread_exit(None)")
        << 200 << SIGKILL;
}

void SystemExecTree::cancel() {
    QFETCH(QString, script);
    QFETCH(int, grace);
    QFETCH(int, ended_by);
    Job job = script_job(script.toStdString());
    job.grace = static_cast<std::uint64_t>(grace);
    Running running(job);
    QVERIFY(running.says("ready"));
    QElapsedTimer timer;
    timer.start();
    running.cancel();
    QCOMPARE(running.finish(20), 0);
    QVERIFY2(timer.elapsed() >= (ended_by == SIGKILL ? grace : 0),
             "killed before the grace was over");
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
    QVERIFY(WIFSIGNALED(page->wait_status));
    QCOMPARE(WTERMSIG(page->wait_status), ended_by);
    QVERIFY2(processes_of(running.builder()).empty(), "something of the job still lives");
}

void SystemExecTree::cancel_of_a_stopped_job() {
    Running running(script_job("sleep 1000 & echo ready; kill -STOP $! $$\n"));
    QVERIFY(running.says("ready"));
    running.cancel();
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
    QCOMPARE(WTERMSIG(page->wait_status), SIGTERM);
}

void SystemExecTree::cancel_while_leftovers_are_there() {
    Job job = script_job("setsid sleep 1000 & exit 0\n");
    job.leftover_grace = 600'000;
    Running running(job);
    QVERIFY(wait_until([&] { return running.builder().exit().has_value(); }));
    QCOMPARE(running.builder().exit()->phase, record::Phase::leftovers);
    running.cancel();
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
    QCOMPARE(page->wait_status, 0);
}

void SystemExecTree::cancel_mark_without_a_signal() {
    // The daemon wrote the mark and died: the end of the job is late enough to see it.
    const Job job = script_job("echo ready; until test -e \"$0.go\"; do sleep 0.01; done\n");
    Running running(job);
    QVERIFY(running.says("ready"));
    running.mark_cancelled();
    running.let_go();
    QCOMPARE(running.finish(), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
    QCOMPARE(page->wait_status, 0);
}

void SystemExecTree::leftovers_are_ended() {
    Job job = script_job("setsid sleep 1000 & sleep 1000 & exit 3\n");
    job.leftover_grace = 500;
    Running running(job);
    QVERIFY(wait_until([&] { return running.builder().exit().has_value(); }));
    QCOMPARE(running.builder().exit()->phase, record::Phase::leftovers);
    QVERIFY(running.builder().locked());
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::leftovers_killed));
    QCOMPARE(page->leftovers, 2u);
    QCOMPARE(WEXITSTATUS(page->wait_status), 3);
    QVERIFY(page->ended_at - running.builder().run()->started_at < 400'000'000);
    QVERIFY(processes_of(running.builder()).empty());
}

void SystemExecTree::leftovers_that_ignore_term() {
    Job job = script_job(
        "(trap '' TERM; echo ready; sleep 1000; sleep 1000) &\n"
        "until grep -q ready "
        "/proc/$$/fd/1; do sleep 0.01; done; exit 0\n");
    job.leftover_grace = 0;
    job.grace = 200;
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::leftovers_killed));
    QVERIFY(processes_of(running.builder()).empty());
}

void SystemExecTree::leftovers_go_by_themselves() {
    Job job = script_job("sleep 0.3 & exit 0\n");
    job.leftover_grace = 60'000;
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, none);
    QCOMPARE(page->leftovers, 1u);
}

void SystemExecTree::leftovers_are_awaited() {
    Job job = script_job("sleep 1 & exit 0\n");
    job.leftover_grace = 0;
    job.flags |= record::wait_for_leftovers;
    QElapsedTimer timer;
    timer.start();
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    QVERIFY(timer.elapsed() >= 1000);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, none);
}

void SystemExecTree::time_limit() {
    Job job = script_job("trap '' TERM; echo ready; sleep 1000; sleep 1000\n");
    job.time_limit = 300;
    job.grace = 200;
    QElapsedTimer timer;
    timer.start();
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    QVERIFY(timer.elapsed() >= 500);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::timed_out));
    QCOMPARE(WTERMSIG(page->wait_status), SIGKILL);
}

void SystemExecTree::warning() {
    // The shell catches the signal, its child does not and must not die of it.
    Job job =
        script_job("trap 'echo warned' USR1; sleep 0.7 & wait || true; wait; echo child $?\n");
    job.time_limit = 60'000;
    job.warn_before = 59'700;
    job.warn_signal = SIGUSR1;
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    QCOMPARE(running.log(), "warned\nchild 0\n");
    QCOMPARE(running.builder().complete()->flags, none);
}

void SystemExecTree::warning_for_nobody() {
    Job job = script_job("sleep 0.4; echo unmoved\n");
    job.time_limit = 60'000;
    job.warn_before = 70'000;
    job.warn_signal = SIGUSR1;
    Running running(job);
    QCOMPARE(running.finish(20), 0);
    QCOMPARE(running.log(), "unmoved\n");
}

void SystemExecTree::resource_use() {
    Running running(
        script_job("/usr/bin/python3 -c 'x=bytearray(50<<20); [i for i in range(3000000)]'\n"));
    QCOMPARE(running.finish(), 0);
    const auto page = running.builder().complete();
    QVERIFY(page);
    QVERIFY2(page->max_rss_kilobytes > 50'000, "the largest process was not counted");
    QVERIFY(page->user_microseconds > 20'000);
}

QTEST_GUILESS_MAIN(SystemExecTree)
#include "system_exec_tree.moc"
