// What may be done to a file that waits: edit it, hold it, rename it, take it away, put it back.
#include <QElapsedTimer>
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

int number_waiting(const TestSpool& spool, const QString& name) {
    return waiting_job(spool, name)["id"].toInt();
}

}  // namespace

class WaitingTest : public QObject {
    Q_OBJECT

private slots:
    void a_file_without_a_command_waits_data();
    void a_file_without_a_command_waits();
    void a_file_that_is_open_for_writing_waits();
    void an_editor_holds_its_file_data();
    void an_editor_holds_its_file();
    void an_edit_is_honoured_and_keeps_the_number_data();
    void an_edit_is_honoured_and_keeps_the_number();
    void a_renamed_file_keeps_its_number();
    void a_file_that_is_taken_away_is_withdrawn();
    void a_file_that_comes_back_within_a_second_keeps_its_number();
    void a_file_edited_to_nothing_waits_again();
    void a_done_file_moved_back_runs_again();
    void a_running_file_moved_back_is_cancelled_and_runs_again();
};

void WaitingTest::a_file_without_a_command_waits_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("blank") << QByteArray("\n  \n\t\n");
    QTest::newRow("comments") << QByteArray("# not yet\n  # nor this\n");
    QTest::newRow("directives") << QByteArray("#!/bin/bash\n#SPOOL --gpus=1\n#SBATCH -J y\n");
}

void WaitingTest::a_file_without_a_command_waits() {
    QFETCH(QByteArray, text);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", text));
    QVERIFY(wait_for_reason(spool, "x", "no_command"));
    QCOMPARE(wait_sentence(spool, "x"), "the file has no command yet");
    const int number = number_waiting(spool, "x");
    // Others are not held up.
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(spool.exists("incoming/x.job"));
    QVERIFY(shell(spool, "echo 'echo now' >> $I/x.job"));
    QCOMPARE(spool.wait_for_result("x")["id"].toInt(), number);
    QCOMPARE(spool.read("done/x.log"), "now\n");
}

void WaitingTest::a_file_that_is_open_for_writing_waits() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QFile file(spool.path("incoming/x.job"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    QCOMPARE(file.write("echo whole\n"), 11);
    QVERIFY(file.flush());
    QVERIFY(wait_for_reason(spool, "x", "open"));
    QVERIFY(wait_sentence(spool, "x").contains("open for writing"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(spool.exists("incoming/x.job"));
    file.close();
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.log"), "whole\n");
}

void WaitingTest::an_editor_holds_its_file_data() {
    QTest::addColumn<QString>("mark");
    QTest::addColumn<QString>("editor");
    QTest::newRow("vim") << ".x.job.swp"
                         << "vim";
    QTest::newRow("emacs") << ".#x.job"
                           << "emacs";
    QTest::newRow("kate") << ".x.job.kate-swp"
                          << "kate";
}

void WaitingTest::an_editor_holds_its_file() {
    QFETCH(QString, mark);
    QFETCH(QString, editor);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    // Emacs makes a symbolic link to nothing; the others make files.
    const QString make = mark.startsWith(".#") ? "ln -s me@host.1:2 '" : "touch '";
    QVERIFY(shell(spool, "cd $I; " + make + mark + "'; echo 'echo a >> ~/ran' > x.job"));
    QVERIFY(wait_for_reason(spool, "x", "editor"));
    const QString sentence = wait_sentence(spool, "x");
    QVERIFY2(sentence.contains("open in " + editor) && sentence.contains(mark),
             qPrintable(sentence));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(shell(spool, "cd $I; echo 'echo b >> ~/ran' > x.job; rm '" + mark + "'"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "b\n");
}

void WaitingTest::an_edit_is_honoured_and_keeps_the_number_data() {
    QTest::addColumn<QString>("edit");
    QTest::newRow("in place") << "echo 'echo new' > $I/x.job";
    QTest::newRow("appended") << "echo '#' >> $I/x.job; sed -i s/old/new/ $I/x.job";
    QTest::newRow("rename over it") << "echo 'echo new' > $I/.new; mv $I/.new $I/x.job";
    QTest::newRow("backup and rename") << "mv $I/x.job $I/x.job~; echo 'echo new' > $I/x.job";
    QTest::newRow("sed -i") << "sed -i s/old/new/ $I/x.job";
    QTest::newRow("vim") << "vim -u NONE -es -c %s/old/new/ -c wq $I/x.job";
    QTest::newRow("vim, by rename")
        << "vim -u NONE -es -c 'set backup backupcopy=no' -c %s/old/new/ -c wq $I/x.job";
}

void WaitingTest::an_edit_is_honoured_and_keeps_the_number() {
    QFETCH(QString, edit);
    if (edit.startsWith("vim") && QStandardPaths::findExecutable("vim").isEmpty())
        QSKIP("vim is not installed");
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("before.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "before", "paused"));
    QVERIFY(spool.drop("x.job", "echo old\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(spool.drop("after.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "after", "paused"));
    QCOMPARE(number_waiting(spool, "x"), 2);
    QVERIFY(shell(spool, edit));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/control/pause"));
    QCOMPARE(spool.wait_for_result("x")["id"].toInt(), 2);
    QCOMPARE(spool.read("done/x.log"), "new\n");
    QCOMPARE(spool.wait_for_result("after")["id"].toInt(), 3);
    QVERIFY(!spool.exists("done/x~2.json"));
}

void WaitingTest::a_renamed_file_keeps_its_number() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("x.job", "echo hello\n"));
    QVERIFY(spool.drop("other.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "other", "paused"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    const int number = number_waiting(spool, "x");
    QVERIFY(shell(spool, "mv $I/x.job $I/y.sh"));
    QVERIFY(wait_for_reason(spool, "y", "paused"));
    QCOMPARE(number_waiting(spool, "y"), number);
    // Kept by the next daemon too.
    spool.kill9();
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/control/pause"));
    QCOMPARE(spool.wait_for_result("y")["id"].toInt(), number);
    QCOMPARE(spool.read("done/y.log"), "hello\n");
    QVERIFY(!spool.wait_for_result("other").isEmpty());
    QVERIFY(!spool.exists("done/x.json"));
}

void WaitingTest::a_file_that_is_taken_away_is_withdrawn() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    const int number = number_waiting(spool, "x");
    QElapsedTimer since;
    since.start();
    QVERIFY(QFile::remove(spool.path("incoming/x.job")));
    const QJsonObject result = spool.wait_for_result("x", 25s);
    QVERIFY2(since.elapsed() >= 990, qPrintable(QString::number(since.elapsed())));
    QCOMPARE(result["state"].toString(), "cancelled");
    QVERIFY(result["reason"].toString().startsWith("withdrawn"));
    QCOMPARE(result["name"].toString(), "x");
    QCOMPARE(result["id"].toInt(), number);
    QVERIFY(result["exit_code"].isNull() && result["started_at"].isNull());
    QCOMPARE(names_in(spool, "done"), {"x.json"});
    QCOMPARE(home_file(spool, "ran"), "");
}

void WaitingTest::a_file_that_comes_back_within_a_second_keeps_its_number() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("x.job", "echo hello\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(
        shell(spool, "mv $I/x.job y; sleep 0.3; mv y $I/x.job; rm $GPUSPOOL_DIR/control/pause"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.result("x")["id"].toInt(), 1);
    QVERIFY(spool.drop("y.job", "sleep 1.2\n"));
    QCOMPARE(spool.wait_for_result("y")["id"].toInt(), 2);
    QVERIFY(!spool.exists("done/x~2.json"));
}

void WaitingTest::a_file_edited_to_nothing_waits_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(shell(spool, "> $I/x.job"));
    QVERIFY(wait_for_reason(spool, "x", "no_command"));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.drop("y.job", "true\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(spool.exists("incoming/x.job"));
    QCOMPARE(home_file(spool, "ran"), "");
}

void WaitingTest::a_done_file_moved_back_runs_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "echo $GPUSPOOL_JOB_ID\n"));
    const QJsonObject first = spool.wait_for_result("x");
    QVERIFY(!first.isEmpty());
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR; mv done/x.job incoming/"));
    const QJsonObject second = spool.wait_for_result("x~2");
    QCOMPARE(second["state"].toString(), "succeeded");
    QVERIFY(second["id"].toInt() > first["id"].toInt());
    QCOMPARE(spool.read("done/x~2.log"), QByteArray::number(second["id"].toInt()) + '\n');
    QCOMPARE(spool.read("done/x.log"), QByteArray::number(first["id"].toInt()) + '\n');
    QCOMPARE(spool.result("x"), first);
}

void WaitingTest::a_running_file_moved_back_is_cancelled_and_runs_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray text = "echo run\n[ ! -e ~/second ] || exit 0\ntouch ~/second\nsleep 1000\n";
    QVERIFY(spool.drop("x.job", text));
    QVERIFY(wait_for_log(spool, "x", "run"));
    QVERIFY(spool.wait_for([&] { return QFile::exists(spool.scratch("second")); }, "the file"));
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR; mv running/x.job incoming/"));
    const QJsonObject first = spool.wait_for_result("x");
    QCOMPARE(first["state"].toString(), "cancelled");
    const QJsonObject second = spool.wait_for_result("x~2");
    QCOMPARE(second["state"].toString(), "succeeded");
    QVERIFY(second["id"].toInt() > first["id"].toInt());
    QVERIFY(second["started_at"].toString() >= first["ended_at"].toString());
    QCOMPARE(spool.read("done/x.job"), text);
    QCOMPARE(spool.read("done/x~2.job"), text);
}

QTEST_GUILESS_MAIN(WaitingTest)
#include "system_waiting.moc"
