// What is read of AMD's and Intel's drivers, from trees made like theirs; who processes are, from
// /proc; and the form in which a probe tells all of it.
#include <QTemporaryDir>
#include <QTest>

#include "spoold/probe/drm_clients.h"
#include "spoold/probe/processes.h"
#include "spoold/probe/sysfs.h"
#include "tests/support/device_files.h"
#include "tests/support/fake_sysfs.h"

using spool::Gpu;
using spool::GpuProcess;
using spool::GpuVendor;

class unit_probe_sysfs : public QObject {
    Q_OBJECT

private slots:
    void init() {
        scratch_.reset(new QTemporaryDir);
        QVERIFY(DeviceFiles::open_to_all(scratch_->path()));
    }
    void an_amd_gpu_is_described();
    void amd_gpus_are_numbered_as_rocm_does();
    void amd_processes_have_their_memory_on_this_gpu();
    void an_amd_gpu_without_answers_is_unknown();
    void amd_device_files_data();
    void amd_device_files();
    void a_hidden_amd_node_is_withheld();
    void intel_gpus();
    void who_has_a_gpu_open();
    void without_gpus();
    void who_a_process_is();
    void a_process_that_cannot_be_seen();
    void one_process_on_two_gpus();
    void a_survey_is_read_as_written();
    void damaged_surveys_are_refused_data();
    void damaged_surveys_are_refused();

private:
    void put(const QString& path, const QByteArray& text) {
        FakeSysfs(scratch_->path()).put(path, text);
    }
    QString card(int number, const QString& address, const QByteArray& vendor) {
        return FakeSysfs(scratch_->path()).add_card(number, address, vendor);
    }
    void node(int number, const QByteArray& gpu_id, const QByteArray& location) {
        FakeSysfs(scratch_->path()).add_node(number, gpu_id, location);
    }
    QString amd(int number, const QString& address) {
        const QString device = card(number, address, "0x1002");
        put(device + "/mem_info_vram_total", "1000000\n");
        put(device + "/mem_info_vram_used", "2000\n");
        return device;
    }
    std::filesystem::path root() { return scratch_->path().toStdString(); }

    QScopedPointer<QTemporaryDir> scratch_;
};

void unit_probe_sysfs::an_amd_gpu_is_described() {
    const QString device = amd(1, "0000:03:00.0");
    put(device + "/gpu_busy_percent", "37\n");
    put(device + "/unique_id", "a1b2c3\n");
    put(device + "/product_name", "Instinct MI300X\n");
    put(device + "/hwmon/hwmon4/temp1_input", "45000\n");
    put(device + "/hwmon/hwmon4/power1_average", "130500000\n");
    put(device + "/drm/card1/card1-DP-1/status", "connected\n");
    node(0, "0", "0");
    node(1, "51234", "768");
    const auto gpus = spool::probe::survey_amd(root(), root() / "dev");
    QCOMPARE(gpus.size(), std::size_t{1});
    Gpu expected;
    expected.id = "AMD-a1b2c3";
    expected.vendor = GpuVendor::amd;
    expected.pci = "0000:03:00.0";
    expected.name = "Instinct MI300X";
    expected.display = true;
    expected.memory_total = 1'000'000;
    expected.memory_used = 2000;
    expected.used_with_reserve = true;
    expected.utilisation = 37;
    expected.temperature = 45;
    expected.power = 130;
    expected.processes.emplace();
    QVERIFY(gpus[0] == expected);
}

/// The order of the nodes, not that of the cards.
void unit_probe_sysfs::amd_gpus_are_numbered_as_rocm_does() {
    amd(0, "0000:03:00.0");
    amd(1, "0000:83:00.0");
    node(1, "2", "33536");
    node(2, "1", "768");
    const auto gpus = spool::probe::survey_amd(root(), root() / "dev");
    QCOMPARE(gpus.size(), std::size_t{2});
    QCOMPARE(gpus[0].pci, std::string("0000:83:00.0"));
    QCOMPARE(gpus[0].index, 0);
    QCOMPARE(gpus[1].pci, std::string("0000:03:00.0"));
    QCOMPARE(gpus[1].index, 1);
}

void unit_probe_sysfs::amd_processes_have_their_memory_on_this_gpu() {
    amd(0, "0000:03:00.0");
    node(1, "51234", "768");
    put("class/kfd/kfd/proc/812/vram_51234", "4096\n");
    put("class/kfd/kfd/proc/813/vram_51234", "0\n");
    put("class/kfd/kfd/proc/814/vram_999", "4096\n");
    const auto gpus = spool::probe::survey_amd(root(), root() / "dev");
    QVERIFY(gpus.at(0).processes);
    QCOMPARE(gpus[0].processes->size(), std::size_t{1});
    QCOMPARE(gpus[0].processes->at(0).pid, 812);
    QCOMPARE(gpus[0].processes->at(0).memory, std::optional<std::uint64_t>(4096));
}

void unit_probe_sysfs::an_amd_gpu_without_answers_is_unknown() {
    card(0, "0000:03:00.0", "0x1002");
    node(1, "1", "768");
    amd(1, "0000:04:00.0");
    const auto gpus = spool::probe::survey_amd(root(), root() / "dev");
    QCOMPARE(gpus.size(), std::size_t{2});
    QVERIFY(gpus[0].computes);
    QVERIFY(gpus[0].problem.find("amdgpu does not answer") != std::string::npos);
    QVERIFY2(!gpus[1].computes, "amdkfd does not have it");
}

void unit_probe_sysfs::amd_device_files_data() {
    QTest::addColumn<QStringList>("files");
    QTest::addColumn<bool>("permitted");
    QTest::newRow("there are none at all") << QStringList() << true;
    QTest::newRow("all may be opened") << QStringList{"dri/renderD128", "kfd"} << true;
    QTest::newRow("not the card's") << QStringList{"kfd", "dri/renderD128", "0"} << false;
    QTest::newRow("not the compute driver's") << QStringList{"dri/renderD128", "kfd", "0"} << false;
    QTest::newRow("no compute driver's") << QStringList{"dri/renderD128"} << false;
    QTest::newRow("another card's") << QStringList{"dri/renderD129", "kfd"} << false;
}

void unit_probe_sysfs::amd_device_files() {
    QFETCH(QStringList, files);
    QFETCH(bool, permitted);
    const QString device = amd(0, "0000:03:00.0");
    put(device + "/drm/card0/dev", "226:0\n");
    put(device + "/drm/renderD128/dev", "226:128\n");
    node(1, "51234", "768");
    const DeviceFiles dev(scratch_->filePath("dev"), files);
    const AsAnybody nobody;
    const auto gpus = spool::probe::survey_amd(root(), dev.path().toStdString());
    QCOMPARE(gpus.size(), std::size_t{1});
    QVERIFY(gpus[0].computes);
    QCOMPARE(gpus[0].permitted, permitted);
}

/// The compute driver does not say then which node is whose.
void unit_probe_sysfs::a_hidden_amd_node_is_withheld() {
    const QString device = amd(0, "0000:03:00.0");
    put(device + "/drm/renderD128/dev", "226:128\n");
    put("class/kfd/kfd/topology/nodes/1/gpu_id", "");
    const DeviceFiles dev(scratch_->filePath("dev"), {"dri/renderD129", "kfd"});
    const auto gpus = spool::probe::survey_amd(root(), dev.path().toStdString());
    QCOMPARE(gpus.size(), std::size_t{1});
    QVERIFY2(gpus[0].computes && !gpus[0].permitted,
             "it is taken for one without a compute driver");
}

void unit_probe_sysfs::intel_gpus() {
    card(0, "0000:00:02.0", "0x8086");
    const QString discrete = card(1, "0000:03:00.0", "0x8086");
    put(discrete + "/drm/card1/lmem_total_bytes", "1000\n");
    put(discrete + "/drm/card1/lmem_avail_bytes", "400\n");
    card(2, "0000:04:00.0", "0x10de");
    const auto gpus = spool::probe::survey_intel(root());
    QCOMPARE(gpus.size(), std::size_t{2});
    QCOMPARE(gpus[0].id, std::string("INTEL-0000:00:02.0"));
    QCOMPARE(gpus[0].memory_total, std::uint64_t{0});
    QCOMPARE(gpus[1].memory_total, std::uint64_t{1000});
    QCOMPARE(gpus[1].memory_used, std::uint64_t{600});
}

void unit_probe_sysfs::who_has_a_gpu_open() {
    const auto client = [&](const QString& process, int fd, const QByteArray& target,
                            const QByteArray& text) {
        put(process + QString("/fdinfo/%1").arg(fd), "pos:\t0\n" + text);
        QDir().mkpath(scratch_->filePath(process + "/fd"));
        QVERIFY(QFile::link(target, scratch_->filePath(process + QString("/fd/%1").arg(fd))));
    };
    const QByteArray first = "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t3\n";
    const QByteArray second = "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t4\n";
    // The same client by two numbers, another of the same process, and a file that is no GPU's.
    client("812", 4, "/dev/dri/renderD128", first + "drm-resident-vram0:\t2048 KiB\n");
    client("812", 5, "/dev/dri/renderD128", first + "drm-resident-vram0:\t2048 KiB\n");
    client("812", 6, "/dev/dri/card0",
           second +
               "drm-resident-vram0:\t1 MiB\ndrm-resident-gtt:\t9 MiB\n"
               "drm-cycles-ccs:\t77\n");
    client("812", 7, "/tmp/a-file", first + "drm-resident-vram0:\t4096 KiB\n");
    client("99", 3, "/dev/dri/card1",
           "drm-pdev:\t0000:00:02.0\ndrm-client-id:\t1\ndrm-engine-compute:\t0 ns\n");
    put("self/fdinfo/3", first);
    const auto clients = spool::probe::drm_clients(root());
    QCOMPARE(clients.size(), std::size_t{2});
    const auto& discrete = clients.at("0000:03:00.0");
    QCOMPARE(discrete.size(), std::size_t{1});
    QCOMPARE(discrete[0].pid, 812);
    QVERIFY(discrete[0].kind == GpuProcess::Kind::compute);
    QCOMPARE(discrete[0].memory, std::optional<std::uint64_t>(3 << 20));
    const auto& integrated = clients.at("0000:00:02.0");
    QCOMPARE(integrated.size(), std::size_t{1});
    QVERIFY(integrated[0].kind == GpuProcess::Kind::graphics);
    QVERIFY2(!integrated[0].memory, "it has no memory of its own");
}

void unit_probe_sysfs::without_gpus() {
    QVERIFY(spool::probe::survey_amd(root(), root() / "dev").empty());
    QVERIFY(spool::probe::survey_intel(root() / "nowhere").empty());
}

void unit_probe_sysfs::who_a_process_is() {
    put("812/comm", "python3\n");
    put("812/environ", QByteArray("A=1\0GPUSPOOL_TOKEN=abc\0B=2\0", 27));
    put("812/cgroup", "12:cpu:/x\n0::/user.slice/job-3.1\n");
    GpuProcess process;
    process.pid = 812;
    spool::probe::identify(root(), process);
    QCOMPARE(process.program, std::string("python3"));
    QCOMPARE(process.token, std::string("abc"));
    QCOMPARE(process.cgroup, std::string("/user.slice/job-3.1"));
    QCOMPARE(QString::fromStdString(process.owner), QFileInfo(scratch_->path()).owner());
}

void unit_probe_sysfs::a_process_that_cannot_be_seen() {
    GpuProcess process;
    process.pid = 812;
    spool::probe::identify(root(), process);
    QVERIFY(process.program.empty() && process.owner.empty() && process.token.empty());
}

void unit_probe_sysfs::one_process_on_two_gpus() {
    put("812/comm", "python3\n");
    std::vector<Gpu> gpus(3);
    for (const std::size_t index : {0, 2}) {
        GpuProcess& process = gpus[index].processes.emplace().emplace_back();
        process.pid = 812;
        process.memory = index + 1;
    }
    spool::probe::identify_all(root(), gpus);
    for (const std::size_t index : {0, 2}) {
        QCOMPARE(gpus[index].processes->front().program, std::string("python3"));
        QCOMPARE(*gpus[index].processes->front().memory, index + 1);
    }
}

void unit_probe_sysfs::a_survey_is_read_as_written() {
    spool::GpuSurvey survey;
    Gpu& gpu = survey.gpus.emplace_back();
    gpu.id = "GPU-1";
    gpu.name = "name with \"quotes\" and \xff";
    gpu.parent = "GPU-0";
    gpu.memory_total = ~std::uint64_t{0};
    gpu.utilisation = 3;
    gpu.display = true;
    gpu.permitted = false;
    gpu.problem = "GPU is lost";
    GpuProcess& process = gpu.processes.emplace().emplace_back();
    process.pid = 7;
    process.kind = GpuProcess::Kind::graphics;
    process.program = "Xorg";
    survey.gpus.emplace_back().vendor = GpuVendor::intel;
    survey.problems = {"Driver Not Loaded"};
    const std::string line = spool::write_survey(survey);
    QCOMPARE(std::count(line.begin(), line.end(), '\n'), 1);
    const auto read = spool::read_survey(line);
    QVERIFY2(read, read ? "" : read.error().text().c_str());
    QVERIFY(*read == survey);
}

void unit_probe_sysfs::damaged_surveys_are_refused_data() {
    QTest::addColumn<QByteArray>("line");
    for (const char* line : {"", "{", "[]", "{\"gpus\": 3}", "{\"gpus\": [{}]}",
                             "{\"gpus\": [{\"vendor\": \"nvidia\", \"index\": \"0\"}]}"})
        QTest::newRow(line) << QByteArray(line);
}

void unit_probe_sysfs::damaged_surveys_are_refused() {
    QFETCH(QByteArray, line);
    QVERIFY(!spool::read_survey(line.toStdString()));
}

QTEST_GUILESS_MAIN(unit_probe_sysfs)
#include "unit_probe_sysfs.moc"
