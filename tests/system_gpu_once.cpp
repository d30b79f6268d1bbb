// `spoold --once` on a machine whose GPUs nobody has listed.
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QByteArray binding = "$CUDA_VISIBLE_DEVICES";

bool once(const TestSpool& spool) {
    const Finished finished = spool.run(SPOOLD, {"--once"});
    if (finished.exit_code != 0) qWarning("spoold --once: %s", finished.err.constData());
    return finished.exit_code == 0;
}

/// Once and again, as cron does, until the job has ended.
bool ends(const TestSpool& spool, const QString& name) {
    return spool.wait_for([&] { return once(spool) && !spool.result(name).isEmpty(); }, name);
}

bool says(const TestSpool& spool, const QString& file, const QByteArray& text) {
    return spool.wait_for([&] { return spool.read(file) == text; }, file);
}

}  // namespace

class SystemGpuOnce : public QObject {
    Q_OBJECT

private slots:
    void free_gpus_are_taken_and_used_ones_left();
    void the_gpu_of_an_earlier_pass_is_held();
    void two_spools();
    void a_slow_driver_is_waited_for();
    void a_driver_that_does_not_answer();
    void without_gpus();
};

void SystemGpuOnce::free_gpus_are_taken_and_used_ones_left() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(once(spool));  // makes the spool
    spool.drop("a.job", held_job(spool, binding));
    spool.drop("b.job", held_job(spool, binding));
    QVERIFY(once(spool));
    QVERIFY(says(spool, "running/a.log", "1\n"));
    QVERIFY(spool.exists("incoming/b.job"));
    QVERIFY(once(spool));
    QVERIFY(spool.exists("incoming/b.job"));
    gpus.set_processes(0, {});
    QVERIFY(once(spool));
    QVERIFY(says(spool, "running/b.log", "0\n"));
    let_go(spool);
    QVERIFY(ends(spool, "a") && ends(spool, "b"));
    QCOMPARE(spool.result("a")["gpu_ids"].toArray(), QJsonArray{"GPU-00000001"});
    QCOMPARE(spool.result("b")["gpu_ids"].toArray(), QJsonArray{"GPU-00000000"});
}

/// By its identity: the index is another GPU's by then.
void SystemGpuOnce::the_gpu_of_an_earlier_pass_is_held() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(once(spool));
    spool.drop("a.job", held_job(spool, binding, "--gpu-ids=1"));
    QVERIFY(once(spool));
    QVERIFY(says(spool, "running/a.log", "1\n"));
    gpus.set_gpus({FakeGpus::a100(1), FakeGpus::a100(2)});
    spool.drop("b.job", held_job(spool, binding));
    spool.drop("c.job", held_job(spool, binding));
    QVERIFY(once(spool));
    QVERIFY(says(spool, "running/b.log", "1\n"));
    QVERIFY(spool.exists("incoming/c.job"));
    let_go(spool);
    QVERIFY(ends(spool, "c"));
    QCOMPARE(spool.result("b")["gpu_ids"].toArray(), QJsonArray{"GPU-00000002"});
}

/// No daemon lives that could keep the lock: the supervisor does.
void SystemGpuOnce::two_spools() {
    TestSpool first, second;
    second.environment.insert("GPUSPOOL_GPU_LOCKS", first.scratch());
    const FakeGpus gpus(first, {FakeGpus::a100(0)}), same(second, {FakeGpus::a100(0)});
    QVERIFY(once(first) && once(second));
    first.drop("a.job", held_job(first, binding));
    second.drop("b.job", "true");
    QVERIFY(once(first));
    QVERIFY(says(first, "running/a.log", "0\n"));
    QVERIFY(once(second));
    QVERIFY(second.exists("incoming/b.job"));
    QVERIFY(second.run(SPOOLD, {"--once"}).exit_code == 0);
    QVERIFY(second.exists("incoming/b.job"));
    let_go(first);
    QVERIFY(ends(second, "b"));
    QCOMPARE(second.result("b")["gpus"].toArray(), QJsonArray{"0"});
    QVERIFY(ends(first, "a"));
}

void SystemGpuOnce::a_slow_driver_is_waited_for() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(once(spool));
    gpus.set("hang", "nvmlDeviceGetName");
    spool.drop("a.job", held_job(spool, binding));
    spool.drop("b.job", held_job(spool, "ready", "--gpus=0"));
    QProcess pass;
    pass.setProcessEnvironment(spool.environment);
    pass.start(SPOOLD, {"--once"});
    // There is nothing else to wait for then.
    QVERIFY(says(spool, "running/b.log", "ready\n"));
    gpus.set("hang", "");
    QVERIFY(pass.waitForFinished(60'000));
    QCOMPARE(pass.exitCode(), 0);
    QVERIFY(says(spool, "running/a.log", "0\n"));
    let_go(spool);
    QVERIFY(ends(spool, "a"));
}

void SystemGpuOnce::a_driver_that_does_not_answer() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set("init", 18);
    QVERIFY(once(spool));
    spool.drop("a.job", "true");
    spool.drop("b.job", "#SPOOL --gpus=0\ntrue");
    QVERIFY(once(spool));
    QVERIFY(spool.exists("incoming/a.job"));
    QVERIFY(ends(spool, "b"));
    QVERIFY(spool.exists("incoming/a.job"));
    gpus.set("init", 0);
    QVERIFY(ends(spool, "a"));
    QCOMPARE(spool.result("a")["gpus"].toArray(), QJsonArray{"0"});
}

void SystemGpuOnce::without_gpus() {
    TestSpool spool;
    QVERIFY(once(spool));
    spool.drop("a.job", "echo \"<" + binding + ">\"");
    spool.drop("b.job", "#SPOOL --gpus=1\ntrue");
    QVERIFY(ends(spool, "a"));
    QCOMPARE(spool.read("done/a.log"), "<>\n");
    QVERIFY(spool.exists("incoming/b.job"));
}

QTEST_GUILESS_MAIN(SystemGpuOnce)
#include "system_gpu_once.moc"
