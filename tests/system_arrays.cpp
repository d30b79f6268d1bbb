// One file, many tasks: each is executed once, and has a log and a result of its own.
#include <QtTest>

#include "tests/support/array_jobs.h"
#include "tests/support/strace.h"

class ArraysTest : public QObject {
    Q_OBJECT

private slots:
    void each_task_runs_once();
    void tasks_know_their_array_data();
    void tasks_know_their_array();
    void output_patterns_name_tasks();
    void a_bad_array_is_refused_data();
    void a_bad_array_is_refused();
    void no_more_than_the_limit_at_once();
    void a_failing_task_fails_the_array_alone();
    void status_folds_it();
    void a_name_that_is_taken();
    void a_removed_result_directory_is_made_again();
    void its_place_is_kept_while_it_is_opened();
    void people_are_shown_its_number();
};

void ArraysTest::each_task_runs_once() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=0-19%4\necho $SLURM_ARRAY_TASK_ID >> ~/ran\n"
                       "echo task $GPUSPOOL_ARRAY_TASK_ID\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "0-19");
    QCOMPARE(result["tasks"].toObject()["count"].toInt(), 20);
    QVERIFY(result["task"].isNull());
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 19));
    QSet<QString> tokens;
    for (int task = 0; task < 20; ++task) {
        const QString name = QString("x.tasks/%1").arg(task);
        QCOMPARE(spool.read("done/" + name + ".log"), "task " + QByteArray::number(task) + "\n");
        const QJsonObject one = spool.result(name);
        QCOMPARE(one["state"].toString(), "succeeded");
        QCOMPARE(one["id"].toInt(), result["id"].toInt());
        QCOMPARE(one["task"].toInt(), task);
        tokens.insert(one["token"].toString());
    }
    QCOMPARE(tokens.size(), 20);
    QVERIFY(spool.exists("done/x.job"));
    QVERIFY(spool.wait_for([&] { return names_in(spool, "running").isEmpty(); },
                           "running/ to be empty"));
    QVERIFY(spool.wait_for(
        [&] {
            const auto records = names_in(spool, ".spool/records");
            return std::none_of(records.begin(), records.end(),
                                [](const auto& name) { return name.startsWith("array-"); });
        },
        "the record of the array to be gone"));
    QVERIFY(names_in(spool, ".spool/scripts").isEmpty());
}

void ArraysTest::tasks_know_their_array_data() {
    QTest::addColumn<QString>("file");
    QTest::addColumn<QByteArray>("text");
    const QByteArray body =
        "for n in JOB_ID TASK_ID TASK_COUNT TASK_MIN TASK_MAX TASK_STEP; do\n"
        "  s=SLURM_ARRAY_$n; g=GPUSPOOL_ARRAY_$n; echo $n ${!s} ${!g}; done >> ~/env\n";
    QTest::newRow("#SPOOL") << "x.job"
                            << "#SPOOL --gpus=0 --array=1,9,5\n" + body;
    QTest::newRow("#SBATCH") << "x.sbatch"
                             << "#!/bin/bash\n#SBATCH -a 1-10:4\n#SBATCH --gres=gpu:0\n" + body +
                                    "[ $SLURM_JOB_ID != $SLURM_ARRAY_JOB_ID ]\n";
    QTest::newRow("JSON") << "x.job"
                          << QByteArray(
                                 R"({"command": "for n in JOB_ID TASK_ID TASK_COUNT TASK_MIN )"
                                 R"(TASK_MAX TASK_STEP; do s=SLURM_ARRAY_$n; )"
                                 R"(g=GPUSPOOL_ARRAY_$n; echo $n ${!s} ${!g}; done >> ~/env",)"
                                 R"( "gpus": 0, "array": "1-9:4%1"})");
}

void ArraysTest::tasks_know_their_array() {
    QFETCH(QString, file);
    QFETCH(QByteArray, text);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop(file, text));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    const QByteArray id = QByteArray::number(result["id"].toInt());
    QByteArray expected;
    for (const QByteArray task : {"1", "5", "9"})
        expected += "JOB_ID " + id + " " + id + "\nTASK_ID " + task + " " + task +
                    "\nTASK_COUNT 3 3\nTASK_MIN 1 1\nTASK_MAX 9 9\nTASK_STEP 4 4\n";
    QCOMPARE(home_file(spool, "env"), expected);
}

void ArraysTest::output_patterns_name_tasks() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop(
        "x.sbatch",
        "#!/bin/bash\n#SBATCH --array=3,4 -J sweep -o out/%x-%A_%a.txt\necho $SLURM_JOB_ID\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    const int id = result["id"].toInt(), first = result["tasks"].toObject()["first_number"].toInt();
    for (const int task : {3, 4})
        QCOMPARE(home_file(spool, QString("out/sweep-%1_%2.txt").arg(id).arg(task)),
                 QByteArray::number(first + task - 3) + "\n");
}

void ArraysTest::a_bad_array_is_refused_data() {
    QTest::addColumn<QByteArray>("value");
    for (const char* value :
         {"", "x", "5-1", "1-3:0", "1,,2", "0-9%0", "-1", "0-100000", "4000001"})
        QTest::newRow(value) << QByteArray(value);
}

void ArraysTest::a_bad_array_is_refused() {
    QFETCH(QByteArray, value);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(
        spool.drop("x.job", "#!/bin/sh\n#SPOOL --gpus=0\n#SPOOL --array=" + value + "\ntrue\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "rejected");
    QCOMPARE(result["line"].toInt(), 3);
    QVERIFY(!spool.exists("done/x.tasks"));
}

void ArraysTest::no_more_than_the_limit_at_once() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-5%2\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(spool.wait_for(
        [&] { return array_named(spool, "x")["reason"].toObject()["kind"] == "array_limit"; },
        "the limit to be the reason"));
    // Others are not kept from the places that are left.
    QVERIFY(spool.drop("other.job", "#SPOOL --gpus=0\ntrue\n"));
    QCOMPARE(spool.wait_for_result("other")["state"].toString(), "succeeded");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 1));
    QVERIFY(write_home_file(spool, "go.1", ""));
    QVERIFY(wait_until_ran(spool, numbers(0, 2)));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-5");
}

void ArraysTest::a_failing_task_fails_the_array_alone() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --array=1-5\n[ $SLURM_ARRAY_TASK_ID != 3 ]\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QVERIFY(result["reason"].toString().contains("1 failed"));
    QCOMPARE(result["tasks"].toObject()["failed"].toString(), "3");
    QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "1-2,4-5");
    QCOMPARE(spool.result("x.tasks/3")["exit_code"].toInt(), 1);
    QCOMPARE(spool.gpuspool({"wait", "x"}).exit_code, 1);
    QCOMPARE(spool.gpuspool({"wait", "x_2"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"wait", "x_3"}).exit_code, 1);
    const Finished unknown = spool.gpuspool({"show", "x_9"});
    QCOMPARE(unknown.exit_code, 3);
    QVERIFY2(unknown.err.contains("it has 1-5"), unknown.err);
}

void ArraysTest::status_folds_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("sweep.job", gated_tasks("#SPOOL --array=0-6\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(spool.wait_for(
        [&] { return spool.gpuspool({"status"}).out.contains("2 running, 5 waiting"); },
        "one row for the array"));
    QCOMPARE(spool.gpuspool({"status"}).out.count("sweep"), 1);
    const auto json = QJsonDocument::fromJson(spool.gpuspool({"status", "--json"}).out).object();
    QCOMPARE(json["arrays"].toArray().size(), 1);
    QCOMPARE(json["running"].toArray().size(), 2);
    QCOMPARE(json["running"].toArray()[0].toObject()["task"].toInt(), 0);
    QVERIFY(spool.gpuspool({"show", "sweep_1"}).out.contains("running"));
    QVERIFY(spool.gpuspool({"show", "sweep_4"}).out.contains("waiting"));
    QCOMPARE(spool.gpuspool({"log", "sweep_1"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.gpuspool({"wait", "sweep_4", "sweep"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"list"}).out.count("sweep"), 1);
}

void ArraysTest::a_name_that_is_taken() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(QDir().mkpath(spool.path("done/x.tasks")));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-1\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(spool.drop("x.sh", "#SPOOL --gpus=0 --array=5\ntrue\n"));
    QVERIFY(spool.drop("x_1.job", "#SPOOL --gpus=0\ntrue\n"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x~2")["succeeded"].toString(), "0-1");
    QCOMPARE(tasks_of(spool, "x~3")["succeeded"].toString(), "5");
    QVERIFY(names_in(spool, "done/x.tasks").isEmpty());
    // A job of that very name goes before the task.
    QVERIFY(!spool.wait_for_result("x_1").isEmpty());
    QVERIFY(spool.gpuspool({"show", "x_1"}).out.contains("x_1"));
}

void ArraysTest::a_removed_result_directory_is_made_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-1\n")));
    QVERIFY(write_home_file(spool, "go.0", ""));
    QVERIFY(!spool.wait_for_result("x.tasks/0").isEmpty());
    QVERIFY(QDir(spool.path("done/x.tasks")).removeRecursively());
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-1");
    QVERIFY(spool.exists("done/x.tasks/1.log"));
    QVERIFY(spool.gpuspool({"show", "x_0"}).out.contains("succeeded"));
}

/// A slow disk must not let others go first.
void ArraysTest::its_place_is_kept_while_it_is_opened() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    TestSpool spool;
    spool.wrapper =
        strace::wrapper(QStringList{"-f"} + strace::inject("fsync", "delay_enter=300000"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --array=0-1\necho x >> ~/order\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\necho y >> ~/order\n"));
    QVERIFY(wait_for_reason(spool, "y", "paused"));
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    QCOMPARE(home_file(spool, "order"), "x\nx\ny\n");
}

void ArraysTest::people_are_shown_its_number() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --array=7-8\n"
                       "echo $SLURM_ARRAY_TASK_ID >> ~/ran\n"
                       "until [ -e ~/go ]; do sleep 0.02; done\n"));
    QVERIFY(wait_until_ran(spool, numbers(7, 7)));
    const auto gpu = [&] { return state_of(spool)["gpus"].toArray()[0].toObject(); };
    QVERIFY(
        spool.wait_for([&] { return gpu()["status"] == "held" && gpu()["name"] == "x.tasks/7"; },
                       "the GPU to be shown with its task"));
    const QString task = QString("%1_7").arg(array_named(spool, "x")["id"].toInt());
    QCOMPARE(gpu()["label"].toString(), task);
    const QByteArray shown = spool.gpuspool({"status"}).out;
    QVERIFY2(shown.contains("0: " + task.toUtf8() + " (x)"), shown);
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    const QByteArray waits = spool.gpuspool({"show", "y"}).out;
    QVERIFY2(waits.contains("held by job " + task.toUtf8() + " (x)"), waits);
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "7-8");
}

QTEST_GUILESS_MAIN(ArraysTest)
#include "system_arrays.moc"
