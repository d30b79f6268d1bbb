// Between the decision that a job gets GPUs and its start, and after the death of a daemon: what is
// known of the GPUs, and who has their locks.
#include <sys/inotify.h>
#include <unistd.h>

#include <QJsonArray>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

/// A job that holds its GPUs until the file `go` is there.
QByteArray held(const TestSpool& spool, const QByteArray& options = {}) {
    return "#SPOOL " + options + "\necho $CUDA_VISIBLE_DEVICES\nuntil [[ -e " +
           spool.scratch("go").toUtf8() + " ]]; do sleep 0.05; done\n";
}

void touch(const QString& path) {
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
}

/// Counts the names of GPU locks that appear in a directory.
class LockCounter {
public:
    explicit LockCounter(const QString& directory) : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
        if (inotify_add_watch(fd_, qPrintable(directory), IN_CREATE) < 0) qFatal("no inotify");
    }
    ~LockCounter() { ::close(fd_); }
    LockCounter(const LockCounter&) = delete;
    LockCounter& operator=(const LockCounter&) = delete;

    int count() {
        alignas(inotify_event) char buffer[65536];
        for (ssize_t size = 0; (size = ::read(fd_, buffer, sizeof buffer)) > 0;)
            for (ssize_t at = 0; at < size;) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
                if (QByteArray(event->name).startsWith("gpuspool.GPU")) ++count_;
                at += static_cast<ssize_t>(sizeof *event) + event->len;
            }
        return count_;
    }

private:
    int fd_, count_ = 0;
};

QStringList lock_names(const TestSpool& spool) {
    return QDir(spool.scratch()).entryList({"gpuspool.GPU*"}, QDir::Files);
}

}  // namespace

class SystemGpuStarts : public QObject {
    Q_OBJECT

private slots:
    void a_delayed_start_looks_at_the_gpu_again();
    void no_lock_comes_and_goes_while_a_claim_must_wait();
    void an_adopted_job_with_long_ids_is_locked_again();
};

/// The job has its GPU when no process can be made for it; a stranger comes meanwhile.
void SystemGpuStarts::a_delayed_start_looks_at_the_gpu_again() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    const QString exec = spool.scratch("spool-exec");
    QVERIFY(spool.start({"--exec", exec}));
    spool.drop("a.job", "echo started");
    const auto status = [&] { return spool.gpuspool({"status"}).out; };
    QVERIFY(spool.wait_for([&] { return status().contains("jobs cannot be started"); },
                           "the start to fail"));
    gpus.set_processes(0, {{getpid(), 600}});
    const QByteArray remedy = "gpuspool gpus ignore " + QByteArray::number(getpid());
    QVERIFY(spool.wait_for([&] { return status().contains(remedy); }, "the stranger to be seen"));
    QVERIFY(QFile::link(SPOOL_EXEC, exec));
    QVERIFY(!spool.wait_for([&] { return spool.read("running/a.log") == "started\n"; },
                            "a start beside a stranger (expected)", 3s));
    QVERIFY(!spool.exists("done/a.json"));
    gpus.set_processes(0, {});
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

/// While directories are being synced, which is slow here, no job can be claimed.
void SystemGpuStarts::no_lock_comes_and_goes_while_a_claim_must_wait() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    constexpr int most_running = 8, count = 24;
    TestSpool spool;
    QJsonArray many;
    for (int index = 0; index < most_running; ++index)
        many.append(FakeGpus::a100(index));
    FakeGpus gpus(spool, many);
    spool.wrapper =
        strace::wrapper(QStringList{"-f"} + strace::inject("fsync", "delay_enter=200000"));
    LockCounter locks(spool.scratch());
    QVERIFY(spool.start());
    for (int job = 0; job < count; ++job) {
        const QString name = QString("j%1").arg(job);
        spool.drop(name + ".job", "sleep 0.3");
        QVERIFY(spool.wait_for([&] { return !spool.exists("incoming/" + name + ".job"); }, name));
    }
    for (int job = 0; job < count; ++job)
        QCOMPARE(spool.wait_for_result(QString("j%1").arg(job))["state"].toString(), "succeeded");
    // One each, and another one where the start came too late for its first.
    qInfo("%d locks for %d jobs", locks.count(), count);
    QVERIFY2(locks.count() <= 3 * count, qPrintable(QString::number(locks.count())));
}

void SystemGpuStarts::an_adopted_job_with_long_ids_is_locked_again() {
    constexpr int count = 30;
    TestSpool spool;
    QJsonArray many;
    for (int index = 0; index < count; ++index) {
        QJsonObject gpu = FakeGpus::a100(0);
        gpu["uuid"] = QString("GPU-8f6d02a1-0000-0000-0000-0000000000%1").arg(index + 10);
        gpu["pci"] = QString("00000000:%1:00.0").arg(index + 10);
        gpu["minor"] = 200 + index;
        many.append(gpu);
    }
    FakeGpus gpus(spool, many);
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool, "--gpus=" + QByteArray::number(count)));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log").startsWith("0,1,2,"); },
                           "a to run"));
    QCOMPARE(lock_names(spool).size(), count);
    spool.kill9();
    QVERIFY(spool.start());
    QVERIFY(spool.wait_for([&] { return lock_names(spool).size() == 2 * count; },
                           "the daemon's lock beside the supervisor's", 20s));
    touch(spool.scratch("go"));
    const QJsonObject result = spool.wait_for_result("a");
    QCOMPARE(result["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for([&] { return lock_names(spool).size() <= count; }, "the lock to go"));
}

QTEST_GUILESS_MAIN(SystemGpuStarts)
#include "system_gpu_starts.moc"
