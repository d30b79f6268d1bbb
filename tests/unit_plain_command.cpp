// Which scripts are one plain command, judged beside what bash makes of them.
#include <QProcess>
#include <QTest>

#include "libspool/plain_command.h"

class PlainCommandTest : public QObject {
    Q_OBJECT

private slots:
    void plain_data();
    void plain();
    void not_plain_data();
    void not_plain();
    void every_word_of_bash_is_its_own();
};

void PlainCommandTest::plain_data() {
    QTest::addColumn<QByteArray>("script");
    QTest::addColumn<QByteArray>("command");
    const auto row = [](const char* name, const char* script, const char* command) {
        QTest::newRow(name) << QByteArray(script) << QByteArray(command);
    };
    row("word", "true\n", "true");
    row("no line end", "nvidia-smi", "nvidia-smi");
    row("arguments", "python train.py --lr=1e-3 -x +y=a,b:c user@host 50%\n",
        "python train.py --lr=1e-3 -x +y=a,b:c user@host 50%");
    row("path", "./train.sh\n", "./train.sh");
    row("blanks around", "\n  \tpython \t t.py  \n\n", "python \t t.py");
    row("directives and comments", "#SPOOL --gpus=2\n# what it does\npython t.py\n", "python t.py");
}

void PlainCommandTest::plain() {
    QFETCH(QByteArray, script);
    QFETCH(QByteArray, command);
    const auto found = spool::plain_command(script.toStdString());
    QVERIFY(found);
    QCOMPARE(QByteArray::fromStdString(*found), command);
}

void PlainCommandTest::not_plain_data() {
    QTest::addColumn<QByteArray>("script");
    const auto row = [](const char* script) { QTest::newRow(script) << QByteArray(script); };
    for (const char* script :
         {"",        "# nothing\n", "true\ntrue\n", "true; true", "a | b",      "a && b",
          "a &",     "a > b",       "a < b",        "(a)",        "{ a",        "a $B",
          "a `b`",   "a 'b'",       "a \"b\"",      "a b\\ c",    "a *.py",     "a b?",
          "a [b]",   "a {b,c}",     "a ~/b",        "! a",        "a !b",       "A=1 b",
          "A=1",     "%1",          "a # why",      "a\rb",       "a \xc3\xa4", "a ^b^c",
          "cd /tmp", "exit 3",      "exec python",  "echo x",     "[ a = b ]",  ". file",
          ": file",  "while true",  "time python",  "kill 1",     "test -e x"})
        row(script);
    QTest::newRow("longer than an argument may be")
        << QByteArray("python ") + QByteArray(130'000, 'x');
    QTest::newRow("NUL") << QByteArray("a\0b", 3);
    QTest::newRow("DOS line end") << QByteArray("python t.py\r\n");
}

void PlainCommandTest::not_plain() {
    QFETCH(QByteArray, script);
    QVERIFY(!spool::plain_command(script.toStdString()));
}

/// The table of builtins and keywords is that of the bash that is installed, or more.
void PlainCommandTest::every_word_of_bash_is_its_own() {
    QProcess bash;
    bash.start("bash", {"-c", "compgen -b; compgen -k"});
    QVERIFY(bash.waitForFinished());
    const QList<QByteArray> words = bash.readAllStandardOutput().split('\n');
    QVERIFY(words.size() > 60);
    for (const QByteArray& word : words) {
        const bool same_as_program = word == "true" || word == "false";
        if (!word.isEmpty() && !same_as_program)
            QVERIFY2(!spool::plain_command(word.toStdString()), word.constData());
    }
}

QTEST_GUILESS_MAIN(PlainCommandTest)
#include "unit_plain_command.moc"
