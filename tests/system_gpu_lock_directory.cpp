// The directory of the GPU locks is removed, moved or opened to all while a daemon runs.
#include <sys/stat.h>

#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/look.h"

class SystemGpuLockDirectory : public QObject {
    Q_OBJECT

private slots:
    void it_is_opened_again_data();
    void it_is_opened_again();
    void one_in_which_others_may_remove_is_refused();

private:
    static void prepare(TestSpool& spool) {
        make_directory(spool);
        spool.environment.insert("GPUSPOOL_GPU_LOCKS", spool.scratch("locks"));
    }
    static void make_directory(const TestSpool& spool) {
        QDir().mkpath(spool.scratch("locks"));
        if (::chmod(qPrintable(spool.scratch("locks")), 01777) != 0) qFatal("cannot chmod");
    }
    static bool has_lock(const TestSpool& spool, const QString& gpu) {
        return !QDir(spool.scratch("locks")).entryList({"gpuspool." + gpu + ".*"}).isEmpty();
    }
};

void SystemGpuLockDirectory::it_is_opened_again_data() {
    QTest::addColumn<QString>("loss");
    QTest::newRow("removed") << "rm -rf ~/locks";
    QTest::newRow("moved") << "mv ~/locks ~/elsewhere";
}

void SystemGpuLockDirectory::it_is_opened_again() {
    QFETCH(QString, loss);
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", gated("x", "true\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(has_lock(spool, "GPU-00000000"));
    QVERIFY(shell(spool, loss));
    make_directory(spool);
    // Who looks sees what is held, and the next job gets its lock there.
    QVERIFY(shell(spool, "kill -HUP " + QString::number(spool.pid())));
    QVERIFY(spool.drop("y.job", gated("y", "true\n")));
    QVERIFY(spool.wait_for([&] { return has_lock(spool, "GPU-00000000"); }, "x's lock"));
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(wait_for_log(spool, "y", "started"));
    QVERIFY(has_lock(spool, "GPU-00000000"));
    QVERIFY(open_gate(spool, "y"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for([&] { return !has_lock(spool, "GPU-00000000"); }, "no lock"));
}

void SystemGpuLockDirectory::one_in_which_others_may_remove_is_refused() {
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    QVERIFY(spool.drop("x.job", "true\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(shell(spool, "chmod 777 ~/locks"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_problem(spool, "others could remove GPU locks there"));
    QVERIFY(!spool.exists("done/y.json"));
    QVERIFY(shell(spool, "chmod 1777 ~/locks"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(SystemGpuLockDirectory)
#include "system_gpu_lock_directory.moc"
