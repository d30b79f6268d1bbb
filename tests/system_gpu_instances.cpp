// GPUs that are divided into MIG instances, each of which is a device of its own.
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QByteArray binding = "$CUDA_VISIBLE_DEVICES";

QJsonObject instance(const QString& id, const QJsonArray& processes = {}) {
    int used = 5;
    for (const auto& process : processes)
        used += process.toObject()["memory"].toInt();
    return {{"uuid", id}, {"total", 20'000}, {"used", used}, {"compute", processes}};
}

QJsonObject divided(int index, const QJsonArray& instances) {
    QJsonObject gpu = FakeGpus::a100(index);
    gpu["mig"] = instances;
    return gpu;
}

const QString first = "MIG-aaaaaaaa-1111", second = "MIG-bbbbbbbb-2222";

bool runs_on(const TestSpool& spool, const QString& name, const QString& device) {
    return spool.wait_for(
        [&] { return spool.read("running/" + name + ".log") == device.toUtf8() + '\n'; },
        name + " on " + device);
}

}  // namespace

class SystemGpuInstances : public QObject {
    Q_OBJECT

private slots:
    void each_is_given_once_and_the_whole_never();
    void strangers_and_jobs_are_told_apart();
    void an_adopted_job_keeps_its_instance();
    void they_are_drained_with_their_gpu();
    void an_instance_that_is_taken_apart();
    void they_are_shared_by_memory();
    void spools_have_different_ones();
};

void SystemGpuInstances::each_is_given_once_and_the_whole_never() {
    TestSpool spool;
    const FakeGpus gpus(spool, {divided(0, {instance(first), instance(second)})});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", first));
    spool.drop("b.job", held_job(spool, binding, "--gpu-ids=" + second.toUtf8()));
    QVERIFY(runs_on(spool, "b", second));
    spool.drop("c.job", "true");
    QVERIFY(waits_with(spool, "c",
                       first + " held by job 1 (a); " + second + " held by job 2 (b); 0 free"));
    QVERIFY(gpu_says(spool, "GPU-00000000", "reason", "divided into MIG instances"));
    spool.drop("d.job", "#SPOOL --gpu-ids=GPU-00000000\ntrue");
    QVERIFY(waits_with(spool, "d", "asks for 1 GPU among GPU-00000000"));
    let_go(spool);
    QCOMPARE(spool.wait_for_result("a")["gpu_ids"].toArray(), QJsonArray{first});
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray().size(), 1);
    QVERIFY(spool.exists("incoming/d.job"));
}

void SystemGpuInstances::strangers_and_jobs_are_told_apart() {
    TestSpool spool;
    FakeGpus gpus(spool, {divided(0, {instance(first), instance(second)})});
    const auto uses = [&](const QJsonArray& of_first, const QJsonArray& of_second) {
        gpus.set_gpus({divided(0, {instance(first, of_first), instance(second, of_second)})});
    };
    const auto process = [](qint64 pid) { return QJsonObject{{"pid", pid}, {"memory", 900}}; };
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(spool.wait_for([&] { return QFile::exists(spool.scratch("pid")); }, "a's process"));
    QVERIFY(runs_on(spool, "a", first));
    const qint64 job = spool.read("../home/pid").trimmed().toLongLong();
    // After the end of a job the driver is asked before the next start.
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{second});
    uses({process(job)}, {process(getpid())});
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", second + " used by"));
    QVERIFY(waits_with(spool, "b", QString("(pid %1 of ").arg(getpid())));
    uses({}, {process(job)});
    QVERIFY(waits_with(spool, "b", second + " used by job 1 (a), which was not given it"));
    uses({process(job)}, {});
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{second});
    let_go(spool);
}

void SystemGpuInstances::an_adopted_job_keeps_its_instance() {
    TestSpool spool;
    const FakeGpus gpus(spool, {divided(0, {instance(first), instance(second)})});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", first));
    spool.kill9();
    QVERIFY(spool.start());
    spool.drop("b.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "b", second));
    spool.drop("c.job", "true");
    QVERIFY(waits_with(spool, "c", first + " held by job 1 (a)"));
    let_go(spool);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("a")["gpu_ids"].toArray(), QJsonArray{first});
}

void SystemGpuInstances::they_are_drained_with_their_gpu() {
    TestSpool spool;
    const FakeGpus gpus(spool,
                        {divided(0, {instance(first), instance(second)}), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{first});
    QCOMPARE(spool.gpuspool({"gpus", "drain", "0", second}).exit_code, 0);
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", "1"));
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", first + " drained; " + second + " drained"));
    QCOMPARE(spool.gpuspool({"gpus", "undrain", "0"}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{first});
    let_go(spool);
}

/// As by `nvidia-smi mig -dci`: the job that has it goes on, and nothing new comes there.
void SystemGpuInstances::an_instance_that_is_taken_apart() {
    TestSpool spool;
    FakeGpus gpus(spool, {divided(0, {instance(first), instance(second)})});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", first));
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{second});
    gpus.set_gpus({divided(0, {instance(first)})});
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", second + " its driver no longer lists it"));
    gpus.set_gpus({divided(0, {instance(first), instance(second)})});
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{second});
    let_go(spool);
}

void SystemGpuInstances::they_are_shared_by_memory() {
    TestSpool spool;
    const FakeGpus gpus(spool, {divided(0, {instance(first), instance(second)})});
    QVERIFY(spool.start());
    for (const QString name : {"a", "b"}) {
        spool.drop(name + ".job", held_job(spool, binding, "--gpu-mem=9G"));
        QVERIFY(runs_on(spool, name, first));
    }
    spool.drop("c.job", held_job(spool, binding, "--gpu-mem=9G"));
    QVERIFY(runs_on(spool, "c", second));
    spool.drop("d.job", "#SPOOL --gpu-mem=30G\ntrue");
    QVERIFY(waits_with(spool, "d", "asks for 1 GPU with 30.0 GB to share"));
    let_go(spool);
}

void SystemGpuInstances::spools_have_different_ones() {
    TestSpool one, other;
    other.environment.insert("GPUSPOOL_GPU_LOCKS", one.scratch());
    const QJsonArray both{divided(0, {instance(first), instance(second)})};
    const FakeGpus gpus(one, both), same(other, both);
    QVERIFY(one.start() && other.start());
    one.drop("a.job", held_job(one, binding));
    QVERIFY(runs_on(one, "a", first));
    other.drop("b.job", held_job(other, binding));
    QVERIFY(runs_on(other, "b", second));
    other.drop("c.job", "true");
    QVERIFY(waits_with(other, "c", first + " used by another spool of yours"));
    let_go(one);
    QCOMPARE(other.wait_for_result("c")["gpus"].toArray(), QJsonArray{first});
    let_go(other);
}

QTEST_GUILESS_MAIN(SystemGpuInstances)
#include "system_gpu_instances.moc"
