// Files that can never be jobs: each ends in done/ with a reason, nothing of it is executed, and
// the daemon goes on.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <QJsonDocument>
#include <QProcess>
#include <QtTest>

#include "tests/support/look.h"
#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

constexpr int nobody = 65534;

bool is_there(const QString& path) {
    struct stat status {};
    return lstat(path.toUtf8().constData(), &status) == 0;
}

/// Drops a good job and waits until it has run: the daemon has got over what came before.
bool a_good_job_runs(TestSpool& spool) {
    return spool.drop("good.job", "echo fine\n") &&
           spool.wait_for_result("good")["state"].toString() == "succeeded" &&
           spool.read("done/good.log") == "fine\n";
}

/// Whether the status names the job as rejected with this reason, for people and for programs.
bool status_tells(const TestSpool& spool, const QJsonObject& rejected) {
    const QByteArray text = spool.gpuspool({"status"}).out;
    const QByteArray reason = rejected["reason"].toString().toUtf8();
    bool told = false;
    for (const QByteArray& line : text.split('\n'))
        told = told || (line.contains("rejected") && line.contains(reason));
    if (!told) qWarning("'%s' is not in\n%s", reason.constData(), text.constData());
    const auto json = QJsonDocument::fromJson(spool.gpuspool({"status", "--json"}).out).object();
    bool listed = false;
    for (const QJsonValue job : json["recent"].toArray())
        listed = listed || (job["id"] == rejected["id"] && job["state"] == "rejected" &&
                            job["line"] == rejected["line"] && job["reason"] == rejected["reason"]);
    if (!listed) qWarning("not among recent: %s", reason.constData());
    return told && listed;
}

/// Whether the kind of file that a script makes can be made here at all.
bool can_make(const TestSpool& spool, const QString& script) {
    return spool.run("/bin/bash", {"-c", "I=.; " + script}).exit_code == 0;
}

}  // namespace

class RejectTest : public QObject {
    Q_OBJECT

private slots:
    void bad_text_is_rejected_with_its_line_data();
    void bad_text_is_rejected_with_its_line();
    void a_strange_file_is_rejected_data();
    void a_strange_file_is_rejected();
    void the_largest_job_file_runs();
    void a_rejected_file_can_be_mended_and_dropped_again();
    void a_file_saved_anew_before_it_is_put_away_runs();
    void many_bad_files_at_once_do_no_harm();
    void a_file_of_another_user_is_rejected();
    void an_unreadable_file_is_rejected();
};

void RejectTest::bad_text_is_rejected_with_its_line_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("line");
    QTest::addColumn<QString>("words");
    const auto row = [](const char* name, const QByteArray& text, int line, const QString& words) {
        QTest::newRow(name) << text << line << words;
    };
    row("DOS line ends", "touch ~/ran\r\necho b\r\n", 1, "DOS line end");
    row("one DOS line end", "touch ~/ran\necho b\r\n", 2, "DOS line end");
    row("byte order mark", "\xef\xbb\xbftouch ~/ran\n", 1, "byte order mark");
    row("UTF-16", QByteArray("\xff\xfet\0r\0u\0e\0\n\0", 12), 1, "byte order mark");
    row("NUL", QByteArray("touch ~/ran\necho a\0b\n", 21), 2, "NUL");
    row("unknown key", "#SPOOL --gpsu=2\ntouch ~/ran\n", 1, "--gpus");
    row("unknown key, third line", "#!/bin/bash\n\n#SPOOL --prioritty=2\ntouch ~/ran\n", 3,
        "--priority");
    row("no such key at all", "#SPOOL --frobnicate\ntouch ~/ran\n", 1, "frobnicate");
    row("run together", "#SPOOL--gpus=2\ntouch ~/ran\n", 1, "#SPOOL");
    row("run together with a dash", "#SPOOL-gpus=2\ntouch ~/ran\n", 1, "blank after #SPOOL");
    row("without dashes", "#SPOOL gpus=2\ntouch ~/ran\n", 1, "--gpus");
    row("bad number", "#SPOOL --gpus=many\ntouch ~/ran\n", 1, "many");
    row("negative number", "#SPOOL --gpus=-1\ntouch ~/ran\n", 1, "from 0");
    row("fraction", "#SPOOL --gpus=1.5\ntouch ~/ran\n", 1, "from 0");
    row("number too large", "#SPOOL --gpus=99999999999999999999\ntouch ~/ran\n", 1, "from 0");
    row("no value", "#SPOOL --gpus\ntouch ~/ran\n", 1, "needs a value");
    row("empty value", "#SPOOL --gpus=\ntouch ~/ran\n", 1, "from 0");
    row("bad time", "#SPOOL --time=soon\ntouch ~/ran\n", 1, "time limit");
    row("bad environment", "#SPOOL --env=X\ntouch ~/ran\n", 1, "NAME=value");
    row("open quote", "#SPOOL --name='x\ntouch ~/ran\n", 1, "quote");
    row("too late", "touch ~/ran\n#SPOOL --gpus=1\n", 2, "above the first command");
    row("bad SBATCH value", "#!/bin/sh\n#SBATCH --gpus=lots\ntouch ~/ran\n", 2, "lots");
    row("JSON cut off", "{\"command\": [\"touch\",\n \"ran\"", 2, "");
    row("JSON without command", "{\"cwd\": \"/tmp\"}\n", 1, "command");
    row("JSON unknown key", "{\"command\": \"touch ~/ran\",\n \"gpsu\": 1}\n", 2, "gpus");
    row("JSON bad element", "{\"command\": [\"touch\",\n 7]}\n", 2, "list of strings");
    row("JSON empty command", "{\"command\": []}\n", 1, "command");
    row("JSON bad value", "{\"command\": [\"touch\", \"ran\"],\n \"gpus\": \"x\"}\n", 2, "gpus");
    row("submit line cut off", "touch ~/ran\n#SPOOL-SUBMIT {\"number\":\n", 2, "SPOOL-SUBMIT");
}

void RejectTest::bad_text_is_rejected_with_its_line() {
    QFETCH(QByteArray, text);
    QFETCH(int, line);
    QFETCH(QString, words);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const qint64 daemon = spool.pid();
    QVERIFY(spool.write_in_place("x.job", text));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "rejected");
    const QString reason = result["reason"].toString();
    QVERIFY2(reason.contains(words), qPrintable(reason));
    QVERIFY2(reason.startsWith(QString("incoming/x.job:%1: ").arg(line)), qPrintable(reason));
    QCOMPARE(result["line"].toInt(), line);
    QVERIFY(result["exit_code"].isNull() && result["signal"].isNull());
    QVERIFY(result["id"].toInt() > 0);
    QVERIFY(spool.wait_for([&] { return !spool.exists("incoming/x.job"); }, "x to leave"));
    QCOMPARE(spool.read("done/x.job"), text);
    QVERIFY(a_good_job_runs(spool));
    QCOMPARE(home_file(spool, "ran"), "");
    QVERIFY(!QFile::exists(spool.scratch("ran")));
    QVERIFY(spool.is_running());
    QCOMPARE(spool.pid(), daemon);
    QVERIFY(status_tells(spool, result));
}

void RejectTest::a_strange_file_is_rejected_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<QString>("words");
    const auto row = [](const char* name, const QString& script, const QString& words) {
        QTest::newRow(name) << script << words;
    };
    row("FIFO", "mkfifo $I/x.job", "not a regular file");
    row("socket",
        "python3 -c 'import socket,os,sys; os.chdir(sys.argv[1]);"
        "socket.socket(socket.AF_UNIX).bind(\"x.job\")' $I",
        "not a regular file");
    row("device", "mknod $I/x.job c 1 3", "not a regular file");
    row("block device", "mknod $I/x.job b 7 200", "not a regular file");
    row("directory", "mkdir $I/x.job", "directory");
    row("full directory", "mkdir $I/x.job; echo 'touch ~/ran' > $I/x.job/y.job", "directory");
    row("dangling link", "ln -s nowhere $I/x.job", "use cp or ln");
    row("link to itself", "ln -s x.job $I/x.job", "use cp or ln");
    row("link to the outside", "echo 'touch ~/ran' > ~/o.job; ln -s ~/o.job $I/x.job",
        "use cp or ln");
    row("link to /dev/zero", "ln -s /dev/zero $I/x.job", "use cp or ln");
    row("1 GiB of nothing", "truncate -s 1G $I/x.job", "1073741824 bytes");
    row("above 4 MiB", "(echo 'touch ~/ran'; head -c 4194304 /dev/zero | tr '\\0' '#') > $I/x.job",
        "4194304");
}

void RejectTest::a_strange_file_is_rejected() {
    QFETCH(QString, script);
    QFETCH(QString, words);
    TestSpool spool;
    if (script.startsWith("mknod") && !can_make(spool, script))
        QSKIP("device files cannot be made here");
    QVERIFY(spool.start({"--gpus", "0"}));
    const qint64 daemon = spool.pid();
    QVERIFY(shell(spool, script));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "rejected");
    const QString reason = result["reason"].toString();
    QVERIFY2(reason.contains(words) && reason.contains("incoming/x.job"), qPrintable(reason));
    QVERIFY(result["line"].isNull());
    QVERIFY(spool.wait_for([&] { return !is_there(spool.path("incoming/x.job")); }, "x to leave"));
    QVERIFY(is_there(spool.path("done/x.job")));
    QVERIFY(a_good_job_runs(spool));
    QVERIFY(!QFile::exists(spool.scratch("ran")));
    QVERIFY(spool.is_running());
    QCOMPARE(spool.pid(), daemon);
    QVERIFY(status_tells(spool, result));
    // Nor does it trouble the next daemon.
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("next.job", "true\n"));
    QCOMPARE(spool.wait_for_result("next")["state"].toString(), "succeeded");
}

void RejectTest::the_largest_job_file_runs() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray command = "echo whole >> ~/ran\n";
    const QByteArray text = QByteArray((4 << 20) - command.size() - 1, '#') + '\n' + command;
    QVERIFY(spool.drop("x.job", text));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "whole\n");
    QVERIFY(spool.read("done/x.job") == text);
}

void RejectTest::a_rejected_file_can_be_mended_and_dropped_again() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpsu=1\necho one >> ~/ran\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "rejected");
    QVERIFY(spool.wait_for([&] { return spool.exists("done/x.job"); }, "x in done/"));
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR; sed -i s/gpsu/gpus/ done/x.job; mv done/x.job $I"));
    QCOMPARE(spool.wait_for_result("x~2")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "one\n");
}

/// While the number of the bad file is on its way to the disk, a good one is saved over it.
void RejectTest::a_file_saved_anew_before_it_is_put_away_runs() {
    if (!strace::works()) QSKIP("strace cannot trace here");
    TestSpool spool;
    spool.wrapper =
        strace::wrapper(QStringList{"-f"} + strace::inject("fdatasync", "delay_enter=1000000"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "#SPOOL --gpsu=1\necho bad >> ~/ran\n"));
    QVERIFY(spool.wait_for([&] { return spool.read(".spool/waiting").contains("x.job"); },
                           "x to get its number"));
    QVERIFY(spool.drop("x.job", "echo good >> ~/ran\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["id"].toInt(), 1);
    QCOMPARE(home_file(spool, "ran"), "good\n");
}

void RejectTest::many_bad_files_at_once_do_no_harm() {
    TestSpool spool;
    QVERIFY(shell(spool,
                  "mkdir -m 700 -p $I\nchmod 700 $GPUSPOOL_DIR\n"
                  "for i in {1..40}; do mkdir $I/d$i.job; ln -s x $I/l$i.job\n"
                  "printf 'touch ~/ran\\r\\n' > $I/r$i.job; mkfifo $I/f$i.job; done"));
    QVERIFY(spool.start({"--gpus", "0"}));
    const auto ended = [&] {
        const auto names = names_in(spool, "done");
        return std::count_if(names.begin(), names.end(),
                             [](const QByteArray& name) { return name.endsWith(".json"); }) == 160;
    };
    QVERIFY(spool.wait_for(ended, "160 rejections"));
    QVERIFY(spool.wait_for([&] { return names_in(spool, "incoming").isEmpty(); }, "all to leave"));
    QVERIFY(a_good_job_runs(spool));
    QVERIFY(!QFile::exists(spool.scratch("ran")));
}

void RejectTest::a_file_of_another_user_is_rejected() {
    if (geteuid() != 0) QSKIP("only root can make a file of another user");
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "echo 'touch ~/ran' > x.job; chown nobody x.job; mv x.job $I/"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "rejected");
    QVERIFY(result["reason"].toString().contains("another user"));
    QVERIFY(a_good_job_runs(spool));
    QVERIFY(!QFile::exists(spool.scratch("ran")));
}

/// Root reads everything, so the daemon is somebody else here.
void RejectTest::an_unreadable_file_is_rejected() {
    if (geteuid() != 0) QSKIP("only root can run the daemon as somebody else");
    if (QStandardPaths::findExecutable("setpriv").isEmpty()) QSKIP("setpriv is not installed");
    TestSpool spool;
    const QString daemon = spool.scratch("spoold");
    QVERIFY(QFile::copy(SPOOLD, daemon));
    QVERIFY(QFile::copy(SPOOL_EXEC, spool.scratch("spool-exec")));
    QVERIFY(shell(spool, "chown -R nobody: ~/.."));
    QProcess process;
    spool.environment.insert("GPUSPOOL_EXEC", spool.scratch("spool-exec"));
    spool.environment.insert("USER", "nobody");
    process.setProcessEnvironment(spool.environment);
    process.setProcessChannelMode(QProcess::ForwardedChannels);
    const QString id = QString::number(nobody);
    process.start("setpriv", {"--reuid", id, "--regid", id, "--clear-groups", "--", daemon,
                              "--foreground", "--gpus", "0"});
    QVERIFY(spool.wait_for([&] { return spool.exists(".spool/state.json"); }, "the daemon"));
    const bool dropped = shell(spool,
                               "echo 'touch ~/ran' > x.job; chown nobody: x.job\n"
                               "chmod 000 x.job; mv x.job $I/");
    const QJsonObject result = spool.wait_for_result("x");
    const bool went_on = shell(spool,
                               "echo 'echo fine' > good.job; chown nobody: good.job\n"
                               "mv good.job $I/") &&
                         spool.wait_for_result("good")["state"].toString() == "succeeded";
    process.terminate();
    QVERIFY(process.waitForFinished());
    QVERIFY(dropped && went_on);
    QCOMPARE(result["state"].toString(), "rejected");
    QVERIFY2(result["reason"].toString().contains("chmod u+r"),
             qPrintable(result["reason"].toString()));
    QVERIFY(!QFile::exists(spool.scratch("ran")));
    QVERIFY(is_there(spool.path("done/x.job")));
}

QTEST_GUILESS_MAIN(RejectTest)
#include "system_reject.moc"
