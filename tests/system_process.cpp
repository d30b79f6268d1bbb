// Real children: how they start, how they are waited for, and how a tree of them is ended.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QDir>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <QUuid>
#include <string>

#include "loop.h"
#include "process_list.h"
#include "spoold/captured_run.h"
#include "spoold/process.h"
#include "spoold/process_tree.h"

using namespace std::chrono_literals;
using spoold::Captured;
using spoold::ProcessOptions;
using test::processes_with;

namespace {

ProcessOptions shell(const std::string& script) {
    return {.arguments = {"/bin/sh", "-c", script}};
}

bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

qsizetype open_descriptors() {
    return QDir("/proc/self/fd").entryList(QDir::NoDotAndDotDot | QDir::AllEntries).size();
}

}  // namespace

class ProcessTest : public QObject {
    Q_OBJECT
private slots:
    void initTestCase();
    void failed_start_leaves_nothing_data();
    void failed_start_leaves_nothing();
    void status_data();
    void status();
    void status_of_one_that_ended_before();
    void nothing_is_blocked_or_ignored();
    void descriptors_are_those_named();
    void descriptors_may_change_places();
    void input_is_empty();
    void directory_and_environment();
    void destruction_does_not_kill();
    void signal_reaches_only_this_process();
    void captures();
    void capture_of_a_missing_program();
    void capture_runs_in_its_own_session();
    void output_is_bounded();
    void background_processes_are_not_waited_for();
    void time_out_kills_the_tree();
    void time_out_despite_a_flood();
    void end_of_the_loop_kills_the_tree();

private:
    std::optional<int> wait_for(spoold::ChildProcess& child);
    spool::Result<Captured> capture(ProcessOptions options, std::size_t limit = 1 << 20,
                                    std::chrono::milliseconds timeout = 60s);

    boost::asio::io_context io_;
};

std::optional<int> ProcessTest::wait_for(spoold::ChildProcess& child) {
    bool ended = false;
    std::optional<int> result;
    child.async_wait([&](std::optional<int> status) {
        ended = true;
        result = status;
    });
    return test::run_until(io_, [&] { return ended; }) ? result : std::nullopt;
}

spool::Result<Captured> ProcessTest::capture(ProcessOptions options, std::size_t limit,
                                             std::chrono::milliseconds timeout) {
    std::optional<spool::Result<Captured>> result;
    spoold::run_captured(io_, std::move(options), limit, timeout,
                         [&](spool::Result<Captured> captured) { result = std::move(captured); });
    if (result) qFatal("called before the loop ran");
    if (!test::run_until(io_, [&] { return result.has_value(); }))
        return spool::system_error("wait for a captured run", {}, ETIMEDOUT);
    return *result;
}

void ProcessTest::initTestCase() {
    QVERIFY(capture({.arguments = {"/bin/true"}}));  // the loop opens its own descriptors once
}

void ProcessTest::failed_start_leaves_nothing_data() {
    QTest::addColumn<QString>("program");
    QTest::addColumn<QString>("directory");
    QTest::addColumn<int>("code");
    QTest::newRow("no program") << "/nonexistent/program"
                                << "" << ENOENT;
    QTest::newRow("not on the PATH") << "no-such-program-anywhere"
                                     << "" << ENOENT;
    QTest::newRow("not executable") << "/etc/passwd"
                                    << "" << EACCES;
    QTest::newRow("no directory") << "/bin/true"
                                  << "/nonexistent" << ENOENT;
    QTest::newRow("empty") << ""
                           << "" << ENOENT;
}

void ProcessTest::failed_start_leaves_nothing() {
    QFETCH(QString, program);
    QFETCH(QString, directory);
    QFETCH(int, code);
    const auto before = open_descriptors();
    const auto child = spoold::start(
        io_, {.arguments = {program.toStdString()}, .directory = directory.toStdString()});
    QVERIFY(!child);
    QCOMPARE(child.error().code, code);
    QCOMPARE(QString::fromStdString(child.error().path), program);
    QVERIFY(!has_children());
    const auto after = open_descriptors();
    QCOMPARE(after, before);
}

void ProcessTest::status_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<int>("wait_status");
    QTest::newRow("0") << "exit 0" << 0;
    QTest::newRow("7") << "exit 7" << (7 << 8);
    QTest::newRow("127") << "exit 127" << (127 << 8);
    QTest::newRow("255") << "exit 255" << (255 << 8);
    QTest::newRow("KILL") << "kill -9 $$" << 9;
    QTest::newRow("TERM") << "kill -15 $$" << 15;
    QTest::newRow("after a while") << "sleep 0.2; exit 3" << (3 << 8);
}

void ProcessTest::status() {
    QFETCH(QString, script);
    QFETCH(int, wait_status);
    auto child = spoold::start(io_, shell(script.toStdString()));
    QVERIFY(child);
    QCOMPARE(wait_for(*child).value_or(-1), wait_status);
    QVERIFY(!has_children());
}

void ProcessTest::status_of_one_that_ended_before() {
    auto child = spoold::start(io_, shell("exit 5"));
    QVERIFY(child);
    siginfo_t info{};
    QCOMPARE(::waitid(P_PID, static_cast<id_t>(child->pid()), &info, WEXITED | WNOWAIT), 0);
    QCOMPARE(wait_for(*child).value_or(-1), 5 << 8);
    QCOMPARE(wait_for(*child).value_or(-1), 5 << 8);  // asked again
}

void ProcessTest::nothing_is_blocked_or_ignored() {
    sigset_t blocked, before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR1);
    ::sigaddset(&blocked, SIGRTMIN + 2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    const auto captured = capture({.arguments = {"/bin/grep", "Sig[BI]", "/proc/self/status"}});
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGHUP, SIG_DFL);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    QVERIFY(captured);
    const QStringList lines = QString::fromStdString(captured->output).split('\n');
    QCOMPARE(lines.value(0), "SigBlk:\t0000000000000000");
    const auto ignored = lines.value(1).section('\t', 1).toULongLong(nullptr, 16);
    const auto of_the_c_library = (1ULL << 31) | (1ULL << 32);  // posix_spawn itself ignores them
    QCOMPARE(ignored & ~of_the_c_library, 0ULL);
}

void ProcessTest::descriptors_are_those_named() {
    const int low =
        ::open("/dev/zero", O_RDONLY);  // without O_CLOEXEC, as a careless library opens it
    const int high = ::fcntl(low, F_DUPFD, 300);
    auto options = ProcessOptions{.arguments = {"/bin/sh", "-c", "echo /proc/$$/fd/*"}};
    options.descriptors = {{high, 7}};
    const auto captured = capture(options);
    ::close(low);
    ::close(high);
    QVERIFY(captured);
    QStringList numbers;
    for (const QString& path : QString::fromStdString(captured->output).trimmed().split(' '))
        numbers << path.section('/', -1);
    QCOMPARE(numbers, (QStringList{"0", "1", "2", "3", "7"}));  // 3: the listed directory
}

void ProcessTest::descriptors_may_change_places() {
    QTemporaryDir scratch;
    const auto open_file = [&](const char* name) {
        const std::string path = scratch.filePath(name).toStdString();
        return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    };
    const int a = open_file("a"), b = open_file("b");
    auto options = shell("echo to-b >/dev/fd/" + std::to_string(a) + "; echo to-a >/dev/fd/" +
                         std::to_string(b));
    options.descriptors = {{a, b}, {b, a}};
    const auto captured = capture(options);
    ::close(a);
    ::close(b);
    QVERIFY(captured);
    QCOMPARE(captured->errors, std::string());
    QFile file_a(scratch.filePath("a")), file_b(scratch.filePath("b"));
    QVERIFY(file_a.open(QIODevice::ReadOnly) && file_b.open(QIODevice::ReadOnly));
    QCOMPARE(file_a.readAll(), QByteArray("to-a\n"));
    QCOMPARE(file_b.readAll(), QByteArray("to-b\n"));
}

void ProcessTest::input_is_empty() {
    const auto captured = capture(shell("readlink /proc/$$/fd/0; read line; echo $?"));
    QVERIFY(captured);
    QCOMPARE(captured->output, std::string("/dev/null\n1\n"));
}

void ProcessTest::directory_and_environment() {
    QTemporaryDir scratch;
    auto options = shell("pwd -P; echo \"$A|${HOME-none}\"");
    options.directory = scratch.path().toStdString();
    options.environment = {"A=b c"};
    const auto captured = capture(options);
    QVERIFY(captured);
    QCOMPARE(QString::fromStdString(captured->output),
             QDir(scratch.path()).canonicalPath() + "\nb c|none\n");
}

void ProcessTest::destruction_does_not_kill() {
    pid_t pid = 0;
    {
        auto child = spoold::start(io_, shell("sleep 3600"));
        QVERIFY(child);
        pid = child->pid();
        child->async_wait([](std::optional<int>) { QFAIL("called after destruction"); });
    }
    io_.restart();
    io_.poll();
    QCOMPARE(::kill(pid, 0), 0);
    ::kill(pid, SIGKILL);  // still our unreaped child: nobody else can have the number
    QVERIFY2(test::run_until(io_, [&] { return ::kill(pid, 0) != 0 && errno == ESRCH; }),
             "the child was not reaped in the background");
}

void ProcessTest::signal_reaches_only_this_process() {
    auto child = spoold::start(io_, shell("sleep 3600"));
    QVERIFY(child);
    QVERIFY(child->signal(SIGTERM));
    QCOMPARE(wait_for(*child).value_or(-1), SIGTERM);
    const auto late = child->signal(SIGTERM);
    QVERIFY(!late);
    QCOMPARE(late.error().code, ESRCH);
}

void ProcessTest::captures() {
    const auto captured = capture(shell("echo out; echo err >&2; exit 4"));
    QVERIFY(captured);
    QCOMPARE(captured->output, std::string("out\n"));
    QCOMPARE(captured->errors, std::string("err\n"));
    QCOMPARE(captured->status.value_or(-1), 4 << 8);
    QVERIFY(!captured->timed_out && !captured->truncated);
    QVERIFY(!has_children());
}

void ProcessTest::capture_of_a_missing_program() {
    const auto captured = capture({.arguments = {"/nonexistent/program"}});
    QVERIFY(!captured);
    QCOMPARE(captured.error().code, ENOENT);
}

void ProcessTest::capture_runs_in_its_own_session() {
    const auto captured =
        capture(shell("cut -d' ' -f1,5,6,7 /proc/$$/stat; echo $$; "
                      "(: </dev/tty) 2>/dev/null || echo no terminal"));
    QVERIFY(captured);
    const QStringList lines = QString::fromStdString(captured->output).split('\n');
    const QString pid = lines.value(1);
    QCOMPARE(lines.value(0), pid + " " + pid + " " + pid + " 0");
    QCOMPARE(lines.value(2), "no terminal");
}

void ProcessTest::output_is_bounded() {
    const auto captured = capture(shell("head -c 3000000 /dev/zero; echo end >&2"), 1000);
    QVERIFY(captured);
    QCOMPARE(captured->output.size(), std::size_t{1000});
    QCOMPARE(captured->errors, std::string("end\n"));
    QVERIFY(captured->truncated);
    QCOMPARE(captured->status.value_or(-1), 0);
}

void ProcessTest::background_processes_are_not_waited_for() {
    const QByteArray word = "86400." + QByteArray::number(::getpid());
    const auto captured = capture(shell("sleep " + word.toStdString() + " & echo $!"), 1000, 60s);
    QVERIFY(captured);
    QVERIFY(!captured->timed_out);
    QCOMPARE(captured->status.value_or(-1), 0);
    const pid_t left = std::stoi(captured->output);
    QCOMPARE(processes_with(word), 1);
    ::kill(left, SIGKILL);
}

void ProcessTest::time_out_kills_the_tree() {
    const QByteArray word = QUuid::createUuid().toByteArray(QUuid::Id128);
    const std::string sleeper =
        "sh -c 'trap \"\" TERM HUP INT; sleep 3600; :' " + word.toStdString();
    const std::string script = "echo before; " + sleeper + " & " +  // same session
                               "setsid " + sleeper + " & " +        // own session
                               "(setsid sh -c \"" + "setsid " + "env -i sleep 3600." +
                               std::to_string(::getpid()) + " & wait\") & " +  // no mark, a parent
                               "(setsid -f " + sleeper + "); " +  // orphan, own session
                               "wait";
    std::optional<spool::Result<Captured>> result;
    spoold::run_captured(io_, shell(script), 1000, 4s,
                         [&](spool::Result<Captured> captured) { result = std::move(captured); });
    QVERIFY2(test::run_until(
                 io_, [&] { return processes_with(word) >= 3; }, 3900ms),
             "the tree did not come up");
    QVERIFY(test::run_until(io_, [&] { return result.has_value(); }));
    QVERIFY(*result);
    QVERIFY((*result)->timed_out);
    QVERIFY(!(*result)->status);
    QCOMPARE((*result)->output, std::string("before\n"));
    const QByteArray bare = "3600." + QByteArray::number(::getpid());
    QVERIFY2(test::run_until(io_, [&] { return processes_with(word) + processes_with(bare) == 0; }),
             "something of the tree is left");
    QVERIFY2(test::run_until(io_, [] { return !has_children(); }), "a zombie is left");
}

void ProcessTest::time_out_despite_a_flood() {
    const auto captured = capture(shell("yes & yes >&2"), 5000, 500ms);
    QVERIFY(captured);
    QVERIFY(captured->timed_out && captured->truncated);
    QCOMPARE(captured->output.size(), std::size_t{5000});
    QCOMPARE(captured->errors.size(), std::size_t{5000});
}

void ProcessTest::end_of_the_loop_kills_the_tree() {
    const QByteArray word = QUuid::createUuid().toByteArray(QUuid::Id128);
    bool called = false;
    {
        boost::asio::io_context io;
        spoold::run_captured(io, shell("sh -c 'sleep 3600; :' " + word.toStdString() + " & wait"),
                             1000, 1h, [&](const spool::Result<Captured>&) { called = true; });
        QVERIFY(test::run_until(io, [&] { return processes_with(word) > 0; }));
    }
    QVERIFY(!called);
    QTRY_COMPARE(processes_with(word), 0);
    while (::waitpid(-1, nullptr, 0) > 0)
        continue;
}

QTEST_GUILESS_MAIN(ProcessTest)
#include "system_process.moc"
