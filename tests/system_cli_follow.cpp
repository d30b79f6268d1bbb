// gpuspool submit -f, log -f and wait beside a daemon that works: from the reason why a job waits
// to its exit code.
#include <QtTest>
#include <csignal>

#include "tests/support/daemon.h"
#include "tests/support/look.h"
#include "tests/support/pseudo_terminal.h"

namespace {

/// gpuspool as it goes on, with all that it has said until now.
class Following {
public:
    Following(const TestSpool& spool, const QStringList& arguments) {
        process_.setProcessEnvironment(spool.environment);
        process_.setWorkingDirectory(spool.scratch());
        process_.start(GPUSPOOL, arguments);
    }
    ~Following() {
        process_.kill();
        process_.waitForFinished();
    }
    Following(const Following&) = delete;
    Following& operator=(const Following&) = delete;

    QByteArray out() {
        (void)process_.waitForReadyRead(1);
        return out_ += process_.readAllStandardOutput();
    }
    QByteArray err() {
        (void)process_.waitForReadyRead(1);
        return err_ += process_.readAllStandardError();
    }
    /// Its exit code; -1: it did not end.
    int wait_for_end() { return process_.waitForFinished(60'000) ? process_.exitCode() : -1; }
    bool has_ended() { return process_.waitForFinished(0); }

private:
    QProcess process_;
    QByteArray out_, err_;
};

constexpr auto progress_text = "waiting for the daemon's answer";

}  // namespace

class SystemCliFollow : public QObject {
    Q_OBJECT
private slots:
    void submit_f_exits_with_the_jobs_code_data();
    void submit_f_exits_with_the_jobs_code();
    void submit_f_of_a_cancelled_job();
    void log_f_goes_from_the_reason_to_the_end();
    void ctrl_c_leaves_the_running_job_data();
    void ctrl_c_leaves_the_running_job();
    void a_line_shows_what_takes_long();
    void an_unanswered_request_shows_its_line();
    void a_pipe_gets_no_such_line();
};

void SystemCliFollow::submit_f_exits_with_the_jobs_code_data() {
    QTest::addColumn<QByteArray>("command");
    QTest::addColumn<int>("code");
    QTest::newRow("success") << QByteArray("echo one; echo two >&2") << 0;
    QTest::newRow("failure") << QByteArray("echo one; echo two >&2; exit 3") << 3;
    QTest::newRow("signal") << QByteArray("echo one; echo two >&2; kill -9 $$") << 137;
}

void SystemCliFollow::submit_f_exits_with_the_jobs_code() {
    QFETCH(QByteArray, command);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    Following submit(spool, {"submit", "-f", "--", "bash", "-c", command});
    QTEST(submit.wait_for_end(), "code");
    QVERIFY2(submit.out().contains("one\ntwo\n"), submit.out());
}

void SystemCliFollow::submit_f_of_a_cancelled_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    Following submit(spool, {"submit", "-f", "-n", "x", "--", "sleep", "600"});
    QVERIFY(spool.wait_for([&] { return !running_job(spool, "x").isEmpty(); }, "x to run"));
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 0);
    QCOMPARE(submit.wait_for_end(), 125);
}

void SystemCliFollow::log_f_goes_from_the_reason_to_the_end() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "echo begin\n" + gated("x", "echo end; exit 4\n")));
    Following log(spool, {"log", "-f", "x"});
    QVERIFY(spool.wait_for([&] { return log.err().contains("waits: the queue is paused"); },
                           "the reason"));
    QVERIFY(log.out().isEmpty());
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(spool.wait_for([&] { return log.out().startsWith("begin\n"); }, "the output"));
    QVERIFY(!log.has_ended());
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(log.wait_for_end() >= 0);
    QVERIFY2(log.out().endsWith("end\n"), log.out());
    QVERIFY(spool.exists("done/x.json"));
}

void SystemCliFollow::ctrl_c_leaves_the_running_job_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("sign");  // that it watches
    QTest::newRow("log -f") << QStringList{"log", "-f", "x"} << QByteArray("begin\n");
    QTest::newRow("wait") << QStringList{"wait", "x"} << QByteArray("(x) is running");
    QTest::newRow("submit -f") << QStringList{"submit", "-f", "-n", "x", "y.sh"}
                               << QByteArray("begin\n");
}

void SystemCliFollow::ctrl_c_leaves_the_running_job() {
    QFETCH(QStringList, arguments);
    QFETCH(QByteArray, sign);
    TestSpool spool;
    spool.environment.insert("TERM", "xterm-256color");
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    const QByteArray job = "echo begin\n" + gated("x");
    QVERIFY(write_home_file(spool, "y.sh", job));
    if (arguments.front() == "submit") {
        arguments.last() = spool.scratch("y.sh");
    } else {
        QVERIFY(spool.drop("x.job", job));
        QVERIFY(wait_for_log(spool, "x", "begin\n"));
    }
    PseudoTerminal terminal(GPUSPOOL, arguments, spool.environment, 120);
    QVERIFY2(spool.wait_for([&] { return terminal.output().contains(sign); }, "it to watch"),
             terminal.output());
    terminal.type("\x03");
    QCOMPARE(terminal.wait_for_end(), 130);
    const QByteArray said = terminal.output();
    QVERIFY2(said.contains("stopped watching") && said.contains("goes on"), said);
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void SystemCliFollow::a_line_shows_what_takes_long() {
    TestSpool spool;
    spool.environment.insert("TERM", "xterm-256color");
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(spool.wait_for([&] { return !running_job(spool, "x").isEmpty(); }, "x to run"));
    PseudoTerminal wait(GPUSPOOL, {"wait", "x"}, spool.environment, 80);
    QElapsedTimer clock;
    clock.start();
    QVERIFY(spool.wait_for([&] { return wait.output().contains("(x)"); }, "the progress line"));
    QVERIFY2(clock.elapsed() >= 900, "it came before a second was over");
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(wait.wait_for_end(), 0);
    QVERIFY2(wait.output().contains("\r\033[K"), "the line was not cleared");
}

void SystemCliFollow::an_unanswered_request_shows_its_line() {
    TestSpool spool;
    spool.environment.insert("TERM", "xterm-256color");
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QCOMPARE(::kill(static_cast<pid_t>(spool.pid()), SIGSTOP), 0);
    PseudoTerminal hold(GPUSPOOL, {"hold", "x"}, spool.environment, 80);
    const int code = hold.wait_for_end();
    QCOMPARE(::kill(static_cast<pid_t>(spool.pid()), SIGCONT), 0);
    QCOMPARE(code, 0);
    const QByteArray said = hold.output();
    const auto line = said.indexOf(progress_text);
    QVERIFY2(line >= 0, said);
    QVERIFY2(said.indexOf("\r\033[K", line) > line, said);
    QVERIFY2(said.contains("requested; the daemon has not answered yet"), said);
}

void SystemCliFollow::a_pipe_gets_no_such_line() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QCOMPARE(::kill(static_cast<pid_t>(spool.pid()), SIGSTOP), 0);
    const Finished hold = spool.gpuspool({"hold", "x"});
    QCOMPARE(::kill(static_cast<pid_t>(spool.pid()), SIGCONT), 0);
    QVERIFY2(!hold.err.contains('\r') && !hold.err.contains(progress_text), hold.err);
    QVERIFY2(hold.out.contains("has not answered yet"), hold.out);
}

QTEST_GUILESS_MAIN(SystemCliFollow)
#include "system_cli_follow.moc"
