// The environment of a new terminal, from real shells, and scripts that use conda and modules run
// in it.
#include <sys/wait.h>
#include <unistd.h>

#include <QProcess>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>
#include <QUuid>
#include <string>

#include "libspool/launch_spec.h"
#include "libspool/prelude.h"
#include "loop.h"
#include "spoold/captured_run.h"
#include "spoold/login_environment.h"
#include "stand_ins.h"

using namespace std::chrono_literals;
using spool::Environment;
using spool::JobSpec;
using spoold::Captured;
using test::write_file;

namespace {

constexpr const char* usual_path = "/usr/local/bin:/usr/bin:/bin";

int processes_with(const QByteArray& word) {
    int count = 0;
    for (const QString& entry : QDir("/proc").entryList(QDir::Dirs)) {
        QFile file("/proc/" + entry + "/cmdline");
        if (file.open(QIODevice::ReadOnly) && file.readAll().contains(word)) ++count;
    }
    return count;
}

QString value(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "(absent)" : QString::fromStdString(found->second);
}

/// A job, and what it is run with.
struct Job {
    JobSpec spec;
    QByteArray script;
    Environment base;
    std::vector<std::string> arguments;
};

Job script_job(const QByteArray& script, Environment base) {
    Job job;
    job.script = script;
    job.base = std::move(base);
    return job;
}

Job command_job(std::vector<std::string> command, Environment base) {
    Job job;
    job.spec.kind = JobSpec::Kind::command;
    job.spec.command = std::move(command);
    job.base = std::move(base);
    return job;
}

}  // namespace

class LoginEnvironmentTest : public QObject {
    Q_OBJECT
private slots:
    void init();
    void shells_data();
    void shells();
    void profile_without_bashrc();
    void values_are_exact();
    void variables_are_dropped();
    void bad_start_up_files_data();
    void bad_start_up_files();
    void harmless_start_up_files_data();
    void harmless_start_up_files();
    void hanging_start_up_file();
    void missing_shell();
    void stamp_changes();
    void user_shell_and_home();

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

private:
    spoold::LoginRequest request(const QString& shell = "/bin/bash");
    spool::Result<Environment> capture(const spoold::LoginRequest& request);
    Environment login();
    Captured run(const Job& job);
    [[nodiscard]] QString home(const QString& name = {}) const {
        return scratch_->path() + "/home" + (name.isEmpty() ? "" : "/" + name);
    }
    void set_up_conda_and_modules();

    boost::asio::io_context io_;
    std::unique_ptr<QTemporaryDir> scratch_;
};

void LoginEnvironmentTest::init() {
    scratch_ = std::make_unique<QTemporaryDir>();
    QVERIFY(scratch_->isValid());
    QDir().mkpath(home());
}

spoold::LoginRequest LoginEnvironmentTest::request(const QString& shell) {
    return {.shell = shell.toStdString(),
            .home = home().toStdString(),
            .own = {{"PATH", usual_path}, {"LANG", "C.UTF-8"}},
            .timeout = 30s,
            .is_dropped = {}};
}

spool::Result<Environment> LoginEnvironmentTest::capture(const spoold::LoginRequest& request) {
    std::optional<spool::Result<Environment>> result;
    spoold::capture_login_environment(
        io_, request, [&](spool::Result<Environment> environment) { result = environment; });
    if (!test::run_until(
            io_, [&] { return result.has_value(); }, 60s))
        return spool::system_error("wait for the login environment", {}, ETIMEDOUT);
    return *result;
}

/// The environment of the set-up shell; without functions that this machine's own set-up may
/// export.
Environment LoginEnvironmentTest::login() {
    auto environment = capture(request());
    if (!environment) qFatal("%s", environment.error().text().c_str());
    std::erase_if(*environment, [](const auto& e) { return e.first.starts_with("BASH_FUNC_"); });
    return *environment;
}

/// Runs a job exactly as the launch specification says.
Captured LoginEnvironmentTest::run(const Job& job) {
    const QString script_path = scratch_->filePath("scripts/7");
    const QString prelude_path = scratch_->filePath("prelude.bash");
    write_file(script_path, job.script);
    write_file(prelude_path, QByteArray::fromStdString(std::string(spool::prelude_text)));
    const spool::Config config;
    const auto launch =
        spool::launch_spec({.spec = job.spec,
                            .config = config,
                            .base = job.base,
                            .script = job.script.toStdString(),
                            .script_path = script_path.toStdString(),
                            .arguments = job.arguments,
                            .number = 7,
                            .name = "x",
                            .token = "token",
                            .spool_path = scratch_->path().toStdString(),
                            .prelude_path = prelude_path.toStdString(),
                            .home = home().toStdString(),
                            .has_program = [](const std::string&) { return true; }});
    Environment environment = launch.environment;
    environment.insert(job.base.begin(), job.base.end());
    spoold::ProcessOptions options{.arguments = launch.arguments, .directory = launch.directory};
    for (const auto& [name, text] : environment)
        options.environment.push_back(name + "=" + text);

    std::optional<spool::Result<Captured>> result;
    spoold::run_captured(io_, options, 1 << 20, 60s,
                         [&](spool::Result<Captured> captured) { result = std::move(captured); });
    if (!test::run_until(
            io_, [&] { return result.has_value(); }, 90s))
        qFatal("the job hangs");
    if (!*result) qFatal("%s", result->error().text().c_str());
    return **result;
}

void LoginEnvironmentTest::set_up_conda_and_modules() {
    const QString conda = scratch_->filePath("conda"), modules = scratch_->filePath("modules");
    test::make_conda(conda);
    test::make_modules(modules);
    write_file(home(".profile"), "if [ -f \"$HOME/.bashrc\" ]; then . \"$HOME/.bashrc\"; fi\n");
    write_file(home(".bashrc"), "case $- in *i*) ;; *) return;; esac\n. '" + modules.toUtf8() +
                                    "/init/bash'\n" + test::conda_init_block(conda.toUtf8()));
}

void LoginEnvironmentTest::shells_data() {
    QTest::addColumn<QString>("shell");
    QTest::addColumn<QString>("file");
    QTest::addColumn<QByteArray>("text");
    const QByteArray posix = "export FROM_RC='a b'\nexport PATH=\"/from/rc:$PATH\"\n";
    const QByteArray guarded = "case $- in *i*) ;; *) return;; esac\n" + posix;
    QTest::newRow("bash, only .bashrc") << "bash"
                                        << ".bashrc" << guarded;
    QTest::newRow("bash, .bash_profile") << "bash"
                                         << ".bash_profile" << guarded;
    QTest::newRow("zsh, .zshrc") << "zsh"
                                 << ".zshrc" << posix;
    QTest::newRow("zsh, .zprofile") << "zsh"
                                    << ".zprofile" << posix;
    QTest::newRow("fish") << "fish"
                          << ".config/fish/config.fish"
                          << QByteArray(
                                 "if status is-interactive\n set -gx FROM_RC 'a b'\n"
                                 " set -gx PATH /from/rc $PATH\nend\n");
    QTest::newRow("dash") << "dash"
                          << ".profile" << posix;
    QTest::newRow("sh") << "sh"
                        << ".profile" << posix;
    QTest::newRow("tcsh") << "tcsh"
                          << ".tcshrc"
                          << QByteArray("setenv FROM_RC 'a b'\nsetenv PATH \"/from/rc:$PATH\"\n");
    QTest::newRow("csh") << "csh"
                         << ".cshrc"
                         << QByteArray("setenv FROM_RC 'a b'\nsetenv PATH \"/from/rc:$PATH\"\n");
}

void LoginEnvironmentTest::shells() {
    QFETCH(QString, shell);
    QFETCH(QString, file);
    QFETCH(QByteArray, text);
    const QString program = QStandardPaths::findExecutable(shell);
    if (program.isEmpty()) QSKIP(qPrintable(shell + " is not installed"));
    write_file(home(file), text);
    const auto environment = capture(request(program));
    QVERIFY2(environment, environment ? "" : environment.error().text().c_str());
    QCOMPARE(value(*environment, "FROM_RC"), "a b");
    QVERIFY2(value(*environment, "PATH").startsWith("/from/rc:"),
             qPrintable(value(*environment, "PATH")));
    QCOMPARE(value(*environment, "HOME"), home());
    QCOMPARE(value(*environment, "LANG"), "C.UTF-8");
    QCOMPARE(value(*environment, "GPUSPOOL_CAPTURE"), "(absent)");
    QCOMPARE(value(*environment, "GPUSPOOL_RESOLVING_ENVIRONMENT"), "(absent)");
}

void LoginEnvironmentTest::profile_without_bashrc() {
    write_file(home(".bash_profile"), "export A=profile\n");
    write_file(home(".bashrc"), "export B=\"bashrc after $A\"\nreturn 1\n");
    const auto environment = capture(request());
    QVERIFY(environment);
    QCOMPARE(value(*environment, "A"), "profile");
    QCOMPARE(value(*environment, "B"), "bashrc after profile");
}

void LoginEnvironmentTest::values_are_exact() {
    write_file(home(".bashrc"),
               "export NL=$'a\\nb\\n' EMPTY= EQ='x=y=z' UTF='größe' BYTES=$'\\xff\\xfe'\n"
               "f() { echo hi; }; export -f f\n");
    const auto environment = capture(request());
    QVERIFY(environment);
    QCOMPARE(value(*environment, "NL"), "a\nb\n");
    QCOMPARE(value(*environment, "EMPTY"), "");
    QCOMPARE(value(*environment, "EQ"), "x=y=z");
    QCOMPARE(value(*environment, "UTF"), "größe");
    QCOMPARE(environment->at("BYTES"), std::string("\xff\xfe"));
    QVERIFY(environment->contains("BASH_FUNC_f%%"));
}

void LoginEnvironmentTest::variables_are_dropped() {
    auto asked = request();
    asked.is_dropped = [](std::string_view name) { return name == "SHLVL" || name == "PWD"; };
    const auto environment = capture(asked);
    QVERIFY(environment);
    QCOMPARE(value(*environment, "SHLVL"), "(absent)");
    QCOMPARE(value(*environment, "PWD"), "(absent)");
    QCOMPARE(value(*environment, "HOME"), home());
}

void LoginEnvironmentTest::bad_start_up_files_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QStringList>("words");
    QTest::newRow("exits") << QByteArray("echo 'license expired' >&2\nexit 3\n")
                           << QStringList{"exit code 3", "license expired"};
    QTest::newRow("exits in silence") << QByteArray("exit 0\n") << QStringList{"exit code 0"};
    QTest::newRow("kills itself") << QByteArray("kill -9 $$\n") << QStringList{"Killed"};
    QTest::newRow("becomes a terminal program")
        << QByteArray("exec sh -c 'echo open terminal failed: not a terminal >&2; exit 1'\n")
        << QStringList{"exit code 1", "open terminal failed: not a terminal"};
}

void LoginEnvironmentTest::bad_start_up_files() {
    QFETCH(QByteArray, text);
    QFETCH(QStringList, words);
    write_file(home(".bashrc"), text);
    const auto environment = capture(request());
    QVERIFY(!environment);
    const QString message = QString::fromStdString(environment.error().text());
    for (const QString& word : words + QStringList{"/bin/bash"})
        QVERIFY2(message.contains(word), qPrintable(message));
    QVERIFY2(!message.contains("job control"), qPrintable(message));
}

void LoginEnvironmentTest::harmless_start_up_files_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("prints") << QByteArray("echo Welcome; head -c 100000 /dev/urandom; fortune\n");
    QTest::newRow("prints no line feed") << QByteArray("printf '%s' 'prompt$ '\n");
    QTest::newRow("reads stdin") << QByteArray(
        "read -r answer; cat; [ -z \"$answer\" ] || exit 9\n");
    QTest::newRow("fails at the end") << QByteArray("false\n");
    QTest::newRow("traces") << QByteArray("set -x\n");
    QTest::newRow("strict") << QByteArray("set -u\n");
    QTest::newRow("background process") << QByteArray("(sleep 5 &)\n");
    QTest::newRow("exit trap") << QByteArray("trap 'echo bye; exit 4' EXIT\n");
    QTest::newRow("sets a title") << QByteArray(
        "trap 'printf \"\\e]0;%s\\a\" \"$BASH_COMMAND\"' DEBUG\n");
}

void LoginEnvironmentTest::harmless_start_up_files() {
    QFETCH(QByteArray, text);
    write_file(home(".bashrc"), "export FROM_RC=yes\n" + text);
    const auto environment = capture(request());
    QVERIFY2(environment, environment ? "" : environment.error().text().c_str());
    QCOMPARE(value(*environment, "FROM_RC"), "yes");
}

void LoginEnvironmentTest::hanging_start_up_file() {
    const QByteArray word = QUuid::createUuid().toByteArray(QUuid::Id128);
    const QByteArray sleeper = "sh -c 'trap \"\" TERM HUP INT; sleep 3600; :' " + word;
    write_file(home(".bashrc"), "echo 'contacting the license server' >&2\n" + sleeper +
                                    " &\n(setsid -f " + sleeper + ")\n" + sleeper + "\n");
    auto asked = request();
    asked.timeout = 1500ms;
    const auto began = std::chrono::steady_clock::now();
    const auto environment = capture(asked);
    QVERIFY(std::chrono::steady_clock::now() - began < 10s);
    QVERIFY(!environment);
    const QString message = QString::fromStdString(environment.error().text());
    for (const char* text : {"/bin/bash", "1.5 s", "contacting the license server"})
        QVERIFY2(message.contains(text), qPrintable(message));
    QTRY_COMPARE(processes_with(word), 0);
}

void LoginEnvironmentTest::missing_shell() {
    const auto environment = capture(request("/nonexistent/shell"));
    QVERIFY(!environment);
    QCOMPARE(environment.error().code, ENOENT);
    QVERIFY(environment.error().text().find("/nonexistent/shell") != std::string::npos);
}

void LoginEnvironmentTest::stamp_changes() {
    const auto asked = request();
    const auto none = spoold::startup_stamp(asked);
    QCOMPARE(spoold::startup_stamp(asked), none);
    write_file(home(".bashrc"), "export A=1\n");
    const auto first = spoold::startup_stamp(asked);
    QVERIFY(first != none);
    write_file(home(".bashrc"), "export A=12\n");
    QVERIFY(spoold::startup_stamp(asked) != first);
    QFile::remove(home(".bashrc"));
    QCOMPARE(spoold::startup_stamp(asked), none);
}

void LoginEnvironmentTest::user_shell_and_home() {
    QCOMPARE(spoold::user_shell({{"SHELL", "/bin/x"}}), std::string("/bin/x"));
    QCOMPARE(spoold::user_home({{"HOME", "/h"}}), std::string("/h"));
    QVERIFY(spoold::user_shell({}).starts_with('/'));
    QVERIFY(spoold::user_home({}).starts_with('/'));
}

void LoginEnvironmentTest::conda_in_a_script() {
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

void LoginEnvironmentTest::unknown_conda_environment_in_a_script() {
    set_up_conda_and_modules();
    const Captured job = run(script_job("conda activate nosuch\necho went on\n", login()));
    QCOMPARE(job.output, std::string());
    QVERIFY(
        QString::fromStdString(job.errors).contains("Could not find conda environment: nosuch"));
    QVERIFY(job.status.value_or(0) != 0);
}

void LoginEnvironmentTest::modules_in_a_script_data() {
    QTest::addColumn<QByteArray>("command");
    QTest::newRow("module load") << QByteArray("module load cuda");
    QTest::newRow("ml") << QByteArray("ml cuda");
}

void LoginEnvironmentTest::modules_in_a_script() {
    QFETCH(QByteArray, command);
    set_up_conda_and_modules();
    const Captured job = run(script_job(command + "\necho $CUDA_HOME ${PATH%%:*}\n", login()));
    QCOMPARE(QString::fromStdString(job.errors), "");
    QCOMPARE(job.output, std::string("/sw/cuda /sw/cuda/bin\n"));
}

void LoginEnvironmentTest::real_environment_modules() {
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

void LoginEnvironmentTest::micromamba_in_a_script() {
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

void LoginEnvironmentTest::strict_shell_and_arguments_are_kept() {
    set_up_conda_and_modules();
    Job job = script_job(
        "conda activate deep\nprintf '<%s>' \"$@\"\n"
        "[[ $- == *e* && $- == *u* && -o pipefail ]] && echo strict\n"
        "compgen -v | grep -c __gpuspool || true\n"
        "compgen -A function | grep __gpuspool || true\n",
        login());
    job.spec.shell = "bash -euo pipefail";
    job.arguments = {"a b", "", "$c"};
    const Captured captured = run(job);
    QCOMPARE(QString::fromStdString(captured.errors), "");
    QCOMPARE(captured.output, std::string("<a b><><$c>strict\n0\n"));
}

void LoginEnvironmentTest::old_bash_env_is_read() {
    set_up_conda_and_modules();
    Environment base = login();
    write_file(home("env.bash"), "FROM_BASH_ENV=\"$((FROM_BASH_ENV + 1))\"\n");
    base["BASH_ENV"] = "$HOME/env.bash";
    const Captured job =
        run(script_job("conda activate deep\necho $FROM_BASH_ENV \"$BASH_ENV\"\n", base));
    QCOMPARE(QString::fromStdString(job.errors), "");
    QCOMPARE(job.output, std::string("1 $HOME/env.bash\n"));
}

void LoginEnvironmentTest::nested_shells_do_not_read_it_again() {
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

void LoginEnvironmentTest::directives_for_an_argument_list() {
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

void LoginEnvironmentTest::directives_for_a_script_of_sh() {
    set_up_conda_and_modules();
    Job job = script_job("#!/bin/sh\npython \"$1\"\n", login());
    job.spec.interpreter = "/bin/sh";
    job.spec.conda_environment = "deep";
    job.arguments = {"x y"};
    QCOMPARE(run(job).output, std::string("python of deep: x y\n"));
}

void LoginEnvironmentTest::venv_below_the_directory() {
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

void LoginEnvironmentTest::failed_directives_data() {
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

void LoginEnvironmentTest::failed_directives() {
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

void LoginEnvironmentTest::without_conda() {
    Environment base{{"PATH", usual_path}, {"HOME", home().toStdString()}};
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

QTEST_GUILESS_MAIN(LoginEnvironmentTest)
#include "system_login_environment.moc"
