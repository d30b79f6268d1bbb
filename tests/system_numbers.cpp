// A number once shown never names another job.
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// Drops a job and returns its number once it has run.
int run_one(TestSpool& spool, const QString& name) {
    if (!spool.drop(name + ".job", "true\n")) return -1;
    return spool.wait_for_result(name)["id"].toInt(-1);
}

int submit(const TestSpool& spool, const QStringList& arguments) {
    const Finished done = spool.gpuspool(QStringList{"submit"} + arguments);
    if (done.exit_code != 0) qWarning("%s", done.err.constData());
    return done.exit_code == 0 ? done.out.trimmed().toInt() : -1;
}

qsizetype distinct(const QByteArrayList& lines) {
    return QSet<QByteArray>(lines.begin(), lines.end()).size();
}

}  // namespace

class NumbersTest : public QObject {
    Q_OBJECT

private slots:
    void numbers_are_not_reused_data();
    void numbers_are_not_reused();
    void a_waiting_job_keeps_its_number_data();
    void a_waiting_job_keeps_its_number();
    void a_withdrawn_number_is_not_reused();
    void a_submitted_job_keeps_its_number();
    void a_copy_of_a_submitted_file_gets_a_new_number();
    void a_submitted_file_of_another_spool_gets_a_new_number();
    void submitted_and_dropped_jobs_are_one_queue();
    void forty_submissions_at_once_get_forty_numbers();
};

void NumbersTest::numbers_are_not_reused_data() {
    QTest::addColumn<QString>("harm");
    QTest::newRow("nothing") << "true";
    QTest::newRow("done emptied") << "rm -rf $GPUSPOOL_DIR/done/*";
    QTest::newRow("done removed") << "rm -rf $GPUSPOOL_DIR/done";
    QTest::newRow("history removed") << "rm $GPUSPOOL_DIR/.spool/history";
    QTest::newRow("counter removed") << "rm $GPUSPOOL_DIR/.spool/seq";
    QTest::newRow("counter emptied") << "> $GPUSPOOL_DIR/.spool/seq";
    QTest::newRow("counter and history removed") << "rm $GPUSPOOL_DIR/.spool/{seq,history}";
    QTest::newRow("waiting removed") << "rm $GPUSPOOL_DIR/.spool/waiting";
    QTest::newRow("history cut off") << "truncate -s -10 $GPUSPOOL_DIR/.spool/history";
}

void NumbersTest::numbers_are_not_reused() {
    QFETCH(QString, harm);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    int last = 0;
    for (const char* name : {"a", "b", "c"}) {
        const int number = run_one(spool, name);
        QVERIFY(number > last);
        last = number;
    }
    for (const bool killed : {false, true}) {
        if (killed)
            spool.kill9();
        else
            QVERIFY(spool.stop());
        QVERIFY(shell(spool, killed ? "true" : harm));
        QVERIFY(spool.start({"--gpus", "0"}));
        const int number = run_one(spool, killed ? "e" : "d");
        QVERIFY2(number > last, qPrintable(QString("%1 after %2").arg(number).arg(last)));
        last = number;
    }
}

void NumbersTest::a_waiting_job_keeps_its_number_data() {
    QTest::addColumn<QString>("harm");
    QTest::newRow("nothing") << "true";
    QTest::newRow("counter removed") << "rm $GPUSPOOL_DIR/.spool/seq";
    QTest::newRow("a torn line at the end of waiting")
        << "printf '{\"n\":1,\"dev\":' >> $GPUSPOOL_DIR/.spool/waiting";
    QTest::newRow("a line of dirt in waiting") << "echo dirt >> $GPUSPOOL_DIR/.spool/waiting";
}

void NumbersTest::a_waiting_job_keeps_its_number() {
    QFETCH(QString, harm);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QMap<QString, int> numbers;
    for (const char* name : {"c", "a", "b"}) {
        QVERIFY(spool.drop(QString(name) + ".job", "true\n"));
        QVERIFY(wait_for_reason(spool, name, "paused"));
        numbers[name] = waiting_job(spool, name)["id"].toInt();
    }
    QCOMPARE(numbers.values(), (QList<int>{2, 3, 1}));
    spool.kill9();
    QVERIFY(shell(spool, harm));
    QVERIFY(spool.drop("d.job", "true\n"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(wait_for_reason(spool, "d", "paused"));
    QVERIFY(waiting_job(spool, "d")["id"].toInt() > 3);
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    for (auto job = numbers.begin(); job != numbers.end(); ++job)
        QCOMPARE(spool.wait_for_result(job.key())["id"].toInt(), job.value());
}

void NumbersTest::a_withdrawn_number_is_not_reused() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(spool.drop("x.job", "true\n"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(spool.stop());
    // Nobody sees it go, and its number stays used.
    QVERIFY(QFile::remove(spool.path("incoming/x.job")));
    QVERIFY(spool.start({"--gpus", "0"}));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "cancelled");
    QCOMPARE(result["id"].toInt(), 1);
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QCOMPARE(run_one(spool, "y"), 2);
}

void NumbersTest::a_submitted_job_keeps_its_number() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(run_one(spool, "a"), 1);
    QVERIFY(spool.stop());
    // Without a daemon too.
    const int first = submit(spool, {"--name", "s", "--", "echo", "hi"});
    QCOMPARE(first, 2);
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.wait_for_result("s")["id"].toInt(), first);
    QCOMPARE(spool.read("done/s.log"), "hi\n");
    const int second = submit(spool, {"--name", "t", "--", "true"});
    QCOMPARE(second, 3);
    QCOMPARE(spool.wait_for_result("t")["id"].toInt(), second);
    QCOMPARE(run_one(spool, "b"), 4);
}

void NumbersTest::a_copy_of_a_submitted_file_gets_a_new_number() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QVERIFY(write_home_file(spool, "script.sh", "echo run >> ~/ran\n"));
    const int number = submit(spool, {"script.sh"});
    QVERIFY(number > 0);
    const QList<QByteArray> names = names_in(spool, "incoming");
    QCOMPARE(names.size(), 1);
    QVERIFY(shell(spool, "cp \"$I/" + names.front() + "\" $I/copy.job"));
    QVERIFY(wait_for_reason(spool, "copy", "paused"));
    QVERIFY(waiting_job(spool, "copy")["id"].toInt() > number);
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(!spool.wait_for_result("copy").isEmpty());
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran") == "run\nrun\n"; }, "two runs"));
    // Also long after the original has ended.
    QVERIFY(shell(spool, "cp $GPUSPOOL_DIR/done/copy.job $I/third.job"));
    QVERIFY(spool.wait_for_result("third")["id"].toInt() > spool.result("copy")["id"].toInt());
}

void NumbersTest::a_submitted_file_of_another_spool_gets_a_new_number() {
    TestSpool spool, other;
    QVERIFY(other.start({"--gpus", "0"}));
    QCOMPARE(other.gpuspool({"pause"}).exit_code, 0);
    for (int i = 0; i < 5; ++i)
        QVERIFY(submit(other, {"--name", QString("n%1").arg(i), "--", "true"}) > 0);
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(run_one(spool, "a"), 1);
    QVERIFY(shell(spool, "cp " + other.path("incoming") + "/n4.job $I/"));
    QCOMPARE(spool.wait_for_result("n4")["id"].toInt(), 2);
}

void NumbersTest::submitted_and_dropped_jobs_are_one_queue() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    QByteArray wanted;
    for (int i = 0; i < 6; ++i) {
        const QString name = QString("j%1").arg((i * 5) % 7);
        const QByteArray text = "echo " + name.toUtf8() + " >> ~/ran\n";
        wanted += name.toUtf8() + '\n';
        if (i % 2 == 0)
            QVERIFY(submit(spool, {"--name", name, "--", "sh", "-c", text.trimmed()}) > 0);
        else
            QVERIFY(spool.drop(name + ".job", text));
        QVERIFY(wait_for_reason(spool, name, "paused"));
        QCOMPARE(waiting_job(spool, name)["id"].toInt(), i + 1);
    }
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(spool.wait_for([&] { return home_file(spool, "ran") == wanted; }, wanted));
}

void NumbersTest::forty_submissions_at_once_get_forty_numbers() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "for i in {1..40}; do (" GPUSPOOL " submit -- sh -c "
                         "'echo $GPUSPOOL_JOB_ID >> ~/ran' >> ~/told) & done; wait"));
    const auto numbers = [&](const QString& file) {
        QByteArrayList lines = home_file(spool, file).trimmed().split('\n');
        std::sort(lines.begin(), lines.end());
        return lines;
    };
    QCOMPARE(numbers("told").size(), 40);
    QCOMPARE(distinct(numbers("told")), 40);
    QVERIFY(spool.wait_for([&] { return numbers("ran").size() >= 40; }, "40 runs"));
    QCOMPARE(numbers("ran"), numbers("told"));
}

QTEST_GUILESS_MAIN(NumbersTest)
#include "system_numbers.moc"
