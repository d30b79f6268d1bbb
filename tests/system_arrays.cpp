// One file, many tasks: each is executed once, has a log and a result of its own, can be cancelled
// and tried again alone; the array outlives its daemon.
#include <QtTest>
#include <random>
#include <thread>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// Each task notes that it runs, then goes on until ~/go or ~/go.TASK is there.
QByteArray gated_tasks(const QByteArray& directives) {
    return "#SPOOL --gpus=0\n" + directives +
           "echo $SLURM_ARRAY_TASK_ID >> ~/ran\n"
           "until [ -e ~/go ] || [ -e ~/go.$SLURM_ARRAY_TASK_ID ]; do sleep 0.02; done\n";
}

QList<QByteArray> lines_of(const TestSpool& spool, const QString& file) {
    QList<QByteArray> lines = home_file(spool, file).split('\n');
    lines.removeAll("");
    std::sort(lines.begin(), lines.end(),
              [](const QByteArray& a, const QByteArray& b) { return a.toInt() < b.toInt(); });
    return lines;
}

QList<QByteArray> numbers(int first, int last) {
    QList<QByteArray> out;
    for (int i = first; i <= last; ++i)
        out << QByteArray::number(i);
    return out;
}

bool wait_until_ran(const TestSpool& spool, const QList<QByteArray>& tasks) {
    return spool.wait_for([&] { return lines_of(spool, "ran") == tasks; },
                          "these tasks to have begun: " + tasks.join(' '));
}

QJsonObject array_named(const TestSpool& spool, const QString& name) {
    const QJsonArray arrays = state_of(spool)["arrays"].toArray();
    for (const auto& array : arrays)
        if (array.toObject()["name"] == name) return array.toObject();
    return {};
}

QJsonObject tasks_of(const TestSpool& spool, const QString& name) {
    return spool.wait_for_result(name)["tasks"].toObject();
}

}  // namespace

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
    void single_tasks_are_cancelled();
    void all_of_it_is_cancelled();
    void deleting_the_file_cancels_it();
    void single_tasks_are_tried_again();
    void what_failed_is_tried_again();
    void it_outlives_its_daemon();
    void it_outlives_many_daemons();
    void a_restart_changes_nothing_of_what_ended();
    void held_and_moved_as_a_whole();
    void others_follow_it();
    void others_follow_its_tasks();
    void status_folds_it();
    void a_name_that_is_taken();
    void a_removed_result_directory_is_made_again();
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

void ArraysTest::single_tasks_are_cancelled() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-7\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    const Finished waiting = spool.gpuspool({"cancel", "x_7"});
    QVERIFY2(waiting.exit_code == 0, waiting.err);
    const Finished several = spool.gpuspool({"cancel", "x_[5-6]"});
    QVERIFY2(several.exit_code == 0, several.err);
    const Finished running = spool.gpuspool({"cancel", "x_1"});
    QVERIFY2(running.exit_code == 0, running.err);
    QCOMPARE(spool.wait_for_result("x.tasks/1")["state"].toString(), "cancelled");
    QCOMPARE(spool.gpuspool({"cancel", "x_1"}).exit_code, 1);
    QCOMPARE(spool.gpuspool({"cancel", "x_99"}).exit_code, 3);
    // A daemon that is killed just then has it on the disk.
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(write_home_file(spool, "go", ""));
    const QJsonObject tasks = tasks_of(spool, "x");
    QCOMPARE(tasks["cancelled"].toString(), "1,5-7");
    QCOMPARE(tasks["succeeded"].toString(), "0,2-4");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 4));
    QVERIFY(spool.gpuspool({"show", "x_7"}).out.contains("cancelled before it started"));
}

void ArraysTest::all_of_it_is_cancelled() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-99999\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["tasks"].toObject()["cancelled"].toString(), "0-99999");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 1));
    QCOMPARE(spool.result("x.tasks/0")["state"].toString(), "cancelled");
    QCOMPARE(spool.gpuspool({"cancel", "x"}).exit_code, 1);
}

void ArraysTest::deleting_the_file_cancels_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-9\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(QFile::remove(spool.path("running/x.job")));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY2(result["reason"].toString().contains("removed from running/"),
             qPrintable(result["reason"].toString()));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 1));
    QVERIFY(spool.read("done/x.job").contains("--array=0-9"));
}

void ArraysTest::single_tasks_are_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=0-4%2\n"
                       "echo $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT\n[ -e ~/mended ]\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "failed");
    QVERIFY(write_home_file(spool, "mended", ""));
    const Finished again = spool.gpuspool({"retry", "x_3"});
    QVERIFY2(again.exit_code == 0, again.err);
    const QJsonObject result = spool.wait_for_result("x~2");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "3");
    QCOMPARE(result["retry_of"].toInt(), spool.result("x")["id"].toInt());
    QCOMPARE(spool.read("done/x~2.tasks/3.log"), "3 of 5\n");
}

void ArraysTest::what_failed_is_tried_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=0-4\n"
                       "[ -e ~/mended ] || [ $((SLURM_ARRAY_TASK_ID % 2)) = 0 ]\n"));
    QCOMPARE(tasks_of(spool, "x")["failed"].toString(), "1,3");
    QVERIFY(write_home_file(spool, "mended", ""));
    QCOMPARE(spool.gpuspool({"retry", "--failed"}).exit_code, 0);
    QCOMPARE(tasks_of(spool, "x~2")["succeeded"].toString(), "1,3");
    QCOMPARE(spool.gpuspool({"retry", "x~2"}).exit_code, 0);
    QCOMPARE(tasks_of(spool, "x~3")["succeeded"].toString(), "1,3");
}

void ArraysTest::it_outlives_its_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-9%2\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 1)));
    QVERIFY(spool.wait_for([&] { return array_named(spool, "x")["running"].toInt() == 2; },
                           "two to be shown as running"));
    spool.kill9();
    const Finished shown = spool.gpuspool({"status"});
    QVERIFY2(shown.out.contains("2 running, 8 waiting"), shown.out);
    QVERIFY(write_home_file(spool, "go.0", ""));
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    // One has ended meanwhile, one is adopted: there is a place for one.
    QVERIFY(wait_until_ran(spool, numbers(0, 2)));
    QVERIFY(spool.wait_for([&] { return array_named(spool, "x")["running"].toInt() == 2; },
                           "two to run"));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 2));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-9");
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 9));
}

void ArraysTest::it_outlives_many_daemons() {
    std::mt19937 random(QTest::currentTestFunction()[0]);
    for (int round = 0; round < 3; ++round) {
        TestSpool spool;
        QVERIFY(spool.start({"--cpu-slots", "4"}));
        QVERIFY(spool.drop("x.job",
                           "#SPOOL --gpus=0 --array=0-29%3\n"
                           "echo $SLURM_ARRAY_TASK_ID >> ~/ran\nsleep 0.05\n"));
        for (int kill = 0; kill < 6; ++kill) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 250));
            spool.kill9();
            QVERIFY(spool.start({"--cpu-slots", "4"}));
        }
        const QJsonObject result = spool.wait_for_result("x");
        QCOMPARE(result["state"].toString(), "succeeded");
        QCOMPARE(result["tasks"].toObject()["succeeded"].toString(), "0-29");
        QCOMPARE(lines_of(spool, "ran"), numbers(0, 29));
        for (int task = 0; task < 30; ++task)
            QCOMPARE(spool.result(QString("x.tasks/%1").arg(task))["state"].toString(),
                     "succeeded");
    }
}

void ArraysTest::a_restart_changes_nothing_of_what_ended() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(
        spool.drop("x.job", "#SPOOL --gpus=0 --array=0-3\necho $SLURM_ARRAY_TASK_ID >> ~/ran\n"));
    const QJsonObject before = spool.wait_for_result("x");
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\ntrue\n"));
    const QJsonObject next = spool.wait_for_result("y");
    // The numbers of the tasks are not given again.
    QVERIFY(next["id"].toInt() >= before["tasks"].toObject()["first_number"].toInt() + 4);
    QCOMPARE(spool.result("x"), before);
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 3));
    QCOMPARE(names_in(spool, "done"),
             (QList<QByteArray>{"x.job", "x.json", "x.tasks", "y.job", "y.json", "y.log"}));
}

void ArraysTest::held_and_moved_as_a_whole() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=0-2\n")));
    QVERIFY(wait_until_ran(spool, numbers(0, 0)));
    QVERIFY(spool.drop("y.job", "#SPOOL --gpus=0\necho y >> ~/order\n"));
    QVERIFY(wait_for_reason(spool, "y", "cpu_slots"));
    const Finished held = spool.gpuspool({"hold", "x"});
    QVERIFY2(held.exit_code == 0, held.err);
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(write_home_file(spool, "go.0", ""));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for(
        [&] { return array_named(spool, "x")["reason"].toObject()["kind"] == "held"; },
        "the hold to be the reason"));
    QCOMPARE(lines_of(spool, "ran"), numbers(0, 0));
    QCOMPARE(spool.gpuspool({"priority", "x", "7"}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"release", "x"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "0-2");
    QCOMPARE(spool.gpuspool({"hold", "x"}).exit_code, 1);
}

void ArraysTest::others_follow_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    QVERIFY(spool.drop("x.job",
                       gated_tasks("#SPOOL --array=0-3\n") + "[ $SLURM_ARRAY_TASK_ID != 2 ]\n"));
    QVERIFY(wait_until_ran(spool, numbers(0, 3)));
    QVERIFY(spool.drop("ok.job", "#SPOOL --gpus=0 --dependency=afterok:x\ntrue\n"));
    QVERIFY(spool.drop("any.job", "#SPOOL --gpus=0 --dependency=afterany:x\ntrue\n"));
    QVERIFY(spool.drop("bad.job", "#SPOOL --gpus=0 --dependency=afternotok:x\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "ok", "dependency"));
    for (const char* gate : {"go.0", "go.1", "go.2"})
        QVERIFY(write_home_file(spool, gate, ""));
    QVERIFY(!spool.wait_for_result("x.tasks/2").isEmpty());
    QVERIFY(wait_for_reason(spool, "any", "dependency"));
    QVERIFY(write_home_file(spool, "go", ""));
    QCOMPARE(spool.wait_for_result("any")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("bad")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("ok")["state"].toString(), "cancelled");
}

void ArraysTest::others_follow_its_tasks() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(spool.drop("a.job",
                       gated_tasks("#SPOOL --array=0-3\n") + "[ $SLURM_ARRAY_TASK_ID != 2 ]\n"));
    QVERIFY(wait_until_ran(spool, numbers(0, 3)));
    QVERIFY(spool.drop("b.job",
                       "#SPOOL --gpus=0 --array=0-3 --dependency=aftercorr:a\n"
                       "echo $SLURM_ARRAY_TASK_ID >> ~/second\n"));
    QVERIFY(spool.drop("one.job", "#SPOOL --gpus=0 --dependency=afterok:a_1\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "one", "dependency"));
    QVERIFY(write_home_file(spool, "go.1", ""));
    QCOMPARE(spool.wait_for_result("b.tasks/1")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("one")["state"].toString(), "succeeded");
    QCOMPARE(lines_of(spool, "second"), numbers(1, 1));
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "8"}));
    QVERIFY(write_home_file(spool, "go", ""));
    const QJsonObject tasks = tasks_of(spool, "b");
    QCOMPARE(tasks["succeeded"].toString(), "0-1,3");
    QCOMPARE(tasks["cancelled"].toString(), "2");
    QCOMPARE(lines_of(spool, "second"), (QList<QByteArray>{"0", "1", "3"}));
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

QTEST_GUILESS_MAIN(ArraysTest)
#include "system_arrays.moc"
