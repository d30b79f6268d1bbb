// Times, sizes and words as people and Slurm write them.
#include <QProcess>
#include <QtTest>
#include <cstdlib>
#include <ctime>

#include "libspool/output_pattern.h"
#include "libspool/settings.h"
#include "libspool/values.h"

using std::string_literals::operator""s;
using std::chrono::milliseconds;

class UnitValues : public QObject {
    Q_OBJECT

    static constexpr qint64 none = -1;

    static void rows(std::initializer_list<std::pair<const char*, qint64>> cases) {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<qint64>("expected");
        for (const auto& [text, expected] : cases)
            QTest::newRow(*text ? text : "(empty)") << QByteArray(text) << expected;
    }
    template <typename T>
    static qint64 number(const std::optional<T>& value) {
        return value ? static_cast<qint64>(*value) : none;
    }
    static std::optional<qint64> count(std::optional<milliseconds> time) {
        return time ? std::optional<qint64>(time->count()) : std::nullopt;
    }

private slots:
    void time_limits_data() {
        constexpr qint64 minute = 60'000, hour = 60 * minute, day = 24 * hour;
        rows({{"90", 90 * minute},
              {"30:00", 30 * minute},
              {"1:30", minute + 30'000},
              {"2:00:00", 2 * hour},
              {"2:00:01", 2 * hour + 1000},
              {"1-12", day + 12 * hour},
              {"1-12:30", day + 12 * hour + 30 * minute},
              {"1-12:30:05", day + 12 * hour + 30 * minute + 5000},
              {"0", 0},
              {"UNLIMITED", 0},
              {"infinite", 0},
              {"-1", 0},
              {"90s", 90'000},
              {"15m", 15 * minute},
              {"2h", 2 * hour},
              {"1d", day},
              {"", none},
              {"1-", none},
              {"-", none},
              {"1:2:3:4", none},
              {"1-2:3:4:5", none},
              {":", none},
              {"1:", none},
              {"soon", none},
              {"10ms", none},
              {"-5", none},
              {"1.5h", none},
              {" 1", none},
              {"99999999999999999999", none},
              {"9999999999999", none},
              {"18446744073709551615-23", none}});
    }
    void time_limits() {
        QFETCH(QByteArray, text);
        QTEST(number(count(spool::parse_time_limit(text.toStdString()))), "expected");
    }

    void durations_data() {
        rows({{"10", 10'000},
              {"10s", 10'000},
              {"500ms", 500},
              {"2m", 120'000},
              {"1h", 3'600'000},
              {"1d", 86'400'000},
              {"0", 0},
              {"2M", 120'000},
              {"", none},
              {"s", none},
              {"-1", none},
              {"1.5", none},
              {"10 s", none},
              {"999999999999d", none}});
    }
    void durations() {
        QFETCH(QByteArray, text);
        QTEST(number(count(spool::parse_duration(text.toStdString()))), "expected");
    }

    void memory_data() {
        constexpr qint64 mega = 1 << 20, giga = 1 << 30;
        rows({{"4096", 4096 * mega},
              {"10G", 10 * giga},
              {"10GB", 10 * giga},
              {"10GiB", 10 * giga},
              {"500M", 500 * mega},
              {"64K", 65'536},
              {"1T", 1024 * giga},
              {"7b", 7},
              {"1g", giga},
              {"0", 0},
              {"", none},
              {"G", none},
              {"-1", none},
              {"1.5G", none},
              {"10X", none},
              {"10 G", none},
              {"9999999999T", none}});
    }
    void memory() {
        QFETCH(QByteArray, text);
        QTEST(number(spool::parse_memory(text.toStdString())), "expected");
    }

    void integers() {
        QCOMPARE(spool::parse_integer("-12"), std::optional<std::int64_t>(-12));
        QCOMPARE(spool::parse_integer("+7"), std::optional<std::int64_t>(7));
        for (const char* bad :
             {"", "+", "-", "+-1", "1 ", " 1", "1.0", "0x10", "9223372036854775808"})
            QVERIFY2(!spool::parse_integer(bad), bad);
    }

    void suggests_the_nearest() {
        const std::vector<std::string> keys{"gpus", "cpus", "priority", "chdir", "time"};
        QCOMPARE(spool::nearest("gpu", keys), std::optional("gpus"s));
        QCOMPARE(spool::nearest("GPUS", keys), std::optional("gpus"s));
        QCOMPARE(spool::nearest("prioirty", keys), std::optional("priority"s));
        QCOMPARE(spool::nearest("tiem", keys), std::optional("time"s));
        for (const char* far : {"banana", "", "x", "partition-of-the-cluster"})
            QVERIFY2(!spool::nearest(far, keys), far);
        QVERIFY(!spool::nearest(std::string(1 << 20, 'g'), keys));
    }

    void times_in_the_zone_of_the_machine() {
        setenv("TZ", "Europe/Berlin", 1);
        tzset();
        QCOMPARE(spool::format_time(1795249800123'000'000), "2026-11-21T09:30:00.123+01:00"s);
        QCOMPARE(spool::format_time(1782286200999'999'999), "2026-06-24T09:30:00.999+02:00"s);
        QCOMPARE(spool::format_time(-1), "1970-01-01T00:59:59.999+01:00"s);
        setenv("TZ", "NST3:30", 1);
        tzset();
        QCOMPARE(spool::format_time(0), "1969-12-31T20:30:00.000-03:30"s);
        const std::int64_t time = 1795249800123'000'000;
        QCOMPARE(spool::parse_time(spool::format_time(time)), std::optional(time));
    }

    void reads_times() {
        const std::int64_t time = 1795249800'000'000'000;
        QCOMPARE(spool::parse_time("2026-11-21T09:30:00.5+01:00"),
                 std::optional(time + 500'000'000));
        QCOMPARE(spool::parse_time("2026-11-21T08:30:00Z"), std::optional(time));
        QCOMPARE(spool::parse_time("2026-11-21T08:30:00.000000001Z"), std::optional(time + 1));
        for (const char* bad :
             {"", "2026", "2026-11-21", "2026-11-21T08:30:00", "2026-11-21 08:30:00Z",
              "2026-13-21T08:30:00Z", "2026-11-31T08:30:00Z", "2026-11-21T24:30:00Z",
              "2026-11-21T08:30:00.Z", "2026-11-21T08:30:00.1234567891Z", "2026-11-21T08:30:00+1",
              "2026-11-21T08:30:00Zx", "9999-11-21T08:30:00Z", "-026-11-21T08:30:00Z"})
            QVERIFY2(!spool::parse_time(bad), bad);
    }

    void a_shell_reads_back_what_was_quoted() {
        const std::vector<std::string> arguments{
            "A=b", "a b", "",   "it's", "$HOME", "`x`", "a\nb", "\\",  "~",   "*",
            "-n",  "é",   "\"", "a;b",  "x=y",   "!",   "#no",  "a#b", "\xff"};
        QProcess shell;
        std::string script = "printf '%s\\0' " + spool::shell_quote(arguments);
        shell.start("/bin/sh", {"-s"});
        QVERIFY(shell.waitForStarted());
        shell.write(script.data(), qint64(script.size()));
        shell.closeWriteChannel();
        QVERIFY(shell.waitForFinished());
        std::string expected;
        for (const std::string& argument : arguments)
            expected += argument + '\0';
        QCOMPARE(shell.readAllStandardOutput(), QByteArray::fromStdString(expected));
        QCOMPARE(spool::shell_quote({"A=b", "x=y"}), "'A=b' x=y"s);
        QCOMPARE(spool::shell_quote({"python", "train.py", "--lr=0.1"}),
                 "python train.py --lr=0.1"s);
    }

    void words_are_split_as_by_a_shell() {
        const auto split = [](const char* text) {
            std::vector<std::string> words;
            if (!spool::split_words(text, words)) words = {"unterminated"};
            return words;
        };
        using Words = std::vector<std::string>;
        QCOMPARE(split(" a\tb  "), (Words{"a", "b"}));
        QCOMPARE(split("--n='a b' \"c d\"e"), (Words{"--n=a b", "c de"}));
        QCOMPARE(split("a\\ b '\\' \"\\\"\\n\""), (Words{"a b", "\\", "\"\\n"}));
        QCOMPARE(split("'' \"\""), (Words{"", ""}));
        QCOMPARE(split("a #b"), (Words{"a"}));
        QCOMPARE(split("a#b"), (Words{"a#b"}));
        QCOMPARE(split("'a"), (Words{"unterminated"}));
        QCOMPARE(split("\"a\\\""), (Words{"unterminated"}));
    }

    void output_patterns_data() {
        QTest::addColumn<QByteArray>("pattern");
        QTest::addColumn<QByteArray>("expected");
        const auto row = [](const char* pattern, const char* expected) {
            QTest::newRow(pattern) << QByteArray(pattern) << QByteArray(expected);
        };
        row("out/%x-%j.log", "out/a_b-42.log");
        row("%5j %2j %99j", "00042 42 0000000042");
        row("%N %u %n %t %s", "box anna 0 0 0");
        row("%A_%a %3a %b", "42_17 017 7");
        row("100%% %%j", "100% %j");
        row("%q % %", "%q % %");
        row("%5", "%5");
        row("%", "%");
        row("", "");
        row("\\%j.log", "%j.log");
    }
    void output_patterns() {
        QFETCH(QByteArray, pattern);
        const spool::OutputContext context{42, 17, "a/b", "box.lab.example", "anna"};
        const std::string expanded = spool::expand_output_pattern(pattern.toStdString(), context);
        QTEST(QByteArray::fromStdString(expanded), "expected");
    }
};

QTEST_GUILESS_MAIN(UnitValues)
#include "unit_values.moc"
