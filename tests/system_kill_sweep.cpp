// The daemon and the supervisors are killed at every step that they take (the N-th call of each
// system call), also while they recover from that: no job is lost, none runs twice.
//
// By default a selection is run; GPUSPOOL_SWEEP=full (tests/run --full) runs all.
#include <QtTest>

#include "tests/support/crash_run.h"
#include "tests/support/fake_gpus.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

// Of what changes something that another process can see more calls are tried by default.
const QStringList changes{"openat", "write",    "pwrite64", "fsync",    "fdatasync", "mkdirat",
                          "mkdir",  "renameat", "linkat",   "unlinkat", "symlinkat", "renameat2",
                          "fchmod", "clone",    "clone3",   "execve",   "sendmsg"};
// Each of these is made, or its test fails.
const QStringList daemon_calls{
    "openat",   "write",     "pwrite64", "fsync",      "fdatasync",  "mkdirat",          "mkdir",
    "renameat", "renameat2", "linkat",   "symlinkat",  "unlinkat",   "fchmod",           "clone3",
    "execve",   "sendmsg",   "sendto",   "read",       "pread64",    "recvfrom",         "fcntl",
    "flock",    "close",     "statx",    "newfstatat", "getdents64", "inotify_add_watch"};
const QStringList supervisor_calls{"openat",
                                   "write",
                                   "pwrite64",
                                   "fdatasync",
                                   "mkdirat",
                                   "unlinkat",
                                   "fchmod",
                                   "clone",
                                   "clone3",
                                   "execve",
                                   "pread64",
                                   "read",
                                   "fcntl",
                                   "close",
                                   "wait4",
                                   "recvmsg",
                                   "rt_sigtimedwait",
                                   "setsid",
                                   "sendto",
                                   "dup2",
                                   "pidfd_send_signal"};
const QStringList recovery_calls{"openat",   "pwrite64",  "pread64",    "fsync", "fdatasync",
                                 "unlinkat", "renameat2", "getdents64", "fcntl", "close"};

bool full() {
    return qEnvironmentVariable("GPUSPOOL_SWEEP") == "full";
}

/// Calls of threads other than the main one, and of processes that are to become other programs,
/// are reached by tracing all; but what the daemon has executed is left alone.
QStringList scope(const QString& syscall) {
    const bool elsewhere = syscall == "fsync" || syscall == "fdatasync" || syscall == "execve";
    return elsewhere ? QStringList{"-f", "-b", "execve"} : QStringList{};
}

QStringList kill_at(const QString& syscall, int n) {
    return strace::inject(syscall, QString("signal=KILL:when=%1").arg(n));
}

/// In full: each of the first 32, then ever fewer, and the last; by default one or two of all.
QList<int> points(const QString& syscall, int most, int salt) {
    QList<int> all;
    for (int n = 1; n <= most; n += n < 32 ? 1 : n / 8)
        all << n;
    if (most > 0 && all.last() != most) all << most;
    if (full() || all.size() < 2) return all;
    // The beginning is the same in every start; what comes later is the work.
    const qsizetype odd = all.size() > 2 ? salt % 2 : 0;
    const int middle = all[(all.size() - 1) / 2 + odd], late = all[all.size() - 1 - odd];
    if (!changes.contains(syscall)) return {middle};
    return {middle, late};
}

}  // namespace

class system_kill_sweep : public QObject {
    Q_OBJECT

    // Two GPUs, so that they are locked too.
    TestSpool machine_;
    FakeGpus gpus_{machine_, {FakeGpus::a100(0), FakeGpus::a100(1)}};
    QMap<QString, int> daemon_counts_, supervisor_counts_;

    [[nodiscard]] CrashRun run(const QString& title) const;
    static void add_calls(const QStringList& calls);

private slots:
    void initTestCase();
    void daemon_killed_data();
    void daemon_killed();
    void supervisor_killed_data();
    void supervisor_killed();
    void killed_again_in_recovery_data();
    void killed_again_in_recovery();
};

CrashRun system_kill_sweep::run(const QString& title) const {
    CrashRun run;
    run.title = title;
    for (const QString& name : {"GPUSPOOL_NVML", "FAKE_NVML"})
        run.environment[name] = machine_.environment.value(name);
    return run;
}

void system_kill_sweep::add_calls(const QStringList& calls) {
    QTest::addColumn<QString>("syscall");
    for (const QString& syscall : calls)
        QTest::newRow(qPrintable(syscall)) << syscall;
}

/// Counts the calls of an undisturbed run, which must itself be without fault.
void system_kill_sweep::initTestCase() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    QTemporaryDir traces;
    const QString daemon = traces.filePath("daemon"), supervisor = traces.filePath("supervisor");
    CrashRun traced = run("undisturbed");
    traced.patience = 60s;
    traced.daemon = QStringList{"strace", "-D", "-f", "-b", "execve", "-q", "-o", daemon};
    QCOMPARE(carry_out(traced), QStringList());
    daemon_counts_ = strace::most_calls(daemon);
    traced.daemon.clear();
    traced.supervisor = QStringList{"-o", supervisor};
    QCOMPARE(carry_out(traced), QStringList());
    supervisor_counts_ = strace::most_calls(supervisor);
}

void system_kill_sweep::daemon_killed_data() {
    add_calls(daemon_calls);
}

void system_kill_sweep::daemon_killed() {
    QFETCH(QString, syscall);
    const int most = daemon_counts_[syscall];
    QVERIFY2(most > 0, "spoold never makes this call: a sweep over it would show nothing");
    std::vector<CrashRun> runs;
    for (const int n : points(syscall, most, static_cast<int>(syscall.size()))) {
        runs.push_back(run(QString("spoold killed at %1 %2").arg(syscall).arg(n)));
        runs.back().daemon = strace::wrapper(scope(syscall) + kill_at(syscall, n));
    }
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_kill_sweep::supervisor_killed_data() {
    add_calls(supervisor_calls);
}

void system_kill_sweep::supervisor_killed() {
    QFETCH(QString, syscall);
    const int most = supervisor_counts_[syscall];
    QVERIFY2(most > 0, "spool-exec never makes this call: a sweep over it would show nothing");
    std::vector<CrashRun> runs;
    for (const int n : points(syscall, most, static_cast<int>(syscall.size()))) {
        runs.push_back(run(QString("spool-exec killed at %1 %2").arg(syscall).arg(n)));
        runs.back().supervisor = kill_at(syscall, n);
    }
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_kill_sweep::killed_again_in_recovery_data() {
    add_calls(recovery_calls);
}

/// The first daemon is killed in the middle of its work, the second while it recovers.
void system_kill_sweep::killed_again_in_recovery() {
    QFETCH(QString, syscall);
    const int most = daemon_counts_[syscall];
    QVERIFY2(most > 0, "spoold never makes this call: a sweep over it would show nothing");
    std::vector<CrashRun> runs;
    for (const QString& first : QStringList{"renameat2", "pwrite64"})
        for (const int m :
             points("openat", most, static_cast<int>(first.size() + syscall.size()))) {
            const QString title = "spoold killed at %1 and again at %2 %3";
            runs.push_back(run(title.arg(first, syscall).arg(m)));
            runs.back().daemon = strace::wrapper(kill_at(first, daemon_counts_[first] / 2));
            runs.back().second_daemon = strace::wrapper(scope(syscall) + kill_at(syscall, m));
        }
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

QTEST_GUILESS_MAIN(system_kill_sweep)
#include "system_kill_sweep.moc"
