// What a bare file finds in its environment: that of a terminal, through a real daemon and its
// supervisors.
#include <QtTest>

#include "tests/stand_ins.h"
#include "tests/support/daemon.h"
#include "tests/support/look.h"

class BareEnvironmentTest : public QObject {
    Q_OBJECT

private slots:
    void conda_and_modules_work_as_in_a_terminal_data();
    void conda_and_modules_work_as_in_a_terminal();
    void a_secret_is_filled_in_and_written_nowhere();
    void broken_startup_files_are_told();
};

namespace {

/// The home of somebody who has run `conda init` and whose cluster has modules.
void make_home(const TestSpool& spool) {
    const QString conda = spool.scratch("conda"), modules = spool.scratch("modules");
    test::make_conda(conda);
    test::make_modules(modules);
    write_home_file(spool, ".profile",
                    "if [ -f \"$HOME/.bashrc\" ]; then . \"$HOME/.bashrc\"; fi\n");
    write_home_file(spool, ".bashrc",
                    "case $- in *i*) ;; *) return;; esac\n. '" + modules.toUtf8() +
                        "/init/bash'\n" + test::conda_init_block(conda.toUtf8()));
}

}  // namespace

void BareEnvironmentTest::conda_and_modules_work_as_in_a_terminal_data() {
    QTest::addColumn<QByteArray>("script");
    QTest::addColumn<QByteArray>("log");
    QTest::newRow("conda's base") << QByteArray("python -V\n")
                                  << QByteArray("python of base: -V\n");
    QTest::newRow("conda activate")
        << QByteArray("conda activate deep\npython -V\n") << QByteArray("python of deep: -V\n");
    QTest::newRow("--conda-env") << QByteArray("#SPOOL --conda-env=deep\npython -V\n")
                                 << QByteArray("python of deep: -V\n");
    QTest::newRow("module load") << QByteArray("module load cuda\necho $CUDA_HOME\n")
                                 << QByteArray("/sw/cuda\n");
    QTest::newRow("--modules") << QByteArray("#SPOOL --modules=cuda/12.1\necho $CUDA_HOME\n")
                               << QByteArray("/sw/cuda/12.1\n");
    QTest::newRow("both, in JSON")
        << QByteArray(R"({"command": ["bash", "-c", "python $CUDA_HOME"],)"
                      R"( "conda_env": "deep", "modules": ["cuda"]})")
        << QByteArray("python of deep: /sw/cuda\n");
}

void BareEnvironmentTest::conda_and_modules_work_as_in_a_terminal() {
    QFETCH(QByteArray, script);
    TestSpool spool;
    make_home(spool);
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", script));
    const QJsonObject result = spool.wait_for_result("x");
    QTEST(spool.read("done/x.log"), "log");
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["env_source"].toString(), "login");
}

void BareEnvironmentTest::a_secret_is_filled_in_and_written_nowhere() {
    TestSpool spool;
    QVERIFY(write_home_file(spool, ".bash_profile", "export HF_TOKEN=tell-nobody\n"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    spool.environment.insert("HF_TOKEN", "tell-nobody");
    const Finished submit =
        spool.gpuspool({"submit", "-n", "x", "--", "bash", "-c", "echo ${#HF_TOKEN}"});
    QCOMPARE(submit.exit_code, 0);
    QVERIFY2(submit.err.contains("HF_TOKEN"), submit.err);
    QVERIFY(spool.drop("y.job", "echo ${#HF_TOKEN}\n"));
    for (const char* name : {"x", "y"}) {
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
        QCOMPARE(spool.read(QString("done/%1.log").arg(name)), QByteArray("11\n"));
    }
    QVERIFY2(shell(spool, "! grep -rl tell-nobody \"$GPUSPOOL_DIR\""), "it stands in these files");
}

void BareEnvironmentTest::broken_startup_files_are_told() {
    TestSpool spool;
    QVERIFY(write_home_file(spool, ".bash_profile", "exit 3\n"));
    spool.environment.insert("FLAVOUR", "the daemon's");
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("x.job", "echo $FLAVOUR\n"));
    const QJsonObject result = spool.wait_for_result("x");
    QCOMPARE(spool.read("done/x.log"), QByteArray("the daemon's\n"));
    QCOMPARE(result["env_source"].toString(), "daemon");
    QVERIFY(wait_for_problem(spool, "bare jobs get the daemon's own environment"));
    const Finished status = spool.gpuspool({"status"});
    QVERIFY2(status.out.contains("bare jobs get the daemon's own environment"), status.out);
}

QTEST_GUILESS_MAIN(BareEnvironmentTest)
#include "system_bare_environment.moc"
