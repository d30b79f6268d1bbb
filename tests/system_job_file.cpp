// What a job file asks for reaches its job: arguments, output, shell.
#include <QtTest>

#include "tests/support/look.h"

class JobFileTest : public QObject {
    Q_OBJECT

private slots:
    void a_submitted_file_gets_its_arguments_once();
    void a_named_output_gets_it_and_log_shows_it();
    void a_plain_command_has_no_shell();
    void a_command_that_is_not_there_fails_as_in_a_shell();
    void a_missing_program_is_named_data();
    void a_missing_program_is_named();
};

void JobFileTest::a_submitted_file_gets_its_arguments_once() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QFile script(spool.scratch("x.job"));
    QVERIFY(script.open(QIODevice::WriteOnly));
    script.write("printf '<%s>' \"$@\"\n");
    script.close();
    const Finished submitted = spool.gpuspool({"submit", script.fileName(), "--", "a b", "-n"});
    QVERIFY2(submitted.exit_code == 0, submitted.err);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.log"), "<a b><-n>");
}

void JobFileTest::a_named_output_gets_it_and_log_shows_it() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(
        spool.drop("x.job", "#SPOOL --name=trial --chdir=~ --output=out/%x-%j.txt\necho hello\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "out/trial-1.txt"), "hello\n");
    QCOMPARE(spool.read("done/x.log"), "hello\n");
    QCOMPARE(QFile::symLinkTarget(spool.path("done/x.log")), spool.scratch("out/trial-1.txt"));
    QCOMPARE(spool.gpuspool({"log", "x"}).out, "hello\n");
}

void JobFileTest::a_plain_command_has_no_shell() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0\nprintenv SHLVL GPUSPOOL_JOB_NAME PWD\n"));
    // printenv fails as bash, which would set SHLVL, is not there.
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 1);
    QCOMPARE(spool.read("done/x.log"), "x\n" + spool.scratch().toUtf8() + "\n");
}

void JobFileTest::a_command_that_is_not_there_fails_as_in_a_shell() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "no-such-program --lr 1\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    QCOMPARE(result["exit_code"].toInt(), 127);
    QCOMPARE(spool.read("done/x.log"), "bash: line 1: no-such-program: command not found\n");
}

void JobFileTest::a_missing_program_is_named_data() {
    QTest::addColumn<QByteArray>("job");
    QTest::addColumn<QString>("words");
    QTest::newRow("interpreter of the job file")
        << QByteArray("#!/no/such/python -u\nprint(1)\n") << "interpreter /no/such/python could";
    QTest::newRow("program") << QByteArray(R"({"command": ["no-such-program", "1"]})")
                             << "program no-such-program could";
    QTest::newRow("interpreter of the program")
        << QByteArray(R"({"command": ["./x.py"]})") << "program ./x.py could";
}

void JobFileTest::a_missing_program_is_named() {
    QFETCH(QByteArray, job);
    QFETCH(QString, words);
    TestSpool spool;
    QVERIFY(write_home_file(spool, "x.py", "#!/no/such/python\n"));
    QVERIFY(QFile::setPermissions(spool.scratch("x.py"), QFile::ReadOwner | QFile::ExeOwner));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", job));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "failed");
    const QString reason = result["reason"].toString();
    QVERIFY2(reason.contains(words), qPrintable(reason));
    QVERIFY2(!job.contains("./x.py") || reason.contains("#! line"), qPrintable(reason));
}

QTEST_GUILESS_MAIN(JobFileTest)
#include "system_job_file.moc"
