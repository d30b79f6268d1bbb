// Scripts and argument lists that use conda, modules and virtual environments, run in the
// environment of a new terminal.
#include <QStandardPaths>
#include <QTest>

#include "login_bench.h"

using spool::Environment;
using spoold::Captured;
using test::command_job;
using test::Job;
using test::script_job;
using test::value;
using test::write_file;

class JobEnvironmentTest : public QObject, private test::LoginBench {
    Q_OBJECT
private slots:
    void init() { make_home(); }
    void conda_in_a_script();
    void unknown_conda_environment_in_a_script();
    void modules_in_a_script_data();
    void modules_in_a_script();
    void real_environment_modules();
    void micromamba_in_a_script();
    void strict_shell_and_arguments_are_kept();
    void old_bash_env_is_read();
    void nested_shells_do_not_read_it_again();
    void directives_for_an_argument_list();
    void directives_for_a_script_of_sh();
    void venv_below_the_directory();
    void failed_directives_data();
    void failed_directives();
    void without_conda();
};

void JobEnvironmentTest::conda_in_a_script() {
    set_up_conda_and_modules();
    const Environment base = login();
    QCOMPARE(value(base, "CONDA_DEFAULT_ENV"), "base");  // as `conda init` activates it
    const Captured plain = run(script_job("python -c 1\n", base));
    QCOMPARE(plain.output, std::string("python of base: -c 1\n"));
    const Captured deep =
        run(script_job("conda activate deep; python -c 'import torch'\n"
                       "echo \"$CONDA_DEFAULT_ENV ${PATH%%:*}\"\n",
                       base));
    QCOMPARE(QString::fromStdString(deep.errors), "");
    QCOMPARE(QString::fromStdString(deep.output), "python of deep: -c import torch\ndeep " +
                                                      scratch_->filePath("conda/envs/deep/bin\n"));
    QCOMPARE(deep.status.value_or(-1), 0);
}

void JobEnvironmentTest::unknown_conda_environment_in_a_script() {
    set_up_conda_and_modules();
    const Captured job = run(script_job("conda activate nosuch\necho went on\n", login()));
    QCOMPARE(job.output, std::string());
    QVERIFY(
        QString::fromStdString(job.errors).contains("Could not find conda environment: nosuch"));
    QVERIFY(job.status.value_or(0) != 0);
}

void JobEnvironmentTest::modules_in_a_script_data() {
    QTest::addColumn<QByteArray>("command");
    QTest::newRow("module load") << QByteArray("module load cuda");
    QTest::newRow("ml") << QByteArray("ml cuda");
}

void JobEnvironmentTest::modules_in_a_script() {
    QFETCH(QByteArray, command);
    set_up_conda_and_modules();
    const Captured job = run(script_job(command + "\necho $CUDA_HOME ${PATH%%:*}\n", login()));
    QCOMPARE(QString::fromStdString(job.errors), "");
    QCOMPARE(job.output, std::string("/sw/cuda /sw/cuda/bin\n"));
}

void JobEnvironmentTest::real_environment_modules() {
    if (!QFile::exists("/usr/share/modules/init/bash"))
        QSKIP("environment-modules is not installed");
    write_file(home("modulefiles/deep/1.0"), "#%Module1.0\nsetenv DEEP_HOME /sw/deep\n");
    write_file(home(".bashrc"),
               "case $- in *i*) ;; *) return;; esac\n"
               ". /usr/share/modules/init/bash\n"
               "module use \"$HOME/modulefiles\"\n");
    const QByteArray script = "module load deep/1.0\necho $DEEP_HOME\n";
    const auto complete = capture(request());
    QVERIFY(complete);
    for (const Environment& base : {*complete, login()}) {
        const Captured job = run(script_job(script, base));
        QCOMPARE(QString::fromStdString(job.errors), "");
        QCOMPARE(job.output, std::string("/sw/deep\n"));
    }
    Job absent = script_job("echo started\n", login());
    absent.spec.modules = {"nosuch/9"};
    const Captured failed = run(absent);
    QCOMPARE(failed.output, std::string());
    QVERIFY(
        QString::fromStdString(failed.errors).contains("module 'nosuch/9' could not be loaded"));
    QVERIFY(failed.status.value_or(0) != 0);
}

void JobEnvironmentTest::micromamba_in_a_script() {
    const QString program = scratch_->filePath("bin/micromamba");
    test::make_conda(scratch_->filePath("conda"));
    test::make_micromamba(program, scratch_->filePath("conda"));
    write_file(home(".bashrc"), "export MAMBA_EXE='" + program.toUtf8() +
                                    "'\neval \"$(\"$MAMBA_EXE\" shell hook -s bash)\"\n");
    const Captured job = run(script_job("micromamba activate deep\npython x\n", login()));
    QCOMPARE(QString::fromStdString(job.errors), "");
    QCOMPARE(job.output, std::string("python of deep: x\n"));
    Job directive = command_job({"python", "y"}, login());
    directive.spec.conda_environment = "deep";
    QCOMPARE(run(directive).output, std::string("python of deep: y\n"));
}

void JobEnvironmentTest::strict_shell_and_arguments_are_kept() {
    set_up_conda_and_modules();
    Job job = script_job(
        "conda activate deep\nprintf '<%s>' \"$@\"\n"
        "[[ $- == *e* && $- == *u* && -o pipefail ]] && echo strict\n"
        "compgen -v | grep -c __gpuspool || true\n"
        "compgen -A function | grep __gpuspool || true\n",
        login());
    job.spec.shell = "bash -euo pipefail";
    job.spec.submit.emplace().arguments = {"a b", "", "$c"};
    const Captured captured = run(job);
    QCOMPARE(QString::fromStdString(captured.errors), "");
    QCOMPARE(captured.output, std::string("<a b><><$c>strict\n0\n"));
}

void JobEnvironmentTest::old_bash_env_is_read() {
    set_up_conda_and_modules();
    Environment base = login();
    write_file(home("env.bash"), "FROM_BASH_ENV=\"$((FROM_BASH_ENV + 1))\"\n");
    base["BASH_ENV"] = "$HOME/env.bash";
    const Captured job =
        run(script_job("conda activate deep\necho $FROM_BASH_ENV \"$BASH_ENV\"\n", base));
    QCOMPARE(QString::fromStdString(job.errors), "");
    QCOMPARE(job.output, std::string("1 $HOME/env.bash\n"));
}

void JobEnvironmentTest::nested_shells_do_not_read_it_again() {
    set_up_conda_and_modules();
    Job job = script_job(
        "bash -c 'type -t conda; echo \"${BASH_ENV-unset}\"'\n"
        "env | grep -E 'GPUSPOOL_(PRELUDE|CONDA|VENV|MODULES|BASH)' || true\n",
        login());
    job.spec.conda_environment = "deep";
    const Captured captured = run(job);
    QCOMPARE(QString::fromStdString(captured.errors), "");
    QCOMPARE(captured.output, std::string("file\nunset\n"));
}

void JobEnvironmentTest::directives_for_an_argument_list() {
    set_up_conda_and_modules();
    Job job = command_job({"python", "a b", "", "$(x)", "*"}, login());
    job.spec.conda_environment = "deep";
    job.spec.modules = {"cuda/12.1"};
    const Captured captured = run(job);
    QCOMPARE(QString::fromStdString(captured.errors), "");
    QCOMPARE(captured.output, std::string("python of deep: a b  $(x) *\n"));
    job.spec.command = {"printenv", "CUDA_HOME"};
    QCOMPARE(run(job).output, std::string("/sw/cuda/12.1\n"));
    job.spec.command = {"sh", "-c", "exit 41"};
    QCOMPARE(run(job).status.value_or(-1), 41 << 8);
}

void JobEnvironmentTest::directives_for_a_script_of_sh() {
    set_up_conda_and_modules();
    Job job = script_job("#!/bin/sh\npython \"$1\"\n", login());
    job.spec.interpreter = "/bin/sh";
    job.spec.conda_environment = "deep";
    job.spec.submit.emplace().arguments = {"x y"};
    QCOMPARE(run(job).output, std::string("python of deep: x y\n"));
}

void JobEnvironmentTest::venv_below_the_directory() {
    write_file(home("project/.venv/bin/activate"),
               "VIRTUAL_ENV=\"$HOME/project/.venv\"; export VIRTUAL_ENV\n"
               "PATH=\"$VIRTUAL_ENV/bin:$PATH\"; export PATH\n[ -z \"$ZSH_VERSION\" ]\n");
    write_file(home("project/.venv/bin/python"), "#!/bin/sh\necho python of venv\n", true);
    Job job = script_job("python\n", login());
    job.spec.directory = "~/project";
    for (const char* path : {".venv", "~/project/.venv"}) {
        job.spec.virtual_environment = path;
        const Captured captured = run(job);
        QCOMPARE(QString::fromStdString(captured.errors), "");
        QCOMPARE(captured.output, std::string("python of venv\n"));
    }
}

void JobEnvironmentTest::failed_directives_data() {
    QTest::addColumn<QString>("directive");
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("script");
    for (const bool script : {true, false}) {
        const QByteArray kind = script ? ", script" : ", list";
        QTest::newRow("conda" + kind) << "conda"
                                      << "nosuch" << script;
        QTest::newRow("venv" + kind) << "venv"
                                     << "/nonexistent/venv" << script;
        QTest::newRow("module" + kind) << "module"
                                       << "nosuch/9" << script;
    }
}

void JobEnvironmentTest::failed_directives() {
    QFETCH(QString, directive);
    QFETCH(QString, name);
    QFETCH(bool, script);
    set_up_conda_and_modules();
    Job job =
        script ? script_job("echo started\n", login()) : command_job({"echo", "started"}, login());
    if (directive == "conda") job.spec.conda_environment = name.toStdString();
    if (directive == "venv") job.spec.virtual_environment = name.toStdString();
    if (directive == "module") job.spec.modules = {"cuda", name.toStdString()};
    const Captured captured = run(job);
    QCOMPARE(captured.output, std::string());
    QCOMPARE(captured.status.value_or(-1), 1 << 8);
    const QString errors = QString::fromStdString(captured.errors);
    QVERIFY2(errors.contains("gpuspool: --" + directive) && errors.contains(name),
             qPrintable(errors));
}

void JobEnvironmentTest::without_conda() {
    Environment base{{"PATH", test::usual_path}, {"HOME", home().toStdString()}};
    Job job = script_job("echo started\n", base);
    job.spec.conda_environment = "deep";
    const Captured captured = run(job);
    if (!QStandardPaths::findExecutable("conda", {"/usr/local/bin", "/usr/bin", "/bin"}).isEmpty())
        QSKIP("this machine has a conda of its own");
    QCOMPARE(captured.output, std::string());
    QVERIFY(QString::fromStdString(captured.errors).contains("no conda, mamba or micromamba"));
    QCOMPARE(captured.status.value_or(-1), 1 << 8);
    const Captured word = run(script_job("echo conda module\n", base));
    QCOMPARE(word.output, std::string("conda module\n"));
    QCOMPARE(word.errors, std::string());
}

QTEST_GUILESS_MAIN(JobEnvironmentTest)
#include "system_job_environment.moc"
