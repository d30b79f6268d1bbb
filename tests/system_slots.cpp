// Who gets which GPU, when, and what a job is told about it.
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

QStringList gpus_of(const QJsonObject& result) {
    QStringList out;
    for (const QJsonValue gpu : result["gpus"].toArray())
        out.append(gpu.toString());
    return out;
}

/// A job that says that it runs and goes on until the file ~/NAME.go is there.
QByteArray gated_on_gpu(const QByteArray& name, const QByteArray& directives = "") {
    return directives + "echo " + name + " >> ~/ran\necho \"gpus=$CUDA_VISIBLE_DEVICES\"\n" +
           "until [ -e ~/" + name + ".go ]; do sleep 0.02; done\n";
}

bool pause(const TestSpool& spool) {
    return shell(spool, "touch $GPUSPOOL_DIR/control/pause") &&
           spool.wait_for([&] { return state_of(spool)["daemon"].toObject()["paused"].toBool(); },
                          "pause");
}

bool resume(const TestSpool& spool) {
    return QFile::remove(spool.path("control/pause"));
}

}  // namespace

class SlotsTest : public QObject {
    Q_OBJECT

private slots:
    void the_pool_is_listed_by_hand_data();
    void the_pool_is_listed_by_hand();
    void an_empty_list_is_refused();
    void a_job_is_told_its_gpu();
    void a_cpu_job_sees_no_gpu();
    void first_come_first_served();
    void a_higher_priority_goes_first();
    void jobs_never_share_a_slot();
    void a_slot_listed_twice_takes_two_jobs();
    void two_gpus_for_one_job();
    void a_big_job_is_not_starved();
    void more_than_the_pool_waits_and_blocks_nobody();
    void cpu_slots_are_counted();
    void without_a_pool_jobs_need_no_gpu();
};

void SlotsTest::the_pool_is_listed_by_hand_data() {
    QTest::addColumn<QString>("arguments");
    QTest::addColumn<QStringList>("wanted");
    QTest::newRow("0,1,2") << "0,1,2" << QStringList{"0", "1", "2"};
    QTest::newRow("0 1") << "0 1" << QStringList{"0", "1"};
    QTest::newRow("0,1 2,3") << "0,1 2,3" << QStringList{"0,1", "2,3"};
    QTest::newRow("0 0") << "0 0" << QStringList{"0", "0"};
    QTest::newRow("7") << "7" << QStringList{"7"};
    QTest::newRow("variable") << "$CUDA_VISIBLE_DEVICES" << QStringList{"4", "2"};
    QTest::newRow("UUIDs") << "GPU-5ac2,GPU-77ef" << QStringList{"GPU-5ac2", "GPU-77ef"};
    QTest::newRow("a slot without a GPU") << "\"\"" << QStringList{""};
}

void SlotsTest::the_pool_is_listed_by_hand() {
    QFETCH(QString, arguments);
    QFETCH(QStringList, wanted);
    TestSpool spool;
    QVERIFY(shell(spool,
                  "export CUDA_VISIBLE_DEVICES=4,2; unset UNSET_HERE\nset +u\n"
                  "echo 'sleep 0.5' > job; mkdir -m 700 -p $I; chmod 700 $I/..\n"
                  "mv job $I/x.job; " SPOOLD " --once --cpu-slots 1 --gpus " +
                      arguments + " 2>&1"));
    QCOMPARE(pool_of(spool), wanted);
    QCOMPARE(gpus_of(state_of(spool)["running"][0].toObject()), wanted.mid(0, 1));
}

/// --gpus $CUDA_VISIBLE_DEVICES where that is not set: not a pool of one slot without a GPU.
void SlotsTest::an_empty_list_is_refused() {
    TestSpool spool;
    const Finished refused = spool.run(SPOOLD, {"--once", "--gpus"});
    QVERIFY(refused.exit_code > 0);
    QVERIFY2((refused.out + refused.err).contains("--gpus"), refused.out + refused.err);
}

void SlotsTest::a_job_is_told_its_gpu() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "2,3", "5"}));
    QVERIFY(spool.drop("x.job", "env\n"));
    const QJsonObject result = spool.wait_for_result("x");
    const QByteArrayList environment = spool.read("done/x.log").split('\n');
    const auto has = [&](const QByteArray& entry) {
        if (environment.contains(entry)) return true;
        qWarning("%s is missing in:\n%s", entry.constData(), spool.read("done/x.log").constData());
        return false;
    };
    QVERIFY(has("CUDA_DEVICE_ORDER=PCI_BUS_ID"));
    QVERIFY(has("CUDA_VISIBLE_DEVICES=2,3"));
    QVERIFY(has("NVIDIA_VISIBLE_DEVICES=2,3"));
    QVERIFY(has("GPUSPOOL_JOB_ID=" + QByteArray::number(result["id"].toInt())));
    QVERIFY(has("GPUSPOOL_JOB_NAME=x"));
    QVERIFY(has("GPUSPOOL_DIR=" + spool.path().toUtf8()));
    QVERIFY(has("PYTHONUNBUFFERED=1"));
    QVERIFY(has("HOME=" + spool.scratch().toUtf8()));
    QVERIFY(has("PWD=" + spool.scratch().toUtf8()));
    QCOMPARE(spool.read("done/x.log").count("MASTER_PORT="), 2);
    QCOMPARE(gpus_of(result), QStringList{"2,3"});
}

void SlotsTest::a_cpu_job_sees_no_gpu() {
    TestSpool spool;
    spool.environment.insert("CUDA_VISIBLE_DEVICES", "0,1");
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0\necho \"[$CUDA_VISIBLE_DEVICES]\"\n"
                       "echo \"[$NVIDIA_VISIBLE_DEVICES]\"\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(spool.read("done/x.log"), "[]\n[void]\n");
    QCOMPARE(gpus_of(result), QStringList());
}

void SlotsTest::first_come_first_served() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(pause(spool));
    QByteArray wanted;
    // Dropped in another order than that of their names.
    for (const char* name : {"m", "z", "a", "q", "b", "y", "c", "k"}) {
        QVERIFY(spool.drop(QString(name) + ".job", QByteArray("echo ") + name + " >> ~/ran\n"));
        wanted += QByteArray(name) + '\n';
    }
    QVERIFY(wait_for_reason(spool, "k", "paused"));
    QVERIFY(resume(spool));
    QVERIFY(!spool.wait_for_result("k").isEmpty());
    QCOMPARE(home_file(spool, "ran"), wanted);
}

void SlotsTest::a_higher_priority_goes_first() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(pause(spool));
    const QList<QPair<QString, int>> jobs = {{"a", 0}, {"b", 5}, {"c", -5}, {"d", 10}, {"e", 5}};
    for (const auto& [name, priority] : jobs)
        QVERIFY(spool.drop(
            name + ".job",
            QString("#SPOOL --priority=%1\necho %2 >> ~/ran\n").arg(priority).arg(name).toUtf8()));
    QVERIFY(wait_for_reason(spool, "e", "paused"));
    // An edit while it waits counts.
    QVERIFY(shell(spool, "sed -i s/priority=0/priority=7/ $I/a.job"));
    QVERIFY(spool.wait_for([&] { return waiting_job(spool, "a")["priority"].toInt() == 7; },
                           "the new priority"));
    QVERIFY(resume(spool));
    QVERIFY(!spool.wait_for_result("c").isEmpty());
    QCOMPARE(home_file(spool, "ran"), "d\na\nb\ne\nc\n");
}

void SlotsTest::jobs_never_share_a_slot() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1,2"}));
    const QByteArray job =
        "echo \"$GPUSPOOL_JOB_ID\" >> ~/ran\n"
        "mkdir ~/slot-$CUDA_VISIBLE_DEVICES || echo shared >> ~/shared\n"
        "echo ~/slot-* | wc -w >> ~/together\n"
        "sleep 0.0$((RANDOM % 10))\n"
        "rmdir ~/slot-$CUDA_VISIBLE_DEVICES\n";
    for (int i = 0; i < 60; ++i) {
        QVERIFY(spool.drop(QString("j%1.job").arg(i), job));
        // The daemon dies in between, twice: adopted jobs hold their GPUs.
        if (i % 25 != 24) continue;
        spool.kill9();
        QVERIFY(spool.start({"--gpus", "0,1,2"}));
    }
    QVERIFY(!spool.wait_for_result("j59").isEmpty());
    for (int i = 0; i < 60; ++i)
        QCOMPARE(spool.wait_for_result(QString("j%1").arg(i))["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "shared"), "");
    QByteArrayList ran = home_file(spool, "ran").trimmed().split('\n');
    QCOMPARE(ran.size(), 60);
    QCOMPARE(QSet<QByteArray>(ran.begin(), ran.end()).size(), 60);
    QVERIFY(home_file(spool, "together").contains("3\n"));
}

void SlotsTest::a_slot_listed_twice_takes_two_jobs() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0", "0"}));
    for (const char* name : {"a", "b", "c"})
        QVERIFY(spool.drop(QString(name) + ".job", gated_on_gpu(name)));
    QVERIFY(wait_for_log(spool, "a", "gpus=0\n"));
    QVERIFY(wait_for_log(spool, "b", "gpus=0\n"));
    QVERIFY(wait_for_reason(spool, "c", "gpus"));
    QVERIFY(open_gate(spool, "a") && open_gate(spool, "c"));
    QVERIFY(!spool.wait_for_result("c").isEmpty());
    QVERIFY(!spool.exists("done/b.json"));
    QVERIFY(open_gate(spool, "b"));
    QVERIFY(!spool.wait_for_result("b").isEmpty());
}

void SlotsTest::two_gpus_for_one_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1,2"}));
    QVERIFY(spool.drop("one.job", gated_on_gpu("one")));
    QVERIFY(wait_for_log(spool, "one", "gpus=0\n"));
    QVERIFY(spool.drop("two.job", gated_on_gpu("two", "#SPOOL --gpus=2\n")));
    QVERIFY(wait_for_log(spool, "two", "gpus=1,2\n"));
    QVERIFY(spool.drop("next.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "next", "gpus"));
    const QString sentence = wait_sentence(spool, "next");
    QVERIFY2(sentence.contains("waiting for 1 GPU") && sentence.contains("(one)") &&
                 sentence.contains("(two)"),
             qPrintable(sentence));
    QVERIFY(open_gate(spool, "two"));
    QCOMPARE(gpus_of(spool.wait_for_result("two")), (QStringList{"1", "2"}));
    QVERIFY(!spool.wait_for_result("next").isEmpty());
    QVERIFY(open_gate(spool, "one"));
    QVERIFY(!spool.wait_for_result("one").isEmpty());
}

void SlotsTest::a_big_job_is_not_starved() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("first.job", gated_on_gpu("first")));
    QVERIFY(wait_for_log(spool, "first", "gpus="));
    QVERIFY(spool.drop("big.job", gated_on_gpu("big", "#SPOOL --gpus=2\n")));
    QVERIFY(wait_for_reason(spool, "big", "gpus"));
    QVERIFY(spool.drop("small.job", gated_on_gpu("small")));
    QVERIFY(wait_for_reason(spool, "small", "reserved"));
    QVERIFY(open_gate(spool, "first"));
    QVERIFY(wait_for_log(spool, "big", "gpus=0,1\n"));
    QVERIFY(open_gate(spool, "big") && open_gate(spool, "small"));
    QVERIFY(!spool.wait_for_result("small").isEmpty());
    QCOMPARE(home_file(spool, "ran"), "first\nbig\nsmall\n");
}

void SlotsTest::more_than_the_pool_waits_and_blocks_nobody() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("big.job", "#SPOOL --gpus=3 --priority=100\necho big >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "big", "never_gpus"));
    const QString sentence = wait_sentence(spool, "big");
    QVERIFY2(sentence.contains("3 GPUs") && sentence.contains("2 at most"), qPrintable(sentence));
    QVERIFY(spool.drop("small.job", "echo small >> ~/ran\n"));
    QVERIFY(!spool.wait_for_result("small").isEmpty());
    QVERIFY(spool.exists("incoming/big.job"));
    QCOMPARE(home_file(spool, "ran"), "small\n");
    // With a larger pool it goes.
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--gpus", "0,1,2"}));
    QCOMPARE(gpus_of(spool.wait_for_result("big")).size(), 3);
}

void SlotsTest::cpu_slots_are_counted() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0", "--cpu-slots", "2"}));
    QVERIFY(spool.drop("gpu.job", gated_on_gpu("gpu")));
    QVERIFY(wait_for_log(spool, "gpu", "gpus=0\n"));
    for (const char* name : {"a", "b", "c"})
        QVERIFY(spool.drop(QString(name) + ".job", gated_on_gpu(name, "#SPOOL --gpus=0\n")));
    QVERIFY(wait_for_log(spool, "a", "gpus=\n"));
    QVERIFY(wait_for_log(spool, "b", "gpus=\n"));
    QVERIFY(wait_for_reason(spool, "c", "cpu_slots"));
    QVERIFY(wait_sentence(spool, "c").contains("waiting for 1 CPU slot"));
    QCOMPARE(state_of(spool)["counts"].toObject()["cpu_slots_used"].toInt(), 2);
    // Adopted jobs hold their slots.
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0", "--cpu-slots", "2"}));
    QVERIFY(wait_for_reason(spool, "c", "cpu_slots"));
    for (const char* name : {"a", "b", "c", "gpu"})
        QVERIFY(open_gate(spool, name));
    for (const char* name : {"a", "b", "c", "gpu"})
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
}

void SlotsTest::without_a_pool_jobs_need_no_gpu() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("gpu.job", "#SPOOL --gpus=1\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "gpu", "never_gpus"));
    QVERIFY2(wait_sentence(spool, "gpu").contains("none"), qPrintable(wait_sentence(spool, "gpu")));
    QVERIFY(spool.drop("plain.job", "echo \"[$CUDA_VISIBLE_DEVICES]\"\n"));
    QCOMPARE(spool.wait_for_result("plain")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/plain.log"), "[]\n");
}

QTEST_GUILESS_MAIN(SlotsTest)
#include "system_slots.moc"
