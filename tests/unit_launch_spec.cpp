// What is executed for a job: arguments, directory, environment.
#include <QTest>
#include <set>
#include <string>

#include "libspool/launch_spec.h"
#include "libspool/prelude.h"

using spool::Environment;
using spool::GpuVendor;
using spool::JobSpec;

namespace {

QStringList as_list(const std::vector<std::string>& strings) {
    QStringList out;
    for (const std::string& text : strings)
        out << QString::fromStdString(text);
    return out;
}

/// A job and all that is known about it.
struct Job {
    JobSpec spec;
    spool::Config config;
    Environment base;
    std::string script;
    std::vector<std::string> arguments;
    bool sbatch_lines = false, bash = true;
    std::uint64_t number = 42;

    [[nodiscard]] spool::LaunchSpec launch() const {
        return spool::launch_spec(
            {.spec = spec,
             .config = config,
             .base = base,
             .script = script,
             .script_path = "/s/42",
             .arguments = arguments,
             .sbatch_lines = sbatch_lines,
             .number = number,
             .name = "x",
             .token = "t0k",
             .attempt = 2,
             .spool_path = "/home/u/.gpuspool",
             .prelude_path = "/p/prelude.bash",
             .home = "/home/u",
             .has_program = [this](const std::string& name) { return name == "bash" && bash; }});
    }
    /// The value of an override, or "(absent)".
    [[nodiscard]] QString value(const std::string& name) const {
        const Environment environment = launch().environment;
        const auto found = environment.find(name);
        return found == environment.end() ? "(absent)" : QString::fromStdString(found->second);
    }
};

Job command_job(std::vector<std::string> command) {
    Job job;
    job.spec.kind = JobSpec::Kind::command;
    job.spec.command = std::move(command);
    return job;
}

}  // namespace

class LaunchSpecTest : public QObject {
    Q_OBJECT
private slots:
    void arguments_data();
    void arguments();
    void positional_arguments_follow_the_script();
    void argument_list_stays_a_list();
    void without_bash();
    void directory_data();
    void directory();
    void interpreter_data();
    void interpreter();
    void job_variables();
    void layers();
    void job_variables_cannot_be_overridden();
    void unless_set_data();
    void unless_set();
    void omp_threads();
    void ports_differ();
    void slurm_variables();
    void gpus_data();
    void gpus();
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
    job.arguments = {"--lr", "0 1", "$(x)"};
    const QStringList expected{"bash", "-eo", "pipefail", "/s/42", "--lr", "0 1", "$(x)"};
    QCOMPARE(as_list(job.launch().arguments), expected);

    Job submitted;
    submitted.spec.submit.emplace().arguments = job.arguments;
    QCOMPARE(as_list(submitted.launch().arguments), expected);
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

void LaunchSpecTest::job_variables() {
    const Job job;
    QCOMPARE(job.value("GPUSPOOL_JOB_ID"), "42");
    QCOMPARE(job.value("GPUSPOOL_JOB_NAME"), "x");
    QCOMPARE(job.value("GPUSPOOL_DIR"), "/home/u/.gpuspool");
    QCOMPARE(job.value("GPUSPOOL_TOKEN"), "t0k");
    QCOMPARE(job.value("GPUSPOOL_ATTEMPT"), "2");
    QCOMPARE(job.value("PYTHONUNBUFFERED"), "1");
    QCOMPARE(job.value("MASTER_PORT"), QString::number(spool::master_port(42)));
    QCOMPARE(job.value("PET_MASTER_PORT"), QString::number(spool::master_port(42)));
    QCOMPARE(job.value("SLURM_JOB_ID"), "(absent)");
}

void LaunchSpecTest::layers() {
    Job job;
    job.base = {{"A", "base"}, {"B", "base"}, {"C", "base"}};
    job.config.environment = {{"B", "config"}, {"C", "config"}};
    job.spec.environment = {{"C", "job"}};
    QCOMPARE(job.value("A"), "(absent)");
    QCOMPARE(job.value("B"), "config");
    QCOMPARE(job.value("C"), "job");
}

void LaunchSpecTest::job_variables_cannot_be_overridden() {
    Job job;
    job.base = {{"GPUSPOOL_JOB_ID", "1"}};
    job.config.environment = {{"GPUSPOOL_TOKEN", "1"}};
    job.spec.environment = {{"GPUSPOOL_TOKEN", "2"}};
    QCOMPARE(job.value("GPUSPOOL_JOB_ID"), "42");
    QCOMPARE(job.value("GPUSPOOL_TOKEN"), "t0k");
}

void LaunchSpecTest::unless_set_data() {
    QTest::addColumn<QString>("name");
    for (const char* name : {"PYTHONUNBUFFERED", "MASTER_PORT", "PET_MASTER_PORT"})
        QTest::newRow(name) << name;
}

void LaunchSpecTest::unless_set() {
    QFETCH(QString, name);
    Job base, config, job;
    base.base = config.config.environment = job.spec.environment = {{name.toStdString(), "7"}};
    QCOMPARE(base.value(name.toStdString()), "(absent)");
    QCOMPARE(config.value(name.toStdString()), "7");
    QCOMPARE(job.value(name.toStdString()), "7");
}

void LaunchSpecTest::omp_threads() {
    Job job;
    job.base = {{"OMP_NUM_THREADS", "64"}};
    QCOMPARE(job.value("OMP_NUM_THREADS"), "(absent)");
    job.spec.cpus = 4;
    QCOMPARE(job.value("OMP_NUM_THREADS"), "4");
    job.spec.environment = {{"OMP_NUM_THREADS", "1"}};
    QCOMPARE(job.value("OMP_NUM_THREADS"), "1");
}

void LaunchSpecTest::ports_differ() {
    std::set<int> ports;
    for (std::uint64_t number = 990'000; number < 1'000'000; ++number) {
        const int port = spool::master_port(number);
        QVERIFY(port >= 20000 && port <= 29999);
        QVERIFY2(ports.insert(port).second, qPrintable(QString::number(number)));
        QVERIFY(std::abs(port - spool::master_port(number + 1)) > 1000);
    }
}

void LaunchSpecTest::slurm_variables() {
    Job job;
    job.sbatch_lines = true;
    QCOMPARE(job.value("SLURM_JOB_ID"), "42");
    QCOMPARE(job.value("SLURM_JOB_NAME"), "x");
    QCOMPARE(job.value("SLURM_SUBMIT_DIR"), "/home/u");
    QCOMPARE(job.value("SLURM_CPUS_PER_TASK"), "(absent)");
    job.spec.submit.emplace().directory = "/data";
    job.spec.directory = "/elsewhere";
    job.spec.cpus = 3;
    QCOMPARE(job.value("SLURM_SUBMIT_DIR"), "/data");
    QCOMPARE(job.value("SLURM_CPUS_PER_TASK"), "3");
}

void LaunchSpecTest::gpus_data() {
    QTest::addColumn<QStringList>("slots_given");
    QTest::addColumn<QString>("cuda");
    QTest::addColumn<QString>("container");
    QTest::addColumn<QString>("hip");
    QTest::newRow("none") << QStringList{} << ""
                          << "void"
                          << "";
    QTest::newRow("without a GPU") << QStringList{""} << ""
                                   << "void"
                                   << "";
    QTest::newRow("one") << QStringList{"2"} << "2"
                         << "2"
                         << "0";
    QTest::newRow("two") << QStringList{"2", "0"} << "2,0"
                         << "2,0"
                         << "0,1";
    QTest::newRow("double slot") << QStringList{"2,3"} << "2,3"
                                 << "2,3"
                                 << "0,1";
    QTest::newRow("UUID") << QStringList{"GPU-1f2e"} << "GPU-1f2e"
                          << "GPU-1f2e"
                          << "0";
    QTest::newRow("some without") << QStringList{"", "1", ""} << "1"
                                  << "1"
                                  << "0";
}

void LaunchSpecTest::gpus() {
    QFETCH(QStringList, slots_given);
    QFETCH(QString, cuda);
    QFETCH(QString, container);
    QFETCH(QString, hip);
    std::vector<std::string> slot_list;
    for (const QString& slot : slots_given)
        slot_list.push_back(slot.toStdString());
    const Environment nvidia{{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
                             {"CUDA_VISIBLE_DEVICES", cuda.toStdString()},
                             {"NVIDIA_VISIBLE_DEVICES", container.toStdString()}};
    const Environment amd{{"ROCR_VISIBLE_DEVICES", cuda.toStdString()},
                          {"HIP_VISIBLE_DEVICES", hip.toStdString()},
                          {"CUDA_VISIBLE_DEVICES", hip.toStdString()}};
    QVERIFY(spool::gpu_environment(slot_list, GpuVendor::nvidia) == nvidia);
    QVERIFY(spool::gpu_environment(slot_list, GpuVendor::amd) == amd);
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
