// What jobs wish for of GPUs, shared and whole, and the GPUs that they keep. The driver is a fake
// one.
#include <QProcess>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

using namespace std::chrono_literals;

class SystemGpuWishes : public QObject {
    Q_OBJECT

private slots:
    void jobs_share_a_gpu_by_memory();
    void a_shared_gpu_is_asked_about_again();
    void who_waits_for_one_gpu_leaves_the_others();
    void wishes();
    void instances_are_bound_by_uuid();
    void a_changed_configuration();
    void an_adopted_job_keeps_its_gpu();
    void nothing_is_asked_while_nobody_waits();
};

void SystemGpuWishes::jobs_share_a_gpu_by_memory() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    for (const char* name : {"a", "b"})
        spool.drop(QString(name) + ".job",
                   held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-mem=30G"));
    QVERIFY(
        spool.wait_for([&] { return spool.read("running/b.log") == "0\n"; }, "a and b on GPU 0"));
    spool.drop("c.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-mem=30G"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/c.log") == "1\n"; }, "c on GPU 1"));
    spool.drop("d.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpus=1"));
    spool.drop("e.job", "#SPOOL --gpu-mem=90G\ntrue");
    QVERIFY(
        spool.wait_for([&] { return wait_sentence(spool, "d").contains("0 free"); }, "d to wait"));
    QVERIFY(spool.wait_for(
        [&] { return wait_sentence(spool, "e").contains("asks for 1 GPU with 90.0 GB to share"); },
        "e to wait"));
    // What is used beyond what was asked for is not given again: after a restart as well.
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    spool.drop("f.job", "#SPOOL --gpu-mem=10G --priority=5\necho $CUDA_VISIBLE_DEVICES");
    QCOMPARE(spool.wait_for_result("f")["gpus"].toArray(), QJsonArray{"0"});
    let_go(spool);
    QCOMPARE(spool.wait_for_result("d")["state"].toString(), "succeeded");
}

/// The end of a job makes what is known of its GPU old, though another one still has it.
void SystemGpuWishes::a_shared_gpu_is_asked_about_again() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-mem=10G"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    for (const char* name : {"b", "c"}) {
        spool.drop(QString(name) + ".job", "#SPOOL --gpu-mem=10G\ntrue");
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
    }
    let_go(spool);
}

void SystemGpuWishes::who_waits_for_one_gpu_leaves_the_others() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-ids=1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("b.job", "#SPOOL --gpu-ids=1\ntrue");
    QVERIFY(
        spool.wait_for([&] { return wait_sentence(spool, "b").contains("1 held by job 1"); }, "b"));
    spool.drop("c.job", "true");
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"0"});
    let_go(spool);
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
}

void SystemGpuWishes::wishes() {
    TestSpool spool;
    QJsonObject screen = FakeGpus::a100(0), other = FakeGpus::a100(2);
    screen["display"] = 1;
    other["name"] = "NVIDIA H100 80GB HBM3";
    FakeGpus gpus(spool, {screen, FakeGpus::a100(1), other});
    QVERIFY(spool.start());
    const auto gpus_of = [&](const QString& name, const QByteArray& options) {
        spool.drop(name + ".job", "#SPOOL " + options + "\ntrue");
        QStringList out;
        for (const auto& gpu : spool.wait_for_result(name)["gpus"].toArray())
            out << gpu.toString();
        return out;
    };
    QCOMPARE(gpus_of("a", "--gpus=1"), QStringList{"1"});  // the screen's comes last
    QCOMPARE(gpus_of("b", "--gpus=3"), (QStringList{"0", "1", "2"}));
    QCOMPARE(gpus_of("c", "--gpu-type=h100"), QStringList{"2"});
    QCOMPARE(gpus_of("d", "--gpu-ids=0,2"), (QStringList{"0", "2"}));
    QCOMPARE(gpus_of("e", "--gpus=1 --gpu-ids=GPU-00000000"), QStringList{"0"});
    QCOMPARE(gpus_of("f", "--gpus=1 --gpu-avoid=1"), QStringList{"2"});
    QCOMPARE(gpus_of("g", "--gpus=0"), QStringList{});
    spool.drop("never.job", "#SPOOL --gpus=2 --gpu-type=h100\ntrue");
    QVERIFY(spool.wait_for(
        [&] { return wait_sentence(spool, "never").startsWith("asks for 2 GPUs of type h100"); },
        "the reason of what can never be"));
}

void SystemGpuWishes::instances_are_bound_by_uuid() {
    TestSpool spool;
    QJsonObject divided = FakeGpus::a100(0);
    QJsonObject instance = FakeGpus::a100(0);
    instance["uuid"] = "MIG-11111111";
    instance["total"] = 20000;
    divided["mig"] = QJsonArray{instance};
    FakeGpus gpus(spool, {divided, FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    spool.drop("b.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "MIG-11111111\n"; },
                           "a on the instance"));
}

void SystemGpuWishes::a_changed_configuration() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    const auto configure = [&](const QByteArray& text) {
        QFile file(spool.path("config.json"));
        QVERIFY(file.open(QIODevice::WriteOnly) && file.write(text) == text.size());
    };
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    // Its GPU leaves the pool: the job goes on, and nothing else comes there.
    configure(R"({"gpus": [1]})");
    spool.drop("b.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.exists("running/a.job"));
    configure(R"({"max_gpus": 2})");
    spool.drop("c.job", "true");
    QVERIFY(spool.wait_for([&] { return wait_sentence(spool, "c").contains("1 held by job 2"); },
                           "c to wait"));
    configure(R"({"max_gpus": 2, "gpus_drained": [0], "bind": "uuid"})");
    let_go(spool);
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"GPU-00000001"});
}

/// By its identity: its index may have become another's.
void SystemGpuWishes::an_adopted_job_keeps_its_gpu() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1), FakeGpus::a100(2)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-ids=1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.kill9();
    gpus.set_gpus({FakeGpus::a100(1), FakeGpus::a100(2)});
    QVERIFY(spool.start());
    spool.drop("b.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; },
                           "b on what is GPU 1 now"));
    let_go(spool);
    QCOMPARE(spool.wait_for_result("b")["gpu_ids"].toArray(), QJsonArray{"GPU-00000002"});
    QCOMPARE(spool.wait_for_result("a")["gpu_ids"].toArray(), QJsonArray{"GPU-00000001"});
}

/// That the driver is asked would be seen from its hanging.
void SystemGpuWishes::nothing_is_asked_while_nobody_waits() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    spool.drop("b.job", "true");
    QVERIFY(
        spool.wait_for([&] { return wait_sentence(spool, "b").contains("held by job 1"); }, "b"));
    // All GPUs are held by jobs of ours: only their end makes one free.
    gpus.set("hang", "nvmlDeviceGetUUID");
    const auto asked = [&] { return spool.daemon_log().contains("have not answered"); };
    QVERIFY(!spool.wait_for(asked, "an answer that nobody asks for (expected)", 7s));
    gpus.set("hang", "");
    let_go(spool);
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(SystemGpuWishes)
#include "system_gpu_wishes.moc"
