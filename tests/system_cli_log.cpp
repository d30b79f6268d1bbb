// gpuspool log and wait on what a daemon has left.
#include <QtTest>
#include <csignal>

#include "tests/support/cli.h"
#include "tests/support/strace.h"

namespace {

/// Whoever follows the log of job a until it ends.
class Follower {
public:
    Follower(const Cli& cli, const QStringList& wrapper = {}) : cli_(cli) {
        const QStringList command = wrapper + QStringList{GPUSPOOL, "log", "-f", "a"};
        process_.setProcessEnvironment(cli.environment);
        process_.start(command.first(), command.mid(1));
    }
    bool has_read(const QByteArray& text) {
        return QTest::qWaitFor([&] { return (out_ += process_.readAllStandardOutput()) == text; },
                               60'000);
    }
    [[nodiscard]] bool send(int signal) const {
        return ::kill(static_cast<pid_t>(process_.processId()), signal) == 0;
    }
    /// All that it has printed, once the job has ended.
    QByteArray finish() {
        QFile::remove(cli_.path("running/a.job"));
        QFile::rename(cli_.path("running/a.log"), cli_.path("done/a.log"));
        cli_.put_done("a", 1, succeeded, cli_.read("done/a.log"));
        if (!process_.waitForFinished(60'000)) process_.kill();
        return out_ += process_.readAllStandardOutput();
    }

private:
    const Cli& cli_;
    QProcess process_;
    QByteArray out_;
};

void run_a(const Cli& cli) {
    cli.run({"pause"});
    cli.write(cli.path("running/a.job"), "echo\n");
    cli.write(cli.path("running/a.log"), "one\n");
}

bool append(const QString& path, const QByteArray& text) {
    QFile file(path);
    return file.open(QIODevice::Append) && file.write(text) == text.size();
}

}  // namespace

class SystemCliLog : public QObject {
    Q_OBJECT
private slots:
    void log_of_ended_jobs();
    void log_of_what_is_no_file_data();
    void log_of_what_is_no_file();
    void a_log_that_cannot_be_printed_says_why();
    void a_bad_number_of_lines_is_explained();
    void log_of_a_waiting_job_says_why();
    void ctrl_c_only_stops_watching();
    void wait_exits_with_the_jobs_code_data();
    void wait_exits_with_the_jobs_code();
    void follow_ends_with_the_job();
    void no_attempt_is_passed_over();
    void the_last_lines_of_an_attempt_are_not_lost();
};

void SystemCliLog::log_of_ended_jobs() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 7, succeeded, "one\ntwo\nthree");
    QCOMPARE(cli.run({"log", "a"}).out, QByteArray("one\ntwo\nthree"));
    QCOMPARE(cli.run({"log", "-n", "2", "7"}).out, QByteArray("two\nthree"));
    QCOMPARE(cli.run({"log", "-n", "0"}).out, QByteArray(""));
    QCOMPARE(cli.run({"log", "-n", "99"}).out, QByteArray("one\ntwo\nthree"));
    QCOMPARE(cli.run({"log", "-f"}).out, QByteArray("one\ntwo\nthree"));
    cli.write(cli.path("done/a.log"), "one\ntwo\n");
    QCOMPARE(cli.run({"log", "-n", "1"}).out, QByteArray("two\n"));
}

void SystemCliLog::log_of_what_is_no_file_data() {
    QTest::addColumn<QString>("make");
    QTest::addColumn<QByteArray>("target");
    QTest::newRow("device") << "ln -s /dev/full a.log" << QByteArray("/dev/full");
    QTest::newRow("pipe") << "mkfifo p; ln -s p a.log" << QByteArray("/p");
    QTest::newRow("directory") << "mkdir d; ln -s d a.log" << QByteArray("/d");
}

void SystemCliLog::log_of_what_is_no_file() {
    QFETCH(QString, make);
    QFETCH(QByteArray, target);
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 7, succeeded, "");
    QCOMPARE(
        QProcess::execute("bash", {"-c", "cd " + cli.path("done") + " && rm a.log && " + make}), 0);
    for (const QStringList& arguments : {QStringList{"log", "a"}, {"log", "-f", "a"}}) {
        const Ran ran = cli.run(arguments);
        QCOMPARE(ran.out, QByteArray());
        QVERIFY2(ran.err.contains(target + ", which is no file"), ran.err);
    }
}

void SystemCliLog::a_log_that_cannot_be_printed_says_why() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 7, succeeded, "one\n");
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.setStandardOutputFile("/dev/full");
    process.start(GPUSPOOL, {"log", "a"});
    QVERIFY(process.waitForFinished());
    QCOMPARE(process.exitCode(), 1);
    const QByteArray said = process.readAllStandardError();
    QVERIFY2(said.contains("standard output cannot be written: No space left on device"), said);
}

void SystemCliLog::a_bad_number_of_lines_is_explained() {
    const Cli cli;
    const Ran ran = cli.run({"log", "-n", "x"});
    QCOMPARE(ran.code, 2);
    QVERIFY2(ran.err.contains("--lines") && ran.err.contains("a number from 0 up, not 'x'"),
             ran.err);
}

void SystemCliLog::log_of_a_waiting_job_says_why() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    const Ran ran = cli.run({"log", "x"});
    QCOMPARE(ran.code, 0);
    QVERIFY(ran.out.isEmpty());
    QVERIFY2(ran.err.contains("waits: "), ran.err);
}

void SystemCliLog::ctrl_c_only_stops_watching() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.start(GPUSPOOL, {"log", "-f", "x"});
    QByteArray err;
    QTRY_VERIFY2_WITH_TIMEOUT((err += process.readAllStandardError()).contains("waits: "), err,
                              60'000);
    QCOMPARE(::kill(static_cast<pid_t>(process.processId()), SIGINT), 0);
    QVERIFY(process.waitForFinished(60'000));
    QCOMPARE(process.exitStatus(), QProcess::NormalExit);
    QCOMPARE(process.exitCode(), 130);
    err += process.readAllStandardError();
    QVERIFY2(err.contains("stopped watching"), err);
    QVERIFY(QFile::exists(cli.path("incoming/x.job")));
}

void SystemCliLog::wait_exits_with_the_jobs_code_data() {
    QTest::addColumn<QByteArray>("facts");
    QTest::addColumn<int>("code");
    QTest::newRow("succeeded") << succeeded << 0;
    QTest::newRow("failed") << failed_with_3 << 3;
    QTest::newRow("signal") << QByteArray(R"("state":"failed","exit_code":null,"signal":9)") << 137;
    QTest::newRow("timeout") << QByteArray(R"("state":"timeout","exit_code":null,"signal":15)")
                             << 124;
    QTest::newRow("cancelled") << QByteArray(R"("state":"cancelled","exit_code":0,"signal":null)")
                               << 125;
    QTest::newRow("lost") << QByteArray(R"("state":"lost","exit_code":null,"signal":null)") << 126;
    QTest::newRow("rejected") << QByteArray(R"("state":"rejected","exit_code":null,"signal":null)")
                              << 127;
}

void SystemCliLog::wait_exits_with_the_jobs_code() {
    QFETCH(QByteArray, facts);
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 1, facts, "");
    QTEST(cli.run({"wait", "a"}).code, "code");
}

void SystemCliLog::follow_ends_with_the_job() {
    const Cli cli;
    cli.run({"pause"});
    cli.write(cli.path("running/a.job"), "echo\n");
    cli.write(cli.path("running/a.log"), "one\n");
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.start(GPUSPOOL, {"log", "-f", "a"});
    QByteArray out;
    QTRY_VERIFY2_WITH_TIMEOUT((out += process.readAllStandardOutput()) == "one\n", out, 60'000);
    QFile log(cli.path("running/a.log"));
    QVERIFY(log.open(QIODevice::Append) && log.write("two\n") == 4 && log.flush());
    QVERIFY(QFile::rename(cli.path("running/a.log"), cli.path("done/a.log")));
    QVERIFY(log.write("three\n") == 6 && log.flush());
    QVERIFY(QFile::remove(cli.path("running/a.job")));
    cli.write(cli.path("done/a.job"), "echo\n");
    cli.write(
        cli.path("done/b.tmp"),
        R"({"id":1,"name":"a","file":"a.job","state":"succeeded","exit_code":0,"ended_at":"2026-01-01T00:00:00.000Z"})");
    QVERIFY(QFile::rename(cli.path("done/b.tmp"), cli.path("done/a.json")));
    QVERIFY(process.waitForFinished(60'000));
    out += process.readAllStandardOutput();
    QCOMPARE(out, QByteArray("one\ntwo\nthree\n"));
    QCOMPARE(process.exitCode(), 0);
}

void SystemCliLog::no_attempt_is_passed_over() {
    const Cli cli;
    run_a(cli);
    Follower follower(cli);
    QVERIFY(follower.has_read("one\n"));
    QVERIFY(follower.send(SIGSTOP));
    QVERIFY(append(cli.path("running/a.log"), "two\n"));
    QVERIFY(QFile::rename(cli.path("running/a.log"), cli.path("running/a.try1.log")));
    cli.write(cli.path("running/a.try2.log"), "three\n");
    cli.write(cli.path("running/a.try3.log"), "four\n");
    cli.write(cli.path("running/a.log"), "five\n");
    QVERIFY(follower.send(SIGCONT));
    QCOMPARE(follower.finish(), QByteArray("one\ntwo\nthree\nfour\nfive\n"));
}

/// Whatever it writes between the look at it and the look for the next one.
void SystemCliLog::the_last_lines_of_an_attempt_are_not_lost() {
    if (!strace::works()) QSKIP("strace is needed");
    const Cli cli;
    run_a(cli);
    Follower follower(cli,
                      QStringList{"strace", "-q", "-o", "/dev/null", "-P", cli.path("running")} +
                          strace::inject("newfstatat", "delay_enter=700000"));
    QVERIFY(follower.has_read("one\n"));
    QVERIFY(append(cli.path("running/a.log"), "two\n"));
    QVERIFY(QFile::rename(cli.path("running/a.log"), cli.path("running/a.try1.log")));
    cli.write(cli.path("running/a.log"), "three\n");
    QCOMPARE(follower.finish(), QByteArray("one\ntwo\nthree\n"));
}

QTEST_GUILESS_MAIN(SystemCliLog)
#include "system_cli_log.moc"
