// When a job may start, as users and Slurm write it.
#include <QtTest>
#include <csignal>

#include "libspool/schedule_text.h"
#include "libspool/values.h"

using spool::After;
using spool::AfterJobs;

namespace {

/// Local time, as RFC 3339 without its fraction and zone.
QString shown(std::optional<std::int64_t> wall) {
    return wall ? QString::fromStdString(spool::format_time(*wall)).left(19) : QString("nothing");
}

}  // namespace

class UnitScheduleText : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() { qputenv("TZ", "Europe/Berlin"); }

    void reads_begin_times_data() {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("expected");
        const auto row = [](const char* text, const char* expected) {
            QTest::newRow(text) << text << expected;
        };
        row("now", "2026-11-21T18:30:00");
        row("now+90", "2026-11-21T18:31:30");
        row("now+1hour", "2026-11-21T19:30:00");
        row("now+2hours", "2026-11-21T20:30:00");
        row("now+3minutes", "2026-11-21T18:33:00");
        row("now+2days", "2026-11-23T18:30:00");
        row("now+1week", "2026-11-28T18:30:00");
        row("19:00", "2026-11-21T19:00:00");
        row("16:00", "2026-11-22T16:00:00");
        row("16:00:30", "2026-11-22T16:00:30");
        row("7:30pm", "2026-11-21T19:30:00");
        row("8am", "2026-11-22T08:00:00");
        row("midnight", "2026-11-22T00:00:00");
        row("noon", "2026-11-22T12:00:00");
        row("teatime", "2026-11-22T16:00:00");
        row("today", "2026-11-21T00:00:00");
        row("tomorrow", "2026-11-22T00:00:00");
        row("2026-12-24", "2026-12-24T00:00:00");
        row("2026-12-24T08:05", "2026-12-24T08:05:00");
        row("2026-12-24T08:05:09", "2026-12-24T08:05:09");
        row("2026-12-24T08:05:09Z", "2026-12-24T09:05:09");
        row("12/24/26", "2026-12-24T00:00:00");
        row("12/24/26-08:00", "2026-12-24T08:00:00");
        row("122426", "2026-12-24T00:00:00");
        for (const char* wrong : {"", "soon", "now+", "now+x", "now-1hour", "now+99999999999weeks",
                                  "25:00", "2026-13-01", "2026-12-24T", "16:00 tomorrow"})
            row(wrong, "nothing");
    }
    void reads_begin_times() {
        QFETCH(QString, text);
        QFETCH(QString, expected);
        const auto now = spool::parse_time("2026-11-21T18:30:00+01:00");
        QVERIFY(now.has_value());
        QCOMPARE(shown(spool::parse_begin(text.toStdString(), *now)), expected);
    }

    void reads_what_a_job_follows() {
        const auto read = spool::parse_after("afterok:12:prep,afterany:13");
        QVERIFY(read.has_value());
        QVERIFY(*read ==
                (AfterJobs{{{After::success, "12"}, {After::success, "prep"}, {After::end, "13"}},
                           false,
                           false}));
        QVERIFY(spool::parse_after("after:1?afternotok:2") ==
                (AfterJobs{{{After::start, "1"}, {After::failure, "2"}}, true, false}));
        for (const char* same :
             {"afterok:12,afterok:prep,afterany:13", "after:1?afternotok:2", "singleton",
              "afterok:3,singleton", "afterok:3?singleton", "aftercorr:3"})
            QCOMPARE(spool::after_text(*spool::parse_after(same)), std::string(same));
        QVERIFY(spool::parse_after("singleton") == (AfterJobs{{}, false, true}));
        QVERIFY(spool::parse_after("singleton,afterok:3")->singleton);
        for (const char* wrong : {"", "12", "afterok", "afterok:", "afterok:1:", "afterwards:1",
                                  "afterok:1,", "afterok:1,afterok:2?afterok:3"})
            QVERIFY2(!spool::parse_after(wrong), wrong);
    }

    void reads_warning_signals() {
        using namespace std::chrono_literals;
        using Warning = spool::WarningSignal;
        QVERIFY(spool::parse_warning_signal("USR1") == (Warning{SIGUSR1, 60s}));
        QVERIFY(spool::parse_warning_signal("B:USR1@300") == (Warning{SIGUSR1, 300s}));
        QVERIFY(spool::parse_warning_signal("R:SIGTERM@0") == (Warning{SIGTERM, 0s}));
        QVERIFY(spool::parse_warning_signal("10@60") == (Warning{10, 60s}));
        for (const char* wrong :
             {"", "@60", "USR9", "0", "65", "USR1@", "USR1@-1", "USR1@70000", "B:"})
            QVERIFY2(!spool::parse_warning_signal(wrong), wrong);
    }
};

QTEST_GUILESS_MAIN(UnitScheduleText)
#include "unit_schedule_text.moc"
