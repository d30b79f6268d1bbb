// gpuspool edit, with a shell as the editor.
#include <QtTest>

#include "tests/support/look.h"

namespace {

/// Runs gpuspool edit with an editor that is this shell script; "$1" is the file.
Finished edit(TestSpool& spool, const QString& editor, const QString& job = "x") {
    spool.environment.insert("VISUAL", "sh -c '" + editor + "' editor");
    spool.environment.insert("EDITOR", "false");
    return spool.gpuspool({"edit", job});
}

}  // namespace

class EditTest : public QObject {
    Q_OBJECT

private slots:
    void what_was_edited_runs();
    void what_submit_recorded_stays();
    void what_is_no_job_changes_nothing_data();
    void what_is_no_job_changes_nothing();
    void nothing_changed_is_no_failure();
    void it_is_not_started_meanwhile();
    void a_job_that_was_cancelled_meanwhile_does_not_come_back();
    void only_waiting_jobs();
};

void EditTest::what_was_edited_runs() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --hold\necho before\n"));
    QVERIFY(wait_for_reason(spool, "x", "held"));
    const Finished done = edit(spool, "echo \"#SPOOL --gpus=0\necho after\" > \"$1\"");
    QVERIFY2(done.exit_code == 0, done.err);
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["id"].toInt(), 1);
    QCOMPARE(spool.read("done/x.log"), QByteArray("after\n"));
}

void EditTest::what_submit_recorded_stays() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(shell(spool,
                  "mkdir there; cd there; echo 'pwd; echo $MARK' > x.sh; "
                  "MARK=kept " GPUSPOOL " submit --gpus 0 --hold x.sh"));
    QVERIFY(wait_for_reason(spool, "x", "held"));
    const Finished done =
        edit(spool,
             "! grep -q SPOOL-SUBMIT \"$1\" && sed -i \"s/ --hold=yes//; s/pwd/pwd; pwd/\" \"$1\"");
    QVERIFY2(done.exit_code == 0, done.err);
    QCOMPARE(spool.wait_for_result("x")["id"].toInt(), 1);
    const auto lines = spool.read("done/x.log").trimmed().split('\n');
    QCOMPARE(lines.size(), 3);
    QVERIFY2(lines[0].endsWith("/there"), lines[0]);
    QCOMPARE(lines[1], lines[0]);
    QCOMPARE(lines[2], QByteArray("kept"));
}

void EditTest::what_is_no_job_changes_nothing_data() {
    QTest::addColumn<QString>("editor");
    QTest::addColumn<QByteArray>("said");
    QTest::newRow("unknown key") << "echo \"#SPOOL --gpu=0\ntrue\" > \"$1\""
                                 << QByteArray("did you mean");
    QTest::newRow("no command") << "echo \"# nothing\" > \"$1\"" << QByteArray("no command");
    QTest::newRow("removed") << "rm \"$1\"" << QByteArray("No such file");
    QTest::newRow("editor fails") << "echo true > \"$1\"; exit 3" << QByteArray("has failed");
}

void EditTest::what_is_no_job_changes_nothing() {
    QFETCH(QString, editor);
    QFETCH(QByteArray, said);
    TestSpool spool;
    const QByteArray job = "#SPOOL --gpus=0 --hold\necho before\n";
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", job));
    QVERIFY(wait_for_reason(spool, "x", "held"));
    const Finished done = edit(spool, editor);
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains(said), done.err);
    QCOMPARE(spool.read("incoming/x.job"), job);
}

void EditTest::nothing_changed_is_no_failure() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --hold\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "x", "held"));
    const Finished done = edit(spool, "touch \"$1\"");
    QCOMPARE(done.exit_code, 0);
    QVERIFY2(done.err.contains("nothing is changed"), done.err);
}

/// Its turn comes while it is open in the editor.
void EditTest::it_is_not_started_meanwhile() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("first.job", gated("first")));
    QVERIFY(wait_for_log(spool, "first", ""));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0\necho before\n"));
    QVERIFY(wait_for_reason(spool, "x", "cpu_slots"));
    const Finished done =
        edit(spool, "touch ~/first.go; while ! " GPUSPOOL
                    " status --json | grep -q \\\"open\\\"; do "
                    "sleep 0.05; done; echo \"#SPOOL --gpus=0\necho after\" > \"$1\"");
    QVERIFY2(done.exit_code == 0, done.err);
    QCOMPARE(spool.wait_for_result("x")["id"].toInt(), 2);
    QCOMPARE(spool.read("done/x.log"), QByteArray("after\n"));
}

void EditTest::a_job_that_was_cancelled_meanwhile_does_not_come_back() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --hold\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "x", "held"));
    const Finished done = edit(spool, GPUSPOOL " cancel x; echo true > \"$1\"");
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("what you wrote is in"), done.err);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), QString("cancelled"));
    QVERIFY(!QFile::exists(spool.path("incoming/x.job")));
}

void EditTest::only_waiting_jobs() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0\ntrue\n"));
    spool.wait_for_result("x");
    const Finished done = edit(spool, "echo false > \"$1\"");
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("has ended already"), done.err);
    QCOMPARE(edit(spool, "true", "nobody").exit_code, 3);
}

QTEST_GUILESS_MAIN(EditTest)
#include "system_edit.moc"
