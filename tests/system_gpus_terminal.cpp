// `gpuspool gpus` on a terminal: it fits, and it goes on until Ctrl-C.
#include <signal.h>

#include <QElapsedTimer>
#include <QTest>

#include "tests/support/fake_gpus.h"
#include "tests/support/gpu_jobs.h"
#include "tests/support/pseudo_terminal.h"

namespace {

void prepare(TestSpool& spool) {
    spool.environment.insert("LC_ALL", "C.UTF-8");
    spool.environment.insert("TERM", "xterm-256color");
    for (const char* variable : {"NO_COLOR", "COLUMNS"})
        spool.environment.remove(variable);
}

/// Whatever it has changed on the terminal it has changed back.
bool is_restored(const QByteArray& output) {
    return output.count("\033[?25l") == output.count("\033[?25h") &&
           output.count("\033[?1049h") == output.count("\033[?1049l") &&
           output.lastIndexOf("\033[0m") >= output.lastIndexOf("\033[3");
}

}  // namespace

class SystemGpusTerminal : public QObject {
    Q_OBJECT

private slots:
    void narrow_terminals_data();
    void narrow_terminals();
    void watching_until_ctrl_c();
    void watching_a_driver_that_hangs();
    void watching_in_a_pipe();
};

void SystemGpusTerminal::narrow_terminals_data() {
    QTest::addColumn<int>("columns");
    QTest::addColumn<QString>("titles");
    QTest::newRow("wide") << 120 << "GPU TYPE USE MEMORY TEMP POWER JOB";
    QTest::newRow("usual") << 80 << "GPU TYPE USE MEMORY TEMP POWER JOB";
    QTest::newRow("narrow") << 60 << "GPU TYPE USE MEMORY JOB";
    QTest::newRow("very narrow") << 40 << "GPU TYPE USE JOB";
    QTest::newRow("hardly a terminal") << 32 << "GPU TYPE USE JOB";
}

/// Nothing of the table is wrapped: with less room it says less.
void SystemGpusTerminal::narrow_terminals() {
    QFETCH(int, columns);
    QFETCH(QString, titles);
    TestSpool spool;
    prepare(spool);
    spool.environment.insert("NO_COLOR", "1");
    const FakeGpus gpus(spool, {FakeGpus::busy_a100(0), FakeGpus::a100(1)});
    PseudoTerminal terminal(GPUSPOOL, {"gpus"}, spool.environment,
                            static_cast<unsigned short>(columns));
    QCOMPARE(terminal.wait_for_end(), 0);
    const QByteArray output = terminal.output();
    QCOMPARE(QString(output.left(output.indexOf('\n'))).simplified(), titles);
    const QString table = QString::fromUtf8(output).section("\n\n", 0, 0);
    QCOMPARE(table.trimmed().count('\n'), 2);
    for (const QString& line : table.split('\n'))
        QVERIFY2(line.size() <= columns, qPrintable(line));
    QVERIFY2(table.contains("97 %") && table.contains("NVIDIA A1"), qPrintable(table));
}

void SystemGpusTerminal::watching_until_ctrl_c() {
    TestSpool spool;
    prepare(spool);
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QVERIFY(spool.start());
    PseudoTerminal terminal(GPUSPOOL, {"gpus", "--watch"}, spool.environment, 120);
    const auto last = [&] {
        const QByteArray output = terminal.output();
        return output.mid(output.lastIndexOf("\033[H"));
    };
    QVERIFY(spool.wait_for([&] { return last().contains("free"); }, "a free GPU"));
    spool.drop("a.job", held_job(spool, "$CUDA_VISIBLE_DEVICES"));
    QVERIFY(spool.wait_for([&] { return last().contains("1 (a)"); }, "the job"));
    gpus.set(0, "temperature", 88);
    QVERIFY(spool.wait_for([&] { return last().contains("88 °C"); }, "the temperature"));
    // Each picture stands where the one before was.
    QVERIFY2(terminal.output().count("\033[H\033[2J") >= 3, terminal.output());
    QVERIFY(terminal.output().contains("\033[36m1 (a)\033[0m"));
    let_go(spool);
    QVERIFY(spool.wait_for([&] { return last().contains("free"); }, "a free GPU again"));
    terminal.type("\x03");
    QCOMPARE(terminal.wait_for_end(), 130);
    QVERIFY2(is_restored(terminal.output()), terminal.output());
    QVERIFY(spool.stop());
    // What it has started ends with it.
    const QByteArray own = "GPUSPOOL_DIR=" + spool.path().toUtf8();
    QVERIFY(spool.wait_for([&] { return signal_processes_with_environment(own, 0) == 0; },
                           "no process"));
}

void SystemGpusTerminal::watching_a_driver_that_hangs() {
    TestSpool spool;
    prepare(spool);
    FakeGpus gpus(spool, {FakeGpus::a100(0)});
    PseudoTerminal terminal(GPUSPOOL, {"gpus", "--watch"}, spool.environment, 120);
    QVERIFY(spool.wait_for([&] { return terminal.output().contains("free"); }, "a free GPU"));
    gpus.set("hang", "nvmlDeviceGetUUID");
    const QByteArray own = "GPUSPOOL_DIR=" + spool.path().toUtf8();
    QByteArray before;
    QElapsedTimer quiet;
    quiet.start();
    QVERIFY(spool.wait_for(
        [&] {
            if (terminal.output() != before) quiet.restart();
            before = terminal.output();
            return quiet.elapsed() > 2500;
        },
        "no more pictures"));
    QElapsedTimer timer;
    timer.start();
    // (Ctrl-C would end the process that hangs as well.)
    QCOMPARE(::kill(terminal.pid(), SIGINT), 0);
    QCOMPARE(terminal.wait_for_end(), 130);
    QVERIFY2(timer.elapsed() < 10'000, qPrintable(QString::number(timer.elapsed())));
    QVERIFY2(is_restored(terminal.output()), terminal.output());
    QVERIFY(spool.wait_for([&] { return signal_processes_with_environment(own, 0) == 0; },
                           "no process"));
}

void SystemGpusTerminal::watching_in_a_pipe() {
    TestSpool spool;
    prepare(spool);
    const FakeGpus gpus(spool, {FakeGpus::a100(0)});
    QProcess process;
    process.setProcessEnvironment(spool.environment);
    process.start(GPUSPOOL, {"gpus", "--watch", "--json"});
    QByteArray output;
    QVERIFY(spool.wait_for(
        [&] {
            process.waitForReadyRead(10);
            output += process.readAllStandardOutput();
            return output.count("\n}\n") >= 2;
        },
        "two answers"));
    QCOMPARE(::kill(static_cast<pid_t>(process.processId()), SIGINT), 0);
    QVERIFY(process.waitForFinished(60'000));
    QCOMPARE(process.exitCode(), 130);
    QVERIFY2(!output.contains('\033'), output);
    const QByteArray one = output.left(output.indexOf("\n}\n") + 3);
    QCOMPARE(QJsonDocument::fromJson(one).object()["gpus"].toArray().size(), 1);
}

QTEST_GUILESS_MAIN(SystemGpusTerminal)
#include "system_gpus_terminal.moc"
