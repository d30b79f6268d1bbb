// What is run to learn the user's environment, and how its output is read.
#include <QTest>
#include <string>

#include "libspool/login_shell.h"

using spool::Environment;

namespace {

QStringList as_list(const std::vector<std::string>& strings) {
    QStringList out;
    for (const std::string& text : strings)
        out << QString::fromStdString(text);
    return out;
}

std::string answer(const std::string& body) {
    return "M-begin\n" + body + "M-end\n";
}

}  // namespace

class LoginShellTest : public QObject {
    Q_OBJECT
private slots:
    void command_data();
    void command();
    void bashrc_is_quoted();
    void reads_an_answer();
    void garbage_does_no_harm_data();
    void garbage_does_no_harm();
    void incomplete_is_an_error_data();
    void incomplete_is_an_error();
    void profile_data();
    void profile();
    void startup_files_data();
    void startup_files();
    void base_environment_forgets_the_session();
    void error_line_data();
    void error_line();
};

void LoginShellTest::command_data() {
    QTest::addColumn<QString>("shell");
    QTest::addColumn<QStringList>("options");
    const QStringList usual{"-l", "-i", "-c"};
    QTest::newRow("bash") << "/bin/bash" << usual;
    QTest::newRow("zsh") << "/usr/bin/zsh" << usual;
    QTest::newRow("fish") << "/usr/bin/fish" << usual;
    QTest::newRow("dash") << "/bin/dash" << usual;
    QTest::newRow("sh") << "/bin/sh" << usual;
    QTest::newRow("ksh") << "/bin/ksh" << usual;
    QTest::newRow("tcsh") << "/bin/tcsh" << QStringList{"-c"};
    QTest::newRow("csh") << "/bin/csh" << QStringList{"-c"};
}

void LoginShellTest::command() {
    QFETCH(QString, shell);
    QFETCH(QStringList, options);
    const QString command = "echo M-begin; /usr/bin/env -0; echo M-end";
    QCOMPARE(as_list(spool::login_shell_command(shell.toStdString(), "M")),
             QStringList{shell} + options + QStringList{command});
}

void LoginShellTest::bashrc_is_quoted() {
    const auto bash = spool::login_shell_command("/bin/bash", "M", "/home/o'neil/.bashrc");
    QCOMPARE(QString::fromStdString(bash.back()),
             "test -r '/home/o'\\''neil/.bashrc' && . '/home/o'\\''neil/.bashrc'; "
             "echo M-begin; /usr/bin/env -0; echo M-end");
    const auto zsh = spool::login_shell_command("/bin/zsh", "M", "/home/a/.bashrc");
    QVERIFY(zsh.back().starts_with("echo M-begin"));
}

void LoginShellTest::reads_an_answer() {
    using namespace std::string_literals;
    const auto read = spool::parse_login_output(
        answer("PATH=/bin:/usr/bin\0EMPTY=\0EQ=a=b\0NL=a\nb\n\0BASH_FUNC_module%%=() {  x\n}\0"s),
        "M");
    QVERIFY(read);
    const Environment expected{{"PATH", "/bin:/usr/bin"},
                               {"EMPTY", ""},
                               {"EQ", "a=b"},
                               {"NL", "a\nb\n"},
                               {"BASH_FUNC_module%%", "() {  x\n}"}};
    QVERIFY(*read == expected);
}

void LoginShellTest::garbage_does_no_harm_data() {
    QTest::addColumn<QByteArray>("output");
    const QByteArray body("A=1\0B=M-end\0", 12);
    const QByteArray plain = "M-begin\n" + body + "M-end\n";
    QTest::newRow("plain") << plain;
    QTest::newRow("greeting") << "Welcome!\nfortune: 42\n" + plain;
    QTest::newRow("no line feed before") << "prompt$ " + plain;
    QTest::newRow("title with the command")
        << "\033]0;echo M-begin; /usr/bin/env -0; echo M-end\007" + plain;
    QTest::newRow("titles between")
        << "M-begin\n\033]0;/usr/bin/env -0\007" + body + "\033]0;echo M-end\007M-end\n";
    QTest::newRow("titles of the other kind")
        << "M-begin\n\033]0;/usr/bin/env -0\033\\" + body + "\033]0;echo M-end\033\\M-end\n";
    QTest::newRow("after") << plain + "logout\nM-end\n";
    QTest::newRow("NUL bytes") << QByteArray("\0\0X=9\0", 6) + plain;
}

void LoginShellTest::garbage_does_no_harm() {
    QFETCH(QByteArray, output);
    const auto read = spool::parse_login_output(output.toStdString(), "M");
    QVERIFY(read);
    QVERIFY((*read == Environment{{"A", "1"}, {"B", "M-end"}}));
}

void LoginShellTest::incomplete_is_an_error_data() {
    QTest::addColumn<QByteArray>("output");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("no marker") << QByteArray("hello\n");
    QTest::newRow("another marker") << QByteArray("N-begin\nA=1\0N-end\n", 18);
    QTest::newRow("no end") << QByteArray("M-begin\nA=1\0B=", 14);
    QTest::newRow("end inside a value") << QByteArray("M-begin\nA=M-end\n");
    QTest::newRow("only the command") << QByteArray("echo M-begin; env; echo M-end\n");
}

void LoginShellTest::incomplete_is_an_error() {
    QFETCH(QByteArray, output);
    const auto read = spool::parse_login_output(output.toStdString(), "M");
    QVERIFY(!read);
    QVERIFY(!read.error().message.empty());
}

void LoginShellTest::profile_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<bool>("reads");
    QTest::newRow("Debian") << QByteArray(
                                   "if [ -f \"$HOME/.bashrc\" ]; then\n\t. \"$HOME/.bashrc\"\nfi")
                            << true;
    QTest::newRow("only a comment") << QByteArray("# see .bashrc\nexport A=1\n") << false;
    QTest::newRow("indented comment") << QByteArray("\t # . ~/.bashrc\n") << false;
    QTest::newRow("empty") << QByteArray() << false;
}

void LoginShellTest::profile() {
    QFETCH(QByteArray, text);
    QFETCH(bool, reads);
    QCOMPARE(spool::profile_reads_bashrc(text.toStdString()), reads);
}

void LoginShellTest::startup_files_data() {
    QTest::addColumn<QString>("shell");
    QTest::addColumn<QString>("file");
    QTest::newRow("bash rc") << "/bin/bash"
                             << "/h/.bashrc";
    QTest::newRow("bash profile") << "/bin/bash"
                                  << "/h/.bash_profile";
    QTest::newRow("system profile") << "/bin/bash"
                                    << "/etc/profile";
    QTest::newRow("zsh") << "/bin/zsh"
                         << "/z/.zshrc";
    QTest::newRow("zshenv") << "/bin/zsh"
                            << "/z/.zshenv";
    QTest::newRow("fish") << "/bin/fish"
                          << "/c/fish/config.fish";
    QTest::newRow("tcsh") << "/bin/tcsh"
                          << "/h/.cshrc";
    QTest::newRow("dash") << "/bin/dash"
                          << "/h/.profile";
    QTest::newRow("dash ENV") << "/bin/dash"
                              << "/h/.shrc";
}

void LoginShellTest::startup_files() {
    QFETCH(QString, shell);
    QFETCH(QString, file);
    const Environment environment{
        {"ZDOTDIR", "/z"}, {"XDG_CONFIG_HOME", "/c"}, {"ENV", "/h/.shrc"}};
    const auto files = as_list(spool::startup_files(shell.toStdString(), "/h", environment));
    QVERIFY2(files.contains(file), qPrintable(files.join(' ')));
}

void LoginShellTest::base_environment_forgets_the_session() {
    const Environment own{{"PATH", "/opt/c/envs/x/bin:/usr/bin:/opt/c/condabin:/v/bin"},
                          {"CONDA_PREFIX", "/opt/c/envs/x"},
                          {"CONDA_SHLVL", "1"},
                          {"CONDA_EXE", "/opt/c/bin/conda"},
                          {"VIRTUAL_ENV", "/v"},
                          {"LOADEDMODULES", "cuda/12"},
                          {"GPUSPOOL_JOB_ID", "7"},
                          {"SLURM_JOB_ID", "8"},
                          {"http_proxy", "p"},
                          {"TERM", "xterm"}};
    const Environment expected{{"PATH", "/usr/bin:/opt/c/condabin"},
                               {"CONDA_EXE", "/opt/c/bin/conda"},
                               {"http_proxy", "p"},
                               {"TERM", "dumb"}};
    QVERIFY(spool::login_base_environment(own) == expected);
}

void LoginShellTest::error_line_data() {
    QTest::addColumn<QByteArray>("errors");
    QTest::addColumn<QByteArray>("line");
    const QByteArray noise =
        "bash: cannot set terminal process group (-1): Inappropriate ioctl for device\n"
        "bash: no job control in this shell\n";
    QTest::newRow("nothing") << QByteArray() << QByteArray();
    QTest::newRow("noise") << noise << QByteArray();
    QTest::newRow("before noise") << "boom: no such file\n" + noise
                                  << QByteArray("boom: no such file");
    QTest::newRow("last") << noise + "a\nb\n\n" << QByteArray("b");
    QTest::newRow("no line feed") << QByteArray("a\nb") << QByteArray("b");
    QTest::newRow("dash") << QByteArray("x\ndash: 0: can't access tty; job control turned off\n")
                          << QByteArray("x");
}

void LoginShellTest::error_line() {
    QFETCH(QByteArray, errors);
    QFETCH(QByteArray, line);
    QCOMPARE(QByteArray::fromStdString(spool::last_error_line(errors.toStdString())), line);
}

QTEST_GUILESS_MAIN(LoginShellTest)
#include "unit_login_shell.moc"
