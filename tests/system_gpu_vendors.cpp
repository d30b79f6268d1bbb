// GPUs of AMD's and Intel's, as jobs and users meet them; /sys is a made one.
#include <QTest>
#include <memory>

#include "tests/support/fake_gpus.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QByteArray binding = "$ROCR_VISIBLE_DEVICES $HIP_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES";

}  // namespace

class SystemGpuVendors : public QObject {
    Q_OBJECT

private slots:
    void init() {
        spool_ = std::make_unique<TestSpool>();
        sysfs_ = std::make_unique<FakeSysfs>(spool_->scratch("sys"));
    }

    void amd_jobs_are_bound();
    void a_stranger_in_the_kfd_is_left_alone();
    void memory_without_a_process_is_somebodys();
    void processes_of_jobs_are_told_by_their_gpus();
    void amd_gpus_are_shared_by_memory();
    void an_adopted_amd_job_keeps_its_gpu();
    void an_amd_gpu_that_vanishes_comes_back();
    void an_amd_driver_without_answers();
    void visible_devices_limit_the_pool_data();
    void visible_devices_limit_the_pool();
    void intel_gpus_are_shown_and_not_given();
    void a_list_by_hand_needs_no_driver();
    void nvidia_goes_first();

private:
    /// Runs a job that gives its binding back.
    QByteArray bound(const QString& name, const QByteArray& options = {}) {
        spool_->drop(name + ".job", "#SPOOL " + options + "\necho \"" + binding + "\"");
        if (spool_->wait_for_result(name)["state"] != "succeeded") return "failed";
        return spool_->read("done/" + name + ".log").trimmed();
    }
    bool runs_as(const QString& name, const QByteArray& line) {
        return spool_->wait_for([&] { return spool_->read("running/" + name + ".log") == line; },
                                name + " to say " + line.trimmed());
    }
    qint64 job_process() {
        if (!spool_->wait_for([&] { return QFile::exists(spool_->scratch("pid")); }, "a process"))
            return 0;
        return spool_->read("../home/pid").trimmed().toLongLong();
    }

    std::unique_ptr<TestSpool> spool_;
    std::unique_ptr<FakeSysfs> sysfs_;
};

/// HIP numbers what ROCR leaves.
void SystemGpuVendors::amd_jobs_are_bound() {
    for (const int gpu : {0, 1, 2})
        sysfs_->add_amd(gpu);
    QVERIFY(spool_->start());
    QCOMPARE(bound("both", "--gpus=2"), "0,1 0,1 0,1");
    spool_->drop("a.job", held_job(*spool_, binding));
    QVERIFY(runs_as("a", "0 0 0\n"));
    spool_->drop("b.job", held_job(*spool_, binding));
    QVERIFY(runs_as("b", "1 0 0\n"));
    QCOMPARE(bound("cpu", "--gpus=0"), "");
    QCOMPARE(bound("address", "--gpu-ids=0000:05:00.0"), "2 0 0");
    QCOMPARE(bound("type", "--gpu-type=mi210"), "2 0 0");
    spool_->drop("c.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(waits_with(*spool_, "c", "waiting for 2 GPUs: 0 held by job 2 (a); 1 held by job 3"));
    let_go(*spool_);
    QCOMPARE(spool_->wait_for_result("b")["gpu_ids"].toArray(), QJsonArray{"AMD-000001"});
    QCOMPARE(spool_->wait_for_result("c")["gpus"].toArray().size(), 2);
}

void SystemGpuVendors::a_stranger_in_the_kfd_is_left_alone() {
    sysfs_->add_amd(0);
    sysfs_->set_amd_process(0, getpid(), 600);
    QVERIFY(spool_->start());
    spool_->drop("x.job", "true");
    // The test is the stranger. (The kernel keeps 15 characters of a program's name.)
    const QString program = QFileInfo(QCoreApplication::applicationFilePath()).fileName().left(15);
    const QString owner = QFileInfo("/proc/self").owner();
    const QString pid = QString::number(getpid());
    QVERIFY(waits_with(*spool_, "x",
                       QString("0 used by %1 (pid %2 of %3, 600 MiB); if that does not matter: "
                               "gpuspool gpus ignore %2")
                           .arg(program, pid, owner)));
    QVERIFY(!spool_->exists("running/x.job"));
    QVERIFY(gpu_says(*spool_, "AMD-000000", "status", "busy"));
    sysfs_->set_amd_process(0, getpid(), 0);
    QCOMPARE(spool_->wait_for_result("x")["state"].toString(), "succeeded");
}

void SystemGpuVendors::memory_without_a_process_is_somebodys() {
    sysfs_->add_amd(0);
    sysfs_->put(sysfs_->amd_file(0, "mem_info_vram_used"), "30000000000\n");
    QVERIFY(spool_->start());
    spool_->drop("x.job", "true");
    QVERIFY(waits_with(*spool_, "x", "are used by no process that can be seen"));
    sysfs_->put(sysfs_->amd_file(0, "mem_info_vram_used"), "10000000\n");
    QCOMPARE(spool_->wait_for_result("x")["state"].toString(), "succeeded");
}

void SystemGpuVendors::processes_of_jobs_are_told_by_their_gpus() {
    sysfs_->add_amd(0);
    sysfs_->add_amd(1);
    QVERIFY(spool_->start());
    spool_->drop("a.job", held_job(*spool_, binding));
    QVERIFY(runs_as("a", "0 0 0\n"));
    const qint64 process = job_process();
    sysfs_->set_amd_process(0, process, 9000);
    QCOMPARE(bound("b"), "1 0 0");
    sysfs_->set_amd_process(1, process, 100);
    spool_->drop("c.job", "true");
    QVERIFY(waits_with(*spool_, "c", "1 used by job 1 (a), which was not given it"));
    sysfs_->set_amd_process(1, process, 0);
    QCOMPARE(spool_->wait_for_result("c")["gpus"].toArray(), QJsonArray{"1"});
    let_go(*spool_);
}

void SystemGpuVendors::amd_gpus_are_shared_by_memory() {
    sysfs_->add_amd(0);
    sysfs_->add_amd(1);
    QVERIFY(spool_->start());
    spool_->drop("a.job", held_job(*spool_, binding, "--gpu-mem=20G"));
    QVERIFY(runs_as("a", "0 0 0\n"));
    sysfs_->set_amd_process(0, job_process(), 15'000);
    QCOMPARE(bound("b", "--gpu-mem=20G"), "0 0 0");
    // It has more than it has asked for: there is room for less.
    sysfs_->set_amd_process(0, job_process(), 50'000);
    QCOMPARE(bound("c", "--gpu-mem=20G"), "1 0 0");
    QCOMPARE(bound("d", "--gpu-mem=5G"), "0 0 0");
    let_go(*spool_);
}

/// By its identity: its index has become another's.
void SystemGpuVendors::an_adopted_amd_job_keeps_its_gpu() {
    for (const int gpu : {0, 1, 2})
        sysfs_->add_amd(gpu);
    QVERIFY(spool_->start());
    spool_->drop("a.job", held_job(*spool_, binding, "--gpu-ids=1"));
    QVERIFY(runs_as("a", "1 0 0\n"));
    spool_->kill9();
    sysfs_->remove_amd(0);
    QVERIFY(spool_->start());
    spool_->drop("b.job", held_job(*spool_, binding));
    QVERIFY(runs_as("b", "1 0 0\n"));
    spool_->drop("c.job", "true");
    QVERIFY(waits_with(*spool_, "c", "0 held by job 1 (a); 1 held by job 2 (b)"));
    let_go(*spool_);
    const QJsonObject adopted = spool_->wait_for_result("a");
    QCOMPARE(adopted["state"].toString(), "succeeded");
    QCOMPARE(adopted["gpu_ids"].toArray(), QJsonArray{"AMD-000001"});
    QCOMPARE(spool_->wait_for_result("b")["gpu_ids"].toArray(), QJsonArray{"AMD-000002"});
    QCOMPARE(spool_->wait_for_result("c")["state"].toString(), "succeeded");
}

void SystemGpuVendors::an_amd_gpu_that_vanishes_comes_back() {
    sysfs_->add_amd(0);
    sysfs_->add_amd(1);
    QVERIFY(spool_->start());
    spool_->drop("a.job", held_job(*spool_, binding, "--gpu-ids=0"));
    QVERIFY(runs_as("a", "0 0 0\n"));
    QCOMPARE(bound("before"), "1 0 0");
    sysfs_->remove_amd(1);
    spool_->drop("b.job", "true");
    QVERIFY(waits_with(*spool_, "b", "1 its driver no longer lists it"));
    QVERIFY(spool_->exists("running/a.job"));
    sysfs_->add_amd(1);
    QCOMPARE(spool_->wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
    let_go(*spool_);
}

void SystemGpuVendors::an_amd_driver_without_answers() {
    sysfs_->add_amd(0);
    sysfs_->remove(sysfs_->amd_file(0, "mem_info_vram_used"));
    QVERIFY(spool_->start());
    spool_->drop("x.job", "true");
    QVERIFY(waits_with(*spool_, "x", "0 its memory is not known: amdgpu does not answer"));
    QVERIFY(gpu_says(*spool_, "AMD-000000", "status", "unknown"));
    sysfs_->put(sysfs_->amd_file(0, "mem_info_vram_used"), "10000000\n");
    QCOMPARE(spool_->wait_for_result("x")["state"].toString(), "succeeded");
}

void SystemGpuVendors::visible_devices_limit_the_pool_data() {
    QTest::addColumn<bool>("nvidia");
    QTest::addColumn<QString>("variable");
    QTest::addColumn<QString>("value");
    QTest::newRow("AMD, index") << false << "ROCR_VISIBLE_DEVICES"
                                << "1";
    QTest::newRow("NVIDIA, index") << true << "CUDA_VISIBLE_DEVICES"
                                   << "1";
    QTest::newRow("NVIDIA, UUID") << true << "CUDA_VISIBLE_DEVICES"
                                  << "GPU-00000001";
}

void SystemGpuVendors::visible_devices_limit_the_pool() {
    QFETCH(bool, nvidia);
    QFETCH(QString, variable);
    QFETCH(QString, value);
    std::unique_ptr<FakeGpus> gpus;
    if (nvidia)
        gpus =
            std::make_unique<FakeGpus>(*spool_, QJsonArray{FakeGpus::a100(0), FakeGpus::a100(1)});
    else
        for (const int gpu : {0, 1})
            sysfs_->add_amd(gpu);
    spool_->environment.insert(variable, value);
    QVERIFY(spool_->start());
    spool_->drop("a.job", held_job(*spool_, '$' + variable.toUtf8()));
    QVERIFY(runs_as("a", "1\n"));
    spool_->drop("b.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(waits_with(*spool_, "b", "asks for 2 GPUs"));
    QVERIFY(gpu_says(*spool_, nvidia ? "GPU-00000000" : "AMD-000000", "reason",
                     "spoold was started with a list of visible devices without it"));
    let_go(*spool_);
}

void SystemGpuVendors::intel_gpus_are_shown_and_not_given() {
    sysfs_->add_intel(0);
    sysfs_->add_intel(1, 16'000, 4'000);
    QVERIFY(spool_->start());
    spool_->drop("a.job", "echo \"<$CUDA_VISIBLE_DEVICES>\"");
    const QJsonObject result = spool_->wait_for_result("a");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["gpus"].toArray(), QJsonArray{});
    QCOMPARE(spool_->read("done/a.log"), "<>\n");
    spool_->drop("b.job", "#SPOOL --gpus=1\ntrue");
    QVERIFY(waits_with(*spool_, "b", "asks for 1 GPU"));
    const QString discrete = "INTEL-0000:00:03.0";
    QVERIFY(gpu_says(*spool_, discrete, "status", "unused"));
    QVERIFY(gpu_says(*spool_, discrete, "reason", "Intel's GPUs are shown, not given to jobs"));
    QCOMPARE(gpu_member(*spool_, discrete, "memory_used").toInteger(), 12'000ll << 20);
    const QByteArray table = spool_->gpuspool({"gpus"}).out;
    QVERIFY2(table.count("  Intel GPU  ") == 2 && table.contains("11.7 GB of 15.6 GB"), table);
}

/// Whose driver cannot be asked is taken at his word, also where the processor has a GPU of
/// Intel's.
void SystemGpuVendors::a_list_by_hand_needs_no_driver() {
    sysfs_->add_intel(0);
    QVERIFY(spool_->start({"--gpus", "0"}));
    spool_->drop("a.job", "echo $CUDA_VISIBLE_DEVICES");
    QCOMPARE(spool_->wait_for_result("a")["gpus"].toArray(), QJsonArray{"0"});
    QCOMPARE(spool_->read("done/a.log"), "0\n");
}

void SystemGpuVendors::nvidia_goes_first() {
    const FakeGpus gpus(*spool_, {FakeGpus::a100(0)});
    sysfs_->add_amd(0);
    sysfs_->add_intel(1);
    QVERIFY(spool_->start());
    QCOMPARE(bound("a"), "0");
    QCOMPARE(spool_->wait_for_result("a")["gpu_ids"].toArray(), QJsonArray{"GPU-00000000"});
    QVERIFY(
        gpu_says(*spool_, "AMD-000000", "reason", "NVIDIA's GPUs are used where there are both"));
    QCOMPARE(json_of(spool_->gpuspool({"gpus", "--json"}))["gpus"].toArray().size(), 3);
}

QTEST_GUILESS_MAIN(SystemGpuVendors)
#include "system_gpu_vendors.moc"
