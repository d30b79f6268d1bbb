// What gpuspool says without a daemon: status, list, show, doctor, usage, exit codes.
#include <QJsonArray>
#include <QtTest>

#include "tests/support/cli.h"

class SystemCli : public QObject {
    Q_OBJECT
private slots:
    void output_that_cannot_be_written_is_a_failure();
    void a_missing_spool_is_explained();
    void wrong_usage_exits_with_2_data();
    void wrong_usage_exits_with_2();
    void an_empty_gpuspool_dir_is_no_spool();
    void a_removed_directory_is_no_place_for_a_job();
    void a_job_whose_number_cannot_be_printed_is_queued();
    void watching_ends_when_nobody_can_read_it();
    void status_json_has_its_keys();
    void pause_and_resume();
    void list_filters();
    void list_tells_of_what_it_cannot_read();
    void show_names_the_files_that_are_there();
    void unknown_jobs_exit_with_3();
    void hostile_names_do_no_harm();
    void doctor_names_the_missing_daemon();
    void doctor_looks_for_the_supervisor_where_spoold_does();
};

void SystemCli::a_missing_spool_is_explained() {
    const Cli cli;
    const Ran ran = cli.run({"status"});
    QCOMPARE(ran.code, 1);
    QVERIFY2(ran.err.contains("start spoold"), ran.err);
    QVERIFY(!QFile::exists(cli.path()));
}

void SystemCli::wrong_usage_exits_with_2_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("unknown verb") << QStringList{"sumbit"};
    QTest::newRow("unknown option") << QStringList{"status", "--jsn"};
    QTest::newRow("nothing to submit") << QStringList{"submit"};
    QTest::newRow("forgotten dashes") << QStringList{"submit", "python", "train.py"};
    QTest::newRow("unknown state") << QStringList{"list", "--state", "fialed"};
    QTest::newRow("log of a negative number") << QStringList{"log", "-n=-1"};
    QTest::newRow("log of a huge number") << QStringList{"log", "-n", "99999999999999999999"};
    for (const char* verb : {"log", "cancel", "wait", "retry", "show", "hold", "top"})
        QTest::addRow("%s without a name", verb) << QStringList{verb, ""};
    QTest::newRow("one of two names") << QStringList{"cancel", "x", ""};
    QTest::newRow("drain without a name") << QStringList{"gpus", "drain", ""};
    QTest::newRow("no spool") << QStringList{"--spool", "", "status"};
    QTest::newRow("no command") << QStringList{"submit", "--"};
    QTest::newRow("an empty command") << QStringList{"submit", "--", ""};
    QTest::newRow("--gpus=-1") << QStringList{"submit", "--gpus=-1", "--", "true"};
    QTest::newRow("--time -5") << QStringList{"submit", "--time", "-5", "--", "true"};
    QTest::newRow("--gpus of standard input") << QStringList{"submit", "--gpus", "many", "-"};
    QTest::newRow("a name with a line feed") << QStringList{"submit", "-n", "a\nb", "--", "true"};
    QTest::newRow("a name with an escape") << QStringList{"submit", "-n", "\033[31m", "--", "true"};
    QTest::newRow("--env without =") << QStringList{"submit", "--env", "A", "--", "true"};
}

void SystemCli::wrong_usage_exits_with_2() {
    QFETCH(QStringList, arguments);
    const Cli cli;
    cli.put_newest_job();
    const Ran ran = cli.run(arguments);
    QCOMPARE(ran.code, 2);
    QVERIFY(ran.out.isEmpty());
    QVERIFY(!ran.err.isEmpty() && !has_escape(ran.err));
    QVERIFY(QFile::exists(cli.path("incoming/newest.job")));
}

void SystemCli::an_empty_gpuspool_dir_is_no_spool() {
    Cli cli;
    cli.environment.insert("GPUSPOOL_DIR", "");
    const Ran ran = cli.run({"submit", "--", "true"});
    QCOMPARE(ran.code, 2);
    QVERIFY2(ran.err.contains("GPUSPOOL_DIR is set and empty"), ran.err);
    QVERIFY(!QFile::exists(cli.beside(".gpuspool")));
    QCOMPARE(cli.run({"--spool", cli.path(), "submit", "--", "true"}).code, 0);
}

void SystemCli::a_removed_directory_is_no_place_for_a_job() {
    const Cli cli;
    const auto submit = [&](const QString& options) {
        QProcess process;
        process.setProcessEnvironment(cli.environment);
        process.setWorkingDirectory(cli.beside(""));
        process.start("bash",
                      {"-c", "mkdir gone && cd gone && rmdir ../gone && " GPUSPOOL " submit " +
                                 options + " -- pwd"});
        process.waitForFinished();
        return Ran{process.exitCode(), process.readAllStandardOutput(),
                   process.readAllStandardError()};
    };
    const Ran refused = submit("");
    QCOMPARE(refused.code, 1);
    QVERIFY2(refused.err.contains("current directory") && refused.err.contains("--chdir"),
             refused.err);
    QCOMPARE(submit("--chdir sub").code, 1);
    const Ran taken = submit("--chdir /");
    QVERIFY2(taken.code == 0 && taken.out == "1\n", taken.err);
    QVERIFY2(cli.read("incoming/pwd.job").contains("\"cwd\":\"/\"") ||
                 cli.read("incoming/pwd.job").contains("\"cwd\": \"/\""),
             cli.read("incoming/pwd.job"));
}

void SystemCli::a_job_whose_number_cannot_be_printed_is_queued() {
    const Cli cli;
    int number = 0;
    for (const char* output : {"> /dev/full", ">&-"}) {
        QProcess process;
        process.setProcessEnvironment(cli.environment);
        process.start("bash", {"-c", QString(GPUSPOOL " submit -- true ") + output});
        QVERIFY(process.waitForFinished());
        QCOMPARE(process.exitCode(), 1);
        const QByteArray said = process.readAllStandardError();
        QVERIFY2(said.contains("job " + QByteArray::number(++number) + " IS queued"), said);
    }
    QCOMPARE(cli.status()["waiting"].toArray().size(), 2);
}

void SystemCli::watching_ends_when_nobody_can_read_it() {
    const Cli cli;
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.setStandardOutputFile("/dev/full");
    process.start(GPUSPOOL, {"gpus", "--watch"});
    QVERIFY(process.waitForFinished());
    QCOMPARE(process.exitCode(), 1);
}

void SystemCli::status_json_has_its_keys() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    const QJsonObject status = cli.status();
    for (const char* key : {"daemon", "gpus", "running", "waiting", "recent", "ignored"})
        QVERIFY2(status.contains(key), key);
    QCOMPARE(status["daemon"].toObject()["running"].toBool(true), false);
    const QJsonObject job = status["waiting"].toArray().at(0).toObject();
    QCOMPARE(job["id"].toInt(), 1);
    QCOMPARE(job["reason_code"].toString(), QString("daemon_down"));
    QVERIFY(!job["reason"].toString().isEmpty());
    const Ran plain = cli.run({});
    QCOMPARE(plain.code, 0);
    QVERIFY2(plain.out.contains("No daemon runs") && plain.out.contains("x"), plain.out);
    QVERIFY(!has_escape(plain.out));
}

void SystemCli::pause_and_resume() {
    const Cli cli;
    QCOMPARE(cli.run({"pause", "new", "disk"}).code, 0);
    QCOMPARE(cli.read("control/pause"), QByteArray("new disk\n"));
    QCOMPARE(cli.status()["daemon"].toObject()["pause_reason"].toString(), QString("new disk"));
    QCOMPARE(cli.run({"resume"}).code, 0);
    QVERIFY(!QFile::exists(cli.path("control/pause")));
    QCOMPARE(cli.run({"drain"}).code, 1);
}

void SystemCli::list_filters() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 1, failed_with_3, "");
    cli.put_done("b", 2, succeeded, "");
    const auto names = [&](const QStringList& arguments) {
        QStringList out;
        for (const QJsonValue& job :
             QJsonDocument::fromJson(cli.run(QStringList{"list", "--json"} + arguments).out)
                 .array())
            out << job.toObject()["name"].toString();
        return out;
    };
    QCOMPARE(names({}), (QStringList{"b", "a"}));
    QCOMPARE(names({"--state", "failed"}), QStringList{"a"});
    QCOMPARE(names({"--state", "failed,succeeded", "-n", "1"}), QStringList{"b"});
    const Ran table = cli.run({"list"});
    QVERIFY2(table.out.contains("failed (exit code 3)") && !has_escape(table.out), table.out);
    QCOMPARE(table.err, QByteArray());
}

void SystemCli::list_tells_of_what_it_cannot_read() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 1, succeeded, "");
    cli.write(cli.path("done/torn.json"), "{");
    const Ran table = cli.run({"list"});
    QCOMPARE(table.code, 0);
    QVERIFY2(table.out.contains("succeeded"), table.out);
    QVERIFY2(table.err.contains("left out: done/torn.json"), table.err);
}

void SystemCli::show_names_the_files_that_are_there() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("x", 1, succeeded, "");
    const Ran all = cli.run({"show", "x"});
    QVERIFY2(all.out.contains("/done/x.job\n") && all.out.contains("/done/x.log\n"), all.out);
    QVERIFY(QFile::remove(cli.path("done/x.log")));
    const Ran rest = cli.run({"show", "x"});
    QVERIFY2(rest.out.contains("/done/x.job\n") && !rest.out.contains("x.log"), rest.out);
}

void SystemCli::unknown_jobs_exit_with_3() {
    const Cli cli;
    cli.run({"pause"});
    for (const char* verb : {"log", "cancel", "wait", "retry", "show"}) {
        const Ran ran = cli.run({verb, "nosuch"});
        QCOMPARE(ran.code, 3);
        QVERIFY2(ran.err.contains("nosuch"), verb);
    }
}

void SystemCli::hostile_names_do_no_harm() {
    const Cli cli;
    cli.run({"pause"});
    for (const QByteArray name :
         {"line\nfeed", "esc\033[31m", "bad\xff\xfe", "-rf", "$(touch x)", "<b>"}) {
        QProcess put;
        put.start("sh", {"-c", "printf 'true\\n' > \"$(printf '%b' \"$1\")\"",
                         "sh", cli.path("incoming/") + [&] {
                             QString octal;
                             for (const char c : name)
                                 octal += QString("\\0%1").arg(static_cast<unsigned char>(c), 3, 8,
                                                               QChar('0'));
                             return octal;
                         }() + ".job"});
        QVERIFY(put.waitForFinished());
    }
    const Ran plain = cli.run({"status"});
    QCOMPARE(plain.code, 0);
    QVERIFY(!has_escape(plain.out));
    QVERIFY2(plain.out.contains("line\\x0afeed") || plain.out.contains("line\\x0Afeed"), plain.out);
    QVERIFY2(plain.out.toLower().contains("bad\\xff\\xfe"), plain.out);
    QCOMPARE(cli.status()["waiting"].toArray().size(), 6);
    QCOMPARE(cli.run({"cancel", "--", "-rf"}).code, 0);
    QVERIFY(!QFile::exists(cli.path("incoming/-rf.job")));
    const Ran unknown = cli.run({"show", "x\033[31m"});
    QCOMPARE(unknown.code, 3);
    QVERIFY(!has_escape(unknown.err));
}

void SystemCli::doctor_names_the_missing_daemon() {
    const Cli cli;
    cli.run({"pause"});
    cli.write(cli.path("config.json"), "{\n  \"gpu\": [\"0\"],\n}\n");
    const Ran ran = cli.run({"doctor"});
    QCOMPARE(ran.code, 1);
    QVERIFY2(ran.out.contains("no daemon runs") && ran.out.contains("spoold"), ran.out);
    QVERIFY2(ran.out.contains("config.json:2"), ran.out);
    QVERIFY2(ran.out.contains("gpuspool resume"), ran.out);
}

void SystemCli::doctor_looks_for_the_supervisor_where_spoold_does() {
    Cli cli;
    QVERIFY(cli.run({"doctor"}).out.contains("ok    supervisor"));
    const QByteArray missing = cli.beside("no-such-program").toUtf8();
    cli.environment.insert("GPUSPOOL_EXEC", missing);
    const Ran ran = cli.run({"doctor"});
    QVERIFY2(ran.out.contains("BAD   the supervisor of jobs, " + missing), ran.out);
}

void SystemCli::output_that_cannot_be_written_is_a_failure() {
    Cli cli;
    for (const QStringList& arguments : {QStringList{"submit", "--", "true"},
                                         {"status"},
                                         {"--help"},
                                         {"list", "--help"},
                                         {"--version"}}) {
        QProcess process;
        process.setProcessEnvironment(cli.environment);
        process.setStandardOutputFile("/dev/full");
        process.start(GPUSPOOL, arguments);
        QVERIFY(process.waitForFinished());
        QCOMPARE(process.exitCode(), 1);
        const QByteArray said = process.readAllStandardError();
        QVERIFY2(said.contains("standard output cannot be written"), said);
    }
}

QTEST_GUILESS_MAIN(SystemCli)
#include "system_cli.moc"
