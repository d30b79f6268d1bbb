// The declarations of NVML's interface against the numbers of its header (nvml.h of CUDA 12.2, for
// a 64-bit Linux), and what is made of layouts that drivers have changed without saying so.
#include <QTest>
#include <cstddef>

#include "spoold/probe/nvml_abi.h"
#include "spoold/probe/nvml_processes.h"

using spool::nvml::Return;

class unit_nvml_abi : public QObject {
    Q_OBJECT

private slots:
    void numbers_data();
    void numbers() {
        QFETCH(qulonglong, ours);
        QFETCH(qulonglong, theirs);
        QCOMPARE(ours, theirs);
    }
    void entries_are_as_long_as_they_were_written_data();
    void entries_are_as_long_as_they_were_written();
    void drivers_with_longer_entries_data();
    void drivers_with_longer_entries();
};

namespace {

void row(const char* name, unsigned long long ours, unsigned long long theirs) {
    QTest::newRow(name) << static_cast<qulonglong>(ours) << static_cast<qulonglong>(theirs);
}

void code(const char* name, Return ours, int theirs) {
    row(name, static_cast<unsigned>(ours), static_cast<unsigned>(theirs));
}

void codes() {
    code("NVML_SUCCESS", Return::success, 0);
    code("NVML_ERROR_UNINITIALIZED", Return::uninitialized, 1);
    code("NVML_ERROR_INVALID_ARGUMENT", Return::invalid_argument, 2);
    code("NVML_ERROR_NOT_SUPPORTED", Return::not_supported, 3);
    code("NVML_ERROR_NO_PERMISSION", Return::no_permission, 4);
    code("NVML_ERROR_NOT_FOUND", Return::not_found, 6);
    code("NVML_ERROR_INSUFFICIENT_SIZE", Return::insufficient_size, 7);
    code("NVML_ERROR_DRIVER_NOT_LOADED", Return::driver_not_loaded, 9);
    code("NVML_ERROR_TIMEOUT", Return::timeout, 10);
    code("NVML_ERROR_LIBRARY_NOT_FOUND", Return::library_not_found, 12);
    code("NVML_ERROR_FUNCTION_NOT_FOUND", Return::function_not_found, 13);
    code("NVML_ERROR_GPU_IS_LOST", Return::gpu_is_lost, 15);
    code("NVML_ERROR_RESET_REQUIRED", Return::reset_required, 16);
    code("NVML_ERROR_LIB_RM_VERSION_MISMATCH", Return::lib_rm_version_mismatch, 18);
    code("NVML_ERROR_UNKNOWN", Return::unknown, 999);
}

void layouts() {
    using namespace spool::nvml;
    row("nvmlPciInfo_t", sizeof(PciInfo), 68);
    row("nvmlPciInfo_t.busIdLegacy", offsetof(PciInfo, bus_id_legacy), 0);
    row("nvmlPciInfo_t.domain", offsetof(PciInfo, domain), 16);
    row("nvmlPciInfo_t.pciSubSystemId", offsetof(PciInfo, pci_subsystem_id), 32);
    row("nvmlPciInfo_t.busId", offsetof(PciInfo, bus_id), 36);
    row("nvmlMemory_t", sizeof(Memory), 24);
    row("nvmlMemory_t.total", offsetof(Memory, total), 0);
    row("nvmlMemory_t.free", offsetof(Memory, free), 8);
    row("nvmlMemory_t.used", offsetof(Memory, used), 16);
    row("nvmlMemory_v2_t", sizeof(MemoryV2), 40);
    row("nvmlMemory_v2_t.total", offsetof(MemoryV2, total), 8);
    row("nvmlMemory_v2_t.reserved", offsetof(MemoryV2, reserved), 16);
    row("nvmlMemory_v2_t.free", offsetof(MemoryV2, free), 24);
    row("nvmlMemory_v2_t.used", offsetof(MemoryV2, used), 32);
    row("nvmlMemory_v2", MemoryV2::current, 33'554'472);
    row("nvmlUtilization_t", sizeof(Utilization), 8);
    row("nvmlUtilization_t.gpu", offsetof(Utilization, gpu), 0);
    row("nvmlProcessInfo_v1_t", process_info_v1, 16);
    row("nvmlProcessInfo_v2_t", process_info_v2, 24);
    row("nvmlProcessDetail_v1_t", process_info_535, 32);
    row("nvmlProcessInfo_t.pid", offsetof(ProcessInfo, pid), 0);
    row("nvmlProcessInfo_t.usedGpuMemory", offsetof(ProcessInfo, memory), 8);
}

}  // namespace

void unit_nvml_abi::numbers_data() {
    QTest::addColumn<qulonglong>("ours");
    QTest::addColumn<qulonglong>("theirs");
    codes();
    layouts();
    row("NVML_VALUE_NOT_AVAILABLE", spool::nvml::not_available, 0xffffffffffffffffULL);
    row("NVML_TEMPERATURE_GPU", spool::nvml::temperature_gpu, 0);
    row("nvmlDevice_t", sizeof(spool::nvml::Device), 8);
}

void unit_nvml_abi::entries_are_as_long_as_they_were_written_data() {
    QTest::addColumn<int>("written");
    QTest::addColumn<int>("count");
    QTest::addColumn<int>("documented");
    QTest::addColumn<int>("size");
    const auto layout = [](const char* name, int written, int count, int documented, int size) {
        QTest::newRow(name) << written << count << documented << size;
    };
    layout("as documented", 72, 3, 24, 24);
    layout("longer than documented", 96, 3, 24, 32);
    layout("shorter", 48, 3, 24, 16);
    layout("two short ones", 32, 2, 24, 16);
    layout("the last one's end was left out", 64, 3, 24, 24);
    layout("all that there was room for", 768, 3, 24, 24);
    layout("a single one", 24, 1, 32, 24);
}

void unit_nvml_abi::entries_are_as_long_as_they_were_written() {
    QFETCH(int, written);
    QFETCH(int, count);
    QFETCH(int, documented);
    QTEST(static_cast<int>(spool::probe::process_entry_size(static_cast<std::size_t>(written),
                                                            static_cast<std::size_t>(count),
                                                            static_cast<std::size_t>(documented))),
          "size");
}

void unit_nvml_abi::drivers_with_longer_entries_data() {
    QTest::addColumn<QByteArray>("driver");
    QTest::addColumn<int>("size");
    const auto driver = [](const char* version, int size) {
        QTest::newRow(version) << QByteArray(version) << size;
    };
    driver("510.39.01", 24);
    driver("530.41.03", 24);
    driver("535.43.02", 32);
    driver("535.54.03", 32);
    driver("535.86.05", 32);
    driver("535.98", 24);
    driver("535.104.05", 24);
    driver("550.54.14", 24);
    driver("", 24);
    driver("a driver", 24);
}

void unit_nvml_abi::drivers_with_longer_entries() {
    QFETCH(QByteArray, driver);
    QTEST(static_cast<int>(spool::nvml::newest_process_info(driver.toStdString())), "size");
}

QTEST_GUILESS_MAIN(unit_nvml_abi)
#include "unit_nvml_abi.moc"
