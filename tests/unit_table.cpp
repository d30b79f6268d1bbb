#include <QtTest>

#include "cli/exit_code.h"
#include "cli/format.h"
#include "cli/job_options.h"
#include "cli/table.h"
#include "libspool/values.h"

class UnitTable : public QObject {
    Q_OBJECT
private slots:
    void widths_data();
    void widths();
    void fitting_data();
    void fitting();
    void plain_tables_are_aligned_and_never_cut();
    void elastic_columns_give_way();
    void narrow_terminals_cut_the_last_columns_data();
    void narrow_terminals_cut_the_last_columns();
    void colours_do_not_move_columns();
    void durations();
    void exit_codes();
    void options_stand_before_the_first_command();
    void names_of_commands();
    void what_a_job_does_data();
    void what_a_job_does();
};

void UnitTable::widths_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("width");
    QTest::newRow("empty") << QByteArray("") << 0;
    QTest::newRow("ascii") << QByteArray("abc") << 3;
    QTest::newRow("umlaut") << QByteArray("für") << 3;
    QTest::newRow("wide") << QByteArray("実験") << 4;
    QTest::newRow("combining") << QByteArray("e\xcc\x81") << 1;
    QTest::newRow("emoji") << QByteArray("🚀") << 2;
    QTest::newRow("invalid") << QByteArray("a\xff\xfe") << 3;
}

void UnitTable::widths() {
    QFETCH(QByteArray, text);
    QTEST(cli::display_width(text.toStdString()), "width");
}

void UnitTable::fitting_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<int>("width");
    QTest::addColumn<QByteArray>("fitted");
    QTest::newRow("no limit") << QByteArray("abcdef") << 0 << QByteArray("abcdef");
    QTest::newRow("fits") << QByteArray("abcdef") << 6 << QByteArray("abcdef");
    QTest::newRow("cut") << QByteArray("abcdef") << 5 << QByteArray("abcd…");
    QTest::newRow("no half wide character") << QByteArray("実験中") << 4 << QByteArray("実…");
}

void UnitTable::fitting() {
    QFETCH(QByteArray, text);
    QFETCH(int, width);
    QTEST(QByteArray::fromStdString(cli::fit(text.toStdString(), width)), "fitted");
}

void UnitTable::plain_tables_are_aligned_and_never_cut() {
    cli::Table table({{"JOB", true}, {"NAME", false, true}, {"WHY"}});
    table.add({{"1"}, {"実験"}, {"x"}});
    table.add({{"100"}, {std::string(100, 'a')}, {""}});
    const std::string gap(98, ' ');
    QCOMPARE(table.render({}), "JOB  NAME" + gap + "WHY\n" + "  1  実験" + gap + "x\n" + "100  " +
                                   std::string(100, 'a') + "\n");
}

void UnitTable::elastic_columns_give_way() {
    cli::Table table({{"JOB", true}, {"NAME", false, true}}, 2);
    table.add({{"1"}, {std::string(100, 'a')}});
    cli::Terminal terminal{true, false, 30};
    QCOMPARE(table.render(terminal), "  JOB  NAME\n    1  " + std::string(22, 'a') + "…\n");
}

void UnitTable::narrow_terminals_cut_the_last_columns_data() {
    QTest::addColumn<int>("width");
    QTest::addColumn<std::string>("line");
    QTest::newRow("wide enough") << 29 << std::string("1  succeeded  0:07  2 min ago");
    QTest::newRow("cut") << 28 << std::string("1  succeeded  0:07  2 min a…");
    QTest::newRow("left out") << 23 << std::string("1  succeeded  0:07");
    QTest::newRow("two left out") << 15 << std::string("1  succeeded");
    QTest::newRow("hardly anything") << 2 << std::string("1");
}

void UnitTable::narrow_terminals_cut_the_last_columns() {
    QFETCH(int, width);
    cli::Table table({{"J", true}, {"OUTCOME"}, {"TIME", true}, {"ENDED"}});
    table.add({{"1"}, {"succeeded"}, {"0:07"}, {"2 min ago"}});
    const std::string text = table.render({true, false, width});
    QTEST(text.substr(text.find('\n') + 1, text.size() - text.find('\n') - 2), "line");
}

void UnitTable::colours_do_not_move_columns() {
    cli::Table table({{"A"}, {"B"}});
    table.add({{"x", cli::Style::red}, {"y"}});
    QCOMPARE(table.render({true, true, 80}),
             std::string("\033[2mA\033[0m  \033[2mB\033[0m\n\033[31mx\033[0m  y\n"));
}

void UnitTable::durations() {
    constexpr std::int64_t second = 1'000'000'000;
    QCOMPARE(cli::format_duration(7 * second), std::string("0:07"));
    QCOMPARE(cli::format_duration(200 * second), std::string("3:20"));
    QCOMPARE(cli::format_duration(3723 * second), std::string("1:02:03"));
    QCOMPARE(cli::format_duration((2 * 86400 + 3 * 3600) * second), std::string("2d 03:00"));
    QCOMPARE(cli::format_duration(-second), std::string("0:00"));
    QCOMPARE(spool::format_size(1536), std::string("1.5 KB"));
}

void UnitTable::exit_codes() {
    spool::JobResult result;
    const auto code = [&](spool::Outcome state, std::optional<int> exit,
                          std::optional<int> signal) {
        result.state = state;
        result.exit_code = exit;
        result.signal = signal;
        return cli::exit_code_of(result);
    };
    using spool::Outcome;
    QCOMPARE(code(Outcome::succeeded, 0, {}), 0);
    QCOMPARE(code(Outcome::failed, 3, {}), 3);
    QCOMPARE(code(Outcome::failed, {}, 9), 137);
    QCOMPARE(code(Outcome::failed, {}, {}), 127);
    QCOMPARE(code(Outcome::timeout, {}, 15), 124);
    QCOMPARE(code(Outcome::cancelled, 0, {}), 125);
    QCOMPARE(code(Outcome::lost, {}, {}), 126);
    QCOMPARE(code(Outcome::interrupted, 0, {}), 126);
    QCOMPARE(code(Outcome::rejected, {}, {}), 127);
}

void UnitTable::options_stand_before_the_first_command() {
    const cli::JobOptions options{{{"gpus", "2"}}, {{"A", "x y"}}};
    QCOMPARE(
        *cli::with_options("#!/bin/sh\n#SPOOL --gpus=1\n\necho\n", options),
        std::string("#!/bin/sh\n#SPOOL --gpus=1\n\n#SPOOL --gpus=2\n#SPOOL '--env=A=x y'\necho\n"));
    QCOMPARE(*cli::with_options("echo", options),
             std::string("#SPOOL --gpus=2\n#SPOOL '--env=A=x y'\necho"));
    QCOMPARE(*cli::with_options("echo", {}), std::string("echo"));
    QVERIFY(!cli::with_options("echo", {{}, {{"A", "line\nfeed"}}}));
}

void UnitTable::names_of_commands() {
    QCOMPARE(cli::name_of_command({"python3.11", "-u", "src/train.py", "--lr"}),
             std::string("train"));
    QCOMPARE(cli::name_of_command({"python", "-m", "pkg.train"}), std::string("pkg.train"));
    QCOMPARE(cli::name_of_command({"/usr/bin/nvidia-smi"}), std::string("nvidia-smi"));
    QCOMPARE(cli::name_of_command({"bash", "-c", "echo"}), std::string("bash"));
}

void UnitTable::what_a_job_does_data() {
    QTest::addColumn<QByteArray>("phase");
    QTest::addColumn<QByteArray>("shown");
    QTest::newRow("claimed") << QByteArray("claimed") << QByteArray("is about to start");
    QTest::newRow("starting") << QByteArray("starting") << QByteArray("is about to start");
    QTest::newRow("running") << QByteArray("running") << QByteArray("is running");
}

void UnitTable::what_a_job_does() {
    QFETCH(QByteArray, phase);
    spool::RunningState running;
    running.phase = phase.toStdString();
    const spool::FoundJob job{0, {}, {}, running};
    QTEST(QByteArray::fromStdString(cli::activity_text(job, 0)), "shown");
}

QTEST_GUILESS_MAIN(UnitTable)
#include "unit_table.moc"
