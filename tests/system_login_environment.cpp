// The environment of a new terminal, from real shells.
#include <QStandardPaths>
#include <QTest>
#include <QUuid>

#include "login_bench.h"
#include "process_list.h"

using namespace std::chrono_literals;
using test::processes_with;
using test::value;
using test::write_file;

class LoginEnvironmentTest : public QObject, private test::LoginBench {
    Q_OBJECT
private slots:
    void init() { make_home(); }
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
};

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
    QVERIFY(std::chrono::steady_clock::now() - began < 60s);
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

QTEST_GUILESS_MAIN(LoginEnvironmentTest)
#include "system_login_environment.moc"
