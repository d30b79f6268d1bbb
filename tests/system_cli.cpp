// The real gpuspool on scratch spools without a daemon.
#include <sys/wait.h>

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>
#include <csignal>

namespace {

struct Ran {
    int code = -1;
    QByteArray out, err;
};

/// A spool of its own, and gpuspool on it.
class Cli {
public:
    Cli() {
        environment.insert("GPUSPOOL_DIR", path());
        environment.insert("HOME", directory_.path());
        environment.insert("TERM", "xterm-256color");
        environment.remove("NO_COLOR");
    }

    /// QTemporaryDir cannot remove names that are not valid UTF-8.
    ~Cli() { QProcess::execute("rm", {"-rf", "--", path()}); }
    Cli(const Cli&) = delete;
    Cli& operator=(const Cli&) = delete;

    Ran run(const QStringList& arguments, const QByteArray& input = {}) const {
        QProcess process;
        process.setProcessEnvironment(environment);
        process.setWorkingDirectory(directory_.path());
        process.start(GPUSPOOL, arguments);
        process.write(input);
        process.closeWriteChannel();
        if (!process.waitForFinished(30'000)) {
            process.kill();
            process.waitForFinished();
            return {-1, process.readAllStandardOutput(),
                    process.readAllStandardError() + "\n(did not end)"};
        }
        return {process.exitCode(), process.readAllStandardOutput(),
                process.readAllStandardError()};
    }

    [[nodiscard]] QString path(const QString& inside = {}) const {
        return directory_.path() + "/spool" + (inside.isEmpty() ? QString() : "/" + inside);
    }
    [[nodiscard]] QString beside(const QString& name) const {
        return directory_.path() + '/' + name;
    }
    [[nodiscard]] QByteArray read(const QString& inside) const {
        QFile file(path(inside));
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray("(not there)");
    }
    void write(const QString& name, const QByteArray& bytes) const {
        QFile file(name);
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size())
            qFatal("cannot write %s", qPrintable(name));
    }
    [[nodiscard]] QJsonObject status() const {
        return QJsonDocument::fromJson(run({"status", "--json"}).out).object();
    }
    /// A job that has ended, as a daemon would leave it.
    void put_done(const QString& name, int id, const QByteArray& facts,
                  const QByteArray& log) const {
        write(path("done/" + name + ".job"), "echo again\n");
        write(path("done/" + name + ".log"), log);
        write(path("done/" + name + ".json"),
              "{\"id\":" + QByteArray::number(id) + ",\"name\":\"" + name.toUtf8() +
                  "\",\"file\":\"" + name.toUtf8() + ".job\"," + facts +
                  ",\"ended_at\":\"2026-01-01T00:00:0" + QByteArray::number(id % 10) + ".000Z\"}");
    }

    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();

private:
    QTemporaryDir directory_;
};

const QByteArray failed_with_3 =
    R"("state":"failed","exit_code":3,"signal":null,"reason":"exit code 3")";
const QByteArray succeeded = R"("state":"succeeded","exit_code":0,"signal":null)";

bool has_escape(const QByteArray& bytes) {
    return bytes.contains('\033');
}

}  // namespace

class SystemCli : public QObject {
    Q_OBJECT
private slots:
    void output_that_cannot_be_written_is_a_failure();
    void a_missing_spool_is_explained();
    void submit_prints_the_number_alone();
    void submit_keeps_arguments_apart();
    void submit_takes_files_and_standard_input();
    void submit_leaves_secrets_out();
    void submit_refuses_what_is_no_job();
    void wrong_usage_exits_with_2_data();
    void wrong_usage_exits_with_2();
    void status_json_has_its_keys();
    void cancel_withdraws_a_waiting_job();
    void pause_and_resume();
    void log_of_ended_jobs();
    void log_of_a_waiting_job_says_why();
    void ctrl_c_only_stops_watching();
    void wait_exits_with_the_jobs_code_data();
    void wait_exits_with_the_jobs_code();
    void follow_ends_with_the_job();
    void retry_makes_a_new_job();
    void retry_failed_tries_once();
    void list_filters();
    void list_tells_of_what_it_cannot_read();
    void show_names_the_files_that_are_there();
    void unknown_jobs_exit_with_3();
    void hostile_names_do_no_harm();
    void doctor_names_the_missing_daemon();
};

void SystemCli::a_missing_spool_is_explained() {
    const Cli cli;
    const Ran ran = cli.run({"status"});
    QCOMPARE(ran.code, 1);
    QVERIFY2(ran.err.contains("start spoold"), ran.err);
    QVERIFY(!QFile::exists(cli.path()));
}

void SystemCli::submit_prints_the_number_alone() {
    const Cli cli;
    const Ran first = cli.run({"submit", "-n", "x", "--", "true"});
    QCOMPARE(first.code, 0);
    QCOMPARE(first.out, QByteArray("1\n"));
    QVERIFY2(first.err.contains("no daemon runs"), first.err);
    QCOMPARE(cli.run({"submit", "-n", "x", "--", "true"}).out, QByteArray("2\n"));
    QVERIFY(QFile::exists(cli.path("incoming/x.job")) &&
            QFile::exists(cli.path("incoming/x~2.job")));
}

void SystemCli::submit_keeps_arguments_apart() {
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

void SystemCli::submit_takes_files_and_standard_input() {
    const Cli cli;
    cli.write(cli.beside("a.sbatch"), "#!/bin/bash\n#SBATCH --gpus=4\necho $1\n");
    QCOMPARE(cli.run({"submit", "-g", "1", "a.sbatch", "--", "one", "-n"}).code, 0);
    const QByteArray bytes = cli.read("incoming/a.sbatch");
    QVERIFY2(bytes.startsWith("#!/bin/bash\n#SBATCH --gpus=4\n#SPOOL --gpus=1\necho $1\n"), bytes);
    QVERIFY2(bytes.contains(R"("arguments":["one","-n"])"), bytes);
    QCOMPARE(cli.run({"submit", "-"}, "echo in\n").code, 0);
    QVERIFY(cli.read("incoming/stdin.job").startsWith("echo in\n#SPOOL-SUBMIT {"));
}

void SystemCli::submit_leaves_secrets_out() {
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

void SystemCli::submit_refuses_what_is_no_job() {
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

void SystemCli::wrong_usage_exits_with_2_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("unknown verb") << QStringList{"sumbit"};
    QTest::newRow("unknown option") << QStringList{"status", "--jsn"};
    QTest::newRow("nothing to submit") << QStringList{"submit"};
    QTest::newRow("forgotten dashes") << QStringList{"submit", "python", "train.py"};
    QTest::newRow("unknown state") << QStringList{"list", "--state", "fialed"};
    QTest::newRow("--env without =") << QStringList{"submit", "--env", "A", "--", "true"};
}

void SystemCli::wrong_usage_exits_with_2() {
    QFETCH(QStringList, arguments);
    const Cli cli;
    const Ran ran = cli.run(arguments);
    QCOMPARE(ran.code, 2);
    QVERIFY(ran.out.isEmpty());
    QVERIFY(!ran.err.isEmpty());
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

void SystemCli::cancel_withdraws_a_waiting_job() {
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

void SystemCli::pause_and_resume() {
    const Cli cli;
    QCOMPARE(cli.run({"pause", "new", "disk"}).code, 0);
    QCOMPARE(cli.read("control/pause"), QByteArray("new disk\n"));
    QCOMPARE(cli.status()["daemon"].toObject()["pause_reason"].toString(), QString("new disk"));
    QCOMPARE(cli.run({"resume"}).code, 0);
    QVERIFY(!QFile::exists(cli.path("control/pause")));
    QCOMPARE(cli.run({"drain"}).code, 1);
}

void SystemCli::log_of_ended_jobs() {
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 7, succeeded, "one\ntwo\nthree");
    QCOMPARE(cli.run({"log", "a"}).out, QByteArray("one\ntwo\nthree"));
    QCOMPARE(cli.run({"log", "-n", "2", "7"}).out, QByteArray("two\nthree"));
    QCOMPARE(cli.run({"log", "-n", "0"}).out, QByteArray(""));
    QCOMPARE(cli.run({"log", "-n", "99"}).out, QByteArray("one\ntwo\nthree"));
    QCOMPARE(cli.run({"log", "-f"}).out, QByteArray("one\ntwo\nthree"));
    cli.write(cli.path("done/a.log"), "one\ntwo\n");
    QCOMPARE(cli.run({"log", "-n", "1"}).out, QByteArray("two\n"));
}

void SystemCli::log_of_a_waiting_job_says_why() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    const Ran ran = cli.run({"log", "x"});
    QCOMPARE(ran.code, 0);
    QVERIFY(ran.out.isEmpty());
    QVERIFY2(ran.err.contains("waits: "), ran.err);
}

void SystemCli::ctrl_c_only_stops_watching() {
    const Cli cli;
    cli.run({"submit", "-n", "x", "--", "true"});
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.start(GPUSPOOL, {"log", "-f", "x"});
    QByteArray err;
    QTRY_VERIFY2_WITH_TIMEOUT((err += process.readAllStandardError()).contains("waits: "), err,
                              20'000);
    QCOMPARE(::kill(static_cast<pid_t>(process.processId()), SIGINT), 0);
    QVERIFY(process.waitForFinished(20'000));
    QCOMPARE(process.exitStatus(), QProcess::NormalExit);
    QCOMPARE(process.exitCode(), 130);
    err += process.readAllStandardError();
    QVERIFY2(err.contains("stopped watching"), err);
    QVERIFY(QFile::exists(cli.path("incoming/x.job")));
}

void SystemCli::wait_exits_with_the_jobs_code_data() {
    QTest::addColumn<QByteArray>("facts");
    QTest::addColumn<int>("code");
    QTest::newRow("succeeded") << succeeded << 0;
    QTest::newRow("failed") << failed_with_3 << 3;
    QTest::newRow("signal") << QByteArray(R"("state":"failed","exit_code":null,"signal":9)") << 137;
    QTest::newRow("timeout") << QByteArray(R"("state":"timeout","exit_code":null,"signal":15)")
                             << 124;
    QTest::newRow("cancelled") << QByteArray(R"("state":"cancelled","exit_code":0,"signal":null)")
                               << 125;
    QTest::newRow("lost") << QByteArray(R"("state":"lost","exit_code":null,"signal":null)") << 126;
    QTest::newRow("rejected") << QByteArray(R"("state":"rejected","exit_code":null,"signal":null)")
                              << 127;
}

void SystemCli::wait_exits_with_the_jobs_code() {
    QFETCH(QByteArray, facts);
    const Cli cli;
    cli.run({"pause"});
    cli.put_done("a", 1, facts, "");
    QTEST(cli.run({"wait", "a"}).code, "code");
}

void SystemCli::follow_ends_with_the_job() {
    const Cli cli;
    cli.run({"pause"});
    cli.write(cli.path("running/a.job"), "echo\n");
    cli.write(cli.path("running/a.log"), "one\n");
    QProcess process;
    process.setProcessEnvironment(cli.environment);
    process.start(GPUSPOOL, {"log", "-f", "a"});
    QByteArray out;
    QTRY_VERIFY2_WITH_TIMEOUT((out += process.readAllStandardOutput()) == "one\n", out, 20'000);
    QFile log(cli.path("running/a.log"));
    QVERIFY(log.open(QIODevice::Append) && log.write("two\n") == 4 && log.flush());
    QVERIFY(QFile::rename(cli.path("running/a.log"), cli.path("done/a.log")));
    QVERIFY(log.write("three\n") == 6 && log.flush());
    QVERIFY(QFile::remove(cli.path("running/a.job")));
    cli.write(cli.path("done/a.job"), "echo\n");
    cli.write(
        cli.path("done/b.tmp"),
        R"({"id":1,"name":"a","file":"a.job","state":"succeeded","exit_code":0,"ended_at":"2026-01-01T00:00:00.000Z"})");
    QVERIFY(QFile::rename(cli.path("done/b.tmp"), cli.path("done/a.json")));
    QVERIFY(process.waitForFinished(20'000));
    out += process.readAllStandardOutput();
    QCOMPARE(out, QByteArray("one\ntwo\nthree\n"));
    QCOMPARE(process.exitCode(), 0);
}

void SystemCli::retry_makes_a_new_job() {
    const Cli cli;
    cli.run({"submit", "--", "true"});
    cli.put_done("a", 1, failed_with_3, "");
    const Ran ran = cli.run({"retry", "a"});
    QCOMPARE(ran.out, QByteArray("2\n"));
    const QByteArray bytes = cli.read("incoming/a~2.job");
    QVERIFY2(bytes.startsWith("echo again\n") && bytes.contains(R"("retry_of":1)"), bytes);
}

void SystemCli::retry_failed_tries_once() {
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

void SystemCli::output_that_cannot_be_written_is_a_failure() {
    Cli cli;
    for (const QStringList& arguments : {QStringList{"submit", "--", "true"}, {"status"}}) {
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
