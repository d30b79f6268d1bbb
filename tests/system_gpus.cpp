// The pool of a machine's GPUs, as jobs and users meet it; the driver is a fake one.
#include <QJsonArray>
#include <QProcess>
#include <QTest>

#include "libspool/control.h"
#include "libspool/layout.h"
#include "libspool/posix_files.h"
#include "libspool/system.h"
#include "tests/support/fake_gpus.h"

using namespace std::chrono_literals;

namespace {

/// A job that holds its GPUs until the file `go` is there.
QByteArray held(const TestSpool& spool, const QString& go = "go", const QByteArray& options = {}) {
    return "#SPOOL " + options + "\necho $CUDA_VISIBLE_DEVICES\necho $$ > " +
           spool.scratch("pid").toUtf8() + "\nuntil [[ -e " + spool.scratch(go).toUtf8() +
           " ]]; do sleep 0.05; done\n";
}

void touch(const QString& path) {
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
}

/// Answers a request that the daemon is asked by file.
spool::Reply request(const TestSpool& spool, const std::string& verb, const std::string& subject) {
    spool::PosixFiles files;
    const spool::SystemClock clock;
    auto opened = spool::open_spool(files, spool.path().toStdString(), spool::IfMissing::fail);
    if (!opened) return {false, opened.error().text()};
    const auto sent = spool::send_request(*opened, {{}, verb, {}, 0, subject, {}}, clock);
    if (!sent) return {false, sent.error().text()};
    spool::Reply reply;
    spool.wait_for(
        [&] {
            const auto read = spool::read_reply(*opened, *sent);
            if (!read || !*read) return false;
            reply = **read;
            return true;
        },
        "an answer");
    return reply;
}

}  // namespace

class SystemGpus : public QObject {
    Q_OBJECT

private slots:
    void jobs_get_the_gpus_that_are_there();
    void a_stranger_is_left_alone_and_its_end_is_noticed();
    void an_ignored_process_is_no_obstacle();
    void a_job_on_a_gpu_that_it_was_not_given();
    void drained_until_it_is_undrained();
    void three_quick_failures_drain_a_gpu();
    void a_driver_that_hangs_stops_only_starts();
    void a_gpu_that_is_lost_finishes_nothing_and_heals();
    void jobs_share_a_gpu_by_memory();
    void a_shared_gpu_is_asked_about_again();
    void who_waits_for_one_gpu_leaves_the_others();
    void wishes();
    void instances_are_bound_by_uuid();
    void a_changed_configuration();
    void an_adopted_job_keeps_its_gpu();
    void nothing_is_asked_while_nobody_waits();

private:
    static QJsonObject waiting(const TestSpool& spool, const QString& name);
    static QString reason(const TestSpool& spool, const QString& name);
};

QJsonObject SystemGpus::waiting(const TestSpool& spool, const QString& name) {
    const Finished status = spool.gpuspool({"status", "--json"});
    const auto jobs = QJsonDocument::fromJson(status.out).object()["waiting"].toArray();
    for (const auto& job : jobs)
        if (job.toObject()["name"] == name) return job.toObject();
    return {};
}

QString SystemGpus::reason(const TestSpool& spool, const QString& name) {
    return waiting(spool, name)["reason"].toString();
}

void SystemGpus::jobs_get_the_gpus_that_are_there() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    spool.drop("b.job", held(spool));
    spool.drop("c.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.wait_for(
        [&] {
            return reason(spool, "c") ==
                   "waiting for 1 GPU: 0 held by job 1 (a); 1 held by job 2 (b); 0 free";
        },
        "the reason of c"));
    touch(spool.scratch("go"));
    const QJsonObject result = spool.wait_for_result("c");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["gpu_ids"].toArray().size(), 1);
    QVERIFY(result["gpu_ids"].toArray()[0].toString().startsWith("GPU-0000000"));
}

void SystemGpus::a_stranger_is_left_alone_and_its_end_is_noticed() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("x.job", "echo $CUDA_VISIBLE_DEVICES");
    QVERIFY(spool.wait_for(
        [&] {
            return reason(spool, "x").contains("gpuspool gpus ignore " + QString::number(getpid()));
        },
        "the reason of x"));
    QVERIFY2(reason(spool, "x").contains(QString("(pid %1 of ").arg(getpid())),
             qPrintable(reason(spool, "x")));
    QVERIFY(!spool.exists("running/x.job"));
    gpus.set_processes(0, {});
    QElapsedTimer timer;
    timer.start();
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY2(timer.elapsed() < 10'000, qPrintable(QString::number(timer.elapsed())));
}

void SystemGpus::an_ignored_process_is_no_obstacle() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    gpus.set_processes(0, {{getpid(), 600}});
    QVERIFY(spool.start());
    spool.drop("x.job", "true");
    QVERIFY(spool.wait_for([&] { return reason(spool, "x").contains("used by"); }, "x to wait"));
    const spool::Reply reply = request(spool, "gpu-ignore", std::to_string(getpid()));
    QVERIFY2(reply.ok, reply.message.c_str());
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    // It is remembered by the next daemon, and forgotten when it is told.
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    spool.drop("y.job", "true");
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(request(spool, "gpu-heed", std::to_string(getpid())).ok);
    QVERIFY(!request(spool, "gpu-heed", std::to_string(getpid())).ok);
    spool.drop("z.job", "true");
    QVERIFY(spool.wait_for([&] { return reason(spool, "z").contains("used by"); }, "z to wait"));
}

void SystemGpus::a_job_on_a_gpu_that_it_was_not_given() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return !spool.read("../home/pid").isEmpty(); }, "a"));
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    gpus.set_processes(1, {{spool.read("../home/pid").trimmed().toLongLong(), 100}});
    spool.drop("b.job", "true");
    QVERIFY(spool.wait_for(
        [&] { return reason(spool, "b").contains("1 used by job 1 (a), which was not given it"); },
        "the reason of b"));
    gpus.set_processes(1, {});
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

void SystemGpus::drained_until_it_is_undrained() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    QVERIFY(request(spool, "gpu-drain", "0").ok);
    QVERIFY(request(spool, "gpu-drain", "GPU-00000001").ok);
    QVERIFY(!request(spool, "gpu-drain", "9").ok);
    spool.drop("b.job", "echo $CUDA_VISIBLE_DEVICES");
    QVERIFY(spool.wait_for([&] { return reason(spool, "b").contains("1 drained"); }, "b to wait"));
    QVERIFY2(spool.exists("running/a.job"), "what runs there goes on");
    // Over a restart, too.
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    QVERIFY(spool.wait_for([&] { return reason(spool, "b").contains("1 drained"); }, "b to wait"));
    QVERIFY(request(spool, "gpu-undrain", "1").ok);
    QVERIFY(!request(spool, "gpu-undrain", "1").ok);
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    spool.drop("c.job", "true");
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"1"});
}

void SystemGpus::three_quick_failures_drain_a_gpu() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    for (const char* name : {"a", "b", "c"}) {
        spool.drop(QString(name) + ".job", "exit 3");
        QCOMPARE(spool.wait_for_result(name)["gpus"].toArray(), QJsonArray{"0"});
    }
    spool.drop("d.job", "exit 3");
    QCOMPARE(spool.wait_for_result("d")["gpus"].toArray(), QJsonArray{"1"});
    QVERIFY2(spool.daemon_log().contains("GPU-00000000 is drained: jobs 1, 2, 3 failed within"),
             spool.daemon_log());
    // A success between failures says that the GPU works.
    int number = 0;
    for (const char* script : {"true", "exit 3", "exit 3"}) {
        const QString name = QString("e%1").arg(++number);
        spool.drop(name + ".job", script);
        QCOMPARE(spool.wait_for_result(name)["gpus"].toArray(), QJsonArray{"1"});
    }
    spool.drop("f.job", "true");
    QCOMPARE(spool.wait_for_result("f")["state"].toString(), "succeeded");
}

void SystemGpus::a_driver_that_hangs_stops_only_starts() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    // The end of a job makes it necessary to ask before the next start.
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    gpus.set("hang", "nvmlDeviceGetUUID");
    spool.drop("b.job", "true");
    spool.drop("c.job", "#SPOOL --gpus=0\ntrue");
    // The loop goes on: what needs no GPU runs, and requests are answered.
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
    QVERIFY2(
        spool.wait_for([&] { return reason(spool, "b").contains("have not answered for 5 s"); },
                       "the reason of b"),
        qPrintable(reason(spool, "b")));
    QVERIFY2(spool.exists("running/a.job"), "what runs goes on");
    gpus.set("hang", "");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpus::a_gpu_that_is_lost_finishes_nothing_and_heals() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    // GPU 1 falls off the bus: the driver counts one less.
    gpus.set_gpus({FakeGpus::a100(0)});
    spool.drop("b.job", "true");
    QVERIFY(spool.wait_for(
        [&] { return reason(spool, "b").contains("1 its driver no longer lists it"); },
        "the reason of b"));
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
}

void SystemGpus::jobs_share_a_gpu_by_memory() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    for (const char* name : {"a", "b"})
        spool.drop(QString(name) + ".job", held(spool, "go", "--gpu-mem=30G"));
    QVERIFY(
        spool.wait_for([&] { return spool.read("running/b.log") == "0\n"; }, "a and b on GPU 0"));
    spool.drop("c.job", held(spool, "go", "--gpu-mem=30G"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/c.log") == "1\n"; }, "c on GPU 1"));
    spool.drop("d.job", held(spool, "go", "--gpus=1"));
    spool.drop("e.job", "#SPOOL --gpu-mem=90G\ntrue");
    QVERIFY(spool.wait_for([&] { return reason(spool, "d").contains("0 free"); }, "d to wait"));
    QVERIFY(spool.wait_for(
        [&] { return reason(spool, "e").contains("asks for 1 GPU with 90.0 GB to share"); },
        "e to wait"));
    // What is used beyond what was asked for is not given again: after a restart as well.
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    spool.drop("f.job", "#SPOOL --gpu-mem=10G --priority=5\necho $CUDA_VISIBLE_DEVICES");
    QCOMPARE(spool.wait_for_result("f")["gpus"].toArray(), QJsonArray{"0"});
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("d")["state"].toString(), "succeeded");
}

/// The end of a job makes what is known of its GPU old, though another one still has it.
void SystemGpus::a_shared_gpu_is_asked_about_again() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool, "go", "--gpu-mem=10G"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    for (const char* name : {"b", "c"}) {
        spool.drop(QString(name) + ".job", "#SPOOL --gpu-mem=10G\ntrue");
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
    }
    touch(spool.scratch("go"));
}

void SystemGpus::who_waits_for_one_gpu_leaves_the_others() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool, "go", "--gpu-ids=1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.drop("b.job", "#SPOOL --gpu-ids=1\ntrue");
    QVERIFY(spool.wait_for([&] { return reason(spool, "b").contains("1 held by job 1"); }, "b"));
    spool.drop("c.job", "true");
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"0"});
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
}

void SystemGpus::wishes() {
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
        [&] { return reason(spool, "never").startsWith("asks for 2 GPUs of type h100"); },
        "the reason of what can never be"));
}

void SystemGpus::instances_are_bound_by_uuid() {
    TestSpool spool;
    QJsonObject divided = FakeGpus::a100(0);
    QJsonObject instance = FakeGpus::a100(0);
    instance["uuid"] = "MIG-11111111";
    instance["total"] = 20000;
    divided["mig"] = QJsonArray{instance};
    FakeGpus gpus(spool, {divided, FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    spool.drop("b.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "MIG-11111111\n"; },
                           "a on the instance"));
}

void SystemGpus::a_changed_configuration() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    const auto configure = [&](const QByteArray& text) {
        QFile file(spool.path("config.json"));
        QVERIFY(file.open(QIODevice::WriteOnly) && file.write(text) == text.size());
    };
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    // Its GPU leaves the pool: the job goes on, and nothing else comes there.
    configure(R"({"gpus": [1]})");
    spool.drop("b.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.exists("running/a.job"));
    configure(R"({"max_gpus": 2})");
    spool.drop("c.job", "true");
    QVERIFY(spool.wait_for([&] { return reason(spool, "c").contains("1 held by job 2"); },
                           "c to wait"));
    configure(R"({"max_gpus": 2, "gpus_drained": [0], "bind": "uuid"})");
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("c")["gpus"].toArray(), QJsonArray{"GPU-00000001"});
}

/// By its identity: its index may have become another's.
void SystemGpus::an_adopted_job_keeps_its_gpu() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1), FakeGpus::a100(2)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool, "go", "--gpu-ids=1"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "1\n"; }, "a on GPU 1"));
    spool.kill9();
    gpus.set_gpus({FakeGpus::a100(1), FakeGpus::a100(2)});
    QVERIFY(spool.start());
    spool.drop("b.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; },
                           "b on what is GPU 1 now"));
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("b")["gpu_ids"].toArray(), QJsonArray{"GPU-00000002"});
    QCOMPARE(spool.wait_for_result("a")["gpu_ids"].toArray(), QJsonArray{"GPU-00000001"});
}

/// That the driver is asked would be seen from its hanging.
void SystemGpus::nothing_is_asked_while_nobody_waits() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    spool.drop("a.job", held(spool));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    spool.drop("b.job", "true");
    QVERIFY(spool.wait_for([&] { return reason(spool, "b").contains("held by job 1"); }, "b"));
    // All GPUs are held by jobs of ours: only their end makes one free.
    gpus.set("hang", "nvmlDeviceGetUUID");
    const auto asked = [&] { return spool.daemon_log().contains("have not answered"); };
    QVERIFY(!spool.wait_for(asked, "an answer that nobody asks for (expected)", 7s));
    gpus.set("hang", "");
    touch(spool.scratch("go"));
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

QTEST_GUILESS_MAIN(SystemGpus)
#include "system_gpus.moc"
