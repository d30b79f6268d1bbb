// Every way in which a file gets into incoming/: it is one job, run once and whole.
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

constexpr auto job_text = "echo one >> ~/ran\n";

/// Every run of a job leaves a line there.
QByteArray runs(const TestSpool& spool) {
    return home_file(spool, "ran");
}

/// Waits for a job that is dropped now. With one slot, everything dropped before it has had its
/// turn by then.
int number_of_last(TestSpool& spool) {
    if (!spool.drop("last.job", "true\n")) return 0;
    return spool.wait_for_result("last")["id"].toInt();
}

}  // namespace

class DropTest : public QObject {
    Q_OBJECT

private slots:
    void a_dropped_file_is_one_job_data();
    void a_dropped_file_is_one_job();
    void a_file_is_not_run_while_it_is_written();
    void two_writers_in_a_row_make_one_job();
    void half_a_directive_is_not_rejected();
    void each_extension_is_a_job_data();
    void each_extension_is_a_job();
    void extensions_share_one_space_of_names();
    void other_names_are_left_alone_and_reported();
    void temporary_names_are_left_alone_without_a_word();
};

void DropTest::a_dropped_file_is_one_job_data() {
    QTest::addColumn<QString>("script");
    const auto row = [](const char* name, const QString& script) { QTest::newRow(name) << script; };
    row("echo", "cat content > $I/x.job");
    row("mv", "mv content $I/x.job");
    row("cp", "cp content $I/x.job");
    row("cp -p", "touch -d '1 year ago' content; cp -p content $I/x.job");
    row("mv from another file system",
        "s=$(mktemp -d /dev/shm/gpuspool-test-XXXXXX)\n"
        "mv content $s/c; mv $s/c $I/x.job; rmdir $s");
    row("install", "install -m 755 content $I/x.job");
    row("tee", "tee $I/x.job < content");
    row("dd", "dd if=content of=$I/x.job bs=1 status=none");
    row("hard link", "ln content $I/x.job");
    row("link and unlink, as sftp renames",
        "cat content > $I/x.job.filepart; ln $I/x.job.filepart $I/x.job; rm $I/x.job.filepart");
    row("rename of a temporary", "cat content > $I/.x.job.tmp; mv $I/.x.job.tmp $I/x.job");
    row("touch, later the text", "touch $I/x.job; sleep 0.3; cat content >> $I/x.job");
    row("rsync", "rsync content $I/x.job");
    row("rsync --inplace", "rsync --inplace content $I/x.job");
    row("vim", "vim -u NONE -es -c 'call setline(1, readfile(\"content\"))' -c wq $I/x.job");
    row("vim, saved twice",
        "vim -u NONE -es -c 'call setline(1, readfile(\"content\"))' -c w -c wq $I/x.job");
    row("unnamed temporary, linked in",
        "python3 -c 'import os,sys\n"
        "d = os.open(sys.argv[1], os.O_DIRECTORY)\n"
        "f = os.open(sys.argv[1], os.O_TMPFILE | os.O_WRONLY, 0o600)\n"
        "os.write(f, open(\"content\", \"rb\").read())\n"
        "os.link(f\"/proc/self/fd/{f}\", \"x.job\", src_dir_fd=d, dst_dir_fd=d)' $I");
    row("written byte by byte",
        "python3 -c 'import sys,time\n"
        "f = open(sys.argv[1], \"wb\", 0)\n"
        "for b in open(\"content\", \"rb\").read():\n"
        "    f.write(bytes([b])); time.sleep(0.03)' $I/x.job");
    row("made large first, then written",
        "exec 3<> $I/x.job; truncate -s 18 $I/x.job; sleep 0.4; cat content >&3");
    row("written through a mapping",
        "python3 -c 'import mmap,os,sys,time\n"
        "t = open(\"content\", \"rb\").read()\n"
        "f = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)\n"
        "os.ftruncate(f, len(t))\n"
        "m = mmap.mmap(f, len(t)); os.close(f)\n"
        "time.sleep(0.4); m[:] = t; time.sleep(0.4)' $I/x.job");
}

void DropTest::a_dropped_file_is_one_job() {
    QFETCH(QString, script);
    if (script.startsWith("vim") && QStandardPaths::findExecutable("vim").isEmpty())
        QSKIP("vim is not installed");
    if (script.startsWith("rsync") && QStandardPaths::findExecutable("rsync").isEmpty())
        QSKIP("rsync is not installed");
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(write_home_file(spool, "content", job_text));
    QVERIFY(shell(spool, script));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["file"].toString(), "x.job");
    QCOMPARE(spool.read("done/x.job"), job_text);
    QCOMPARE(number_of_last(spool), result["id"].toInt() + 1);
    QCOMPARE(runs(spool), "one\n");
    QCOMPARE(names_in(spool, "incoming"), {});
    QCOMPARE(names_in(spool, "running"), {});
}

void DropTest::a_file_is_not_run_while_it_is_written() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "(printf 'echo a'; sleep 3; echo 'b >> ~/ran') > $I/x.job"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(runs(spool), "ab\n");
    QCOMPARE(number_of_last(spool), 2);
    QCOMPARE(runs(spool), "ab\n");
}

void DropTest::two_writers_in_a_row_make_one_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(shell(spool, "echo 'echo a >> ~/ran' > $I/x.job; echo 'echo b >> ~/ran' >> $I/x.job"));
    QCOMPARE(spool.wait_for_result("x")["id"].toInt(), 1);
    QCOMPARE(runs(spool), "a\nb\n");
    QCOMPARE(number_of_last(spool), 2);
    QCOMPARE(runs(spool), "a\nb\n");
}

void DropTest::half_a_directive_is_not_rejected() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QFile file(spool.path("incoming/x.job"));
    QVERIFY(file.open(QIODevice::WriteOnly));
    QVERIFY(file.write("echo one >> ~/ran\n#SPOOL --gp") > 0 && file.flush());
    QVERIFY(wait_for_reason(spool, "x", "open"));
    QVERIFY(file.resize(0) && file.seek(0));
    QVERIFY(file.write("#SPOOL --gp") > 0 && file.flush());
    QVERIFY(spool.drop("y.job", "sleep 0.5\n"));
    QVERIFY(!spool.wait_for_result("y").isEmpty());
    QVERIFY(file.write("us=1\necho two >> ~/ran\n") > 0);
    file.close();
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(runs(spool), "two\n");
}

void DropTest::each_extension_is_a_job_data() {
    QTest::addColumn<QString>("file");
    for (const char* file : {"x.job", "x.sh", "x.sbatch", "x.slurm"})
        QTest::newRow(file) << file;
}

void DropTest::each_extension_is_a_job() {
    QFETCH(QString, file);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.write_in_place(file, job_text));
    QCOMPARE(spool.wait_for_result("x")["file"].toString(), file);
    QCOMPARE(spool.read("done/" + file), job_text);
    QCOMPARE(runs(spool), "one\n");
}

void DropTest::extensions_share_one_space_of_names() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("a.sh", "echo sh >> ~/ran\n"));
    QVERIFY(!spool.wait_for_result("a").isEmpty());
    QVERIFY(spool.drop("a.job", "echo job >> ~/ran\n"));
    QCOMPARE(spool.wait_for_result("a~2")["file"].toString(), "a.job");
    QCOMPARE(names_in(spool, "done"),
             (QList<QByteArray>{"a.json", "a.log", "a.sh", "a~2.job", "a~2.json", "a~2.log"}));
    QCOMPARE(runs(spool), "sh\njob\n");
}

void DropTest::other_names_are_left_alone_and_reported() {
    TestSpool spool;
    const QList<QByteArray> others = {"Makefile", "notes.txt", "train.py",
                                      "x.job.sync-conflict-20260101-120000-ABCDEF.job"};
    QVERIFY(spool.start({"--gpus", "0"}));
    for (const QByteArray& name : others)
        QVERIFY(spool.write_in_place(name, job_text));
    const auto reported = [&] {
        QList<QByteArray> paths;
        for (const QJsonValue entry : state_of(spool)["ignored"].toArray())
            paths.append(entry["path"].toString().toUtf8().mid(9));
        std::sort(paths.begin(), paths.end());
        return paths == others;
    };
    QVERIFY(spool.wait_for(reported, "the names to be reported as ignored"));
    const QByteArray status = spool.gpuspool({"status"}).out;
    QVERIFY2(status.contains("notes.txt"), status);
    QCOMPARE(number_of_last(spool), 1);
    QCOMPARE(names_in(spool, "incoming"), others);
    QCOMPARE(runs(spool), "");
    QVERIFY(shell(spool, "rm $I/Makefile $I/notes.txt $I/train.py $I/*conflict*"));
    QVERIFY(spool.wait_for([&] { return state_of(spool)["ignored"].toArray().isEmpty(); },
                           "nothing to be ignored any more"));
}

void DropTest::temporary_names_are_left_alone_without_a_word() {
    TestSpool spool;
    const QList<QByteArray> temporaries = {"#x.job#",       ".goutputstream-ABC123",
                                           ".job",          ".x.job",
                                           ".x.job.Yd3kPq", ".x.job.swp",
                                           "4913",          "sedAb12Cd",
                                           "x.job.part",    "x.job.qWerTy",
                                           "x.job.tmp",     "x.job~"};
    QVERIFY(spool.start({"--gpus", "0"}));
    for (const QByteArray& name : temporaries)
        QVERIFY(spool.write_in_place(name, job_text));
    QCOMPARE(number_of_last(spool), 1);
    QCOMPARE(names_in(spool, "incoming"), temporaries);
    QCOMPARE(state_of(spool)["ignored"].toArray(), QJsonArray());
    QCOMPARE(runs(spool), "");
}

QTEST_GUILESS_MAIN(DropTest)
#include "system_drop.moc"
