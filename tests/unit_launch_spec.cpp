// What is executed for a job: arguments, directory, prelude.
#include <QTest>
#include <string>

#include "libspool/prelude.h"
#include "tests/launch_job.h"

using spool::JobSpec;
using test::as_list;
using test::command_job;
using Job = test::LaunchJob;

class LaunchSpecTest : public QObject {
    Q_OBJECT

private slots:
    void arguments_data();
    void arguments();
    void positional_arguments_follow_the_script();
    void plain_command_needs_no_script();
    void plain_command_of_another_shell_data();
    void plain_command_of_another_shell();
    void argument_list_stays_a_list();
    void without_bash();
    void directory_data();
    void directory();
    void interpreter_data();
    void interpreter();
    void mentioned_data();
    void mentioned();
    void prelude_for_a_mention();
    void no_prelude_without_need();
    void prelude_keeps_the_old_bash_env();
    void directives_in_a_script();
    void directives_wrap_what_is_not_bash_data();
    void directives_wrap_what_is_not_bash();
};

void LaunchSpecTest::arguments_data() {
    QTest::addColumn<QString>("interpreter");
    QTest::addColumn<QString>("shell");
    QTest::addColumn<QString>("configured");
    QTest::addColumn<QStringList>("expected");
    QTest::newRow("bare") << ""
                          << ""
                          << "" << QStringList{"bash", "-eo", "pipefail", "/s/42"};
    QTest::newRow("#!") << "/bin/bash"
                        << ""
                        << "" << QStringList{"/bin/bash", "/s/42"};
    QTest::newRow("#! with options") << "/bin/bash -l -x"
                                     << ""
                                     << "" << QStringList{"/bin/bash", "-l -x", "/s/42"};
    QTest::newRow("#! env") << " /usr/bin/env  python3 "
                            << ""
                            << "" << QStringList{"/usr/bin/env", "python3", "/s/42"};
    QTest::newRow("--shell") << ""
                             << "zsh  -e"
                             << "" << QStringList{"zsh", "-e", "/s/42"};
    QTest::newRow("--shell over #!") << "/bin/sh"
                                     << "bash -u"
                                     << "" << QStringList{"bash", "-u", "/s/42"};
    QTest::newRow("configured") << ""
                                << ""
                                << "bash -euo pipefail"
                                << QStringList{"bash", "-euo", "pipefail", "/s/42"};
    QTest::newRow("#! over configured") << "/bin/sh"
                                        << ""
                                        << "bash -u" << QStringList{"/bin/sh", "/s/42"};
    QTest::newRow("--shell over configured") << ""
                                             << "zsh"
                                             << "bash -u" << QStringList{"zsh", "/s/42"};
}

void LaunchSpecTest::arguments() {
    QFETCH(QString, interpreter);
    QFETCH(QString, shell);
    QFETCH(QString, configured);
    QFETCH(QStringList, expected);
    Job job;
    job.spec.interpreter = interpreter.toStdString();
    job.spec.shell = shell.toStdString();
    job.config.shell = configured.toStdString();
    const auto launch = job.launch();
    QCOMPARE(as_list(launch.arguments), expected);
    QVERIFY(launch.needs_script);
}

void LaunchSpecTest::positional_arguments_follow_the_script() {
    Job job;
    job.script = "true\n";
    job.spec.submit.emplace().arguments = {"--lr", "0 1", "$(x)"};
    const QStringList expected{"bash", "-eo", "pipefail", "/s/42", "--lr", "0 1", "$(x)"};
    QCOMPARE(as_list(job.launch().arguments), expected);
}

void LaunchSpecTest::plain_command_needs_no_script() {
    Job job;
    job.script = "#SPOOL --gpus=1\npython t.py -v\n";
    const auto launch = job.launch();
    QCOMPARE(as_list(launch.arguments),
             (QStringList{"bash", "-eo", "pipefail", "-c", "python t.py -v"}));
    QVERIFY(launch.plain_command);
    QVERIFY(!launch.needs_script);
    QCOMPARE(job.value("PWD"), "/home/u");
}

void LaunchSpecTest::plain_command_of_another_shell_data() {
    QTest::addColumn<QString>("interpreter");
    QTest::addColumn<QString>("configured");
    QTest::addColumn<QString>("variable");
    QTest::addColumn<bool>("bash");
    const auto row = [](const char* name, const QString& interpreter, const QString& configured,
                        const QString& variable, bool bash) {
        QTest::newRow(name) << interpreter << configured << variable << bash;
    };
    row("#!", "/bin/bash", "", "", true);
    row("configured", "", "bash -x", "", true);
    row("no bash", "", "", "", false);
    row("BASH_ENV", "", "", "BASH_ENV", true);
    row("function", "", "", "BASH_FUNC_python%%", true);
    row("options", "", "", "SHELLOPTS", true);
    row("tilde in PATH", "", "", "PATH", true);
}

void LaunchSpecTest::plain_command_of_another_shell() {
    QFETCH(QString, interpreter);
    QFETCH(QString, configured);
    QFETCH(QString, variable);
    QFETCH(bool, bash);
    Job job;
    job.script = "python t.py\n";
    job.spec.interpreter = interpreter.toStdString();
    job.config.shell = configured.toStdString();
    if (!variable.isEmpty()) job.base[variable.toStdString()] = "~/bin:/bin";
    job.bash = bash;
    const auto launch = job.launch();
    QVERIFY(!launch.plain_command);
    QVERIFY(launch.needs_script);
    QCOMPARE(launch.arguments.back(), "/s/42");
}

void LaunchSpecTest::argument_list_stays_a_list() {
    const Job job = command_job({"python", "a b.py", "", "$HOME;"});
    const auto launch = job.launch();
    QCOMPARE(as_list(launch.arguments), (QStringList{"python", "a b.py", "", "$HOME;"}));
    QVERIFY(!launch.needs_script);
}

void LaunchSpecTest::without_bash() {
    Job job;
    job.bash = false;
    QCOMPARE(as_list(job.launch().arguments), (QStringList{"sh", "-e", "/s/42"}));
}

void LaunchSpecTest::directory_data() {
    QTest::addColumn<QString>("chdir");
    QTest::addColumn<QString>("submitted");
    QTest::addColumn<QString>("configured");
    QTest::addColumn<QString>("expected");
    QTest::newRow("bare") << ""
                          << ""
                          << ""
                          << "/home/u";
    QTest::newRow("configured") << ""
                                << ""
                                << "~/work"
                                << "/home/u/work";
    QTest::newRow("submitted") << ""
                               << "/data"
                               << "~/work"
                               << "/data";
    QTest::newRow("chdir") << "/a"
                           << "/data"
                           << "~/work"
                           << "/a";
    QTest::newRow("chdir home") << "~"
                                << "/data"
                                << ""
                                << "/home/u";
    QTest::newRow("chdir below home") << "~/p q"
                                      << ""
                                      << ""
                                      << "/home/u/p q";
    QTest::newRow("relative, bare") << "p"
                                    << ""
                                    << ""
                                    << "/home/u/p";
    QTest::newRow("relative, submitted") << "p"
                                         << "/data"
                                         << ""
                                         << "/data/p";
    QTest::newRow("relative, configured") << "p"
                                          << ""
                                          << "/w"
                                          << "/w/p";
    QTest::newRow("not a home") << "~other/x"
                                << ""
                                << ""
                                << "~other/x";
}

void LaunchSpecTest::directory() {
    QFETCH(QString, chdir);
    QFETCH(QString, submitted);
    QFETCH(QString, configured);
    QFETCH(QString, expected);
    Job job;
    job.spec.directory = chdir.toStdString();
    job.config.directory = configured.toStdString();
    if (!submitted.isEmpty()) job.spec.submit.emplace().directory = submitted.toStdString();
    QCOMPARE(QString::fromStdString(job.launch().directory), expected);
}

void LaunchSpecTest::interpreter_data() {
    QTest::addColumn<QString>("line");
    QTest::addColumn<QStringList>("expected");
    QTest::newRow("empty") << "" << QStringList{};
    QTest::newRow("blank") << " \t" << QStringList{};
    QTest::newRow("plain") << "/bin/sh" << QStringList{"/bin/sh"};
    QTest::newRow("blanks around") << "  /bin/sh \t" << QStringList{"/bin/sh"};
    QTest::newRow("one argument") << "/bin/sh\t-e" << QStringList{"/bin/sh", "-e"};
    QTest::newRow("the rest is one argument")
        << "/usr/bin/env -S python3 -u " << QStringList{"/usr/bin/env", "-S python3 -u"};
}

void LaunchSpecTest::interpreter() {
    QFETCH(QString, line);
    QFETCH(QStringList, expected);
    QCOMPARE(as_list(spool::split_interpreter(line.toStdString())), expected);
}

void LaunchSpecTest::mentioned_data() {
    QTest::addColumn<QByteArray>("script");
    QTest::addColumn<QStringList>("tools");
    QTest::newRow("none") << QByteArray("python train.py") << QStringList{};
    QTest::newRow("conda") << QByteArray("conda activate deep\npython x.py")
                           << QStringList{"conda"};
    QTest::newRow("in a list") << QByteArray("true;conda activate x&&module load y")
                               << QStringList{"conda", "module"};
    QTest::newRow("ml") << QByteArray("ml cuda") << QStringList{"module"};
    QTest::newRow("srun") << QByteArray("srun python train.py") << QStringList{"srun"};
    QTest::newRow("micromamba") << QByteArray("(micromamba activate x)")
                                << QStringList{"micromamba"};
    QTest::newRow("a path") << QByteArray("cd ~/ml; ./conda.sh; pip install conda-pack modules")
                            << QStringList{};
    QTest::newRow("in a substitution") << QByteArray("x=$(mamba info)") << QStringList{"mamba"};
    QTest::newRow("last word") << QByteArray("echo; module") << QStringList{"module"};
}

void LaunchSpecTest::mentioned() {
    QFETCH(QByteArray, script);
    QFETCH(QStringList, tools);
    QCOMPARE(as_list(spool::mentioned_tools(script.toStdString())), tools);
}

void LaunchSpecTest::prelude_for_a_mention() {
    Job job;
    job.script = "conda activate deep\nml cuda\n";
    QCOMPARE(job.value("BASH_ENV"), "/p/prelude.bash");
    QCOMPARE(job.value("GPUSPOOL_PRELUDE"), "conda module");
    QCOMPARE(job.value("GPUSPOOL_BASH_ENV"), "(absent)");
    QCOMPARE(job.value("GPUSPOOL_CONDA_ENV"), "(absent)");
}

void LaunchSpecTest::no_prelude_without_need() {
    Job plain;
    plain.script = "python train.py";
    QCOMPARE(plain.value("BASH_ENV"), "(absent)");
    Job python;
    python.script = "conda = 1";
    python.spec.interpreter = "/usr/bin/env python3";
    QCOMPARE(python.value("BASH_ENV"), "(absent)");
    QCOMPARE(command_job({"conda", "run", "x"}).value("BASH_ENV"), "(absent)");
}

void LaunchSpecTest::prelude_keeps_the_old_bash_env() {
    Job job;
    job.script = "conda activate deep";
    job.base = {{"BASH_ENV", "/base"}};
    QCOMPARE(job.value("GPUSPOOL_BASH_ENV"), "/base");
    job.spec.environment = {{"BASH_ENV", "/job"}};
    QCOMPARE(job.value("GPUSPOOL_BASH_ENV"), "/job");
    QCOMPARE(job.value("BASH_ENV"), "/p/prelude.bash");
}

void LaunchSpecTest::directives_in_a_script() {
    Job job;
    job.spec.interpreter = "/usr/bin/env -S bash -e";
    job.spec.conda_environment = "~/envs/deep";
    job.spec.virtual_environment = ".venv";
    job.spec.modules = {"cuda/12.1", "gcc"};
    const QStringList expected{"/usr/bin/env", "-S bash -e", "/s/42"};
    QCOMPARE(as_list(job.launch().arguments), expected);
    QCOMPARE(job.value("GPUSPOOL_PRELUDE"), "conda mamba micromamba module");
    QCOMPARE(job.value("GPUSPOOL_CONDA_ENV"), "/home/u/envs/deep");
    QCOMPARE(job.value("GPUSPOOL_VENV"), ".venv");
    QCOMPARE(job.value("GPUSPOOL_MODULES"), "cuda/12.1\ngcc");
}

void LaunchSpecTest::directives_wrap_what_is_not_bash_data() {
    QTest::addColumn<QString>("interpreter");
    QTest::addColumn<QStringList>("inner");
    QTest::newRow("argument list") << "" << QStringList{"python", "a b", "$x"};
    QTest::newRow("python script")
        << "/usr/bin/env python3" << QStringList{"/usr/bin/env", "python3", "/s/42"};
    QTest::newRow("sh script") << "/bin/sh -e" << QStringList{"/bin/sh", "-e", "/s/42"};
}

void LaunchSpecTest::directives_wrap_what_is_not_bash() {
    QFETCH(QString, interpreter);
    QFETCH(QStringList, inner);
    Job job = interpreter.isEmpty() ? command_job({"python", "a b", "$x"}) : Job{};
    job.spec.interpreter = interpreter.toStdString();
    job.spec.virtual_environment = "/v";
    const QStringList wrapper{"bash", "-c", "exec \"$@\"", "gpuspool"};
    QCOMPARE(as_list(job.launch().arguments), wrapper + inner);
    QCOMPARE(job.value("BASH_ENV"), "/p/prelude.bash");
    QCOMPARE(job.value("GPUSPOOL_VENV"), "/v");
}

QTEST_GUILESS_MAIN(LaunchSpecTest)
#include "unit_launch_spec.moc"
