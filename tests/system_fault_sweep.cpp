// Calls of the system fail: the daemon says why, does not die, goes on by itself when it is over,
// and no job is lost or run twice.
#include <QtTest>
#include <thread>

#include "tests/support/crash_run.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

enum class Victim { main_thread, sync_thread, main_and_children };

struct Fault {
    QString call, error;
    Victim victim = Victim::main_thread;
    QString said;         ///< part of the sentence that is expected in the log
    bool shown = false;   ///< also in the published state
    QString when = "1+";  ///< which of the calls fail, from the beginning of the fault on
    Excuse excuse = {};
};

/// Without a durable verdict on it no attempt is followed by another.
bool not_tried_again(const CrashJob& job, const QJsonObject& result) {
    return job.attempts > 1 && result["state"] == "failed" && result["attempt"] == 1;
}

/// A log that cannot be made a link to the output stays an empty file.
bool log_is_no_link(const CrashJob& job, const QJsonObject& result) {
    return !job.output.isEmpty() && result["state"] == "succeeded";
}

QString title(const Fault& fault) {
    return fault.call + " " + fault.error + " " + fault.when;
}

/// The thread that does the syncs: the only one beside the main thread.
QString thread_of(const TestSpool& spool, Victim victim) {
    const QString main = QString::number(spool.pid());
    if (victim != Victim::sync_thread) return main;
    for (const QString& thread : QDir("/proc/" + main + "/task").entryList(QDir::Dirs))
        if (thread.at(0).isDigit() && thread != main) return thread;
    return {};
}

/// strace, attached to a thread of the daemon until `end`.
class Saboteur {
public:
    bool begin(const TestSpool& spool, const Fault& fault) {
        const QString thread = thread_of(spool, fault.victim);
        const QString what = "error=" + fault.error + ":when=" + fault.when;
        QStringList options = strace::inject(fault.call, what);
        if (fault.victim == Victim::main_and_children) options << "-f";
        process_.setProcessChannelMode(QProcess::ForwardedErrorChannel);
        process_.start("strace",
                       QStringList{"-q", "-q", "-o", "/dev/null", "-p", thread} + options);
        return spool.wait_for(
            [&] {
                QFile status("/proc/" + thread + "/status");
                return status.open(QIODevice::ReadOnly) &&
                       !status.readAll().contains("TracerPid:\t0\n");
            },
            "strace to attach", 60s);
    }
    void end() {
        process_.terminate();
        process_.waitForFinished(-1);
    }

private:
    QProcess process_;
};

/// For a while, and until the daemon has said what it should; or all is done.
void endure(CrashJobs& jobs, const Fault& fault) {
    const TestSpool& spool = jobs.spool();
    const auto begin = std::chrono::steady_clock::now();
    const auto said = [&] {
        const QByteArray text = fault.said.toUtf8();
        return spool.daemon_log().contains(text) &&
               (!fault.shown || spool.read(".spool/state.json").contains(text));
    };
    const auto over = [&] {
        const auto since = std::chrono::steady_clock::now() - begin;
        return since >= 60s || (since >= 3s && said());
    };
    // What is to be shown may be due to be published just when all is done.
    while (!over() && !(jobs.settle() && (!fault.shown || said())))
        std::this_thread::sleep_for(5ms);
}

QStringList check(CrashJobs& jobs, const Fault& fault, qint64 pid) {
    TestSpool& spool = jobs.spool();
    QStringList wrong;
    if (!spool.is_running() || spool.pid() != pid) return {"spoold did not survive it"};
    if (!spool.wait_for([&] { return jobs.settle(); }, "all jobs to be settled", 90s))
        wrong << "not settled";
    if (!fault.said.isEmpty() && !spool.daemon_log().contains(fault.said.toUtf8()))
        wrong << "it did not say '" + fault.said + "'";
    return wrong << findings(jobs, fault.excuse)
                 << changes_by_restarts(spool, crash_run_arguments());
}

QStringList carry_out(const Fault& fault) {
    TestSpool spool;
    CrashJobs jobs(spool);
    // One job before the fault, so that everything has been done once.
    if (!spool.start(crash_run_arguments()) || !jobs.drop("before") ||
        !spool.wait_for([&] { return jobs.settle(); }, "the first job", 60s))
        return {title(fault) + ": cannot be set up"};
    const qint64 pid = spool.pid();
    Saboteur saboteur;
    if (!saboteur.begin(spool, fault)) return {title(fault) + ": strace cannot attach"};
    QStringList wrong;
    if (!drop_first_jobs(jobs) || !drop_later_jobs(jobs)) wrong << "jobs cannot be dropped";
    endure(jobs, fault);
    const bool shown =
        !fault.shown || jobs.spool().read(".spool/state.json").contains(fault.said.toUtf8());
    if (!shown) wrong << "the status does not say '" + fault.said + "'";
    saboteur.end();
    wrong << check(jobs, fault, pid);
    for (QString& sentence : wrong)
        sentence.prepend(title(fault) + ": ");
    if (!wrong.isEmpty()) qWarning("%s", spool.daemon_log().constData());
    return wrong;
}

/// The daemon may refuse to start, with 1 and a reason, and nothing else; then it starts.
QStringList carry_out_at_start(const QString& call, const QString& error, int n) {
    const QString title = QString("%1 %2 at start, call %3").arg(call, error).arg(n);
    TestSpool spool;
    CrashJobs jobs(spool);
    // Either makes the spool.
    if (spool.gpuspool({"pause"}).exit_code != 0 || spool.gpuspool({"resume"}).exit_code != 0 ||
        !drop_first_jobs(jobs))
        return {title + ": cannot be set up"};
    // The option goes before the variable.
    spool.environment.insert("GPUSPOOL_DIR", spool.scratch("another"));
    const QString what = QString("error=%1:when=%2").arg(error).arg(n);
    const QStringList command =
        strace::wrapper(strace::inject(call, what)) +
        QStringList{SPOOLD, "--foreground", "--once", "--spool", spool.path()} +
        crash_run_arguments();
    const Finished once = spool.run(command.first(), command.mid(1), 60s);
    spool.environment.insert("GPUSPOOL_DIR", spool.path());
    QStringList wrong;
    if (QFile::exists(spool.scratch("another"))) wrong << "it made another spool";
    if (once.exit_code != 0 && (once.exit_code != 1 || once.err.isEmpty()))
        wrong << QString("it ended with %1: %2").arg(once.exit_code).arg(QString(once.err));
    if (!spool.start(crash_run_arguments()) ||
        !spool.wait_for([&] { return jobs.settle(); }, "all jobs to be settled", 90s))
        wrong << "not settled";
    wrong << findings(jobs);
    for (QString& sentence : wrong)
        sentence.prepend(title + ": ");
    return wrong;
}

/// The tasks, four at a time.
QStringList all_of(const std::vector<std::function<QStringList()>>& tasks) {
    std::atomic<std::size_t> next{0};
    std::mutex guard;
    QStringList wrong;
    std::vector<std::thread> workers;
    for (int i = 0; i < 4; ++i)
        workers.emplace_back([&] {
            for (std::size_t mine; (mine = next++) < tasks.size();) {
                const QStringList found = tasks[mine]();
                const std::lock_guard lock(guard);
                wrong << found;
            }
        });
    for (std::thread& worker : workers)
        worker.join();
    return wrong;
}

QStringList all_of(const QList<Fault>& faults) {
    std::vector<std::function<QStringList()>> tasks;
    for (const Fault& fault : faults)
        tasks.emplace_back([fault] { return carry_out(fault); });
    return all_of(tasks);
}

}  // namespace

class system_fault_sweep : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() {
        if (!strace::works()) QSKIP("strace cannot trace here");
    }
    void while_it_works_data();
    void while_it_works();
    void at_start_data();
    void at_start();
    void without_notices_data();
    void without_notices();
    void in_the_supervisor_data();
    void in_the_supervisor();
    void missing_supervisor_program();
};

void system_fault_sweep::while_it_works_data() {
    QTest::addColumn<QList<Fault>>("faults");
    const QString full = "No space left", broken = "Input/output error";
    const QString numbers = "jobs cannot be numbered", claims = "jobs cannot be claimed";
    // With `write` it is its own log that cannot be written: there is nothing to be heard.
    QTest::newRow("disk full") << QList<Fault>{{"pwrite64", "ENOSPC", {}, full},
                                               {"pwrite64", "ENOSPC", {}, numbers, false, "1"},
                                               {"pwrite64", "ENOSPC", {}, claims, false, "4"},
                                               {"write", "ENOSPC", {}, {}}};
    QTest::newRow("sync fails") << QList<Fault>{
        {"fsync", "EIO", Victim::sync_thread, "sync", true},
        {"fdatasync", "EIO", Victim::sync_thread, "sync", true, "1+", not_tried_again},
        {"fsync", "EIO", Victim::sync_thread, "sync: " + broken, false, "1"},
        {"fsync", "EIO", Victim::sync_thread, "sync: " + broken, false, "4"},
        {"fdatasync", "EIO", Victim::sync_thread, "sync: " + broken, false, "2", not_tried_again}};
    const QString too_many = "Too many open files";
    QTest::newRow("open fails") << QList<Fault>{{"openat", "EROFS", {}, "Read-only"},
                                                {"openat", "EMFILE", {}, too_many},
                                                {"openat", "EMFILE", {}, too_many, false, "3..9"}};
    // EINVAL is how a file system says that it cannot do this: there is another way.
    const QString rename = "rename: " + broken;
    QTest::newRow("rename fails") << QList<Fault>{
        {"renameat2", "EIO", {}, broken, true},
        {"renameat2", "EIO", {}, rename, false, "1"},
        {"renameat2", "EIO", {}, rename, false, "2"},
        {"renameat2", "EIO", {}, rename, false, "3"},
        {"renameat2", "EIO", {}, rename, false, "5"},
        {"renameat2", "EINVAL", {}, {}},
        {"renameat", "EIO", {}, broken, false, "1+", log_is_no_link}};
    const QString refused = "look at: Permission denied", unread = "control/ cannot be read";
    QTest::newRow("looks fail") << QList<Fault>{
        {"getdents64", "EIO", {}, unread, true},
        {"newfstatat", "EIO", {}, "look at: " + broken, true},
        {"newfstatat", "EACCES", {}, refused, false, "1..20"},
        {"pread64", "EIO", {}, broken, true}};
    // A lease that is refused with EINVAL is one that there are none of: the wait alone decides.
    QTest::newRow("locks fail") << QList<Fault>{
        {"fcntl", "EINVAL", {}, "lock: Invalid argument", true},
        {"fcntl", "EINVAL", {}, {}, false, "1"},
        {"unlinkat", "EIO", {}, "a request cannot be answered", true}};
}

void system_fault_sweep::while_it_works() {
    QFETCH(QList<Fault>, faults);
    const QStringList found = all_of(faults);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_fault_sweep::at_start_data() {
    QTest::addColumn<QString>("call");
    QTest::addColumn<QString>("error");
    QTest::addColumn<QList<int>>("numbers");
    QTest::newRow("openat") << "openat"
                            << "EMFILE" << QList<int>{40, 52, 60, 70};
    QTest::newRow("pwrite64") << "pwrite64"
                              << "ENOSPC" << QList<int>{1, 2, 3, 5};
    QTest::newRow("fsync") << "fsync"
                           << "EIO" << QList<int>{1, 2, 3, 4};
    QTest::newRow("renameat") << "renameat"
                              << "EIO" << QList<int>{1, 2, 3};
    QTest::newRow("getdents64") << "getdents64"
                                << "EIO" << QList<int>{1, 3, 5};
    QTest::newRow("clone3") << "clone3"
                            << "EAGAIN" << QList<int>{1, 2, 3};
    // Of the first two, its own wake-up and timer, Boost.Asio does not look at the answer.
    QTest::newRow("epoll_ctl") << "epoll_ctl"
                               << "ENOSPC" << QList<int>{3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
}

void system_fault_sweep::at_start() {
    QFETCH(QString, call);
    QFETCH(QString, error);
    QFETCH(QList<int>, numbers);
    std::vector<std::function<QStringList()>> tasks;
    for (const int n : numbers)
        tasks.emplace_back([=] { return carry_out_at_start(call, error, n); });
    const QStringList found = all_of(tasks);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_fault_sweep::without_notices_data() {
    QTest::addColumn<QString>("call");
    QTest::addColumn<QString>("error");
    QTest::newRow("no instance") << "inotify_init1"
                                 << "EMFILE";
    QTest::newRow("no watch") << "inotify_add_watch"
                              << "ENOSPC";
}

/// Without inotify the spool is polled, and the status says so.
void system_fault_sweep::without_notices() {
    QFETCH(QString, call);
    QFETCH(QString, error);
    TestSpool spool;
    CrashJobs jobs(spool);
    spool.wrapper = strace::wrapper(strace::inject(call, "error=" + error));
    QVERIFY(spool.start(crash_run_arguments()));
    QVERIFY(drop_first_jobs(jobs) && drop_later_jobs(jobs));
    QVERIFY(spool.wait_for([&] { return jobs.settle(); }, "all jobs without inotify"));
    const QByteArray status = spool.gpuspool({"status", "--json"}).out;
    QVERIFY2(status.contains("max_user_"), status);
    QCOMPARE(findings(jobs), QStringList());
}

void system_fault_sweep::in_the_supervisor_data() {
    QTest::addColumn<QStringList>("injections");
    QTest::newRow("fork") << QStringList{"clone:error=EAGAIN:when=1", "clone3:error=EAGAIN:when=1",
                                         "clone:error=EAGAIN:when=2..3"};
    QTest::newRow("write") << QStringList{"pwrite64:error=ENOSPC:when=1",
                                          "pwrite64:error=ENOSPC:when=2",
                                          "pwrite64:error=ENOSPC:when=3..4"};
    QTest::newRow("files") << QStringList{"openat:error=EMFILE:when=1", "fcntl:error=EINVAL:when=1",
                                          "pidfd_open:error=ENOSYS", "unlinkat:error=EIO"};
}

/// A script that cannot be removed is in the way of the next attempt of its job.
static bool left_its_script(const CrashJob& job, const QJsonObject& result) {
    return job.attempts > 1 && result["state"] == "failed" && result["exit_code"].isNull() &&
           result["reason"].toString().contains("its script could not be written");
}

/// What fails once is tried again.
void system_fault_sweep::in_the_supervisor() {
    QFETCH(QStringList, injections);
    std::vector<CrashRun> runs;
    for (const QString& injection : injections) {
        CrashRun run;
        run.title = "spool-exec with " + injection;
        run.supervisor = {"-e", "trace=" + injection.section(':', 0, 0), "-e",
                          "inject=" + injection};
        run.patience = 20s;
        if (injection.startsWith("unlinkat")) run.excuse = left_its_script;
        runs.push_back(run);
    }
    const QStringList found = carry_out(runs);
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

void system_fault_sweep::missing_supervisor_program() {
    TestSpool spool;
    CrashJobs jobs(spool);
    const QString program = spool.scratch("spool-exec-later");
    QVERIFY(spool.start(crash_run_arguments() + QStringList{"--exec", program}));
    const qint64 pid = spool.pid();
    QVERIFY(drop_first_jobs(jobs));
    QVERIFY(spool.wait_for([&] { return spool.read(".spool/state.json").contains("spool-exec"); },
                           "the status to name spool-exec"));
    QVERIFY(QFile::link(SPOOL_EXEC, program));
    QVERIFY(spool.wait_for([&] { return jobs.settle(); }, "all jobs once it is there"));
    QCOMPARE(spool.pid(), pid);
    QCOMPARE(findings(jobs), QStringList());
}

QTEST_GUILESS_MAIN(system_fault_sweep)
#include "system_fault_sweep.moc"
