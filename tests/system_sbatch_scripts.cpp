// Scripts such as the guides of Slurm and of university clusters show, unmodified, on one machine.
#include <QStandardPaths>
#include <QtTest>

#include "tests/support/look.h"

namespace {

using Texts = QMap<QString, QByteArray>;  ///< by file name in the home directory

/// An array's other files; the number of the first job is 1.
Texts lines_of_tasks() {
    Texts out;
    const QList<QByteArray> words{"one", "two", "three", "four"};
    for (int task = 1; task <= 4; ++task) {
        const QByteArray number = QByteArray::number(task);
        out["lines_1_" + number + ".out"] = "task " + number + " of 4: " + words[task - 1] + "\n";
    }
    return out;
}

}  // namespace

class SbatchScriptsTest : public QObject {
    Q_OBJECT

private slots:
    void runs_as_on_a_cluster_data();
    void runs_as_on_a_cluster();
    void srun_is_a_prefix_data();
    void srun_is_a_prefix();
    void mpirun_finds_its_slots();
};

void SbatchScriptsTest::runs_as_on_a_cluster_data() {
    QTest::addColumn<QString>("script");
    QTest::addColumn<Texts>("files");
    const QByteArray host = QSysInfo::machineHostName().toUtf8();
    const auto row = [](const QString& script, const Texts& files) {
        QTest::newRow(qPrintable(script)) << script << files;
    };
    row("first_steps", {{"first-1.out", "job 1 is first\n"}, {"host.txt", host + "\n"}});
    row("training", {{"logs/train_1.out", "on " + host + " with GPU 0\nthreads 2\n"},
                     {"logs/train_1.err", "a warning\n"}});
    row("openmp", {{"../spool/done/openmp.log", "OMP_NUM_THREADS=2\n"}});
    row("lines", lines_of_tasks());
    row("seeds", {{"seed-0.txt", "seed 11\n"},
                  {"seed-2.txt", "seed 13\n"},
                  {"seed-5.txt", "seed 16\n"},
                  {"seed-7.txt", "seed 18\n"},
                  {"seed-9.txt", "seed 20\n"}});
    row("checkpoint", {{"checkpoint.out", "working\nsaved\n"}});
    row("scratch", {{"../spool/done/scratch.log", "steps = 3\n/tmp\n"}});
    row("several", {{"../spool/done/several.log", "part a\npart b\npart c\n"}});
}

void SbatchScriptsTest::runs_as_on_a_cluster() {
    QFETCH(QString, script);
    QFETCH(Texts, files);
    TestSpool spool;
    QFile source(QString(SOURCE_DIR "/tests/data/sbatch/%1.sbatch").arg(script));
    QVERIFY(source.open(QFile::ReadOnly));
    QVERIFY(write_home_file(spool, "words.txt", "one\ntwo\nthree\nfour\n"));
    QVERIFY(spool.start({"--gpus", "0", "--cpu-slots", "2"}));
    QVERIFY(spool.drop(script + ".sbatch", source.readAll()));
    const QJsonObject result = spool.wait_for_result(script);
    QVERIFY2(result["state"] == "succeeded", QJsonDocument(result).toJson());
    for (auto file = files.begin(); file != files.end(); ++file)
        QCOMPARE(home_file(spool, file.key()), file.value());
}

void SbatchScriptsTest::srun_is_a_prefix_data() {
    QTest::addColumn<QByteArray>("line");
    QTest::addColumn<QByteArray>("log");
    const auto row = [](const QByteArray& line, const QByteArray& log) {
        QTest::newRow(line) << line << log;
    };
    row("srun echo a", "a\n");
    row("srun -n1 -c 2 --mpi pmix --gres=gpu:1 --exclusive -lu echo a -n b", "a -n b\n");
    row("srun --cpu-bind=cores -- echo a", "a\n");
    row("srun --label --time 5 -N 1 -J name echo 'two  words'", "two  words\n");
    row("srun false || echo \"code $?\"", "code 1\n");
    row("srun sh -c 'exit 85' || echo \"code $?\"", "code 85\n");
    row("srun -n 4 echo once", "gpuspool: srun: runs one task, not 4: this is no cluster\nonce\n");
    row("srun || echo \"code $?\"", "gpuspool: srun: no program is named\ncode 1\n");
}

void SbatchScriptsTest::srun_is_a_prefix() {
    QFETCH(QByteArray, line);
    QFETCH(QByteArray, log);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "#SBATCH --time=5\n" + line + "\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), QString("succeeded"));
    QCOMPARE(spool.read("done/x.log"), log);
}

/// Open MPI asks for more of Slurm's variables once it sees SLURM_JOBID.
void SbatchScriptsTest::mpirun_finds_its_slots() {
    if (QStandardPaths::findExecutable("mpirun").isEmpty()) QSKIP("openmpi-bin is not installed");
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job",
                       "#SBATCH --ntasks=2\n"
                       "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1\n"
                       "mpirun -np $SLURM_NTASKS echo here\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), QString("succeeded"));
    QCOMPARE(spool.read("done/x.log"), QByteArray("here\nhere\n"));
}

QTEST_GUILESS_MAIN(SbatchScriptsTest)
#include "system_sbatch_scripts.moc"
