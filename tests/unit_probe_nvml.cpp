// What is asked of NVML: through dlopen, of a library with its binary interface that the tests
// build (fake_nvml/).
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include "spoold/probe/nvml.h"
#include "tests/support/device_files.h"

using spool::Gpu;
using spool::GpuProcess;
using spool::nvml::Library;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

QJsonObject a100() {
    return {{"uuid", "GPU-a"}, {"name", "NVIDIA A100"}, {"pci", "00000000:C1:00.0"},
            {"minor", 77},     {"total", 81920},        {"used", 5},
            {"reserved", 600}, {"utilization", 12},     {"temperature", 41},
            {"power", 70'500}, {"display", 0}};
}

QJsonObject process(int pid, int memory) {
    return {{"pid", pid}, {"memory", memory}};
}

/// The processes, as "10 100".
QStringList told(const Gpu& gpu) {
    QStringList found;
    for (const GpuProcess& entry : gpu.processes.value_or(std::vector<GpuProcess>()))
        found << QString("%1 %2").arg(entry.pid).arg(entry.memory.value_or(0) / mebibyte);
    return found;
}

}  // namespace

class unit_probe_nvml : public QObject {
    Q_OBJECT

private slots:
    void init();
    void a_gpu_is_described();
    void processes_of_every_kind();
    void more_processes_than_expected();
    void memory_of_a_process_may_not_be_known();
    void a_gpu_that_fell_off_the_bus();
    void a_gpu_without_answers_is_unknown_data();
    void a_gpu_without_answers_is_unknown();
    void withheld_gpus_are_not_there();
    void device_files_data();
    void device_files();
    void instances_of_a_divided_gpu();
    void an_old_driver();
    void a_driver_of_2021();
    void lists_in_another_layout_data();
    void lists_in_another_layout();
    void a_list_that_is_not_there_any_more();
    void a_gpu_without_an_address();
    void reserved_memory_is_used_by_nobody();
    void a_gpu_that_shares_the_machines_memory();
    void without_a_driver();
    void a_library_that_cannot_be_loaded_data();
    void a_library_that_cannot_be_loaded();
    void a_driver_that_does_not_start();
    void a_driver_that_was_changed();

private:
    void set(const QJsonObject& scenario);
    void set_gpus(const QJsonArray& gpus) { set({{"gpus", gpus}}); }
    static std::vector<Gpu> survey(const char* library = FAKE_NVML_NEW);

    QScopedPointer<QTemporaryDir> scratch_;
};

void unit_probe_nvml::init() {
    scratch_.reset(new QTemporaryDir);
    QVERIFY(DeviceFiles::open_to_all(scratch_->path()));
    qputenv("FAKE_NVML", scratch_->filePath("scenario").toUtf8());
}

void unit_probe_nvml::set(const QJsonObject& scenario) {
    QFile file(scratch_->filePath("scenario"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(QJsonDocument(scenario).toJson());
}

std::vector<Gpu> unit_probe_nvml::survey(const char* library) {
    const auto nvml = Library::load(library);
    if (!nvml || !*nvml) return {};
    return spool::probe::survey_nvidia(**nvml, "/nowhere").value_or(std::vector<Gpu>{});
}

void unit_probe_nvml::a_gpu_is_described() {
    set_gpus({a100()});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{1});
    Gpu expected;
    expected.id = "GPU-a";
    expected.pci = "0000:c1:00.0";
    expected.name = "NVIDIA A100";
    expected.memory_total = 81920 * mebibyte;
    expected.memory_used = 5 * mebibyte;
    expected.utilisation = 12;
    expected.temperature = 41;
    expected.power = 71;
    expected.processes.emplace();
    expected.graphics_listed = true;
    QVERIFY(gpus[0] == expected);
}

void unit_probe_nvml::processes_of_every_kind() {
    QJsonObject gpu = a100();
    gpu["compute"] = QJsonArray{process(10, 100), process(11, 200)};
    gpu["mps"] = QJsonArray{process(12, 300)};
    gpu["graphics"] = QJsonArray{process(11, 5), process(13, 40)};
    set_gpus({gpu});
    const auto gpus = survey();
    QVERIFY(gpus.at(0).processes);
    QStringList found;
    for (const GpuProcess& entry : *gpus[0].processes)
        found << QString("%1 %2 %3")
                     .arg(entry.pid)
                     .arg(entry.kind == GpuProcess::Kind::compute ? "compute" : "graphics")
                     .arg(*entry.memory / mebibyte);
    // The one that draws and computes counts as one that computes.
    QCOMPARE(found,
             (QStringList{"10 compute 100", "11 compute 200", "12 compute 300", "13 graphics 40"}));
}

void unit_probe_nvml::more_processes_than_expected() {
    QJsonObject gpu = a100();
    QJsonArray many;
    for (int pid = 1; pid <= 500; ++pid)
        many.append(process(pid, 1));
    gpu["compute"] = many;
    set_gpus({gpu});
    QCOMPARE(survey().at(0).processes->size(), std::size_t{500});
}

void unit_probe_nvml::memory_of_a_process_may_not_be_known() {
    QJsonObject gpu = a100();
    gpu["compute"] = QJsonArray{process(10, -1)};
    set_gpus({gpu});
    QVERIFY(!survey().at(0).processes->at(0).memory);
}

void unit_probe_nvml::a_gpu_that_fell_off_the_bus() {
    QJsonObject lost = a100();
    lost["handle"] = 15;
    QJsonObject second = a100();
    second["uuid"] = "GPU-b";
    set_gpus({lost, second});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{2});
    QCOMPARE(gpus[0].problem, std::string("GPU is lost: dmesg says why; restart the machine"));
    QCOMPARE(gpus[0].index, 0);
    QCOMPARE(gpus[1].problem, std::string());
    QCOMPARE(gpus[1].index, 1);
}

void unit_probe_nvml::a_gpu_without_answers_is_unknown_data() {
    QTest::addColumn<QJsonObject>("fail");
    QTest::addColumn<bool>("problem");
    QTest::addColumn<bool>("processes");
    QTest::newRow("memory") << QJsonObject{{"nvmlDeviceGetMemoryInfo", 15},
                                           {"nvmlDeviceGetMemoryInfo_v2", 15}}
                            << true << true;
    QTest::newRow("memory v2 alone")
        << QJsonObject{{"nvmlDeviceGetMemoryInfo_v2", 3}} << false << true;
    QTest::newRow("UUID") << QJsonObject{{"nvmlDeviceGetUUID", 999}} << true << true;
    QTest::newRow("processes are never told")
        << QJsonObject{{"nvmlDeviceGetComputeRunningProcesses_v3", 4}} << false << false;
    QTest::newRow("processes") << QJsonObject{{"nvmlDeviceGetComputeRunningProcesses_v3", 999}}
                               << true << false;
    QTest::newRow("processes that have never room")
        << QJsonObject{{"nvmlDeviceGetComputeRunningProcesses_v3", 7}} << true << false;
    QTest::newRow("graphics") << QJsonObject{{"nvmlDeviceGetGraphicsRunningProcesses_v3", 3}}
                              << false << true;
    QTest::newRow("readings") << QJsonObject{{"nvmlDeviceGetUtilizationRates", 3},
                                             {"nvmlDeviceGetTemperature", 3},
                                             {"nvmlDeviceGetPowerUsage", 3},
                                             {"nvmlDeviceGetDisplayActive", 3}}
                              << false << true;
}

void unit_probe_nvml::a_gpu_without_answers_is_unknown() {
    QFETCH(QJsonObject, fail);
    QFETCH(bool, problem);
    QFETCH(bool, processes);
    QJsonObject gpu = a100();
    gpu["fail"] = fail;
    set_gpus({gpu});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{1});
    QVERIFY2(gpus[0].problem.empty() != problem, gpus[0].problem.c_str());
    QCOMPARE(gpus[0].processes.has_value(), processes);
}

void unit_probe_nvml::withheld_gpus_are_not_there() {
    QJsonObject withheld = a100();
    withheld["handle"] = 4;
    QJsonObject second = a100();
    second["uuid"] = "GPU-b";
    set_gpus({withheld, second});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{1});
    QCOMPARE(gpus[0].id, std::string("GPU-b"));
}

void unit_probe_nvml::device_files_data() {
    QTest::addColumn<QStringList>("files");
    QTest::addColumn<bool>("permitted");
    QTest::newRow("there are none at all") << QStringList() << true;
    QTest::newRow("it may be opened") << QStringList{"nvidia77"} << true;
    QTest::newRow("its mode forbids it") << QStringList{"nvidia77", "0"} << false;
    QTest::newRow("others have one") << QStringList{"nvidia7"} << false;
    QTest::newRow("there are only those of the driver")
        << QStringList{"nvidiactl", "nvidia-uvm"} << true;
}

/// `files` with "0" at the end: nobody may open the first of them.
void unit_probe_nvml::device_files() {
    QFETCH(QStringList, files);
    QFETCH(bool, permitted);
    set_gpus({a100()});
    const DeviceFiles dev(scratch_->filePath("dev"), files);
    const auto nvml = Library::load(FAKE_NVML_NEW);
    QVERIFY(nvml && *nvml);
    const AsAnybody nobody;
    const auto gpus = spool::probe::survey_nvidia(**nvml, dev.path().toStdString());
    QVERIFY(gpus);
    QCOMPARE(gpus->size(), std::size_t{1});
    QCOMPARE(gpus->front().permitted, permitted);
}

void unit_probe_nvml::instances_of_a_divided_gpu() {
    QJsonObject gpu = a100();
    gpu["mig"] = QJsonArray{QJsonObject{{"uuid", "MIG-1"}, {"total", 20'000}, {"used", 3}},
                            QJsonObject{{"uuid", "MIG-2"},
                                        {"total", 40'000},
                                        {"used", 900},
                                        {"compute", QJsonArray{process(10, 890)}}}};
    set_gpus({gpu});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{3});
    QCOMPARE(gpus[0].parent, std::string());
    QVERIFY(gpus[0].divided && !gpus[1].divided);
    for (const std::size_t i : {1, 2}) {
        QCOMPARE(gpus[i].parent, std::string("GPU-a"));
        QCOMPARE(gpus[i].pci, gpus[0].pci);
    }
    QCOMPARE(gpus[1].id, std::string("MIG-1"));
    QCOMPARE(gpus[2].memory_total, 40'000 * mebibyte);
    QCOMPARE(gpus[2].processes->size(), std::size_t{1});
}

void unit_probe_nvml::an_old_driver() {
    QJsonObject gpu = a100();
    gpu["compute"] = QJsonArray{process(10, 100), process(11, 200)};
    set_gpus({gpu});
    const auto gpus = survey(FAKE_NVML_OLD);
    QCOMPARE(gpus.size(), std::size_t{1});
    QCOMPARE(gpus[0].processes->size(), std::size_t{2});
    QCOMPARE(gpus[0].processes->at(1).pid, 11);
    QCOMPARE(*gpus[0].processes->at(1).memory, 200 * mebibyte);
    // It counts what the driver keeps for itself.
    QCOMPARE(gpus[0].memory_used, 605 * mebibyte);
    QVERIFY(gpus[0].used_with_reserve);
    QCOMPARE(gpus[0].pci, std::string("0000:c1:00.0"));
    QVERIFY(!gpus[0].graphics_listed);
}

/// r470: its lists are those of _v2, and PCI addresses have their old form.
void unit_probe_nvml::a_driver_of_2021() {
    QJsonObject gpu = a100();
    gpu["compute"] = QJsonArray{process(10, 100), process(11, 200)};
    gpu["graphics"] = QJsonArray{process(12, 300), process(13, 400)};
    set_gpus({gpu});
    const auto gpus = survey(FAKE_NVML_2021);
    QCOMPARE(gpus.size(), std::size_t{1});
    QCOMPARE(told(gpus[0]), (QStringList{"10 100", "11 200", "12 300", "13 400"}));
    QCOMPARE(gpus[0].pci, std::string("0000:c1:00.0"));
    QVERIFY(gpus[0].used_with_reserve);
}

void unit_probe_nvml::lists_in_another_layout_data() {
    QTest::addColumn<QString>("driver");
    QTest::addColumn<int>("length");
    QTest::newRow("535.54.03 has 32 bytes") << "535.54.03" << 32;
    QTest::newRow("as later ones have it") << "535.98" << 24;
    QTest::newRow("32 bytes in a driver of which it is not known") << "560.1" << 32;
    QTest::newRow("24 bytes in one that should have 32") << "535.86.10" << 24;
    QTest::newRow("16 bytes in a new driver") << "580.95.05" << 16;
}

/// The layout was changed under one name, there and back; more than 24 of the long ones are more
/// than 32 of those that are expected.
void unit_probe_nvml::lists_in_another_layout() {
    QFETCH(QString, driver);
    QFETCH(int, length);
    QJsonObject gpu = a100();
    QJsonArray many;
    QStringList expected;
    for (int pid = 1; pid <= 31; ++pid) {
        many.append(process(pid, 3 * pid));
        expected << QString("%1 %2").arg(pid).arg(3 * pid);
    }
    gpu["compute"] = many;
    set({{"driver", driver}, {"process_info", length}, {"gpus", QJsonArray{gpu}}});
    QCOMPARE(told(survey().at(0)), expected);
}

/// 535.98 and later withdrew the lists of _v3 for a time.
void unit_probe_nvml::a_list_that_is_not_there_any_more() {
    QJsonObject gpu = a100();
    gpu["compute"] = QJsonArray{process(10, 100)};
    gpu["fail"] = QJsonObject{{"nvmlDeviceGetComputeRunningProcesses_v3", 13}};
    set_gpus({gpu});
    QCOMPARE(told(survey().at(0)), QStringList{"10 100"});
}

void unit_probe_nvml::a_gpu_without_an_address() {
    QJsonObject gpu = a100();
    gpu["fail"] = QJsonObject{{"nvmlDeviceGetPciInfo_v3", 3}};
    set_gpus({gpu});
    const auto gpus = survey();
    QCOMPARE(gpus.size(), std::size_t{1});
    QCOMPARE(gpus[0].pci, std::string());
    QCOMPARE(gpus[0].problem, std::string());
}

void unit_probe_nvml::reserved_memory_is_used_by_nobody() {
    QJsonObject gpu = a100();
    gpu["used_has_reserved"] = true;
    set_gpus({gpu});
    QCOMPARE(survey().at(0).memory_used, 5 * mebibyte);
}

/// Its memory is never told: that does not make it unknown, if its processes are.
void unit_probe_nvml::a_gpu_that_shares_the_machines_memory() {
    QJsonObject gpu = a100();
    QJsonObject fail{{"nvmlDeviceGetMemoryInfo", 3}, {"nvmlDeviceGetMemoryInfo_v2", 3}};
    gpu["fail"] = fail;
    set_gpus({gpu});
    QCOMPARE(survey().at(0).problem, std::string());
    QCOMPARE(survey().at(0).memory_total, std::uint64_t{0});
    fail["nvmlDeviceGetComputeRunningProcesses_v3"] = 3;
    gpu["fail"] = fail;
    set_gpus({gpu});
    QVERIFY(survey().at(0).problem.find("its memory is not known") != std::string::npos);
}

void unit_probe_nvml::without_a_driver() {
    const auto nothing = Library::load(scratch_->filePath("no-such.so").toStdString());
    QVERIFY(nothing);
    QVERIFY(!*nothing);
}

void unit_probe_nvml::a_library_that_cannot_be_loaded_data() {
    QTest::addColumn<QString>("file");
    QTest::newRow("no library at all") << "/proc/self/status";
    QTest::newRow("a directory") << "/proc/self";
    QTest::newRow("a library for something else") << "libc.so.6";
}

/// It is there: that is not the same as a machine without NVIDIA's driver.
void unit_probe_nvml::a_library_that_cannot_be_loaded() {
    QFETCH(QString, file);
    const auto nvml = Library::load(file.toStdString());
    QVERIFY2(!nvml, "it is taken for one that is not installed");
    QVERIFY2(nvml.error().text().find(file.toStdString()) != std::string::npos,
             nvml.error().text().c_str());
}

void unit_probe_nvml::a_driver_that_does_not_start() {
    set({{"init", 9}});
    const auto nvml = Library::load(FAKE_NVML_NEW);
    QVERIFY(!nvml);
    QVERIFY2(nvml.error().text().find("Driver Not Loaded") != std::string::npos,
             nvml.error().text().c_str());
}

/// An upgrade under a running program.
void unit_probe_nvml::a_driver_that_was_changed() {
    set_gpus({a100()});
    const auto nvml = Library::load(FAKE_NVML_NEW);
    QVERIFY(nvml && *nvml);
    QVERIFY(spool::probe::survey_nvidia(**nvml, "/nowhere"));
    QJsonObject gpu = a100();
    gpu["handle"] = 18;
    set_gpus({gpu});
    const auto after = spool::probe::survey_nvidia(**nvml, "/nowhere");
    QVERIFY(!after);
    QVERIFY(after.error().text().find("mismatch") != std::string::npos);
}

QTEST_GUILESS_MAIN(unit_probe_nvml)
#include "unit_probe_nvml.moc"
