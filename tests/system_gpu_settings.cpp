// What config.json and requests say of GPUs, as a daemon heeds it, and what it publishes of them.
#include <QCoreApplication>
#include <QFileInfo>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QByteArray binding = "$CUDA_VISIBLE_DEVICES";

/// As an editor saves it.
void configure(const TestSpool& spool, const QByteArray& text) {
    const QString path = spool.path("config.json");
    QDir().mkpath(spool.path());
    QFile file(path + ".new");
    const bool written = file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
    file.close();
    if (!written || ::rename(qPrintable(path + ".new"), qPrintable(path)) != 0)
        qFatal("cannot write config.json");
}

bool runs_on(const TestSpool& spool, const QString& name, const QByteArray& gpu) {
    return spool.wait_for([&] { return spool.read("running/" + name + ".log") == gpu + '\n'; },
                          name + " on GPU " + gpu);
}

/// The test is the stranger; this is what its program file is called.
QString own_program() {
    return QFileInfo(QCoreApplication::applicationFilePath()).fileName();
}

}  // namespace

class SystemGpuSettings : public QObject {
    Q_OBJECT

private slots:
    void max_gpus();
    void desktop_share();
    void ignored_programs_data();
    void ignored_programs();
    void a_program_that_is_ignored_by_request();
    void a_gpu_leaves_the_pool_and_comes_back();
    void a_gpu_is_drained_by_the_settings();
    void the_status_has_all_figures();
};

void SystemGpuSettings::max_gpus() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1), FakeGpus::a100(2)});
    QVERIFY(spool.start());
    configure(spool, R"({"max_gpus": 1})");
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", "0"));
    for (const char* name : {"b", "c"})
        spool.drop(QString(name) + ".job", held_job(spool, binding));
    QVERIFY(waits_with(spool, "b", "\"max_gpus\" allows this spool 1 at once"));
    QVERIFY(!spool.exists("running/b.job") && !spool.exists("running/c.job"));
    configure(spool, R"({"max_gpus": 2})");
    QVERIFY(runs_on(spool, "b", "1"));
    QVERIFY(waits_with(spool, "c", "\"max_gpus\" allows this spool 2 at once"));
    configure(spool, "{}");
    QVERIFY(runs_on(spool, "c", "2"));
    let_go(spool);
}

void SystemGpuSettings::desktop_share() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    const auto desktop_has = [&](int memory) {
        gpus.set(0, "used", memory);
        gpus.set(0, "graphics", QJsonArray{QJsonObject{{"pid", getpid()}, {"memory", memory}}});
    };
    gpus.set(0, "display", 1);
    desktop_has(81'920 * 3 / 10);
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "the desktop uses 24576 MiB of its memory"));
    configure(spool, R"({"desktop_share": 0.5})");
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    // Less than it may have where nothing is said.
    configure(spool, R"({"desktop_share": 0.05})");
    desktop_has(81'920 / 10);
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", "the desktop uses 8192 MiB of its memory"));
    configure(spool, "{}");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

void SystemGpuSettings::ignored_programs_data() {
    QTest::addColumn<QString>("name");
    QTest::newRow("as its file is called") << own_program();
    QTest::newRow("as the kernel cuts it off") << own_program().left(15);
}

void SystemGpuSettings::ignored_programs() {
    QFETCH(QString, name);
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    configure(spool, R"({"ignored_programs": ["another", "system_gpu_x"]})");
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "0 used by " + own_program().left(15)));
    configure(spool, R"({"ignored_programs": ["another", ")" + name.toUtf8() + R"("]})");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"0"});
}

void SystemGpuSettings::a_program_that_is_ignored_by_request() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "0 used by"));
    QCOMPARE(spool.gpuspool({"gpus", "ignore", own_program()}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "free"));
    // The next daemon remembers it.
    QVERIFY(spool.stop() && spool.start());
    spool.drop("b.job", "true");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    QCOMPARE(spool.gpuspool({"gpus", "heed", own_program()}).exit_code, 0);
    spool.drop("c.job", "true");
    QVERIFY(waits_with(spool, "c", "0 used by"));
}

void SystemGpuSettings::a_gpu_leaves_the_pool_and_comes_back() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding, {}, "go-a"));
    QVERIFY(runs_on(spool, "a", "0"));
    configure(spool, R"({"gpus": [1]})");
    spool.drop("b.job", "#SPOOL --gpu-ids=0\ntrue");
    QVERIFY(waits_with(spool, "b", "asks for 1 GPU among 0; this machine's pool has none such"));
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "unused"));
    // What runs there comes to its own end, as if nothing had happened.
    let_go(spool, "go-a");
    const QJsonObject result = spool.wait_for_result("a");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["gpu_ids"].toArray(), QJsonArray{"GPU-00000000"});
    QVERIFY(spool.exists("incoming/b.job"));
    configure(spool, R"({"gpus": [1, 0]})");
    QCOMPARE(spool.wait_for_result("b")["gpu_ids"].toArray(), QJsonArray{"GPU-00000000"});
}

void SystemGpuSettings::a_gpu_is_drained_by_the_settings() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", "0"));
    configure(spool, R"({"gpus_drained": ["GPU-00000001"], "bind": "uuid"})");
    QVERIFY(gpu_says(spool, "GPU-00000001", "status", "drained"));
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", "drained: \"gpus_drained\" in config.json"));
    QVERIFY(spool.exists("running/a.job"));
    configure(spool, R"({"gpus_drained": [0], "bind": "uuid"})");
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"GPU-00000001"});
    let_go(spool);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "drained"));
    spool.drop("c.job", "#SPOOL --gpu-ids=0\ntrue");
    QVERIFY(waits_with(spool, "c", "drained: \"gpus_drained\" in config.json"));
}

/// In `gpuspool status --json`, which asks no driver itself.
void SystemGpuSettings::the_status_has_all_figures() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::busy_a100(1)});
    QJsonObject process{{"pid", getpid()}, {"memory", 59'000}};
    gpus.set(1, "compute", QJsonArray{process});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(runs_on(spool, "a", "0"));
    spool.drop("b.job", "true");
    QVERIFY(waits_with(spool, "b", "1 used by"));
    const auto devices = [&] { return status_of(spool)["devices"].toArray(); };
    QVERIFY(spool.wait_for([&] { return devices()[0].toObject()["status"] == "held"; }, "a's GPU"));
    QCOMPARE(devices().size(), 2);
    QCOMPARE(devices()[0].toObject()["jobs"].toArray(), QJsonArray{1});
    QJsonObject busy = devices()[1].toObject();
    const QString reason = busy.take("reason").toString();
    QVERIFY2(reason.contains("used by " + own_program().left(15)), qPrintable(reason));
    process["memory"] = qint64{59'000} << 20;
    process["kind"] = "compute";
    process["program"] = own_program().left(15);
    process["owner"] = QFileInfo("/proc/self").owner();
    const QJsonObject expected{{"id", "GPU-00000001"},
                               {"vendor", "nvidia"},
                               {"index", 1},
                               {"pci", "0000:02:00.0"},
                               {"name", "NVIDIA A100-SXM4-80GB"},
                               {"parent", ""},
                               {"display", false},
                               {"permitted", true},
                               {"computes", true},
                               {"divided", false},
                               {"memory_total", qint64{81'920} << 20},
                               {"memory_used", qint64{60'000} << 20},
                               {"used_with_reserve", false},
                               {"utilisation", 97},
                               {"temperature", 67},
                               {"power", 301},
                               {"problem", ""},
                               {"processes", QJsonArray{process}},
                               {"status", "busy"},
                               {"jobs", QJsonArray{}}};
    for (const QString& key : expected.keys())
        QVERIFY2(busy[key] == expected[key], qPrintable(key));
    let_go(spool);
}

QTEST_GUILESS_MAIN(SystemGpuSettings)
#include "system_gpu_settings.moc"
