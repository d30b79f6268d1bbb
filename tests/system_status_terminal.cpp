// `gpuspool status` and `list` on a terminal: colours, and tables that fit. In a pipe: neither.
#include <QRegularExpression>
#include <QtTest>

#include "cli/terminal.h"
#include "tests/support/look.h"
#include "tests/support/pseudo_terminal.h"

namespace {

QByteArray without_colours(const QByteArray& text) {
    static const QRegularExpression code("\033\\[[0-9;]*m");
    return QString::fromUtf8(text).remove(code).toUtf8();
}

}  // namespace

class SystemStatusTerminal : public QObject {
    Q_OBJECT
private slots:
    void initTestCase();
    void tables_fit_data();
    void tables_fit();
    void colours_data();
    void colours();
    void a_pipe_gets_all_of_it();

private:
    QByteArray shown(const QStringList& arguments, int columns) const {
        PseudoTerminal terminal(GPUSPOOL, arguments, spool_.environment,
                                static_cast<unsigned short>(columns));
        return terminal.wait_for_end() == 0 ? terminal.output() : QByteArray();
    }
    TestSpool spool_;
};

/// One has succeeded, one has failed, one runs, one waits; with names that are wide.
void SystemStatusTerminal::initTestCase() {
    spool_.environment.insert("TERM", "xterm-256color");
    for (const char* variable : {"NO_COLOR", "COLUMNS"})
        spool_.environment.remove(variable);
    QVERIFY(spool_.start({"--gpus", "0"}));
    QVERIFY(spool_.drop("good.job", "true\n"));
    QVERIFY(!spool_.wait_for_result("good").isEmpty());
    QVERIFY(spool_.drop("bad.job", "exit 3 # " + QByteArray(150, 'x') + '\n'));
    QVERIFY(!spool_.wait_for_result("bad").isEmpty());
    QVERIFY(spool_.drop("学習-é.job", gated("runs") + "# " + QByteArray(150, 'y') + '\n'));
    QVERIFY(wait_for_log(spool_, "学習-é", "started\n"));
    QVERIFY(spool_.drop("waits.job", "true\n"));
    QVERIFY(wait_for_reason(spool_, "waits", "gpus"));
}

void SystemStatusTerminal::tables_fit_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<int>("columns");
    for (const int columns : {200, 80, 60, 40}) {
        QTest::addRow("status, %d", columns) << QStringList{} << columns;
        QTest::addRow("list, %d", columns) << QStringList{"list"} << columns;
    }
}

void SystemStatusTerminal::tables_fit() {
    QFETCH(QStringList, arguments);
    QFETCH(int, columns);
    const QByteArray output = without_colours(shown(arguments, columns));
    QVERIFY2(output.contains("good"), output);
    // What stands above the tables is prose, and wraps.
    const QList<QByteArray> lines =
        output.mid(arguments.isEmpty() ? output.indexOf("\n\n") : 0).split('\n');
    int widest = 0;
    for (const QByteArray& line : lines)
        widest = std::max(widest, cli::display_width(line.toStdString()));
    QVERIFY2(widest <= columns, output);
    // There is more to say than fits. (Of a list whole columns go, where it is very narrow.)
    if (columns <= 80 && columns > 40)
        QVERIFY2(widest > columns - 12 && output.contains("…"), output);
    if (!arguments.isEmpty()) return;
    // Wide characters take their room: the columns after them stand below their titles.
    const auto column_of = [&](const QByteArray& row, const QByteArray& text) {
        for (const QByteArray& line : lines)
            if (line.contains(row) && line.contains(text))
                return cli::display_width(line.left(line.lastIndexOf(text)).toStdString());
        return -1;
    };
    if (columns >= 80) {
        QVERIFY(column_of("COMMAND", "COMMAND") > 0);
        QCOMPARE(column_of("学習-é", "echo runs"), column_of("COMMAND", "COMMAND"));
    }
}

void SystemStatusTerminal::colours_data() {
    QTest::addColumn<QString>("variable");
    QTest::addColumn<QString>("value");
    QTest::addColumn<bool>("coloured");
    QTest::newRow("a terminal") << ""
                                << "" << true;
    QTest::newRow("NO_COLOR") << "NO_COLOR"
                              << "1" << false;
    QTest::newRow("an empty NO_COLOR") << "NO_COLOR"
                                       << "" << true;
    QTest::newRow("dumb") << "TERM"
                          << "dumb" << false;
}

void SystemStatusTerminal::colours() {
    QFETCH(QString, variable);
    QFETCH(QString, value);
    QFETCH(bool, coloured);
    const QProcessEnvironment before = spool_.environment;
    if (!variable.isEmpty()) spool_.environment.insert(variable, value);
    const QByteArray output = shown({}, 100);
    spool_.environment = before;
    QCOMPARE(output.contains('\033'), coloured);
    QCOMPARE(output.contains("\033[32msucceeded\033[0m"), coloured);
    QCOMPARE(output.contains("\033[31mfailed (exit code 3)\033[0m"), coloured);
    QCOMPARE(output.contains("\033[1mRunning\033[0m"), coloured);
    QVERIFY2(without_colours(output).contains("failed (exit code 3)"), output);
}

void SystemStatusTerminal::a_pipe_gets_all_of_it() {
    for (const char* verb : {"status", "list"}) {
        const Finished done = spool_.gpuspool({verb});
        QVERIFY2(!done.out.contains('\033'), done.out);
        QVERIFY2(done.out.contains("failed (exit code 3)"), done.out);
    }
    QVERIFY(spool_.gpuspool({"list"}).out.contains(QByteArray(150, 'x')));
    QVERIFY(open_gate(spool_, "runs"));
}

QTEST_GUILESS_MAIN(SystemStatusTerminal)
#include "system_status_terminal.moc"
