// Arrays that follow others task by task, and tasks whose records a restart finds: what has ended
// is not executed again, and nothing is given up that may still come.
#include <QtTest>

#include "tests/support/array_jobs.h"

class ArrayOrderTest : public QObject {
    Q_OBJECT

private slots:
    void followers_by_name_outlive_the_daemon();
    void tasks_follow_a_plain_job_data();
    void tasks_follow_a_plain_job();
    void a_stale_record_of_a_task_leads_to_nothing();
};

/// The arrays are found again in whatever order the directory has them.
void ArrayOrderTest::followers_by_name_outlive_the_daemon() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("a.job", gated_tasks("#SPOOL --array=1-3\n")));
    QVERIFY(wait_until_ran(spool, numbers(1, 3)));
    const QStringList followers{"b", "c", "d", "e", "f", "g", "h"};
    for (const QString& name : followers) {
        QVERIFY(spool.drop(name + ".job",
                           "#SPOOL --gpus=0 --array=1-3 --dependency=aftercorr:a\ntrue\n"));
        QVERIFY(wait_until_open(spool, name));
    }
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(write_home_file(spool, "go", {}));
    for (const QString& name : followers)
        QCOMPARE(tasks_of(spool, name)["succeeded"].toString(), "1-3");
}

void ArrayOrderTest::tasks_follow_a_plain_job_data() {
    QTest::addColumn<QByteArray>("end");
    QTest::addColumn<bool>("restart");
    QTest::addColumn<QString>("outcome");
    QTest::newRow("it succeeds") << QByteArray() << false << "succeeded";
    QTest::newRow("it fails") << QByteArray("exit 3\n") << false << "cancelled";
    QTest::newRow("it succeeds, after a restart") << QByteArray() << true << "succeeded";
    QTest::newRow("it fails, after a restart") << QByteArray("exit 3\n") << true << "cancelled";
}

void ArrayOrderTest::tasks_follow_a_plain_job() {
    QFETCH(QByteArray, end);
    QFETCH(bool, restart);
    QFETCH(QString, outcome);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "3"}));
    QVERIFY(spool.drop("p.job", gated_job("p") + end));
    QVERIFY(wait_for_log(spool, "p", "started"));
    QVERIFY(spool.drop("x.job",
                       "#SPOOL --gpus=0 --array=1-3 --dependency=aftercorr:p\n"
                       "echo $SLURM_ARRAY_TASK_ID >> ~/tasks\n"));
    QVERIFY(wait_until_open(spool, "x"));
    if (restart) {
        spool.kill9();
        QVERIFY(QFile::remove(spool.path(".spool/state.json")));
        QVERIFY(spool.start({"--cpu-slots", "3"}));
        QVERIFY(wait_until_open(spool, "x"));
    }
    QCOMPARE(array_named(spool, "x")["waiting"].toInt(), 3);
    QVERIFY(open_gate(spool, "p"));
    QCOMPARE(tasks_of(spool, "x")[outcome].toString(), "1-3");
    QCOMPARE(lines_of(spool, "tasks"),
             outcome == "succeeded" ? numbers(1, 3) : QList<QByteArray>());
}

/// The free mark of an earlier attempt did not reach the disk.
void ArrayOrderTest::a_stale_record_of_a_task_leads_to_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(spool.drop("x.job", gated_tasks("#SPOOL --array=1-2 --retries=1 --retry-delay=2s\n") +
                                    "[ $SLURM_ARRAY_TASK_ID = 2 ] || [ $GPUSPOOL_ATTEMPT = 2 ]\n"));
    QVERIFY(wait_until_ran(spool, numbers(1, 2)));
    QVERIFY(write_home_file(spool, "go.1", {}));
    QVERIFY(spool.wait_for([&] { return running_job(spool, "x.tasks/1")["phase"] == "retrying"; },
                           "task 1 to wait for its next attempt"));
    const QByteArray name = "x.tasks/1";
    QByteArray stale;
    for (const QByteArray& record : names_in(spool, ".spool/records")) {
        const QByteArray bytes = spool.read(".spool/records/" + record);
        if (!record.startsWith("array-") && bytes.left(4096).contains(name)) stale = bytes;
    }
    QVERIFY(!stale.isEmpty());
    QVERIFY(!spool.wait_for_result("x.tasks/1").isEmpty());
    QCOMPARE(home_file(spool, "ran").count("1\n"), 2);
    spool.kill9();
    QFile file(spool.path(".spool/records/77"));
    QVERIFY(file.open(QIODevice::WriteOnly) && file.write(stale) == stale.size());
    file.close();
    QVERIFY(spool.start({"--cpu-slots", "2"}));
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(tasks_of(spool, "x")["succeeded"].toString(), "1-2");
    QCOMPARE(home_file(spool, "ran").count("1\n"), 2);
}

QTEST_GUILESS_MAIN(ArrayOrderTest)
#include "system_array_order.moc"
