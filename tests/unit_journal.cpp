// The two append-only files: what is written is read, what is torn or damaged is passed over.
#include <QtTest>

#include "libspool/journal.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

using spool::HistoryEntry;
using spool::Journal;
using spool::Outcome;
using spool::WaitingEntry;
using Lines = std::vector<std::string>;

namespace {

struct Scratch : ScratchSpoolOn<FailingFiles> {
    Lines lines;
    /// Opens the journal "waiting" and keeps what was read in `lines`.
    Journal open() {
        lines.clear();
        auto journal = Journal::open(spool, "waiting", lines);
        if (!journal) qFatal("%s", journal.error().text().c_str());
        return std::move(*journal);
    }
    std::string content() { return get(spool.internal, "waiting"); }
    void write_content(const std::string& bytes) {
        if (!spool::write_atomically(spool, spool.internal.get(), "waiting", bytes, false))
            qFatal("write");
    }
    void write_result(const std::string& name, std::uint64_t id, std::int64_t ended_at) {
        spool::JobResult result;
        result.id = id;
        result.name = name;
        result.state = Outcome::failed;
        result.exit_code = 3;
        result.ended_at = ended_at;
        put(spool.done, name + ".json", spool::write_result(result));
    }
};

}  // namespace

class UnitJournal : public QObject {
    Q_OBJECT

private slots:
    void what_a_full_disk_refused_is_written_later() {
        Scratch s;
        Journal journal = s.open();
        QVERIFY(journal.append_or_keep("one\n"));
        for (const char* line : {"two\n", "three\n"}) {
            s.files.arm(1, ENOSPC);
            QVERIFY(!journal.append_or_keep(line));
            s.files.disarm();
        }
        QCOMPARE(s.content(), std::string("one\n"));
        QVERIFY(journal.append_or_keep({}));
        QVERIFY(journal.append_or_keep("four\n"));
        QCOMPARE(s.content(), std::string("one\ntwo\nthree\nfour\n"));
    }

    void a_waiting_entry_is_read_as_written_data() {
        QTest::addColumn<QByteArray>("name");
        QTest::newRow("plain") << QByteArray("x.job");
        QTest::newRow("line feed") << QByteArray("a\nb.job");
        QTest::newRow("quotes and backslash") << QByteArray("a\"\\x41.job");
        QTest::newRow("not UTF-8") << QByteArray("\xff\xfe.job");
        QTest::newRow("UTF-8") << QByteArray("größe.job");
    }
    void a_waiting_entry_is_read_as_written() {
        QFETCH(QByteArray, name);
        const WaitingEntry entry{~0ull, 2049, 7, name.toStdString(), -5};
        const std::string line = spool::write_line(entry);
        QCOMPARE(std::count(line.begin(), line.end(), '\n'), std::ptrdiff_t(1));
        QVERIFY(line.ends_with('\n'));
        const auto read = spool::read_waiting_entry(line);
        QVERIFY(read.has_value());
        QCOMPARE(read->number, entry.number);
        QCOMPARE(read->device, entry.device);
        QCOMPARE(read->inode, entry.inode);
        QCOMPARE(read->file_name, entry.file_name);
        QCOMPARE(read->submitted_at, entry.submitted_at);
    }

    void a_history_entry_is_read_as_written() {
        for (const auto code : {std::optional<int>(), std::optional(0), std::optional(255)}) {
            const HistoryEntry entry{42, "x~2\xff", Outcome::timeout, code, 1'700'000'000};
            const auto read = spool::read_history_entry(spool::write_line(entry));
            QVERIFY(read.has_value());
            QCOMPARE(read->number, entry.number);
            QCOMPARE(read->name, entry.name);
            QVERIFY(read->state == entry.state);
            QCOMPARE(read->exit_code, code);
            QCOMPARE(read->ended_at, entry.ended_at);
        }
    }

    void a_damaged_line_is_passed_over_data() {
        QTest::addColumn<QByteArray>("line");
        for (const char* line :
             {"", "{", "null", "[]", "{}", "42", R"({"n":1})", R"({"n":"1","dev":1,"ino":1})",
              R"({"n":-1.5,"dev":{},"ino":1,"name":"x","at":1,"ended_at":1,"state":"failed"})",
              R"({"n":1,"dev":1,"ino":1,"name":7,"at":1,"ended_at":1,"state":"failed"})",
              R"({"n":1,"name":"x","state":"dreaming","ended_at":1,"exit_code":null})", "\xff\xfe",
              R"({"n":1,"dev":1,"ino":1,"name":"x","at":1)"})
            QTest::newRow(line) << QByteArray(line);
    }
    void a_damaged_line_is_passed_over() {
        QFETCH(QByteArray, line);
        QVERIFY(!spool::read_waiting_entry(line.toStdString()));
        QVERIFY(!spool::read_history_entry(line.toStdString()));
    }

    void only_whole_lines_are_read_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<int>("lines");
        QTest::newRow("nothing") << QByteArray() << 0;
        QTest::newRow("one") << QByteArray("a\n") << 1;
        QTest::newRow("torn") << QByteArray("a\nb\ncc") << 2;
        QTest::newRow("only a torn one") << QByteArray("cc") << 0;
    }
    void only_whole_lines_are_read() {
        QFETCH(QByteArray, bytes);
        QFETCH(int, lines);
        Scratch s;
        s.write_content(bytes.toStdString());
        Journal journal = s.open();
        QCOMPARE(s.lines.size(), std::size_t(lines));
        QVERIFY(journal.append("next\n").has_value());
        (void)s.open();
        QCOMPARE(s.lines.size(), std::size_t(lines) + 1);
        QCOMPARE(s.lines.back(), std::string("next"));
    }

    void rewriting_replaces_and_goes_on() {
        Scratch s;
        Journal journal = s.open();
        QVERIFY(journal.append("a\nb\n").has_value());
        QVERIFY(journal.rewrite("c\n").has_value());
        QCOMPARE(s.content(), std::string("c\n"));
        QCOMPARE(journal.size(), std::uint64_t(2));
        QVERIFY(journal.append("d\n").has_value());
        QCOMPARE(s.content(), std::string("c\nd\n"));
        QCOMPARE(s.count(s.spool.temporary), std::size_t(0));
    }

    void a_failed_append_leaves_no_half_line() {
        Scratch s;
        Journal journal = s.open();
        QVERIFY(journal.append("first\n").has_value());
        s.files.arm(1, ENOSPC);
        const auto failed = journal.append("second line\n");
        s.files.disarm();
        QVERIFY(!failed.has_value());
        QCOMPARE(failed.error().code, ENOSPC);
        QCOMPARE(s.content(), std::string("first\n"));
        QVERIFY(journal.append("third\n").has_value());
        QCOMPARE(s.content(), std::string("first\nthird\n"));
    }

    void a_failed_rewrite_loses_nothing() {
        for (int call = 1;; ++call) {
            Scratch s;
            Journal journal = s.open();
            QVERIFY(journal.append("old\n").has_value());
            s.files.arm(call, EIO);
            const auto written = journal.rewrite("new\n");
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) break;
            QVERIFY(!written.has_value());
            QVERIFY(s.content() == "old\n" || s.content() == "new\n");
            QVERIFY2(s.count(s.spool.temporary) == 0, s.files.failed_call().c_str());
            QVERIFY(journal.rewrite("new\n").has_value());
            QVERIFY(journal.append("more\n").has_value());
            QCOMPARE(s.content(), std::string("new\nmore\n"));
            QVERIFY(call < 20);
        }
    }

    void history_is_loaded() {
        Scratch s;
        const HistoryEntry a{1, "a", Outcome::succeeded, 0, 10}, b{2, "b", Outcome::lost, {}, 20};
        s.put(s.spool.internal, "history",
              spool::write_line(a) + "rubbish\n" + spool::write_line(b) + "{\"n\":3");
        s.write_result("c", 3, 30);  // not looked at while there is a history
        std::optional<Journal> journal;
        const auto entries = spool::load_history(s.spool, journal);
        QVERIFY(entries && journal);
        QCOMPARE(entries->size(), std::size_t(2));
        QCOMPARE((*entries)[0].name, std::string("a"));
        QCOMPARE((*entries)[1].number, std::uint64_t(2));
    }

    void a_missing_history_is_rebuilt_from_the_results() {
        Scratch s;
        s.write_result("late", 1, 300);
        s.write_result("early", 2, 100);
        s.write_result("unnumbered", 0, 50);
        s.put(s.spool.done, "broken.json", "{");
        s.put(s.spool.done, "early.log", "output");
        s.put(s.spool.done, ".json", "{}");
        QVERIFY(s.files.make_directory(s.spool.done.get(), "dir.json").has_value());
        for (int time = 0; time < 2; ++time) {
            std::optional<Journal> journal;
            const auto entries = spool::load_history(s.spool, journal);
            QVERIFY(entries && journal);
            QCOMPARE(entries->size(), std::size_t(2));
            QCOMPARE((*entries)[0].name, std::string("early"));
            QCOMPARE((*entries)[1].name, std::string("late"));
            QCOMPARE((*entries)[1].exit_code, std::optional(3));
            QVERIFY(journal->size() > 0);
            QVERIFY(s.has(s.spool.internal, "history"));
        }
    }

    /// Whatever fails, a later attempt sees every result.
    void a_history_is_rebuilt_after_a_failure() {
        for (int call = 1;; ++call) {
            Scratch s;
            s.write_result("x", 7, 100);
            std::optional<Journal> journal;
            s.files.arm(call, EIO);
            const auto failing = spool::load_history(s.spool, journal);
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) {
                QVERIFY(call > 5);
                break;
            }
            if (failing && failing->size() == 1) continue;
            QVERIFY2(!failing.has_value(), ("empty after " + s.files.failed_call()).c_str());
            journal.reset();
            const auto entries = spool::load_history(s.spool, journal);
            QVERIFY(entries.has_value());
            QVERIFY2(entries->size() == 1, ("lost after " + s.files.failed_call()).c_str());
        }
    }
};

QTEST_GUILESS_MAIN(UnitJournal)
#include "unit_journal.moc"
