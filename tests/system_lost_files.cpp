// Directories and indexes of the spool are moved, removed and damaged by hand: nothing runs twice,
// no number is given twice, and the daemon goes on or says why not.
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

class LostFilesTest : public QObject {
    Q_OBJECT

private slots:
    void lost_records_run_nothing_twice_data();
    void lost_records_run_nothing_twice();
    void a_moved_spool_directory_may_come_back();
    void a_removed_running_directory_cancels_no_single_job();
    void removed_work_directories_come_back();
    void a_lost_counter_gives_no_number_twice();
    void absurd_numbers_are_harmless_data();
    void absurd_numbers_are_harmless();
};

void LostFilesTest::lost_records_run_nothing_twice_data() {
    QTest::addColumn<QString>("loss");
    QTest::addColumn<bool>("while_it_runs");
    const QString all = "mv $GPUSPOOL_DIR/.spool elsewhere",
                  gone = "until rm -rf $GPUSPOOL_DIR/.spool; do :; done",
                  records = "until rm -rf $GPUSPOOL_DIR/.spool/records; do :; done";
    QTest::newRow(".spool moved") << all << true;
    QTest::newRow(".spool removed") << gone << true;
    QTest::newRow("records removed") << records << true;
    QTest::newRow(".spool removed, no daemon") << gone << false;
    QTest::newRow("records removed, no daemon") << records << false;
}

/// Nobody knows any more that the job was executed, but its file is older than the records.
void LostFilesTest::lost_records_run_nothing_twice() {
    QFETCH(QString, loss);
    QFETCH(bool, while_it_runs);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x", "echo end >> ~/ran\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    if (!while_it_runs) spool.kill9();
    QVERIFY(shell(spool, loss));
    if (while_it_runs) spool.kill9();
    for (int i = 0; i < 2; ++i) {
        QVERIFY(spool.start({"--gpus", "0,1"}));
        QVERIFY(wait_for_problem(spool, "running/x.job"));
        const QString name = QString("y%1").arg(i);
        QVERIFY(spool.drop(name + ".job", "true\n"));
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
        QVERIFY(spool.stop());
    }
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran").contains("end"); }, "x to end"));
    QCOMPARE(home_file(spool, "ran"), "x\nend\n");
    QVERIFY(spool.exists("running/x.job"));
    QVERIFY(!spool.exists("done/x.json"));
}

void LostFilesTest::a_moved_spool_directory_may_come_back() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(shell(spool, "mv $GPUSPOOL_DIR/.spool elsewhere"));
    QVERIFY(spool.wait_for([&] { return spool.daemon_log().contains("move it back"); },
                           "the daemon to notice"));
    QVERIFY(!spool.exists(".spool"));
    QVERIFY(open_gate(spool, "x"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(shell(spool, "mv elsewhere $GPUSPOOL_DIR/.spool"));
    for (const char* name : {"x", "y"})
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "x\n");
}

void LostFilesTest::a_removed_running_directory_cancels_no_single_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", gated("x", "exit 6\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(shell(spool, "rm -rf $GPUSPOOL_DIR/running"));
    QVERIFY(spool.wait_for([&] { return spool.exists("running/x.job"); }, "running/x.job", 25s));
    QVERIFY(wait_for_problem(spool, "put back"));
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 6);
}

void LostFilesTest::removed_work_directories_come_back() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("a.job", "trap 'true' EXIT\n"));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/.spool; rm -r tmp scripts env"));
    QVERIFY(spool.wait_for([&] { return spool.exists(".spool/env") && spool.exists(".spool/tmp"); },
                           "the directories"));
    QVERIFY(spool.wait_for([&] { return !names_in(spool, ".spool/env").isEmpty(); },
                           "the login environment"));
    QVERIFY(spool.drop("b.job", "trap 'true' EXIT\n"));
    const QJsonObject result = spool.wait_for_result("b", 25s);
    QVERIFY2(result["state"] == "succeeded", qPrintable(result["reason"].toString()));
}

void LostFilesTest::a_lost_counter_gives_no_number_twice() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    for (int i = 1; i <= 3; ++i) {
        const QString name = QString("x%1").arg(i);
        QVERIFY(spool.drop(name + ".job", "true\n"));
        QCOMPARE(spool.wait_for_result(name)["id"].toInt(), i);
    }
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/.spool/seq"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QCOMPARE(spool.wait_for_result("y")["id"].toInt(), 4);
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/.spool/seq"));
    QCOMPARE(spool.gpuspool({"submit", "--", "true"}).out, "5\n");
    QCOMPARE(spool.wait_for_result("true")["id"].toInt(), 5);
}

void LostFilesTest::absurd_numbers_are_harmless_data() {
    QTest::addColumn<QString>("damage");
    QTest::newRow("counter") << "printf garbage8 > .spool/seq";
    QTest::newRow("result")
        << "rm .spool/history; sed 's/\"id\": *1,/\"id\": 9000000000000000000,/' "
           "done/a.json > done/copy.json; grep -q 9000000 done/copy.json";
    QTest::newRow("history") << "sed 's/\"n\":1,/\"n\":9000000000000000000,/' .spool/history > h; "
                                "grep -q 9000000 h; cat h >> .spool/history; rm h";
}

void LostFilesTest::absurd_numbers_are_harmless() {
    QFETCH(QString, damage);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("a.job", "true\n"));
    QVERIFY(!spool.wait_for_result("a").isEmpty());
    QVERIFY(spool.stop());
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR\n" + damage));
    for (int i = 0; i < 2; ++i) {
        QVERIFY(spool.start({"--gpus", "0"}));
        const QString name = QString("b%1").arg(i);
        QVERIFY(spool.drop(name + ".job", "true\n"));
        QCOMPARE(spool.wait_for_result(name, 25s)["state"].toString(), "succeeded");
        QVERIFY(spool.stop());
    }
}

QTEST_GUILESS_MAIN(LostFilesTest)
#include "system_lost_files.moc"
