// Free means free: who makes a GPU busy, and what people are told.
#include <QTest>

#include "libspool/gpu_use.h"

using spool::Gpu;
using spool::GpuJob;
using spool::GpuProcess;
using spool::GpuRules;
using spool::GpuUse;
using Kind = spool::GpuUse::Kind;

Q_DECLARE_METATYPE(spool::Gpu)
Q_DECLARE_METATYPE(spool::GpuUse::Kind)

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

GpuProcess process(int pid, std::optional<std::uint64_t> mebibytes,
                   GpuProcess::Kind kind = GpuProcess::Kind::compute) {
    GpuProcess out;
    out.pid = pid;
    out.kind = kind;
    if (mebibytes) out.memory = *mebibytes * mebibyte;
    out.program = "jupyter";
    out.owner = "ada";
    return out;
}

GpuProcess drawing(std::optional<std::uint64_t> mebibytes) {
    return process(900, mebibytes, GpuProcess::Kind::graphics);
}

/// Of 80,000 MiB, with what its processes say and `other` MiB more.
Gpu gpu(std::vector<GpuProcess> processes, std::uint64_t other = 5, bool display = false) {
    Gpu out;
    out.id = "GPU-a";
    out.memory_total = 80'000 * mebibyte;
    out.memory_used = other * mebibyte;
    for (const GpuProcess& entry : processes)
        out.memory_used += entry.memory.value_or(0);
    out.display = display;
    out.processes = std::move(processes);
    out.graphics_listed = true;
    return out;
}

/// As AMD's driver tells of one: nobody who draws is listed.
Gpu without_graphics(Gpu device) {
    device.graphics_listed = false;
    return device;
}

GpuJob job(const std::string& given) {
    return {41, "x", "token-41", "/slice/job-41.1", {given}};
}

}  // namespace

class unit_gpu_use : public QObject {
    Q_OBJECT

private slots:
    void of_others_data();
    void of_others();
    void reasons_name_who_and_the_remedy();
    void reasons_of_memory();
    void remedies_help();
    void our_jobs_data();
    void our_jobs();
    void what_is_ignored();
    void old_drivers_count_their_reserve();
};

void unit_gpu_use::of_others_data() {
    QTest::addColumn<Gpu>("device");
    QTest::addColumn<Kind>("kind");
    const auto row = [](const char* name, const Gpu& device, Kind kind) {
        QTest::newRow(name) << device << kind;
    };
    row("nobody", gpu({}), Kind::free);
    row("one that computes", gpu({process(812, 600)}), Kind::busy);
    row("one that computes, memory unknown", gpu({process(812, std::nullopt)}), Kind::busy);
    row("a small desktop", gpu({drawing(900)}, 5, true), Kind::free);
    row("a desktop at its share", gpu({drawing(20'000)}, 0, true), Kind::free);
    row("a large desktop", gpu({drawing(20'001)}, 0, true), Kind::busy);
    row("a desktop that draws elsewhere", gpu({drawing(900)}), Kind::free);
    row("memory below the threshold", gpu({}, 512), Kind::free);
    row("memory that nobody explains", gpu({}, 513), Kind::busy);
    row("the same on a GPU with a display", gpu({}, 513, true), Kind::busy);
    row("beside a desktop that explains its own", gpu({drawing(900)}, 9'000, true), Kind::busy);
    row("a desktop that does not tell how much", gpu({drawing(std::nullopt)}, 19'000, true),
        Kind::free);
    row("and may have more than its share", gpu({drawing(std::nullopt)}, 21'000, true), Kind::busy);
    row("one that does not tell, without a display", gpu({drawing(std::nullopt)}, 9'000),
        Kind::free);
    row("and nearly all is used", gpu({drawing(std::nullopt)}, 79'000), Kind::busy);
    row("a driver that lists no desktop", without_graphics(gpu({}, 19'000, true)), Kind::free);
    row("and it may have too much", without_graphics(gpu({}, 21'000, true)), Kind::busy);
    row("the same where there is no display", without_graphics(gpu({}, 9'000)), Kind::busy);
    Gpu silent = gpu({}, 9'000);
    silent.processes.reset();
    row("a driver that lists no processes", silent, Kind::busy);
    Gpu shared = gpu({drawing(std::nullopt)}, 0, true);
    shared.memory_total = 0;
    row("a desktop on the machine's own memory", shared, Kind::free);
    shared.processes = {process(812, std::nullopt)};
    row("one that computes there", shared, Kind::busy);
    silent.memory_used = 0;
    row("the same, and nothing is used", silent, Kind::free);
    Gpu lost = gpu({});
    lost.problem = "GPU is lost";
    row("unknown", lost, Kind::unknown);
}

void unit_gpu_use::of_others() {
    QFETCH(Gpu, device);
    QFETCH(Kind, kind);
    const GpuUse use = spool::gpu_use(device, {}, {});
    QVERIFY2(use.kind == kind, use.reason.c_str());
    QCOMPARE(use.reason.empty(), kind == Kind::free);
}

void unit_gpu_use::reasons_name_who_and_the_remedy() {
    const GpuUse use = spool::gpu_use(gpu({process(812, 600)}), {}, {});
    QCOMPARE(use.reason, std::string("used by jupyter (pid 812 of ada, 600 MiB); if that does not "
                                     "matter: gpuspool gpus ignore 812"));
    GpuProcess hidden;
    hidden.pid = 7;
    const GpuUse other = spool::gpu_use(gpu({hidden}), {}, {});
    QVERIFY2(other.reason.find("cannot be seen from here (pid 7)") != std::string::npos,
             other.reason.c_str());
    GpuProcess hostile = process(8, 1);
    hostile.program = "a\nb\x1b[31m";
    const GpuUse third = spool::gpu_use(gpu({hostile}), {}, {});
    QVERIFY(third.reason.find_first_of("\n\x1b") == std::string::npos);
}

void unit_gpu_use::reasons_of_memory() {
    GpuProcess browser = drawing(20'001);
    browser.program = "firefox";
    const Gpu desktop = gpu({drawing(30), browser}, 0, true);
    QCOMPARE(spool::gpu_use(desktop, {}, {}).reason,
             std::string("the desktop uses 20031 MiB of its memory, most of it firefox (pid 900 of "
                         "ada, 20001 MiB); how much may be: \"desktop_share\" in config.json; if "
                         "that does not matter: gpuspool gpus ignore 900"));
    QCOMPARE(spool::gpu_use(gpu({}, 9'000), {}, {}).reason,
             std::string("9000 MiB of its memory are used by no process that can be seen (of a "
                         "container, or left by one that died); if that does not matter: "
                         "\"unexplained_memory\": \"9G\" in config.json"));
}

/// What the sentences name as remedies.
void unit_gpu_use::remedies_help() {
    GpuRules rules;
    rules.unexplained = std::uint64_t{9} << 30;
    QVERIFY(spool::gpu_use(gpu({}, 9'000), {}, rules).kind == Kind::free);
    rules = {};
    rules.desktop_share = 0.3;
    QVERIFY(spool::gpu_use(gpu({drawing(20'001)}, 0, true), {}, rules).kind == Kind::free);
    rules = {};
    rules.ignored_pids = {900};
    QVERIFY(spool::gpu_use(gpu({drawing(20'001)}, 0, true), {}, rules).kind == Kind::free);
    // What one has that the user ignores and that does not tell how much may be all that is used.
    QVERIFY(spool::gpu_use(gpu({drawing(std::nullopt)}, 79'000), {}, rules).kind == Kind::free);
    rules.ignored_pids = {812};
    QVERIFY(spool::gpu_use(gpu({process(812, std::nullopt)}, 79'000), {}, rules).kind ==
            Kind::free);
    QVERIFY(spool::gpu_use(gpu({process(812, 600)}, 9'000), {}, rules).kind == Kind::busy);
}

void unit_gpu_use::our_jobs_data() {
    QTest::addColumn<QString>("given");
    QTest::addColumn<QString>("token");
    QTest::addColumn<QString>("cgroup");
    QTest::addColumn<Kind>("kind");
    const auto row = [](const char* name, const char* given, const char* token, const char* cgroup,
                        Kind kind) { QTest::newRow(name) << given << token << cgroup << kind; };
    row("on its GPU", "GPU-a", "token-41", "", Kind::free);
    row("known by its cgroup", "GPU-a", "", "/slice/job-41.1", Kind::free);
    row("below its cgroup", "GPU-a", "", "/slice/job-41.1/docker", Kind::free);
    row("on another's GPU", "GPU-b", "token-41", "", Kind::busy);
    row("of another spool", "GPU-a", "token-7", "", Kind::busy);
    row("a cgroup that only begins like it", "GPU-a", "", "/slice/job-41.12", Kind::busy);
}

void unit_gpu_use::our_jobs() {
    QFETCH(QString, given);
    QFETCH(QString, token);
    QFETCH(QString, cgroup);
    QFETCH(Kind, kind);
    GpuProcess ours = process(812, 600);
    ours.token = token.toStdString();
    ours.cgroup = cgroup.toStdString();
    const GpuUse use = spool::gpu_use(gpu({ours}, 9'000), {job(given.toStdString())}, {});
    QVERIFY2(use.kind == kind, use.reason.c_str());
    if (given == "GPU-b")
        QCOMPARE(use.reason, std::string("used by job 41 (x), which was not given it: jupyter (pid "
                                         "812 of ada, 600 MiB); to end that job: gpuspool cancel "
                                         "41"));
}

void unit_gpu_use::what_is_ignored() {
    GpuRules rules;
    rules.ignored_pids = {812};
    QVERIFY(spool::gpu_use(gpu({process(812, 600)}), {}, rules).kind == Kind::free);
    QVERIFY(spool::gpu_use(gpu({process(813, 600)}), {}, rules).kind == Kind::busy);
    rules.ignored_programs = {"jupyter"};
    QVERIFY(spool::gpu_use(gpu({process(813, 600)}), {}, rules).kind == Kind::free);
}

void unit_gpu_use::old_drivers_count_their_reserve() {
    Gpu device = gpu({}, 2'000);
    QVERIFY(spool::gpu_use(device, {}, {}).kind == Kind::busy);
    device.used_with_reserve = true;
    QVERIFY(spool::gpu_use(device, {}, {}).kind == Kind::free);
    device.memory_used = 4'000 * mebibyte;
    QVERIFY(spool::gpu_use(device, {}, {}).kind == Kind::busy);
}

QTEST_GUILESS_MAIN(unit_gpu_use)
#include "unit_gpu_use.moc"
