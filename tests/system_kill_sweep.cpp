// The daemon and the supervisors are killed at every step that they take (the N-th call of each
// system call), also while they recover from that: no job is lost, none runs twice.
//
// By default a selection is run; GPUSPOOL_SWEEP=full runs all.
#include <QtTest>

#include "tests/support/crash_run.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

const QStringList daemon_calls{"openat",
                               "write",
                               "pwrite64",
                               "pread64",
                               "read",
                               "fsync",
                               "fdatasync",
                               "mkdirat",
                               "mkdir",
                               "renameat2",
                               "renameat",
                               "unlinkat",
                               "fcntl",
                               "flock",
                               "clone",
                               "clone3",
                               "vfork",
                               "execve",
                               "close",
                               "sendto",
                               "getdents64",
                               "newfstatat",
                               "inotify_add_watch",
                               "ftruncate",
                               "recvfrom"};
const QStringList supervisor_calls{"openat",   "write",  "pwrite64", "pread64",         "read",
                                   "fcntl",    "clone",  "clone3",   "execve",          "close",
                                   "unlinkat", "wait4",  "recvmsg",  "rt_sigtimedwait", "setsid",
                                   "fchmod",   "sendto", "dup2"};
const QStringList recovery_calls{"openat",   "pwrite64",  "pread64",    "fsync", "fdatasync",
                                 "unlinkat", "renameat2", "getdents64", "fcntl", "close"};

bool full() {
    return qEnvironmentVariable("GPUSPOOL_SWEEP") == "full";
}

/// Calls of threads other than the main one are reached by tracing all.
QStringList scope(const QString& syscall) {
    const bool elsewhere = syscall == "fsync" || syscall == "fdatasync" || syscall == "execve";
    return elsewhere ? QStringList{"-f"} : QStringList{};
}

QStringList kill_at(const QString& syscall, int n) {
    return strace::inject(syscall, QString("signal=KILL:when=%1").arg(n));
}

/// 1, 2, 3, 5, 8 … up to `most`; by default only some of them.
QList<int> points(int most, int salt) {
    QList<int> all;
    for (int a = 1, b = 2; a <= most; b += a, a = b - a)
        all << a;
    if (most > 0 && all.last() != most) all << most;
    if (full() || all.size() < 2) return all;
    // The beginning is the same in every start; what comes later is the work.
    return {all[static_cast<int>(all.size()) / 2 + salt % 2], all[all.size() - 1 - salt % 2]};
}

}  // namespace

class system_kill_sweep : public QObject {
    Q_OBJECT

    QMap<QString, int> daemon_counts_, supervisor_counts_;

private slots:
    void initTestCase();
    void daemon_killed_data();
    void daemon_killed();
    void supervisor_killed_data();
    void supervisor_killed();
    void killed_again_in_recovery_data();
    void killed_again_in_recovery();
};

/// Counts the calls of an undisturbed run, which must itself be without fault.
void system_kill_sweep::initTestCase() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    QTemporaryDir traces;
    const QString daemon = traces.filePath("daemon"), supervisor = traces.filePath("supervisor");
    CrashRun run{"undisturbed", {"strace", "-D", "-f", "-q", "-o", daemon}, {}, {}, {}, 60s};
    QCOMPARE(carry_out(run), QStringList());
    daemon_counts_ = strace::most_calls(daemon);
    CrashRun traced{"undisturbed", {}, {}, {"-o", supervisor}, {}, 60s};
    QCOMPARE(carry_out(traced), QStringList());
    supervisor_counts_ = strace::most_calls(supervisor);
    QVERIFY2(daemon_counts_["renameat2"] > 5, "the trace of the daemon is not what it should be");
    QVERIFY2(supervisor_counts_["pwrite64"] > 1, "the trace of the supervisor is not there");
}

void system_kill_sweep::daemon_killed_data() {
    QTest::addColumn<QString>("syscall");
    for (const QString& syscall : daemon_calls)
        if (daemon_counts_.contains(syscall)) QTest::newRow(qPrintable(syscall)) << syscall;
}

void system_kill_sweep::daemon_killed() {
    QFETCH(QString, syscall);
    std::vector<CrashRun> runs;
    for (const int n : points(daemon_counts_[syscall], static_cast<int>(syscall.size())))
        runs.push_back({QString("spoold killed at %1 %2").arg(syscall).arg(n),
                        strace::wrapper(scope(syscall) + kill_at(syscall, n)),
                        {},
                        {},
                        {}});
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_kill_sweep::supervisor_killed_data() {
    QTest::addColumn<QString>("syscall");
    for (const QString& syscall : supervisor_calls)
        if (supervisor_counts_.contains(syscall)) QTest::newRow(qPrintable(syscall)) << syscall;
}

void system_kill_sweep::supervisor_killed() {
    QFETCH(QString, syscall);
    std::vector<CrashRun> runs;
    for (const int n : points(supervisor_counts_[syscall], static_cast<int>(syscall.size())))
        runs.push_back({QString("spool-exec killed at %1 %2").arg(syscall).arg(n),
                        {},
                        {},
                        kill_at(syscall, n),
                        {}});
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_kill_sweep::killed_again_in_recovery_data() {
    QTest::addColumn<QString>("syscall");
    for (const QString& syscall : recovery_calls)
        if (daemon_counts_.contains(syscall)) QTest::newRow(qPrintable(syscall)) << syscall;
}

/// The first daemon is killed in the middle of its work, the second while it recovers.
void system_kill_sweep::killed_again_in_recovery() {
    QFETCH(QString, syscall);
    const int most = daemon_counts_[syscall];
    std::vector<CrashRun> runs;
    for (const QString& first : QStringList{"renameat2", "pwrite64"})
        for (const int m : points(most, static_cast<int>(first.size() + syscall.size())))
            runs.push_back(
                {QString("spoold killed at %1 and again at %2 %3").arg(first, syscall).arg(m),
                 strace::wrapper(kill_at(first, daemon_counts_[first] / 2)),
                 strace::wrapper(scope(syscall) + kill_at(syscall, m)),
                 {},
                 {}});
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

QTEST_GUILESS_MAIN(system_kill_sweep)
#include "system_kill_sweep.moc"
