// spool-exec: how a job's process tree is ended, and what the exit page says of it.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QTemporaryDir>
#include <QTest>
#include <csignal>

#include "tests/support/exec_process.h"
#include "tests/support/record_builder.h"

using spool::test::Job;
using spool::test::processes_of;
using spool::test::read_text;
using spool::test::RecordBuilder;
using spool::test::script_job;
using spool::test::wait_until;
namespace record = spool::record;

namespace {

/// A job under way, and its supervisor, which is the test's own child.
class Running {
public:
    explicit Running(const Job& job) : builder_(directory_.path().toStdString() + "/spool") {
        builder_.write(job);
        supervisor_ = spool::test::start_supervisor(SPOOL_EXEC, builder_);
    }
    ~Running() {
        if (supervisor_ > 0) spool::test::wait_for_program(supervisor_, 0);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    /// Waits until the job has written this line to its log.
    bool says(const std::string& line) const {
        return wait_until([&] { return log().find(line + "\n") != std::string::npos; });
    }
    std::string log() const { return read_text(builder_.log()); }
    void signal(int number) const { kill(supervisor_, number); }
    void cancel() {
        builder_.write_cancel();
        signal(SIGRTMIN);
    }
    /// The supervisor's exit code.
    int finish(int seconds = 60) {
        return spool::test::wait_for_program(std::exchange(supervisor_, -1), seconds);
    }
    /// Tells the script that it may go on.
    void let_go() const {
        spool::test::write_text(builder_.spool() + "/.spool/scripts/x.job.go", "");
    }
    /// The job's first process, or 0. The run page names it in its second writing, and the job may
    /// have said something before that.
    pid_t main() const {
        pid_t pid = 0;
        wait_until([&] {
            const auto page = builder_.run();
            if (page) pid = page->main_pid;
            return pid > 0;
        });
        return pid;
    }
    const RecordBuilder& builder() const { return builder_; }
    pid_t supervisor() const { return supervisor_; }

private:
    QTemporaryDir directory_;
    RecordBuilder builder_;
    pid_t supervisor_ = -1;
};

constexpr std::uint32_t none = 0;

/// The letter of /proc/PID/stat, whose name holds no parenthesis here.
char state_of(pid_t pid) {
    const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t end = stat.find(") ");
    return end == std::string::npos ? '?' : stat[end + 2];
}

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
    void shutdown_data();
    void shutdown();
    void shutdown_seen_after_the_end();
    void shutdown_and_cancel();
    void a_page_that_cannot_be_written();
    void a_killed_supervisor_leaves_no_outcome();
    void resource_use();
};

void SystemExecTree::cancel_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<int>("grace");
    QTest::addColumn<int>("ended_by");
    const QString python = "exec /usr/bin/python3 -c '%1'\n";
    QTest::newRow("plain") << "echo ready; exec sleep 1000\n" << 30'000 << SIGTERM;
    QTest::newRow("a shell that waits") << "echo ready; sleep 1000\n" << 30'000 << SIGTERM;
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
    const_cast<RecordBuilder&>(running.builder()).write_cancel();
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

void SystemExecTree::shutdown_data() {
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

void SystemExecTree::shutdown() {
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

void SystemExecTree::shutdown_seen_after_the_end() {
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

void SystemExecTree::shutdown_and_cancel() {
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

void SystemExecTree::a_page_that_cannot_be_written() {
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

void SystemExecTree::a_killed_supervisor_leaves_no_outcome() {
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
