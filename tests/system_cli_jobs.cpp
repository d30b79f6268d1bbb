// gpuspool submit, cancel and retry without a daemon.
#include <QJsonArray>
#include <QtTest>

#include "tests/support/cli.h"

class SystemCliJobs : public QObject {
    Q_OBJECT
private slots:
    void submit_prints_the_number_alone();
    void submit_keeps_arguments_apart();
    void submit_takes_files_and_standard_input();
    void submit_leaves_secrets_out();
    void submit_refuses_what_is_no_job();
    void cancel_withdraws_a_waiting_job();
    void retry_makes_a_new_job();
    void retry_failed_tries_once();
};

void SystemCliJobs::submit_prints_the_number_alone() {
    const Cli cli;
    const Ran first = cli.run({"submit", "-n", "x", "--", "true"});
    QCOMPARE(first.code, 0);
    QCOMPARE(first.out, QByteArray("1\n"));
    QVERIFY2(first.err.contains("no daemon runs"), first.err);
    QCOMPARE(cli.run({"submit", "-n", "x", "--", "true"}).out, QByteArray("2\n"));
    QVERIFY(QFile::exists(cli.path("incoming/x.job")) &&
            QFile::exists(cli.path("incoming/x~2.job")));
}

void SystemCliJobs::submit_keeps_arguments_apart() {
    const Cli cli;
    QCOMPARE(cli.run({"submit", "-g", "2", "--time", "90s", "--env", "A=b c", "--", "printf",
                      "%s\n", "a b", "--gpus", "$(x)"})
                 .code,
             0);
    const QJsonObject job = QJsonDocument::fromJson(cli.read("incoming/printf.job")).object();
    QCOMPARE(job["command"].toArray(), (QJsonArray{"printf", "%s\n", "a b", "--gpus", "$(x)"}));
    QCOMPARE(job["gpus"].toInt(), 2);
    QCOMPARE(job["env"].toObject()["A"].toString(), QString("b c"));
    QCOMPARE(job["spool_submit"].toObject()["number"].toInt(), 1);
}

void SystemCliJobs::submit_takes_files_and_standard_input() {
    const Cli cli;
    cli.write(cli.beside("a.sbatch"), "#!/bin/bash\n#SBATCH --gpus=4\necho $1\n");
    QCOMPARE(cli.run({"submit", "-g", "1", "a.sbatch", "--", "one", "-n"}).code, 0);
    const QByteArray bytes = cli.read("incoming/a.sbatch");
    QVERIFY2(bytes.startsWith("#!/bin/bash\n#SBATCH --gpus=4\n#SPOOL --gpus=1\necho $1\n"), bytes);
    QVERIFY2(bytes.contains(R"("arguments":["one","-n"])"), bytes);
    QCOMPARE(cli.run({"submit", "-"}, "echo in\n").code, 0);
    QVERIFY(cli.read("incoming/stdin.job").startsWith("echo in\n#SPOOL-SUBMIT {"));
}

void SystemCliJobs::submit_leaves_secrets_out() {
    Cli cli;
    cli.environment.insert("HF_TOKEN", "hf_not_to_be_written_anywhere");
    cli.environment.insert("HARMLESS", "yes-it-is");
    const Ran ran = cli.run({"submit", "--", "true"});
    QVERIFY2(ran.err.contains("HF_TOKEN"), ran.err);
    QProcess grep;
    grep.start("grep", {"-rlE", "not_to_be_written", cli.path()});
    QVERIFY(grep.waitForFinished());
    QCOMPARE(grep.readAllStandardOutput(), QByteArray());
    grep.start("grep", {"-rlaE", "HARMLESS=yes-it-is", cli.path(".spool/env")});
    QVERIFY(grep.waitForFinished());
    QVERIFY(!grep.readAllStandardOutput().isEmpty());
}

void SystemCliJobs::submit_refuses_what_is_no_job() {
    const Cli cli;
    cli.write(cli.beside("train.py"), "print(1)\n");
    cli.write(cli.beside("bad.job"), "#SPOOL --gpuz=1\ntrue\n");
    const Ran python = cli.run({"submit", "train.py"});
    QCOMPARE(python.code, 1);
    QVERIFY2(python.err.contains("-- python train.py"), python.err);
    const Ran bad = cli.run({"submit", "bad.job"});
    QCOMPARE(bad.code, 1);
    QVERIFY2(bad.err.contains("bad.job:1") && bad.err.contains("gpus"), bad.err);
    QVERIFY(QDir(cli.path("incoming")).isEmpty());
}

void SystemCliJobs::cancel_withdraws_a_waiting_job() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    cli.run({"submit", "-n", "y", "--", "true"});
    const Ran ran = cli.run({"cancel", "1"});
    QCOMPARE(ran.code, 0);
    QVERIFY2(ran.out.contains("withdrawn"), ran.out);
    QVERIFY(!QFile::exists(cli.path("incoming/x.job")) &&
            QFile::exists(cli.path("incoming/y.job")));
    QCOMPARE(cli.run({"cancel", "1"}).code, 3);
    QVERIFY(QDir(cli.path("control")).isEmpty());
}

void SystemCliJobs::retry_makes_a_new_job() {
    const Cli cli;
    cli.run({"submit", "--", "true"});
    cli.put_done("a", 1, failed_with_3, "");
    const Ran ran = cli.run({"retry", "a"});
    QCOMPARE(ran.out, QByteArray("2\n"));
    const QByteArray bytes = cli.read("incoming/a~2.job");
    QVERIFY2(bytes.startsWith("echo again\n") && bytes.contains(R"("retry_of":1)"), bytes);
}

void SystemCliJobs::retry_failed_tries_once() {
    const Cli cli;
    for (int i = 0; i < 3; ++i)
        cli.run({"submit", "-n", "w", "--", "true"});
    cli.run({"cancel", "1", "2", "3"});
    cli.put_done("a", 1, failed_with_3, "");
    cli.put_done("b", 2, succeeded, "");
    cli.put_done("c", 3, failed_with_3 + R"(,"retry_of":1)", "");
    QCOMPARE(cli.run({"retry", "--failed"}).out, QByteArray("4\n"));
    QVERIFY(cli.read("incoming/c~2.job").contains(R"("retry_of":3)"));
    const Ran again = cli.run({"retry", "--failed"});
    QCOMPARE(again.out, QByteArray(""));
    QCOMPARE(again.code, 0);
}

QTEST_GUILESS_MAIN(SystemCliJobs)
#include "system_cli_jobs.moc"
