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
    void a_daemon_keeps_its_own_files_data();
    void a_daemon_keeps_its_own_files();
    void absurd_numbers_are_harmless_data();
    void absurd_numbers_are_harmless();
    void indexes_are_made_again_data();
    void indexes_are_made_again();
    void a_removed_incoming_comes_back();
    void a_moved_incoming_is_not_followed();
    void a_file_removed_from_a_moved_incoming_withdraws_its_job();
    void a_removed_running_directory_costs_no_job();
    void a_job_file_in_running_without_a_record_goes_back();
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

void LostFilesTest::a_daemon_keeps_its_own_files_data() {
    QTest::addColumn<QString>("damage");
    QTest::addColumn<QStringList>("files");
    const QStringList all = {"format", "seq", "history", "waiting", "owner"};
    for (const QString& name : all)
        QTest::addRow("%s removed", qPrintable(name)) << "rm " + name << QStringList{name};
    QTest::newRow("all removed") << "rm " + all.join(' ') << all;
    QTest::newRow("all moved away") << "mv " + all.join(' ') + " ~" << all;
}

void LostFilesTest::a_daemon_keeps_its_own_files() {
    QFETCH(QString, damage);
    QFETCH(QStringList, files);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray identity = spool.read(".spool/format");
    for (const char* name : {"a", "b"}) {
        QVERIFY(spool.drop(QString(name) + ".job", "true\n"));
        QVERIFY(!spool.wait_for_result(name).isEmpty());
    }
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("c.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "c", "paused"));
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/.spool; " + damage));
    for (const QString& name : files)
        QVERIFY(spool.wait_for([&] { return !spool.read(".spool/" + name).isEmpty(); }, name));
    // What is submitted has the number that was printed.
    QCOMPARE(spool.gpuspool({"submit", "-n", "d", "--", "true"}).out, "4\n");
    QVERIFY(wait_for_reason(spool, "d", "paused"));
    // A later daemon knows all of them.
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/control/pause"));
    for (const auto& [name, number] : {std::pair("a", 1), {"b", 2}, {"c", 3}, {"d", 4}})
        QCOMPARE(spool.wait_for_result(name)["id"].toInt(), number);
    for (const char* number : {"1", "2", "3", "4"})
        QCOMPARE(spool.gpuspool({"show", number}).exit_code, 0);
    QCOMPARE(spool.gpuspool({"submit", "--", "true"}).out, "5\n");
    QCOMPARE(spool.read(".spool/format").trimmed(), identity.trimmed());
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

void LostFilesTest::indexes_are_made_again_data() {
    QTest::addColumn<QString>("victims");
    QTest::addColumn<bool>("while_it_runs");
    for (const bool runs : {false, true})
        for (const char* victims :
             {"state.json", "history", "state.json history", "tmp/*", "scripts/*", "owner"})
            QTest::addRow("%s, daemon %s", victims, runs ? "on" : "off") << victims << runs;
}

void LostFilesTest::indexes_are_made_again() {
    QFETCH(QString, victims);
    QFETCH(bool, while_it_runs);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("a.job", "true\n"));
    QVERIFY(!spool.wait_for_result("a").isEmpty());
    QVERIFY(spool.drop("x.job", gated("x", "exit 9\n")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    if (!while_it_runs) spool.kill9();
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/.spool; rm -rf " + victims));
    if (!while_it_runs) QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("b.job", "true\n"));
    QCOMPARE(spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(open_gate(spool, "x"));
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 9);
    QVERIFY(spool.wait_for(
        [&] {
            return state_of(spool)["running"].toArray().isEmpty() && !state_of(spool).isEmpty();
        },
        "the state"));
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("c.job", "true\n"));
    QVERIFY(spool.wait_for_result("c")["id"].toInt() > spool.result("b")["id"].toInt());
    for (const char* name : {"a", "b", "c"})
        QVERIFY(!spool.exists(QString("done/%1~2.json").arg(name)));
    QCOMPARE(home_file(spool, "ran"), "x\n");
}

void LostFilesTest::a_removed_incoming_comes_back() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    for (int i = 0; i < 3; ++i) {
        const QString name = QString("x%1").arg(i);
        QVERIFY(shell(spool, i == 0 ? "rm -rf $I" : "rm -rf $I; mkdir -p -m 700 $I"));
        QVERIFY(spool.wait_for([&] { return spool.exists("incoming"); }, "incoming/"));
        QVERIFY(spool.drop(name + ".job", "true\n"));
        QCOMPARE(spool.wait_for_result(name, 25s)["state"].toString(), "succeeded");
    }
}

void LostFilesTest::a_moved_incoming_is_not_followed() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("w.job", "echo w >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "w", "paused"));
    QVERIFY(shell(spool, "mv $I elsewhere"));
    QVERIFY(spool.wait_for([&] { return spool.exists("incoming"); }, "incoming/"));
    QVERIFY(wait_for_problem(spool, "incoming/ was moved away with 1 waiting job:"));
    const Finished cancelled = spool.gpuspool({"cancel", "1"});
    QVERIFY2(cancelled.exit_code != 0, cancelled.out);
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "elsewhere/y.job", "echo y >> ~/ran\n"));
    QVERIFY(spool.drop("x.job", "echo x >> ~/ran\n"));
    QCOMPARE(spool.wait_for_result("x", 25s)["state"].toString(), "succeeded");
    QVERIFY(QFile::exists(spool.scratch("elsewhere/w.job")));
    QVERIFY(QFile::exists(spool.scratch("elsewhere/y.job")));
    QCOMPARE(home_file(spool, "ran"), "x\n");
    QVERIFY(!spool.exists("done/w.json"));
    // Moved back, it is the queue again.
    QVERIFY(shell(spool, "mv -T elsewhere $I"));
    QCOMPARE(spool.wait_for_result("w")["id"].toInt(), 1);
    QCOMPARE(spool.wait_for_result("w")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("y", 40s)["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem any more"));
}

void LostFilesTest::a_file_removed_from_a_moved_incoming_withdraws_its_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("w.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "w", "paused"));
    QVERIFY(shell(spool, "mv $I elsewhere"));
    QVERIFY(wait_for_problem(spool, "incoming/ was moved away"));
    QVERIFY(shell(spool, "rm elsewhere/w.job"));
    QCOMPARE(spool.wait_for_result("w")["state"].toString(), "cancelled");
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem any more"));
}

void LostFilesTest::a_removed_running_directory_costs_no_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job", gated("x", "exit 6\n")));
    QVERIFY(spool.drop("y.job", gated("y")));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(wait_for_log(spool, "y", "started"));
    QVERIFY(shell(spool, "rm -rf $GPUSPOOL_DIR/running"));
    QVERIFY(spool.wait_for(
        [&] { return spool.exists("running/x.job") && spool.exists("running/y.job"); },
        "running/ with its files", 25s));
    QVERIFY(spool.drop("z.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "z", "gpus"));
    QVERIFY(open_gate(spool, "x") && open_gate(spool, "y"));
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 6);
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.job"), gated("x", "exit 6\n"));
    QCOMPARE(spool.wait_for_result("z")["state"].toString(), "succeeded");
    // What was said of these jobs goes with them.
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem any more"));
}

void LostFilesTest::a_job_file_in_running_without_a_record_goes_back() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.stop());
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/running; echo 'echo a >> ~/ran' > a.job; > a.log"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.wait_for_result("a")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "a\n");
}

QTEST_GUILESS_MAIN(LostFilesTest)
#include "system_lost_files.moc"
