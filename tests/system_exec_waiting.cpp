// spool-exec: while it waits, a supervisor asks for no memory.
#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>
#include <csignal>
#include <filesystem>

#include "tests/support/exec_process.h"
#include "tests/support/record_builder.h"
#include "tests/support/strace.h"

using spool::test::Job;
using spool::test::processes_of;
using spool::test::read_text;
using spool::test::RecordBuilder;
using spool::test::script_job;
using spool::test::wait_until;
using spool::test::write_text;
using spool::test::Zygote;

namespace {

/// Waits, while processes that it has left end one after the other.
const std::string script =
    "for i in 1 2 3; do (setsid sh -c 'sleep 1.$0; echo ended' $i &) ; done\necho ready\n"
    "until test -e \"$0.go\"; do sleep 0.02; done\n";

/// Calls that ask for memory, or give it back, as strace writes them to a file.
class MemoryTrace {
public:
    bool begin(pid_t pid) {
        process_.start("strace", {"-q", "-o", file_.filePath("trace"), "-e", "trace=%memory", "-p",
                                  QString::number(pid)});
        const std::string status = "/proc/" + std::to_string(pid) + "/status";
        return wait_until([&] {
            const std::string text = read_text(status);
            return !text.empty() && text.find("TracerPid:\t0\n") == std::string::npos;
        });
    }
    /// Once the process has ended.
    QByteArrayList calls() {
        if (!process_.waitForFinished()) return {"strace did not end"};
        QByteArrayList names;
        QFile trace(file_.filePath("trace"));
        if (!trace.open(QIODevice::ReadOnly)) return {"no trace"};
        for (const QByteArray& line : trace.readAll().split('\n'))
            if (line.contains('(')) names << line.left(line.indexOf('('));
        return names;
    }

private:
    QTemporaryDir file_;
    QProcess process_;
};

}  // namespace

class SystemExecWaiting : public QObject {
    Q_OBJECT

private slots:
    void init();
    void no_heap_is_used();
    void no_memory_is_asked_for_data();
    void no_memory_is_asked_for();

private:
    std::unique_ptr<QTemporaryDir> directory_;
    std::string spool_;
};

void SystemExecWaiting::init() {
    directory_ = std::make_unique<QTemporaryDir>();
    spool_ = directory_->path().toStdString() + "/spool";
    std::filesystem::create_directory(spool_);
}

/// Nothing in the program calls what allocates: neither itself, nor by what of the C library does.
void SystemExecWaiting::no_heap_is_used() {
    QProcess nm;
    nm.start("nm", QStringList{"-u"} + QString(SPOOL_EXEC_OBJECTS).split(','));
    QVERIFY(nm.waitForFinished() && nm.exitCode() == 0);
    const QByteArray symbols = nm.readAllStandardOutput();
    QVERIFY(symbols.contains(" sigwaitinfo") || symbols.contains(" sigtimedwait"));
    static const QSet<QByteArray> allocating{"malloc",    "calloc",  "realloc", "strdup", "opendir",
                                             "fdopendir", "scandir", "fopen",   "fdopen", "getline",
                                             "asprintf",  "getcwd",  "setenv",  "putenv", "popen",
                                             "printf",    "fprintf", "qsort"};
    for (const QByteArray& line : symbols.split('\n')) {
        const QByteArray name = line.mid(line.lastIndexOf(' ') + 1);
        QVERIFY2(!allocating.contains(name) && !name.startsWith("_Zn"), name);
    }
}

void SystemExecWaiting::no_memory_is_asked_for_data() {
    QTest::addColumn<QString>("what");
    QTest::addColumn<bool>("looks");  // at the processes of the machine, in memory for that look
    QTest::newRow("children end, then the job") << "end" << false;
    QTest::newRow("shutdown") << "shutdown" << false;
    QTest::newRow("cancelled") << "cancel" << true;
    QTest::newRow("time limit") << "limit" << true;
}

void SystemExecWaiting::no_memory_is_asked_for() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    QFETCH(QString, what);
    QFETCH(bool, looks);
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_);
    Job job = script_job(script);
    if (what == "limit") job.time_limit = 1500;
    builder.write(job);
    const pid_t pid = zygote.start(builder).pid;
    QVERIFY(wait_until([&] { return read_text(builder.log()) == "ready\n"; }));
    MemoryTrace trace;
    QVERIFY(trace.begin(pid));
    if (what == "shutdown") QCOMPARE(kill(pid, SIGTERM), 0);
    if (what == "cancel") {
        builder.write_cancel();
        QCOMPARE(kill(pid, SIGRTMIN), 0);
    }
    // Those that were left have ended; what there is is the job, and what it does just now.
    const auto alone = [&] {
        const QByteArray log = QByteArray::fromStdString(read_text(builder.log()));
        return log.count("ended") == 3 && processes_of(builder).size() <= 2;
    };
    QVERIFY(looks || wait_until(alone));
    if (!looks) write_text(spool_ + "/.spool/scripts/x.job.go", "");
    QVERIFY(wait_until([&] { return builder.complete() && !builder.locked(); }));
    const QByteArrayList calls = trace.calls();
    QCOMPARE(calls.contains("mmap"), looks);
    QCOMPARE(calls.count("munmap"), calls.count("mmap"));
    QVERIFY2(!calls.contains("brk"), calls.join(' '));
}

QTEST_GUILESS_MAIN(SystemExecWaiting)
#include "system_exec_waiting.moc"
