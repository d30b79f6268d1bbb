// Lists by hand of which no driver says what they mean: also then no two spools of a machine use
// the same GPU at once.
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QByteArray binding = "$CUDA_VISIBLE_DEVICES";

/// Both on one machine.
struct TwoSpools {
    TestSpool first, second;

    TwoSpools() { second.environment.insert("GPUSPOOL_GPU_LOCKS", first.scratch()); }

    bool starts_first(const QByteArray& log) {
        first.drop("a.job", held_job(first, binding));
        return first.wait_for([&] { return first.read("running/a.log") == log; }, "a to run");
    }
    /// Lets the first spool's job end, after which the second's is to run.
    bool frees_first(const QByteArray& log) {
        let_go(first);
        return second.wait_for_result("b")["state"] == "succeeded" &&
               second.read("done/b.log") == log;
    }
};

}  // namespace

class SystemGpuNames : public QObject {
    Q_OBJECT

private slots:
    void without_a_driver_data();
    void without_a_driver();
    void beside_a_spool_with_a_driver();
    void a_driver_that_another_spool_does_not_have();
};

void SystemGpuNames::without_a_driver_data() {
    QTest::addColumn<QString>("first");
    QTest::addColumn<QString>("second");
    QTest::addColumn<bool>("same");
    QTest::newRow("one index") << "0"
                               << "0" << true;
    QTest::newRow("two indexes") << "0"
                                 << "1" << false;
    QTest::newRow("two ways of writing an address") << "81:00.0"
                                                    << "0000:81:00.0" << true;
    QTest::newRow("two addresses") << "81:00.0"
                                   << "82:00.0" << false;
    QTest::newRow("the beginning of an id") << "GPU-8f6d02a1"
                                            << "GPU-8f6d02a1-77" << true;
    QTest::newRow("an index and an id may be the same") << "1"
                                                        << "GPU-8f6d02a1" << true;
}

void SystemGpuNames::without_a_driver() {
    QFETCH(QString, first);
    QFETCH(QString, second);
    QFETCH(bool, same);
    TwoSpools spools;
    QVERIFY(spools.first.start({"--gpus", first}));
    QVERIFY(spools.second.start({"--gpus", second}));
    QVERIFY(spools.starts_first(first.toUtf8() + "\n"));
    spools.second.drop("b.job", "echo " + binding);
    if (same) {
        QVERIFY(waits_with(spools.second, "b", second + " used by another spool of yours"));
        QVERIFY(!spools.second.exists("running/b.job"));
    } else {
        QVERIFY(spools.second.wait_for([&] { return !spools.second.result("b").isEmpty(); }, "b"));
    }
    QVERIFY(spools.frees_first(second.toUtf8() + "\n"));
}

/// The one with the driver knows what is meant, and leaves it alone.
void SystemGpuNames::beside_a_spool_with_a_driver() {
    TwoSpools spools;
    const FakeGpus gpus(spools.second, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spools.first.start({"--gpus", "1"}));
    QVERIFY(spools.second.start());
    QVERIFY(spools.starts_first("1\n"));
    spools.second.drop("c.job", held_job(spools.second, binding));
    QVERIFY(spools.second.wait_for([&] { return spools.second.read("running/c.log") == "0\n"; },
                                   "c on GPU 0"));
    spools.second.drop("b.job", "echo " + binding);
    QVERIFY(waits_with(spools.second, "b", "1 used by another spool of yours"));
    QVERIFY(spools.frees_first("1\n"));
    let_go(spools.second);
}

/// It cannot tell which one is meant.
void SystemGpuNames::a_driver_that_another_spool_does_not_have() {
    TwoSpools spools;
    const FakeGpus gpus(spools.first, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spools.first.start());
    QVERIFY(spools.second.start({"--gpus", "0"}));
    QVERIFY(spools.starts_first("0\n"));
    spools.second.drop("b.job", "echo " + binding);
    QVERIFY(waits_with(spools.second, "b", "0 used by another spool of yours"));
    QVERIFY(spools.frees_first("0\n"));
}

QTEST_GUILESS_MAIN(SystemGpuNames)
#include "system_gpu_names.moc"
