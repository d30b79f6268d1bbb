// What happens to a machine's GPUs under a daemon, and what it is asked before it knows them.
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/gpu_jobs.h"

namespace {

QJsonObject divided(int index, const QStringList& ids) {
    QJsonArray instances;
    for (const QString& id : ids)
        instances.append(QJsonObject{{"uuid", id}, {"total", 20'000}, {"used", 5}});
    QJsonObject gpu = FakeGpus::a100(index);
    gpu["mig"] = instances;
    return gpu;
}

QJsonObject lost_a100(int index) {
    QJsonObject gpu = FakeGpus::a100(index);
    gpu["handle"] = 15;  // NVML_ERROR_GPU_IS_LOST
    return gpu;
}

}  // namespace

class SystemGpuSurprises : public QObject {
    Q_OBJECT

private slots:
    void a_share_as_large_as_the_gpu();
    void more_than_any_gpu_has_is_never_possible();
    void what_others_leave_of_a_gpu_is_told();
    void what_a_job_uses_counts_beside_others();
    void a_request_before_the_daemon();
    void a_request_before_the_first_answer();
    void a_request_where_no_driver_answers();
    void an_ambiguous_name_is_refused();
    void gpus_that_come_after_the_start();
    void a_gpu_that_was_lost_at_the_start_comes_back();
    void instances_that_become_one_gpu();
    void what_was_not_executed_is_no_failure();
    void a_gpu_that_failures_have_drained_is_told();
    void pools_by_hand_data();
    void pools_by_hand();
    void automatic_whatever_the_settings_say();
    void names_in_the_settings_that_are_none();
    void a_library_that_cannot_be_loaded();
    void an_amd_gpu_without_a_compute_driver();
    void while_the_daemon_has_only_just_started();
};

void SystemGpuSurprises::a_share_as_large_as_the_gpu() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});  // of which the driver uses 5 MiB
    QVERIFY(spool.start());
    spool.drop("whole.job", "#SPOOL --gpu-mem=80G\ntrue");
    QCOMPARE(spool.wait_for_result("whole")["gpus"].toArray(), QJsonArray{"0"});
}

void SystemGpuSurprises::more_than_any_gpu_has_is_never_possible() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    spool.drop("never.job", "#SPOOL --gpu-mem=81G\ntrue");
    spool.drop("other.job", "true");
    QCOMPARE(spool.wait_for_result("other")["state"].toString(), "succeeded");
    QVERIFY(waits_with(spool, "never",
                       "asks for 1 GPU with 81.0 GB to share (the largest here has 80.0 GB)"));
}

void SystemGpuSurprises::what_others_leave_of_a_gpu_is_told() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set(0, "display", 1);
    // A desktop's: it may have a quarter.
    gpus.set(0, "graphics", QJsonArray{QJsonObject{{"pid", getpid()}, {"memory", 10'240}}});
    gpus.set(0, "used", 10'240 + 512);
    QVERIFY(spool.start());
    spool.drop("most.job", "#SPOOL --gpu-mem=79G\ntrue");
    QVERIFY(
        waits_with(spool, "most", "0 has 70.0 GB of its 80.0 GB to share: others use the rest"));
    spool.drop("plain.job", "true");
    QCOMPARE(spool.wait_for_result("plain")["state"].toString(), "succeeded");
    spool.drop("less.job", "#SPOOL --gpu-mem=70G\ntrue");
    QCOMPARE(spool.wait_for_result("less")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/most.job"));
}

void SystemGpuSurprises::what_a_job_uses_counts_beside_others() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-mem=30G"));
    QVERIFY(spool.wait_for([&] { return QFile::exists(spool.scratch("pid")); }, "a's process"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    gpus.set_processes(0, {{spool.read("../home/pid").trimmed().toLongLong(), 60'000}});
    // The driver is asked before the next start after the end of a job.
    spool.drop("before.job", "#SPOOL --gpu-ids=1\ntrue");
    QCOMPARE(spool.wait_for_result("before")["state"].toString(), "succeeded");
    spool.drop("b.job", "#SPOOL --gpu-mem=30G\ntrue");
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
    spool.drop("c.job", "#SPOOL --gpu-mem=20G\ntrue");
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"0"});
    let_go(spool);
}

void SystemGpuSurprises::a_request_before_the_daemon() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());  // makes the spool
    QVERIFY(spool.stop());
    spool.drop("a.job", "true");
    (void)spool.gpuspool({"gpus", "drain", "0"});
    QVERIFY(spool.start());
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"1"});
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "drained"));
    QVERIFY(spool.stop());
    (void)spool.gpuspool({"gpus", "undrain", "0"});
    QVERIFY(spool.start());
    spool.drop("b.job", "true");
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"0"});
}

void SystemGpuSurprises::a_request_before_the_first_answer() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    gpus.set("hang", "nvmlInit_v2");
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "being looked at"));
    QProcess asking;
    asking.setProcessEnvironment(spool.environment);
    asking.start(GPUSPOOL, {"gpus", "drain", "0"});
    QVERIFY(asking.waitForStarted());
    const auto queued = [&] {
        return !QDir(spool.path("control")).entryList({"*.request"}, QDir::Files).isEmpty();
    };
    QVERIFY(spool.wait_for(queued, "the request"));
    gpus.set("hang", "");
    QVERIFY(asking.waitForFinished(60'000));
    QCOMPARE(asking.exitCode(), 0);
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"1"});
}

void SystemGpuSurprises::a_request_where_no_driver_answers() {
    TestSpool spool;
    FakeGpus gpus(spool, {});
    gpus.set("init", 9);
    QVERIFY(spool.start());
    const Finished asked = spool.gpuspool({"gpus", "drain", "0"});
    QVERIFY(asked.exit_code != 0);
    QVERIFY2((asked.out + asked.err).contains("is not known: NVIDIA driver"),
             asked.out + asked.err);
}

void SystemGpuSurprises::an_ambiguous_name_is_refused() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    for (const char* verb : {"drain", "undrain"}) {
        const Finished asked = spool.gpuspool({"gpus", verb, "GPU-0000000"});
        QVERIFY(asked.exit_code != 0);
        QVERIFY2((asked.out + asked.err).contains("0 (GPU-00000000), 1 (GPU-00000001)"),
                 asked.out + asked.err);
    }
    QCOMPARE(spool.gpuspool({"gpus", "drain", "GPU-00000001"}).exit_code, 0);
}

void SystemGpuSurprises::gpus_that_come_after_the_start() {
    TestSpool spool;
    FakeGpus gpus(spool, {});
    QVERIFY(spool.start());
    spool.drop("a.job", "#SPOOL --gpus=1\ntrue");
    QVERIFY(waits_with(spool, "a", "this machine's pool has none"));
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"0"});
}

void SystemGpuSurprises::a_gpu_that_was_lost_at_the_start_comes_back() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), lost_a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(waits_with(spool, "a", "waiting for 2 GPUs: 1 "));
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), (QJsonArray{"0", "1"}));
    spool.drop("b.job", "#SPOOL --gpus=3\ntrue");
    QVERIFY(waits_with(spool, "b", "has 2 at most"));
}

void SystemGpuSurprises::instances_that_become_one_gpu() {
    TestSpool spool;
    FakeGpus gpus(spool, {divided(0, {"MIG-aaaaaaaa", "MIG-bbbbbbbb"}), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", "#SPOOL --gpus=3\ntrue");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray().size(), 3);
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    spool.drop("b.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(spool.wait_for([&] { return spool.exists("done/b.json"); }, "b to end"));
    spool.drop("c.job", "#SPOOL --gpu-ids=0,1\ntrue");
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), (QJsonArray{"0", "1"}));
    const auto two = [&] { return status_of(spool)["gpus"].toArray().size() == 2; };
    QVERIFY(spool.wait_for(two, "two slots"));
}

void SystemGpuSurprises::what_was_not_executed_is_no_failure() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    for (int i = 0; i < 2; ++i)
        for (const QByteArray options :
             {"--chdir=/nonexistent", "--output=/proc/self", "--shell=/nonexistent"}) {
            const QString name = QString("bad%1%2").arg(i).arg(options.mid(2, 3));
            spool.drop(name + ".job", "#SPOOL " + options + "\ntrue");
            const QJsonObject result = spool.wait_for_result(name);
            QCOMPARE(result["state"].toString(), "failed");
            QVERIFY2(result["reason"].toString().startsWith("not started"),
                     qPrintable(result["reason"].toString()));
        }
    spool.drop("good.job", "true");
    QCOMPARE(spool.wait_for_result("good")["state"].toString(), "succeeded");
}

void SystemGpuSurprises::a_gpu_that_failures_have_drained_is_told() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    for (const char* name : {"a", "b", "c"}) {
        spool.drop(QString(name) + ".job", "exit 3");
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "failed");
    }
    const auto told = [&] {
        return problems_of(spool).contains(
            "nothing more is started on GPU 0 (GPU-00000000): jobs 1, 2, 3 failed within a minute "
            "of their start; when it is well again: gpuspool gpus undrain GPU-00000000");
    };
    QVERIFY2(spool.wait_for(told, "the problem"), qPrintable(problems_of(spool)));
    QVERIFY(spool.gpuspool({"status"}).out.contains("! nothing more is started on GPU 0"));
    QVERIFY(spool.gpuspool({"doctor"}).out.contains("gpus undrain GPU-00000000"));
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    QVERIFY2(spool.wait_for(told, "the problem, told by the next daemon"),
             qPrintable(problems_of(spool)));
    QCOMPARE(spool.gpuspool({"gpus", "undrain", "0"}).exit_code, 0);
    const auto over = [&] { return !problems_of(spool).contains("nothing more is started"); };
    QVERIFY2(spool.wait_for(over, "it to be over"), qPrintable(problems_of(spool)));
    // What the user takes out of use is no problem.
    QCOMPARE(spool.gpuspool({"gpus", "drain", "0"}).exit_code, 0);
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "drained"));
    QVERIFY2(over(), qPrintable(problems_of(spool)));
}

void SystemGpuSurprises::pools_by_hand_data() {
    QTest::addColumn<QStringList>("words");
    QTest::addColumn<QByteArray>("said");
    for (const char* word : {"all", "none", "x"})
        QTest::newRow(word) << QStringList{word} << QByteArray(word) + "' can be no GPU";
    QTest::newRow("a number below 0")
        << QStringList{"--gpus=-1"} << QByteArray("'-1' can be no GPU");
    QTest::newRow("an empty place") << QStringList{"0,,1"} << QByteArray("names nothing");
    QTest::newRow("auto among others") << QStringList{"0", "auto"} << QByteArray("can be no GPU");
    QTest::newRow("control characters") << QStringList{"\033[31m0"} << QByteArray("control");
}

void SystemGpuSurprises::pools_by_hand() {
    QFETCH(QStringList, words);
    QFETCH(QByteArray, said);
    const TestSpool spool;
    if (!words.first().startsWith("--")) words.prepend("--gpus");
    const Finished refused = spool.run(SPOOLD, words);
    QVERIFY(refused.exit_code > 0);
    const QByteArray output = refused.out + refused.err;
    QVERIFY2(output.contains(said) && output.contains("UUIDs"), output);
    QVERIFY(!output.contains('\033'));
}

void SystemGpuSurprises::automatic_whatever_the_settings_say() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start() && spool.stop());  // makes the spool
    QFile settings(spool.path("config.json"));
    QVERIFY(settings.open(QIODevice::WriteOnly) && settings.write(R"({"gpus": [1]})") > 0);
    settings.close();
    QVERIFY(spool.start({"--gpus", "auto"}));
    spool.drop("a.job", "#SPOOL --gpus=2\ntrue");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), (QJsonArray{"0", "1"}));
}

void SystemGpuSurprises::names_in_the_settings_that_are_none() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start() && spool.stop());  // makes the spool
    QFile settings(spool.path("config.json"));
    QVERIFY(settings.open(QIODevice::WriteOnly) &&
            settings.write(R"({"gpus_drained": [0, 7, "x"]})") > 0);
    settings.close();
    QVERIFY(spool.start());
    const auto told = [&] {
        return problems_of(spool).contains("\"gpus_drained\" in config.json names '7', 'x'");
    };
    QVERIFY2(spool.wait_for(told, "the problem"), qPrintable(problems_of(spool)));
}

void SystemGpuSurprises::a_library_that_cannot_be_loaded() {
    TestSpool spool;
    spool.environment.insert("GPUSPOOL_NVML", "/proc/self/status");
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "NVML cannot be loaded"));
    QVERIFY(problems_of(spool).contains("/proc/self/status"));
    spool.drop("b.job", "#SPOOL --gpus=0\ntrue");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/a.job"));
}

void SystemGpuSurprises::an_amd_gpu_without_a_compute_driver() {
    TestSpool spool;
    const FakeSysfs sysfs(spool.scratch("sys"));
    sysfs.add_amd(0);
    QVERIFY(QDir(spool.scratch("sys/class/kfd")).removeRecursively());
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{});
    QVERIFY(gpu_says(spool, "AMD-000000", "status", "unused"));
    QVERIFY(gpu_says(spool, "AMD-000000", "reason", "no compute driver (amdkfd) has it"));
}

void SystemGpuSurprises::while_the_daemon_has_only_just_started() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set("hang", "nvmlInit_v2");
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "being looked at"));
    // The command asks a driver that answers.
    QFile answers(spool.scratch("answers.json"));
    const QByteArray text =
        QJsonDocument(QJsonObject{{"gpus", QJsonArray{FakeGpus::a100(0)}}}).toJson();
    QVERIFY(answers.open(QIODevice::WriteOnly) && answers.write(text) == text.size());
    answers.close();
    spool.environment.insert("FAKE_NVML", answers.fileName());
    const QByteArray table = spool.gpuspool({"gpus"}).out;
    QVERIFY2(table.contains("being looked at"), table);
    QVERIFY2(!table.contains("not in the pool"), table);
    gpus.set("hang", "");
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "free"));
}

QTEST_GUILESS_MAIN(SystemGpuSurprises)
#include "system_gpu_surprises.moc"
