// A job, or its user, writes into .spool/records while the daemon runs: the job does not stay for
// ever, its GPU is free when its processes are gone, and an outcome that is lost is called lost.
#include <signal.h>

#include <QtTest>

#include "tests/support/look.h"

class DamagedRecordsTest : public QObject {
    Q_OBJECT

private slots:
    void a_damaged_record_is_told_of_and_given_up_data();
    void a_damaged_record_is_told_of_and_given_up();
    void a_job_with_a_damaged_record_can_be_cancelled();
    void an_exit_page_that_is_whole_counts();
};

namespace {

const QString zeros = "for r in $GPUSPOOL_DIR/.spool/records/*; do truncate -s 0 $r; done";

}  // namespace

void DamagedRecordsTest::a_damaged_record_is_told_of_and_given_up_data() {
    QTest::addColumn<QString>("damage");
    const QString each = "for r in $GPUSPOOL_DIR/.spool/records/*; do ";
    QTest::newRow("cut") << zeros;
    QTest::newRow("written over") << each + "dd if=/dev/urandom of=$r bs=4096 count=3; done";
    QTest::newRow("claim only")
        << each + "dd if=/dev/urandom of=$r bs=4096 count=1 conv=notrunc; done";
}

void DamagedRecordsTest::a_damaged_record_is_told_of_and_given_up() {
    QFETCH(QString, damage);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    // It ends with its supervisor, which writes no exit page.
    QVERIFY(spool.drop("x.job",
                       "echo $PPID > ~/supervisor\necho started\nwhile kill -0 $PPID && [ "
                       "! -e ~/gone ]; do sleep 0.05; done\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(shell(spool, damage));
    // The damage is seen at the latest when something happens to the job.
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    QVERIFY(shell(spool, "kill -HUP " + QString::number(spool.pid())));
    QVERIFY(wait_for_problem(spool, "was damaged while job 1 (x) ran"));
    QVERIFY(shell(spool, "kill -9 $(cat ~/supervisor); touch ~/gone"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "lost");
    QVERIFY2(result["reason"].toString().contains("damaged"),
             qPrintable(result["reason"].toString()));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem any more"));
    QCOMPARE(names_in(spool, "running"), QList<QByteArray>());
}

void DamagedRecordsTest::a_job_with_a_damaged_record_can_be_cancelled() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", zeros.toUtf8() + "\necho started\nsleep 1001\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    const Finished cancelled = spool.gpuspool({"cancel", "x"});
    QVERIFY2(cancelled.exit_code == 0, cancelled.err);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    QCOMPARE(processes_with(spool, "sleep 1001"), 0);
    QVERIFY(spool.drop("y.job", "true\n"));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
}

void DamagedRecordsTest::an_exit_page_that_is_whole_counts() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", zeros.toUtf8() + "\nexit 7\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["exit_code"].toInt(), 7);
    QVERIFY(spool.drop("y.job", "exit 8\n"));
    QCOMPARE(spool.wait_for_result("y")["exit_code"].toInt(), 8);
    // Its record may be used again from now on.
    QVERIFY(spool.wait_for([&] { return spool.daemon_log().contains("over: .spool/records/0"); },
                           "the end of x"));
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("z.job", "exit 9\n"));
    QCOMPARE(spool.wait_for_result("z")["exit_code"].toInt(), 9);
    QCOMPARE(problems_of(spool), "");
}

QTEST_GUILESS_MAIN(DamagedRecordsTest)
#include "system_damaged_records.moc"
