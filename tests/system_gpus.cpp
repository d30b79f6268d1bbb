// The pool of a machine's GPUs: strangers on them, GPUs that are drained or lost, drivers that
// hang. The driver is a fake one.
#include <QProcess>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"

using namespace std::chrono_literals;

namespace {

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
};

void SystemGpus::jobs_get_the_gpus_that_are_there() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    spool.drop("b.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    spool.drop("c.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/b.log") == "1\n"; }, "b on GPU 1"));
    QVERIFY(spool.wait_for(
        [&] {
            return wait_sentence(spool, "c") ==
                   "waiting for 1 GPU: 0 held by job 1 (a); 1 held by job 2 (b); 0 free";
        },
        "the reason of c"));
    let_go(spool);
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
            return wait_sentence(spool, "x")
                .contains("gpuspool gpus ignore " + QString::number(getpid()));
        },
        "the reason of x"));
    QVERIFY2(wait_sentence(spool, "x").contains(QString("(pid %1 of ").arg(getpid())),
             qPrintable(wait_sentence(spool, "x")));
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
    QVERIFY(
        spool.wait_for([&] { return wait_sentence(spool, "x").contains("used by"); }, "x to wait"));
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
    QVERIFY(
        spool.wait_for([&] { return wait_sentence(spool, "z").contains("used by"); }, "z to wait"));
}

void SystemGpus::a_job_on_a_gpu_that_it_was_not_given() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return !spool.read("../home/pid").isEmpty(); }, "a"));
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    gpus.set_processes(1, {{spool.read("../home/pid").trimmed().toLongLong(), 100}});
    spool.drop("b.job", "true");
    QVERIFY(spool.wait_for(
        [&] {
            return wait_sentence(spool, "b")
                .contains("1 used by job 1 (a), which was not given it");
        },
        "the reason of b"));
    gpus.set_processes(1, {});
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
}

void SystemGpus::drained_until_it_is_undrained() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    QVERIFY(request(spool, "gpu-drain", "0").ok);
    QVERIFY(request(spool, "gpu-drain", "GPU-00000001").ok);
    QVERIFY(!request(spool, "gpu-drain", "9").ok);
    spool.drop("b.job", "echo $CUDA_VISIBLE_DEVICES");
    QVERIFY(spool.wait_for([&] { return wait_sentence(spool, "b").contains("1 drained"); },
                           "b to wait"));
    QVERIFY2(spool.exists("running/a.job"), "what runs there goes on");
    // Over a restart, too.
    QVERIFY(spool.stop());
    QVERIFY(spool.start());
    QVERIFY(spool.wait_for([&] { return wait_sentence(spool, "b").contains("1 drained"); },
                           "b to wait"));
    QVERIFY(request(spool, "gpu-undrain", "1").ok);
    QVERIFY(!request(spool, "gpu-undrain", "1").ok);
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
    let_go(spool);
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
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    // The end of a job makes it necessary to ask before the next start.
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    gpus.set("hang", "nvmlDeviceGetUUID");
    spool.drop("b.job", "true");
    spool.drop("c.job", "#SPOOL --gpus=0\ntrue");
    // The loop goes on: what needs no GPU runs, and requests are answered.
    QCOMPARE(spool.wait_for_result("c")["state"].toString(), "succeeded");
    QVERIFY2(spool.wait_for(
                 [&] { return wait_sentence(spool, "b").contains("have not answered for 5 s"); },
                 "the reason of b"),
             qPrintable(wait_sentence(spool, "b")));
    QVERIFY2(spool.exists("running/a.job"), "what runs goes on");
    gpus.set("hang", "");
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    let_go(spool);
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpus::a_gpu_that_is_lost_finishes_nothing_and_heals() {
    TestSpool spool;
    FakeGpus gpus(spool, {FakeGpus::a100(0), FakeGpus::a100(1)});
    QVERIFY(spool.start());
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return spool.read("running/a.log") == "0\n"; }, "a on GPU 0"));
    spool.drop("before.job", "true");
    QCOMPARE(spool.wait_for_result("before")["gpus"].toArray(), QJsonArray{"1"});
    // GPU 1 falls off the bus: the driver counts one less.
    gpus.set_gpus({FakeGpus::a100(0)});
    spool.drop("b.job", "true");
    QVERIFY(spool.wait_for(
        [&] { return wait_sentence(spool, "b").contains("1 its driver no longer lists it"); },
        "the reason of b"));
    gpus.set_gpus({FakeGpus::a100(0), FakeGpus::a100(1)});
    QCOMPARE(spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"1"});
}

QTEST_GUILESS_MAIN(SystemGpus)
#include "system_gpus.moc"
