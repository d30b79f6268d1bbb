// Drivers and probes that fail, hang, crash or are slow: nothing is started where nothing is known,
// what runs goes on, the status says why, and it heals by itself.
#include <signal.h>

#include <QDir>
#include <QElapsedTimer>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

using namespace std::chrono_literals;

namespace {

const QByteArray binding = "$CUDA_VISIBLE_DEVICES";

/// The processes by which a daemon asks the drivers.
QList<qint64> probes_of(const TestSpool& spool) {
    QList<qint64> found;
    for (const QString& entry : QDir("/proc").entryList(QDir::Dirs)) {
        QFile file("/proc/" + entry + "/stat");
        if (!file.open(QIODevice::ReadOnly)) continue;
        // "812 (spool-probe) S 700 …": number, name, state, parent.
        const QByteArray stat = file.readAll();
        const auto rest = stat.mid(stat.lastIndexOf(')') + 2).split(' ');
        if (stat.contains("(spool-probe)") && rest.value(1).toLongLong() == spool.pid())
            found << entry.toLongLong();
    }
    return found;
}

/// A program in place of spool-probe: notes when it is started, and does `what` until it is mended.
void put_stand_in(TestSpool& spool, const QByteArray& what) {
    const QString path = spool.scratch("probe");
    QFile file(path);
    const QByteArray home = spool.scratch().toUtf8();
    const QByteArray script = "#!/bin/bash\n[[ -e " + home +
                              "/mended ]] && exec " SPOOL_PROBE "\ndate +%s%N >> " + home +
                              "/starts\nread question\n" + what + "\n";
    if (!file.open(QIODevice::WriteOnly) || file.write(script) != script.size() ||
        !file.setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner))
        qFatal("cannot write a probe");
    spool.environment.insert("GPUSPOOL_PROBE", path);
}

/// Moments in which the stand-in was started.
QList<qint64> starts(const TestSpool& spool) {
    QList<qint64> out;
    for (const QByteArray& line : spool.read("../home/starts").split('\n'))
        if (!line.isEmpty()) out << line.toLongLong();
    return out;
}

}  // namespace

class SystemGpuProbe : public QObject {
    Q_OBJECT

private slots:
    void a_gpu_without_an_answer_data();
    void a_gpu_without_an_answer();
    void a_probe_that_fails_data();
    void a_probe_that_fails();
    void repeated_crashes_are_met_with_patience();
    void a_probe_that_cannot_be_started();
    void a_probe_that_is_killed();
    void a_probe_that_stands_still_is_replaced();
    void a_slow_answer_is_waited_for();
    void many_processes();
    void an_old_driver();
};

void SystemGpuProbe::a_gpu_without_an_answer_data() {
    QTest::addColumn<QJsonObject>("gpu");
    QTest::addColumn<QJsonObject>("driver");
    QTest::addColumn<QString>("reason");
    const auto failing = [](const QStringList& functions, int code) {
        QJsonObject list;
        for (const QString& function : functions)
            list[function] = code;
        return QJsonObject{{"fail", list}};
    };
    const QString processes = "nvmlDeviceGetComputeRunningProcesses_v3";
    QTest::newRow("fallen off the bus")
        << QJsonObject{{"handle", 15}} << QJsonObject{} << "0 GPU is lost";
    QTest::newRow("its memory is not told")
        << failing({"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"}, 15) << QJsonObject{}
        << "0 its memory is not known: GPU is lost";
    QTest::newRow("its processes are not told") << failing({processes}, 999) << QJsonObject{}
                                                << "0 its processes are not known: Unknown Error";
    QTest::newRow("never room enough")
        << failing({processes}, 7) << QJsonObject{} << "0 its processes are not known";
    QTest::newRow("driver updated") << QJsonObject{} << QJsonObject{{"count", 18}, {"init", 18}}
                                    << "Driver/library version mismatch";
    QTest::newRow("driver removed")
        << QJsonObject{} << QJsonObject{{"count", 9}, {"init", 9}} << "Driver Not Loaded";
}

void SystemGpuProbe::a_gpu_without_an_answer() {
    QFETCH(QJsonObject, gpu);
    QFETCH(QJsonObject, driver);
    QFETCH(QString, reason);
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding, "--gpu-ids=1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("before.job", "#SPOOL --gpu-ids=0\ntrue");
    QCOMPARE(spool.wait_for_result("before")["state"].toString(), "succeeded");

    for (auto change = gpu.begin(); change != gpu.end(); ++change)
        gpus.set(0, change.key(), change.value());
    for (auto change = driver.begin(); change != driver.end(); ++change)
        gpus.set(change.key(), change.value());
    spool.drop("b.job", "#SPOOL --gpu-ids=0\ntrue");
    spool.drop("c.job", "#SPOOL --gpus=0\ntrue");
    QVERIFY(waits_with(spool, "b", reason));
    if (!driver.isEmpty()) QVERIFY2(problems_of(spool).contains(reason), qPrintable(reason));
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "unknown"));
    for (const char* verb : {"gpus", "status"})  // and no GPU twice
        QCOMPARE(json_of(spool.gpuspool({verb, "--json"}))["gpus"].toArray().size(), 2);
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
    // What runs goes on, and comes to its own end.
    QVERIFY(spool.exists("running/a.job"));
    let_go(spool);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/b.job"));

    for (const QString& key : driver.keys())
        gpus.set(key, 0);
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"0"});
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem"));
}

void SystemGpuProbe::a_probe_that_fails_data() {
    QTest::addColumn<QByteArray>("what");
    QTest::addColumn<QString>("reason");
    QTest::newRow("crashes") << QByteArray("kill -SEGV $$") << "was ended by signal 11";
    QTest::newRow("ends") << QByteArray("exit 3") << "has ended with exit code 3";
    QTest::newRow("says something else")
        << QByteArray("echo ready; read question") << "survey of the GPUs";
    QTest::newRow("has no end") << QByteArray("exec yes ''") << "survey of the GPUs";
    QTest::newRow("has no end of a line")
        << QByteArray("tr '\\0' x < /dev/zero") << "spool-probe's answer has no end";
}

void SystemGpuProbe::a_probe_that_fails() {
    QFETCH(QByteArray, what);
    QFETCH(QString, reason);
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    put_stand_in(spool, what);
    QVERIFY(spool.start());
    spool.drop("a.job", "echo " + binding);
    spool.drop("b.job", "#SPOOL --gpus=0\ntrue");
    QVERIFY(waits_with(spool, "a", reason));
    QVERIFY2(problems_of(spool).contains(reason), qPrintable(problems_of(spool)));
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/a.job"));
    let_go(spool, "mended");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"0"});
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem"));
}

/// A driver that crashes its clients costs a start of one after 1, 2, 4, … seconds.
void SystemGpuProbe::repeated_crashes_are_met_with_patience() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    put_stand_in(spool, "kill -KILL $$");
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(spool.wait_for([&] { return starts(spool).size() >= 4; }, "four starts"));
    const QList<qint64> moments = starts(spool);
    for (int i = 0; i < 3; ++i) {
        const qint64 milliseconds = (moments[i + 1] - moments[i]) / 1'000'000;
        QVERIFY2(milliseconds >= 1000 << i, qPrintable(QString::number(milliseconds)));
    }
    let_go(spool, "mended");
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuProbe::a_probe_that_cannot_be_started() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    spool.environment.insert("GPUSPOOL_PROBE", spool.scratch("probe"));
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", spool.scratch("probe")));
    QVERIFY(QFile::link(SPOOL_PROBE, spool.scratch("probe")));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

/// While it is asked, and while it is not.
void SystemGpuProbe::a_probe_that_is_killed() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "used by"));
    for (int time = 0; time < 3; ++time) {
        const QList<qint64> before = probes_of(spool);
        QCOMPARE(before.size(), 1);
        QCOMPARE(::kill(static_cast<pid_t>(before[0]), SIGKILL), 0);
        QVERIFY(spool.wait_for(
            [&] {
                const auto now = probes_of(spool);
                return now.size() == 1 && now != before;
            },
            "another probe"));
    }
    QVERIFY(waits_with(spool, "a", "used by"));
    gpus.set("hang", "nvmlDeviceGetUUID");
    QVERIFY(waits_with(spool, "a", "have not answered for 5 s"));
    QVERIFY(spool.wait_for([&] { return probes_of(spool).size() == 1; }, "the next probe"));
    // This one has been asked, and hangs.
    QCOMPARE(::kill(static_cast<pid_t>(probes_of(spool).value(0)), SIGKILL), 0);
    QVERIFY(waits_with(spool, "a", "was ended by signal 9"));
    gpus.set("hang", "");
    gpus.set_processes(0, {});
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

/// A process that does not run can be killed and another one be asked.
void SystemGpuProbe::a_probe_that_stands_still_is_replaced() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "used by"));
    const QList<qint64> before = probes_of(spool);
    QCOMPARE(before.size(), 1);
    QCOMPARE(::kill(static_cast<pid_t>(before[0]), SIGSTOP), 0);
    QVERIFY(waits_with(spool, "a", "have not answered for 5 s"));
    gpus.set_processes(0, {});
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(!probes_of(spool).contains(before[0]));
}

/// Below the limit it is no problem, and nothing else waits for it.
void SystemGpuProbe::a_slow_answer_is_waited_for() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"0"});
    gpus.set("hang", "nvmlDeviceGetName");
    QElapsedTimer slow;
    slow.start();
    spool.drop("a.job", "echo " + binding);
    spool.drop("b.job", "#SPOOL --gpus=0\ntrue");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(spool.exists("incoming/a.job"));
    // In less than the 5 s after which it would be given up.
    QVERIFY2(slow.elapsed() < 4500, qPrintable(QString::number(slow.elapsed())));
    gpus.set_processes(0, {{getpid(), 600}});
    gpus.set("hang", "");
    QCOMPARE(spool.wait_for_result("a")["gpus"].toArray(), QJsonArray{"1"});
    QVERIFY2(!spool.daemon_log().contains("have not answered"), spool.daemon_log());
}

/// More than there is room for in the first question.
void SystemGpuProbe::many_processes() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QList<FakeGpus::Process> many;
    for (int i = 0; i < 200; ++i)
        many << FakeGpus::Process{4'000'000 + i, 1};
    many << FakeGpus::Process{getpid(), 1};
    gpus.set_processes(0, many);
    QVERIFY(spool.start());
    spool.drop("a.job", "true");
    QVERIFY(waits_with(spool, "a", "(pid 4000000, 1 MiB)"));
    gpus.set_processes(0, {many.last()});
    QVERIFY(waits_with(spool, "a", QString("(pid %1 of ").arg(getpid())));
    gpus.set_processes(0, {});
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuProbe::an_old_driver() {
    TestSpool spool;
    QJsonObject first = FakeGpus::a100(0), second = FakeGpus::a100(1);
    first["reserved"] = second["reserved"] = 600;
    FakeGpus gpus(spool, {first, second});
    spool.environment.insert("GPUSPOOL_NVML", FAKE_NVML_OLD);
    gpus.set_processes(0, {{4'000'000, 300}, {getpid(), 200}});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, binding));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("b.job", "echo " + binding);
    QVERIFY(waits_with(spool, "b", "(pid 4000000, 300 MiB)"));
    // It lists them in a form of its own.
    const QJsonObject second_process =
        gpu_member(spool, "GPU-00000000", "processes").toArray().at(1).toObject();
    QCOMPARE(second_process["pid"].toInteger(), getpid());
    QCOMPARE(second_process["memory"].toInteger(), 200 << 20);
    gpus.set_processes(0, {});
    const QJsonObject result = spool.wait_for_result("b");
    QCOMPARE(result["gpus"].toArray(), QJsonArray{"0"});
    QCOMPARE(result["gpu_ids"].toArray(), QJsonArray{"GPU-00000000"});
    let_go(spool);
}

QTEST_GUILESS_MAIN(SystemGpuProbe)
#include "system_gpu_probe.moc"
