// What `gpuspool gpus` says, as a table and as JSON.
#include <QRegularExpression>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

namespace {

const QString product = "NVIDIA A100-SXM4-80GB";

/// The cells of the table's line on a GPU.
QStringList row(const QByteArray& table, int gpu) {
    for (const QByteArray& line : table.split('\n'))
        if (const QString text = QString::fromUtf8(line).trimmed();
            text.startsWith(QString::number(gpu) + "  "))
            return text.split(QRegularExpression(" {2,}"));
    return {};
}

/// What stands below the table on a GPU.
QByteArray below(const QByteArray& table, int gpu) {
    const auto begin = table.indexOf("\nGPU " + QByteArray::number(gpu));
    return begin < 0 ? QByteArray() : table.mid(begin, table.indexOf("\n\n", begin + 1) - begin);
}

QByteArray table_of(const TestSpool& spool) {
    const Finished finished = spool.gpuspool({"gpus"});
    if (finished.exit_code != 0) qWarning("gpuspool gpus: %s", finished.err.constData());
    return finished.exit_code == 0 ? finished.out : QByteArray();
}

}  // namespace

class SystemGpusCommand : public QObject {
    Q_OBJECT

private slots:
    void a_line_for_each_gpu();
    void json_says_the_same();
    void jobs_that_share_are_all_named();
    void without_a_daemon();
    void without_gpus();
    void while_the_driver_does_not_answer();
    void bars_without_utf8();
    void what_cannot_be_drained();
};

void SystemGpusCommand::a_line_for_each_gpu() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    FakeGpus gpus(spool, {FakeGpus::busy_a100(0), FakeGpus::a100(1), FakeGpus::a100(2),
                          FakeGpus::a100(3), FakeGpus::a100(4)});
    gpus.set(0, "used", 5);
    gpus.set_processes(1, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    gpus.set(0, "used", 60'000);
    gpus.set(3, "handle", 15);
    const Finished drained = spool.gpuspool({"gpus", "drain", "2", "--reason", "a new fan"});
    QCOMPARE(drained.exit_code, 0);
    spool.drop("b.job", "#SPOOL --gpu-ids=1,2,3\ntrue");
    QVERIFY(waits_with(spool, "b", "3 GPU is lost"));
    QVERIFY(waits_with(spool, "b", "2 drained: a new fan"));
    QVERIFY(gpu_says(spool, "GPU-00000002", "status", "drained"));

    const QByteArray table = table_of(spool);
    const QString full = "██████████", none = "··········";
    QCOMPARE(table.left(table.indexOf('\n')).simplified(), "GPU TYPE USE MEMORY TEMP POWER JOB");
    QCOMPARE(row(table, 0), (QStringList{"0", product, full, "97 %", "███████···",
                                         "58.6 GB of 80.0 GB", "67 °C", "301 W", "1 (a)"}));
    QCOMPARE(row(table, 1).value(5), "605.0 MB of 80.0 GB");
    QCOMPARE(row(table, 1).last(), "busy");
    QCOMPARE(row(table, 2).last(), "drained");
    QCOMPARE(row(table, 3).last(), "unknown");
    QCOMPARE(row(table, 4), (QStringList{"4", product, none, "0 %", none, "5.0 MB of 80.0 GB",
                                         "30 °C", "50 W", "free"}));
    const QByteArray pid = QByteArray::number(getpid());
    QVERIFY2(below(table, 1).contains("gpuspool gpus ignore " + pid), table);
    QVERIFY2(below(table, 1).contains("\n    pid " + pid + "  "), table);
    QVERIFY2(below(table, 1).contains("  600.0 MB"), table);
    QVERIFY2(below(table, 2).contains("drained: a new fan"), table);
    QVERIFY2(below(table, 3).contains("GPU is lost"), table);
    QVERIFY2(!table.contains("GPU 4:") && !table.contains('\033'), table);
    let_go(spool);
}

void SystemGpusCommand::json_says_the_same() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return QFile::exists(spool.scratch("pid")); }, "a's process"));
    gpus.set_processes(0, {{spool.read("../home/pid").trimmed().toLongLong(), 900}});
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "held"));
    const QByteArray text = spool.gpuspool({"gpus", "--json"}).out;
    const auto document = QJsonDocument::fromJson(text).object();
    QVERIFY(document["daemon"].toObject()["running"].toBool());
    QCOMPARE(document["problem"], QJsonValue());
    const auto slot = document["slots"].toArray().at(0).toObject();
    QCOMPARE(slot["slot"].toString(), "0");
    QCOMPARE(slot["name"].toString(), "a");
    const auto gpu = document["gpus"].toArray().at(0).toObject();
    QCOMPARE(gpu["jobs"].toArray(), QJsonArray{1});
    QCOMPARE(gpu["memory_used"].toInteger(), 905ll << 20);
    QCOMPARE(gpu["processes"].toArray().at(0).toObject()["memory"].toInteger(), 900ll << 20);
    QCOMPARE(document["gpus"].toArray().at(1).toObject()["status"].toString(), "free");
    // What tells a job's processes from others' is nobody's business.
    QVERIFY2(!text.contains("token"), text);
    let_go(spool);
}

void SystemGpusCommand::jobs_that_share_are_all_named() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    for (const QString name : {"a", "b"}) {
        spool.drop(name + ".job", held_job(spool, "$CUDA_VISIBLE_DEVICES", "--gpu-mem=9G"));
        QVERIFY(spool.wait_for([&] { return spool.read("running/" + name + ".log") == "0\n"; },
                               name + " on GPU 0"));
    }
    QVERIFY(spool.wait_for([&] { return row(table_of(spool), 0).value(8) == "1 (a), 2 (b)"; },
                           "both jobs"));
    let_go(spool);
}

/// The drivers are asked by the command itself.
void SystemGpusCommand::without_a_daemon() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    gpus.set_processes(1, {{getpid(), 600}});
    QVERIFY(!spool.exists(""));
    QCOMPARE(row(table_of(spool), 0).value(8), "free");
    QCOMPARE(row(table_of(spool), 1).value(8), "busy");
    QVERIFY(!spool.exists(""));
    QVERIFY(spool.start());
    QVERIFY(spool.stop());
    QCOMPARE(row(table_of(spool), 0).value(8), "free");
    const QJsonObject json = json_of(spool.gpuspool({"gpus", "--json"}));
    QCOMPARE(json["daemon"].toObject()["running"], QJsonValue(false));
    QCOMPARE(json["gpus"].toArray().size(), 2);
}

void SystemGpusCommand::without_gpus() {
    TestSpool spool;
    QCOMPARE(table_of(spool), "This machine has no GPU that a driver tells of.\n");
    QCOMPARE(json_of(spool.gpuspool({"gpus", "--json"}))["gpus"].toArray(), QJsonArray{});
    spool.environment.insert("GPUSPOOL_PROBE", spool.scratch("nowhere"));
    const Finished finished = spool.gpuspool({"gpus"});
    QVERIFY(finished.exit_code > 0);
    QVERIFY2(finished.err.contains("nowhere"), finished.err);
}

void SystemGpusCommand::while_the_driver_does_not_answer() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "held"));
    gpus.set("init", 18);
    gpus.set("count", 18);
    const QByteArray table = table_of(spool);
    QVERIFY2(table.startsWith("! NVIDIA driver: "), table);
    QVERIFY2(table.contains("Driver/library version mismatch"), table);
    QCOMPARE(row(table, 0).value(8), "1 (a)");
    QCOMPARE(row(table, 1).value(8), "unknown");
    let_go(spool);
}

void SystemGpusCommand::bars_without_utf8() {
    TestSpool spool;
    spool.environment.insert("LC_ALL", "C.UTF-8");
    const FakeGpus gpus(spool, {FakeGpus::busy_a100(0)});
    spool.environment.insert("LC_ALL", "C");
    const QStringList cells = row(table_of(spool), 0);
    QCOMPARE(cells.value(2), "##########");
    QCOMPARE(cells.value(4), "#######...");
    QCOMPARE(cells.value(6), "67 C");
}

void SystemGpusCommand::what_cannot_be_drained() {
    TestSpool spool;
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.gpuspool({"gpus", "drain"}).exit_code != 0);
    QVERIFY(spool.start());
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "free"));
    const Finished unknown = spool.gpuspool({"gpus", "drain", "7\033[2J"});
    QVERIFY(unknown.exit_code != 0);
    QVERIFY2((unknown.out + unknown.err).contains("there is no GPU '7"), unknown.err);
    QVERIFY2(!(unknown.out + unknown.err).contains('\033'), unknown.err);
    QVERIFY(spool.gpuspool({"gpus", "undrain", "0"}).exit_code != 0);
    QVERIFY(spool.gpuspool({"gpus", "heed", "Xorg"}).exit_code != 0);
    QCOMPARE(spool.gpuspool({"gpus", "ignore", "Xorg"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"gpus", "heed", "Xorg"}).exit_code, 0);
}

QTEST_GUILESS_MAIN(SystemGpusCommand)
#include "system_gpus_command.moc"
