// spool-exec: what the job's first process finds: script, environment, descriptors, limits.
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

namespace {

QString line_of(const QString& text, const QString& start) {
    for (const QString& line : text.split('\n'))
        if (line.startsWith(start)) return line.mid(start.size()).simplified();
    return "(no line " + start + ")";
}

}  // namespace

class SystemExecJob : public QObject {
    Q_OBJECT

private slots:
    void script_with_interpreter();
    void script_without_interpreter_line();
    void plain_command_is_executed_itself();
    void plain_command_falls_back_to_bash_data();
    void plain_command_falls_back_to_bash();
    void script_is_removed_and_replaced();
    void a_body_above_the_pool();
    void environment_precedence();
    void environment_file_is_missing();
    void path_is_that_of_the_job();
    void clean_child();
    void clean_child_of_a_dirty_parent();
    void output_files();
    void a_fifo_as_output_does_not_hang();
};

void SystemExecJob::script_with_interpreter() {
    Bench bench;
    Job job = script_job("#!/usr/bin/python3\nimport sys\nprint(sys.argv[1:])\n");
    job.arguments = {bench.spool + "/.spool/scripts/x.job", "a b", "$(x)"};
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->wait_status, 0);
    QCOMPARE(bench.log(), "['a b', '$(x)']\n");
}

void SystemExecJob::script_without_interpreter_line() {
    Bench bench;
    auto page = bench.run(script_job("echo $0 | sed 's,.*/,,'\nfalse | true\necho not reached\n"));
    QVERIFY(page);
    QCOMPARE(WEXITSTATUS(page->wait_status), 1);
    QCOMPARE(bench.log(), "x.job\n");
    // Executed itself, it is /bin/sh's, as execvp(3) and every shell do it.
    Job job = script_job("echo \"by sh: $1\"\n");
    job.name = "y";
    job.arguments = {bench.spool + "/.spool/scripts/y.job", "argument"};
    page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(bench.log(), "by sh: argument\n");
}

static Job plain_job(const std::string& command) {
    Job job;
    job.arguments = {"bash", "-eo", "pipefail", "-c", command};
    job.flags = record::plain_command;
    return job;
}

void SystemExecJob::plain_command_is_executed_itself() {
    Bench bench;
    const auto page = bench.run(plain_job("grep  -a\t. /proc/self/cmdline"));
    QVERIFY(page);
    QCOMPARE(page->wait_status, 0);
    QCOMPARE(bench.log(), QString::fromLatin1("grep\0-a\0.\0/proc/self/cmdline\0\n", 30));
    // bash would have set SHLVL.
    QCOMPARE(bench.run(plain_job("printenv SHLVL"))->wait_status, 1 << 8);
    QCOMPARE(bench.run(plain_job("false"))->wait_status, 1 << 8);
}

void SystemExecJob::plain_command_falls_back_to_bash_data() {
    QTest::addColumn<QString>("command");
    QTest::addColumn<int>("code");
    QTest::addColumn<QString>("log");
    QTest::newRow("not found") << "no-such-program -v" << 127
                               << "bash: line 1: no-such-program: command not found\n";
    QTest::newRow("not executable")
        << "/etc/passwd" << 126 << "bash: line 1: /etc/passwd: Permission denied\n";
    QTest::newRow("no #! line") << "./noline one" << 0 << "bash has arrays: one\n";
}

void SystemExecJob::plain_command_falls_back_to_bash() {
    QFETCH(QString, command);
    QFETCH(int, code);
    QFETCH(QString, log);
    Bench bench;
    write_text(bench.spool + "/noline", "words=(\"bash has arrays\")\necho \"$words: $1\"\n");
    chmod((bench.spool + "/noline").c_str(), 0700);
    Job job = plain_job(command.toStdString());
    job.directory = bench.spool;
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::none);
    QCOMPARE(WEXITSTATUS(page->wait_status), code);
    QCOMPARE(bench.log(), log);
}

void SystemExecJob::script_is_removed_and_replaced() {
    Bench bench;
    const std::string script = bench.spool + "/.spool/scripts/x.job";
    const std::string outside = bench.directory.path().toStdString() + "/outside";
    write_text(outside, "untouched");
    QCOMPARE(symlink(outside.c_str(), script.c_str()), 0);
    const auto page = bench.run(script_job("stat -c %a \"$0\"\n"));
    QVERIFY(page);
    QCOMPARE(bench.log(), "700\n");
    QCOMPARE(read_text(outside), "untouched");
    QVERIFY(access(script.c_str(), F_OK) != 0);
}

void SystemExecJob::a_body_above_the_pool() {
    Bench bench;
    const auto page =
        bench.run(script_job("echo first\n#" + std::string(300'000, 'x') + "\necho last\n"));
    QVERIFY(page);
    QCOMPARE(bench.log(), "first\nlast\n");
}

void SystemExecJob::environment_precedence() {
    Bench bench;
    const std::string file("A=file\0B=file\0C=file\0D=file\0E=\0PATH=/usr/bin:/bin", 53);
    write_text(bench.spool + "/.spool/env/hash", file);
    Job job;
    job.arguments = {"env"};
    job.environment_file = "hash";
    job.environment = {"B=record", "C=record", "D", "F=record", "AA=other"};
    const auto page = bench.run(job, {"--env", "C=request", "--env", "F", "--env", "G=a=b"});
    QVERIFY(page);
    QStringList lines = bench.log().split('\n', Qt::SkipEmptyParts);
    lines.removeIf([](const QString& line) { return line.startsWith("GPUSPOOL_TOKEN="); });
    lines.sort();
    const QStringList expected = {"A=file", "AA=other", "B=record",          "C=request",
                                  "E=",     "G=a=b",    "PATH=/usr/bin:/bin"};
    QCOMPARE(lines, expected);
}

void SystemExecJob::environment_file_is_missing() {
    Bench bench;
    Job job;
    job.arguments = {"true"};
    job.environment_file = "gone";
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::environment);
    QCOMPARE(page->error, ENOENT);
}

void SystemExecJob::path_is_that_of_the_job() {
    Bench bench;
    const std::string bin = bench.spool + "/bin";
    mkdir(bin.c_str(), 0700);
    write_text(bin + "/our-program", "#!/bin/sh\necho found\n");
    chmod((bin + "/our-program").c_str(), 0700);
    Job job;
    job.arguments = {"our-program"};
    job.environment = {"PATH=/nowhere:/etc/passwd:" + bin};
    QVERIFY(bench.run(job));
    QCOMPARE(bench.log(), "found\n");
    job.name = "relative";
    job.environment = {"PATH=/nowhere:"};
    job.directory = bin;
    QVERIFY(bench.run(job));
    QCOMPARE(bench.log(), "found\n");
}

const char* const look_around =
    "import os,resource as r\n"
    "print(open('/proc/self/status').read())\n"
    "print('fds', sorted(int(f) for f in os.listdir('/proc/self/fd'))[:3], "
    "len(os.listdir('/proc/self/fd')))\n"
    "u=os.umask(0); print('umask %o' % u)\n"
    "print('nofile', r.getrlimit(r.RLIMIT_NOFILE)[0])\n"
    "print('stdin', os.readlink('/proc/self/fd/0'))\n"
    "print('leader', os.getsid(0)==os.getpid(), os.getpgid(0)==os.getpid())\n"
    "print('oom', open('/proc/self/oom_score_adj').read())\n";

void SystemExecJob::clean_child() {
    Bench bench;
    Job job;
    job.arguments = {"/usr/bin/python3", "-c", look_around};
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->wait_status, 0);
    const QString log = bench.log();
    // The interpreter ignores SIGPIPE (13) and SIGXFSZ (25) itself, and handles SIGINT (2).
    QCOMPARE(line_of(log, "SigIgn:"), "0000000001001000");
    QCOMPARE(line_of(log, "SigBlk:"), "0000000000000000");
    QCOMPARE(line_of(log, "SigCgt:"), "0000000000000002");
    QCOMPARE(line_of(log, "fds"), "[0, 1, 2] 4");
    QCOMPARE(line_of(log, "stdin"), "/dev/null");
    QCOMPARE(line_of(log, "leader"), "True True");
}

void SystemExecJob::clean_child_of_a_dirty_parent() {
    Bench bench;
    Job job;
    job.arguments = {"/usr/bin/python3", "-c", look_around};
    bench.builder.write(job);
    // A starter with ignored signals, blocked signals, open descriptors, a umask and limits of its
    // own.
    const std::string dirty =
        "import os,signal as s,resource as r,sys\n"
        "[s.signal(n,s.SIG_IGN) for n in range(1,65) if n not in (9,19,32,33)]\n"
        "s.pthread_sigmask(s.SIG_BLOCK,range(1,32))\n"
        "[os.dup2(1,n,inheritable=True) for n in range(3,40)]\n"
        "os.umask(0o27); r.setrlimit(r.RLIMIT_NOFILE,(333,333))\n"
        "open('/proc/self/oom_score_adj','w').write('77')\n"
        "os.execv(sys.argv[1],sys.argv[1:])\n";
    const pid_t pid =
        spool::test::start_program({"/usr/bin/python3", "-c", dirty, SPOOL_EXEC, "--record", "0",
                                    "--token", bench.builder.token_hex(), bench.spool});
    QCOMPARE(spool::test::wait_for_program(pid), 0);
    const QString log = bench.log();
    QCOMPARE(line_of(log, "SigIgn:"), "0000000001001000");
    QCOMPARE(line_of(log, "SigBlk:"), "0000000000000000");
    QCOMPARE(line_of(log, "fds"), "[0, 1, 2] 4");
    QCOMPARE(line_of(log, "umask"), "27");
    QCOMPARE(line_of(log, "nofile"), "333");
    QCOMPARE(line_of(log, "oom"), "77");
}

void SystemExecJob::output_files() {
    Bench bench;
    const std::string deep = bench.spool + "/out/of/reach/file";
    Job job = script_job("echo out; echo err >&2\n");
    job.output = deep;
    QVERIFY(bench.run(job));
    QVERIFY(bench.run(job));
    QCOMPARE(read_text(deep), "out\nerr\nout\nerr\n");
    job.flags |= record::truncate_output;
    job.error_output = bench.spool + "/err";
    QVERIFY(bench.run(job));
    QCOMPARE(read_text(deep), "out\n");
    QCOMPARE(read_text(job.error_output), "err\n");
    job.output = "/proc/no/such";
    auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::output);
    job.output.clear();
    job.error_output = "/proc/no/such";
    page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::error_output);
}

void SystemExecJob::a_fifo_as_output_does_not_hang() {
    Bench bench;
    Job job = script_job("echo out\n");
    job.output = bench.spool + "/fifo";
    QCOMPARE(mkfifo(job.output.c_str(), 0600), 0);
    const auto page = bench.run(job);
    QVERIFY(page);
    QCOMPARE(page->failed_step, record::Step::output);
    QCOMPARE(page->error, ENXIO);
}

QTEST_GUILESS_MAIN(SystemExecJob)
#include "system_exec_job.moc"
