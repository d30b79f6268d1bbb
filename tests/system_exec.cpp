// spool-exec: one job from the record to the exit page, and how it tells of the end.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTest>
#include <csignal>

#include "tests/support/exec_bench.h"

using Bench = spool::test::ExecBench;
using spool::test::Job;
using spool::test::read_text;
using spool::test::script_job;
using spool::test::write_text;
namespace record = spool::record;

class SystemExec : public QObject {
    Q_OBJECT

private slots:
    void every_exit_code();
    void every_signal();
    void failed_steps_data();
    void failed_steps();
    void exit_127_and_126_are_codes();
    void pages_tell();
    void nothing_is_executed_data();
    void nothing_is_executed();
    void a_second_start_executes_nothing();
    void cancelled_before_the_start();
    void old_pages_of_another_attempt_do_not_matter();
    void wrong_usage();
    void zygote_without_its_socket_data();
    void zygote_without_its_socket();
};

void SystemExec::every_exit_code() {
    Bench bench;
    for (int code = 0; code < 256; ++code) {
        Job job;
        job.arguments = {"/bin/sh", "-c", "exit " + std::to_string(code)};
        // 129 and 143 look like a shutdown and are judged after two seconds: one test of that is
        // enough.
        if (code == 129 || code == 143) continue;
        const auto page = bench.run(job);
        QVERIFY2(page, qPrintable(QString("no exit page for code %1").arg(code)));
        QCOMPARE(page->failed_step, record::Step::none);
        QVERIFY(WIFEXITED(page->wait_status));
        QCOMPARE(WEXITSTATUS(page->wait_status), code);
        QCOMPARE(page->flags, 0u);
    }
}

void SystemExec::every_signal() {
    Bench bench;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        const bool harmless =
            number == SIGCHLD || number == SIGCONT || number == SIGURG || number == SIGWINCH;
        const bool stops =
            number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
        const bool slow = number == SIGHUP || number == SIGTERM || number == SIGKILL;
        if (harmless || stops || slow || (number > 31 && number < SIGRTMIN)) continue;
        Job job;
        job.arguments = {
            "/usr/bin/python3", "-Sc",
            "import os,signal as s,resource as r\nr.setrlimit(r.RLIMIT_CORE,(0,0))\nn=" +
                std::to_string(number) + "\ns.signal(n,s.SIG_DFL)\nos.kill(os.getpid(),n)"};
        const auto page = bench.run(job);
        QVERIFY(page);
        QVERIFY2(WIFSIGNALED(page->wait_status), qPrintable(QString("signal %1").arg(number)));
        QCOMPARE(WTERMSIG(page->wait_status), number);
    }
}

void SystemExec::failed_steps_data() {
    QTest::addColumn<QString>("argument");
    QTest::addColumn<QString>("directory");
    QTest::addColumn<int>("step");
    QTest::addColumn<int>("error");
    const int exec = static_cast<int>(record::Step::exec);
    QTest::newRow("no such program") << "no-such-program-of-ours"
                                     << "/" << exec << ENOENT;
    QTest::newRow("no such file") << "/no/such/file"
                                  << "/" << exec << ENOENT;
    QTest::newRow("not executable") << "/etc/passwd"
                                    << "/" << exec << EACCES;
    QTest::newRow("a directory") << "/tmp"
                                 << "/" << exec << EACCES;
    QTest::newRow("an empty name") << ""
                                   << "/" << exec << ENOENT;
    QTest::newRow("no directory") << "/bin/true"
                                  << "/no/such/dir" << static_cast<int>(record::Step::directory)
                                  << ENOENT;
    QTest::newRow("directory is a file")
        << "/bin/true"
        << "/etc/passwd" << static_cast<int>(record::Step::directory) << ENOTDIR;
}

void SystemExec::failed_steps() {
    QFETCH(QString, argument);
    QFETCH(QString, directory);
    QFETCH(int, step);
    QFETCH(int, error);
    Bench bench;
    Job job;
    job.arguments = {argument.toStdString(), "argument"};
    job.directory = directory.toStdString();
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(static_cast<int>(page->failed_step), step);
    QCOMPARE(page->error, error);
}

void SystemExec::exit_127_and_126_are_codes() {
    Bench bench;
    auto page = bench.run(script_job("no-such-program-of-ours\n"));
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::none);
    QCOMPARE(WEXITSTATUS(page->wait_status), 127);
    page = bench.run(script_job("/etc/passwd\n"));
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::none);
    QCOMPARE(WEXITSTATUS(page->wait_status), 126);
}

void SystemExec::pages_tell() {
    Bench bench;
    Job job = script_job(
        "tr '\\0' ' ' < /proc/$PPID/cmdline; cat /proc/$PPID/comm; echo $$; "
        "sleep 0.3\n");
    job.name = "na\nme";
    const auto page = bench.run(job, {"--gpus", "[\"GPU-1\"]"});
    const auto run = bench.builder.run();
    QVERIFY(page && run);
    const QString log = bench.log();
    QVERIFY2(log.startsWith("spool-exec: job 42 (na?me)"), qPrintable(log));
    QVERIFY2(log.contains("spool-exec 42\n"), qPrintable(log));
    QVERIFY2(log.endsWith(QString("\n%1\n").arg(run->main_pid)), qPrintable(log));
    QCOMPARE(QString::fromUtf8(run->gpus, run->gpus_length), "[\"GPU-1\"]");
    QVERIFY(run->supervisor_pid > 0 && run->supervisor_start > 0);
    QVERIFY(run->main_start >= run->supervisor_start);
    QVERIFY(page->ended_at >= run->started_at);
    QVERIFY(page->max_rss_kilobytes > 100);
    QVERIFY(page->user_microseconds + page->system_microseconds > 0);
}

void SystemExec::nothing_is_executed_data() {
    QTest::addColumn<int>("kind");
    QTest::addColumn<int>("code");
    QTest::newRow("damaged claim") << 0 << 65;
    QTest::newRow("newer claim") << 1 << 65;
    QTest::newRow("another token") << 2 << 65;
    QTest::newRow("another boot") << 3 << 65;
    QTest::newRow("free") << 4 << 65;
    QTest::newRow("damaged body") << 5 << 65;
    QTest::newRow("a span beyond the body") << 6 << 65;
    QTest::newRow("arguments without their end") << 7 << 65;
    QTest::newRow("newer run page") << 8 << 73;
    QTest::newRow("damaged run page of this token") << 9 << 73;
    QTest::newRow("exit page") << 10 << 73;
    QTest::newRow("no record") << 11 << 66;
    QTest::newRow("a name that leads out") << 12 << 65;
    QTest::newRow("an empty file") << 13 << 65;
}

void SystemExec::nothing_is_executed() {
    QFETCH(int, kind);
    QFETCH(int, code);
    Bench bench;
    const std::string witness = bench.spool + "/witness";
    bench.builder.write(script_job("touch " + witness + "\n"));
    record::Claim claim = bench.builder.claim();
    record::Run run{};
    record::Exit exit{};
    bool sealed = true;
    const std::string token(reinterpret_cast<const char*>(claim.token.data()), 16);
    std::vector<std::string> arguments = {
        SPOOL_EXEC, "--record", "0", "--token", bench.builder.token_hex(), bench.spool};
    if (kind == 0) claim.job += 1, sealed = false;
    if (kind == 1) claim.header.format = 2, sealed = false;
    if (kind == 2) claim.token[3] ^= 1;
    if (kind == 3) claim.boot_id[3] ^= 1;
    if (kind == 4) claim.state = record::ClaimState::free;
    if (kind == 5) bench.builder.write_bytes(record::body_offset + 3, "X");
    if (kind == 6) claim.script.length = 0xFFFFFFF0;
    if (kind == 7) claim.arguments.length -= 1;
    run.token = exit.token = claim.token;
    record::seal(run);
    record::seal(exit);
    if (kind == 8) run.header.format = 2;
    if (kind == 9) run.started_at += 1;
    const std::string run_bytes(reinterpret_cast<const char*>(&run), sizeof run);
    const std::string exit_bytes(reinterpret_cast<const char*>(&exit), sizeof exit);
    if (kind == 8 || kind == 9) bench.builder.write_bytes(record::page_size, run_bytes);
    if (kind == 10) bench.builder.write_bytes(2 * record::page_size, exit_bytes);
    if (kind == 11) unlink(bench.builder.path().c_str());
    if (kind == 12) memcpy(claim.name, "/", 1);
    if (kind != 11) bench.builder.write_claim(claim, sealed);
    if (kind == 13) QCOMPARE(truncate(bench.builder.path().c_str(), 0), 0);
    QCOMPARE(spool::test::wait_for_program(spool::test::start_program(arguments)), code);
    QVERIFY(access(witness.c_str(), F_OK) != 0);
    QCOMPARE(bench.log(), "");
}

void SystemExec::a_second_start_executes_nothing() {
    Bench bench;
    QVERIFY(bench.run(script_job("echo once\n")));
    QCOMPARE(bench.supervise(), 73);
    QCOMPARE(bench.log(), "once\n");
}

void SystemExec::cancelled_before_the_start() {
    Bench bench;
    bench.builder.write(script_job("echo ran\n"));
    bench.builder.write_cancel();
    QCOMPARE(bench.supervise(), 0);
    const auto page = bench.builder.complete();
    QVERIFY(page);
    QCOMPARE(page->flags, static_cast<std::uint32_t>(record::cancelled));
    QVERIFY(page->failed_step != record::Step::none);
    QVERIFY(!bench.builder.run());
    QCOMPARE(bench.log(), "");
    QCOMPARE(bench.supervise(), 73);
}

void SystemExec::old_pages_of_another_attempt_do_not_matter() {
    Bench bench;
    bench.builder.write(script_job("echo first\n"));
    bench.builder.write_cancel();
    QCOMPARE(bench.supervise(), 0);
    // A page of another attempt that was torn by a loss of power.
    bench.builder.write_bytes(record::page_size + 40, "torn");
    const auto page = bench.run(script_job("echo second\n"));
    QVERIFY(page);
    QCOMPARE(page->flags, 0u);
    QCOMPARE(bench.log(), "second\n");
}

void SystemExec::wrong_usage() {
    for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
             {},
             {"--record", "0"},
             {"--record", "x", "--token", std::string(32, '0'), "/"},
             {"--record", "0", "--token", "12", "/"},
             {"--unknown", "1", "/"}}) {
        std::vector<std::string> arguments = {SPOOL_EXEC};
        arguments.insert(arguments.end(), more.begin(), more.end());
        QCOMPARE(spool::test::wait_for_program(spool::test::start_program(arguments)), 64);
    }
}

void SystemExec::zygote_without_its_socket_data() {
    QTest::addColumn<int>("type");
    QTest::newRow("nothing") << -1;
    QTest::newRow("a file") << 0;
    QTest::newRow("a stream socket") << static_cast<int>(SOCK_STREAM);
    QTest::newRow("a datagram socket") << static_cast<int>(SOCK_DGRAM);
}

/// What the test's own starter left open is not to matter: descriptor 3 is always set here.
void SystemExec::zygote_without_its_socket() {
    QFETCH(int, type);
    const std::vector<std::string> arguments = {SPOOL_EXEC, "--zygote", "/tmp"};
    pid_t pid = -1;
    if (type < 0) {
        pid = spool::test::start_program(
            {"/bin/sh", "-c", "exec \"$@\" 3>&-", "sh", SPOOL_EXEC, "--zygote", "/tmp"});
    } else {
        const int given = type == 0 ? open("/dev/null", O_RDWR | O_CLOEXEC)
                                    : socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        QVERIFY(given >= 0);
        const int theirs = fcntl(given, F_DUPFD_CLOEXEC, 10);
        close(given);
        pid = spool::test::start_program(arguments, theirs);
        close(theirs);
    }
    QCOMPARE(spool::test::wait_for_program(pid), 64);
}

QTEST_GUILESS_MAIN(SystemExec)
#include "system_exec.moc"
