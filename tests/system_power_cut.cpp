// A real file system loses its power: ext4 on a loop device is shut down without writing its
// journal in the middle of a burst of jobs, mounted again, and a daemon of another boot goes on.
//
// Needs root, a loop device and mkfs.ext4; skipped elsewhere. All mounts are in a mount namespace
// of the test's own. GPUSPOOL_SWEEP=full (tests/run --full) does it more often.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <QtTest>

#include "tests/support/oracle.h"

using namespace std::chrono_literals;

namespace {

constexpr unsigned long fs_ioc_shutdown = _IOR('X', 125, std::uint32_t);
constexpr std::uint32_t without_journal = 2;  ///< EXT4_GOING_FLAGS_NOLOGFLUSH
constexpr const char* boot_id_file = "/proc/sys/kernel/random/boot_id";

bool works(const QString& program, const QStringList& arguments) {
    QProcess process;
    process.start(program, arguments);
    return process.waitForFinished(60'000) && process.exitStatus() == QProcess::NormalExit &&
           process.exitCode() == 0;
}

/// ext4 in a file.
class Disk {
public:
    Disk() : image_(directory_.filePath("image")), place_(directory_.filePath("mounted")) {}
    ~Disk() { (void)umount2(place_.toUtf8().constData(), MNT_DETACH); }

    bool make() {
        QFile image(image_);
        return image.open(QIODevice::WriteOnly) && image.resize(64 << 20) &&
               QDir().mkpath(place_) && works("mkfs.ext4", {"-q", "-F", image_}) && mount();
    }
    bool mount() { return works("mount", {"-o", "loop", image_, place_}); }
    bool unmount() { return umount2(place_.toUtf8().constData(), 0) == 0; }
    bool sync() { return works("sync", {"-f", place_}); }
    bool lose_power() {
        const int fd = open(place_.toUtf8().constData(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        std::uint32_t how = without_journal;
        const bool lost = fd >= 0 && ioctl(fd, fs_ioc_shutdown, &how) == 0;
        if (fd >= 0) close(fd);
        return lost;
    }
    [[nodiscard]] QString path() const { return place_; }
    [[nodiscard]] QString beside(const QString& name) const { return directory_.filePath(name); }

private:
    QTemporaryDir directory_;
    QString image_, place_;
};

/// The kernel's answer to which boot this is, for this mount namespace.
bool set_boot_id(const Disk& disk) {
    const QString file = disk.beside("boot_id");
    QFile out(file);
    const QByteArray id = QUuid::createUuid().toByteArray(QUuid::WithoutBraces) + "\n";
    if (!out.open(QIODevice::WriteOnly) || out.write(id) != id.size()) return false;
    out.close();
    (void)umount2(boot_id_file, MNT_DETACH);
    return mount(file.toUtf8().constData(), boot_id_file, nullptr, MS_BIND, nullptr) == 0;
}

bool drop_burst(CrashJobs& jobs) {
    for (int i = 0; i < 10; ++i)
        if (!jobs.drop(QString("burst-%1").arg(i), i % 3 == 0 ? "sleep 0.2" : "")) return false;
    return jobs.drop_invalid("invalid") && jobs.drop_failing("failing");
}

/// The state of each job that has a result, by its name.
QMap<QString, QString> states_in_done(const TestSpool& spool) {
    QMap<QString, QString> states;
    for (const QString& file : QDir(spool.path("done")).entryList({"*.json"}, QDir::Files)) {
        const QString name = file.chopped(5), state = spool.result(name)["state"].toString();
        if (!state.isEmpty()) states[name] = state;
    }
    return states;
}

}  // namespace

class system_power_cut : public QObject {
    Q_OBJECT
private slots:
    void initTestCase();
    void in_a_burst_data();
    void in_a_burst();
};

void system_power_cut::initTestCase() {
    if (geteuid() != 0) QSKIP("only root may mount");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        QSKIP("no mount namespace of our own is to be had here");
    Disk disk;
    if (!disk.make()) QSKIP("no ext4 can be mounted on a loop device here");
    if (!disk.lose_power()) QSKIP("this file system cannot be shut down");
}

void system_power_cut::in_a_burst_data() {
    QTest::addColumn<int>("marks");
    const bool full = qEnvironmentVariable("GPUSPOOL_SWEEP") == "full";
    for (int marks = 0; marks <= 22; marks += full ? 1 : 7)
        QTest::newRow(qPrintable(QString("after %1 marks").arg(marks))) << marks;
}

void system_power_cut::in_a_burst() {
    QFETCH(int, marks);
    Disk disk;
    QVERIFY(disk.make() && set_boot_id(disk));
    TestSpool spool(disk.path());
    CrashJobs jobs(spool, disk.beside("marks"));
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.stop());
    QVERIFY(drop_burst(jobs) && disk.sync());

    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.wait_for([&] { return jobs.marks().size() >= marks; }, "jobs to be executed"));
    // Whoever looked may have seen these.
    const QMap<QString, QString> told = states_in_done(spool);
    QVERIFY(disk.lose_power());
    spool.kill9();
    const QByteArray ours = "GPUSPOOL_DIR=" + spool.path().toUtf8();
    QVERIFY(spool.wait_for(
        [&] {
            (void)signal_processes_with_environment(ours, SIGKILL);
            return disk.unmount();
        },
        "everything on the disk to be gone"));
    QVERIFY(disk.mount() && set_boot_id(disk));

    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.wait_for([&] { return jobs.settled(); }, "all jobs to be settled"));
    QStringList found = findings(jobs, excuse_power_cut());
    const QMap<QString, QString> states = states_in_done(spool);
    for (auto it = told.cbegin(); it != told.cend(); ++it)
        if (states.value(it.key()) != it.value())
            found << it.key() + " was " + it.value() + " before the power cut";
    found << changes_by_restarts(spool, {"--gpus", "0,1"});
    QVERIFY2(found.isEmpty(), qPrintable(found.join("\n    ")));
}

QTEST_GUILESS_MAIN(system_power_cut)
#include "system_power_cut.moc"
