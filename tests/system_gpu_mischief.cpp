// What other users leave among the GPU locks can at worst make a GPU look busy. Files of another
// user, and a daemon that may not read them: needs root.
#include <sys/stat.h>
#include <unistd.h>

#include <QTest>

#include "libspool/gpu_lock_name.h"
#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

constexpr uid_t mallory = 61'301;

QString lock_name(const QString& gpu) {
    return QString::fromStdString(
        spool::write_lock_name({spool::LockFileName::Kind::lock, gpu.toStdString(), mallory,
                                "0123456789abcdef", "fedcba9876543210"}));
}

}  // namespace

class SystemGpuMischief : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes files of other users: needs root");
    }
    void a_file_that_cannot_be_read();
    void what_is_no_lock_data();
    void what_is_no_lock();
    void thousands_of_dead_files();

private:
    /// A daemon for which the mode of a file counts, though it is root's.
    static void prepare(TestSpool& spool) {
        spool.wrapper = QStringList{"setpriv", "--bounding-set", "-dac_override,-dac_read_search"};
        QDir().mkpath(spool.scratch("locks"));
        if (::chmod(qPrintable(spool.scratch("locks")), 01777) != 0) qFatal("cannot chmod");
        spool.environment.insert("GPUSPOOL_GPU_LOCKS", spool.scratch("locks"));
    }
    static void give(const QString& path, mode_t mode) {
        if (::chmod(qPrintable(path), mode) != 0 || ::lchown(qPrintable(path), mallory, mallory))
            qFatal("cannot give %s away", qPrintable(path));
    }
};

void SystemGpuMischief::a_file_that_cannot_be_read() {
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    const QString file = spool.scratch("locks/" + lock_name("GPU-00000000"));
    let_go(spool, "locks/" + lock_name("GPU-00000000"));
    give(file, 0600);
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b",
                       "GPU-00000000 counts as held by user " + QString::number(mallory) +
                           ", whose " + file +
                           " cannot be examined: Permission denied; ask its owner or the "
                           "administrator to remove it"));
    QVERIFY(QFile::remove(file));
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"0"});
    let_go(spool);
}

void SystemGpuMischief::what_is_no_lock_data() {
    QTest::addColumn<QString>("command");
    QTest::addColumn<uint>("mode");
    QTest::newRow("a file that nobody has locked") << ": > \"$1\"" << 0644u;
    QTest::newRow("a directory") << "mkdir \"$1\"" << 0700u;
    QTest::newRow("a pipe") << "mkfifo \"$1\"" << 0600u;
    QTest::newRow("a link to nowhere") << "ln -s nowhere \"$1\"" << 0u;
    QTest::newRow("a link to what cannot be read")
        << ": > \"$1.txt\"; chmod 0 \"$1.txt\"; ln -s \"$1.txt\" \"$1\"" << 0u;
}

void SystemGpuMischief::what_is_no_lock() {
    QFETCH(QString, command);
    QFETCH(uint, mode);
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    const QString file = spool.scratch("locks/" + lock_name("GPU-00000000"));
    QCOMPARE(spool.run("sh", {"-c", command, "sh", file}).exit_code, 0);
    if (mode != 0) give(file, mode);
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"0"});
}

/// They take their own GPU away, by a name and with a remedy, and nothing else.
void SystemGpuMischief::thousands_of_dead_files() {
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    const QString prefix = spool.scratch("locks/gpuspool.GPU-00000000.");
    const auto name = [&](int number) {
        return prefix +
               QString("%1.0123456789abcdef.%2").arg(mallory).arg(number, 16, 16, QChar('0'));
    };
    constexpr int count = 8000;
    for (int i = 0; i < count; ++i) {
        QFile file(name(i));
        QVERIFY(file.open(QIODevice::WriteOnly));
        QVERIFY(::lchown(qPrintable(name(i)), mallory, mallory) == 0);
    }
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("b.job", "#SPOOL --gpu-ids=0\ntrue");
    const QString said = QString(
                             "GPU-00000000 counts as held: %1 lock files for it are too many to "
                             "be examined, most of them are user %2's (%3*); ask")
                             .arg(count)
                             .arg(mallory)
                             .arg(prefix);
    QVERIFY(waits_with(spool, "b", said));
    QVERIFY2(problems_of(spool).contains(said), qPrintable(problems_of(spool)));
    for (int i = 0; i < count; ++i)
        QVERIFY(QFile::remove(name(i)));
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"0"});
    let_go(spool);
}

QTEST_GUILESS_MAIN(SystemGpuMischief)
#include "system_gpu_mischief.moc"
