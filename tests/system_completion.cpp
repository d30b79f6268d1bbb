// What bash offers after gpuspool and TAB: the completion function is called as bash calls it.
#include <QTest>

#include "tests/support/daemon.h"

class CompletionTest : public QObject {
    Q_OBJECT

private slots:
    void offers_data();
    void offers();
    void words_behind_an_option_with_a_path_are_left_to_bash();

private:
    static QByteArray offered(const TestSpool& spool, const QStringList& words);
};

/// The words offered for the last of `words`, sorted.
QByteArray CompletionTest::offered(const TestSpool& spool, const QStringList& words) {
    const QString script = "set -u; source " SOURCE_DIR
                           "/packaging/completions/gpuspool.bash\n"
                           "COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)); _gpuspool\n"
                           "printf '%s\\n' \"${COMPREPLY[@]}\" | LC_ALL=C sort | tr '\\n' ' '\n"
                           "complete -p gpuspool >/dev/null";
    const Finished bash =
        spool.run("bash", QStringList{"--norc", "-c", script, "bash", GPUSPOOL} + words);
    if (bash.exit_code != 0 || !bash.err.isEmpty()) qWarning("%s", bash.err.constData());
    return bash.exit_code == 0 ? bash.out.trimmed() : "bash failed";
}

void CompletionTest::offers_data() {
    QTest::addColumn<QStringList>("words");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const QStringList& words, const QByteArray& expected) {
        QTest::addRow("%s", qPrintable(words.join('+'))) << words << expected;
    };
    row({"s"}, "show status submit suspend");
    row({"--spool", "/x", "dr"}, "drain");
    row({"--s"}, "--spool");
    row({"list", "-"}, "--help --json --limit --state -h -n");
    row({"submit", "--no"}, "--no-env");
    row({"submit", "-g", "1", "--", "python", "--no"}, "");
    row({"cancel", ""}, "a\\ b running waiting");
    row({"log", "-f", "r"}, "r ready~2 running");
    row({"retry", ""}, "r ready~2");
    row({"show", "nothing"}, "");
    row({"doctor", ""}, "");
}

void CompletionTest::offers() {
    QFETCH(QStringList, words);
    TestSpool spool;
    for (const char* file :
         {"incoming/waiting.sbatch", "incoming/a b.job", "incoming/notes.txt", "running/running.sh",
          "running/running.log", "done/r.json", "done/r.job", "done/r.log", "done/ready~2.json"}) {
        const QFileInfo info(spool.path(file));
        QVERIFY(QDir().mkpath(info.path()));
        QVERIFY(QFile(info.filePath()).open(QIODevice::WriteOnly));
    }
    QTEST(offered(spool, words), "expected");
}

void CompletionTest::words_behind_an_option_with_a_path_are_left_to_bash() {
    const TestSpool spool;
    for (const char* option : {"--chdir", "--output"})
        QCOMPARE(offered(spool, {"submit", option, ""}), "");
    QCOMPARE(offered(spool, {"--spool", ""}), "");
}

QTEST_GUILESS_MAIN(CompletionTest)
#include "system_completion.moc"
