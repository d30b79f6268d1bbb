// The rules for names: what is a job, what is left alone, what is unique, what is harmless to show.
#include <QtTest>
#include <set>

#include "libspool/names.h"
#include "libspool/utf8.h"

using std::string_literals::operator""s;

class UnitNames : public QObject {
    Q_OBJECT
private slots:
    void classifies_data() {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<int>("expected");
        const auto rows = [](spool::NameClass expected, std::initializer_list<const char*> names) {
            for (const char* name : names)
                QTest::newRow(name) << QByteArray(name) << int(expected);
        };
        rows(spool::NameClass::job, {"x.job", "x.sh", "x.sbatch", "x.slurm", "a b.job", "x.tmp.job",
                                     "sedAbC12.job", "4913.job", "x~2.job", "-rf.job", "$(x).job",
                                     "\xff\xfe.job", "x.job.sh", "#x.job", "x.part.sh"});
        rows(spool::NameClass::temporary, {".x.job",
                                           ".job",
                                           ".x.job.swp",
                                           ".x.job.swo",
                                           ".#x.job",
                                           "#x.job#",
                                           "x.job~",
                                           "x.job.~1~",
                                           "4913",
                                           "5036",
                                           "5159",
                                           "x.job.tmp",
                                           "x.job.swp",
                                           ".x.job.kate-swp",
                                           "sedAbC123",
                                           ".x.job.AbC123",
                                           "x.job.AbC123",
                                           "x.sh.Zz09aa",
                                           "x.job.filepart",
                                           "x.job.part",
                                           "AbC12345.job.part",
                                           "x.job.crdownload",
                                           "Unconfirmed 12345.crdownload",
                                           ".goutputstream-8H3QZ1",
                                           ".~lock.x.job#",
                                           ".syncthing.x.job.tmp",
                                           "~syncthing~x.job.tmp",
                                           "~syncthing~x.job",
                                           "x.job.bak",
                                           "x.job.save",
                                           "x.job.save.1",
                                           "x.job.orig",
                                           "x.job.partial",
                                           "X.JOB.TMP",
                                           ".nfs000001",
                                           "x.job___jb_tmp___",
                                           "~$x.job",
                                           "x.job.download",
                                           ""});
        rows(spool::NameClass::other,
             {"notes.txt", "x", "x.py", "x.jobs", "x.job.txt", "12", "4914", "sedAbC12",
              "sedAbC1234", "x.JOB", "x.job.AbC12", "x.sync-conflict-20261121-093000-ABCDEFG.job",
              "x (anna's conflicted copy 2026-11-21).job"});
    }
    void classifies() {
        QFETCH(QByteArray, name);
        QFETCH(int, expected);
        QCOMPARE(int(spool::classify_name(name.toStdString())), expected);
        QCOMPARE(spool::split_job_name(name.toStdString()).has_value(),
                 expected == int(spool::NameClass::job));
    }

    void a_copy_is_ignored_for_what_it_is() {
        QVERIFY(spool::why_ignored("notes.txt").find("does not end in .job") != std::string::npos);
        const std::string why = spool::why_ignored("x.job.sync-conflict-20261121-093000-AB.job");
        QVERIFY2(why.find("two machines") != std::string::npos, why.c_str());
    }

    void marks_of_editors_are_temporary_themselves() {
        for (const std::string& mark : spool::editor_marks("x.job"))
            QCOMPARE(spool::classify_name(mark), spool::NameClass::temporary);
        const auto marks = spool::editor_marks("x.job");
        const std::set<std::string> found(marks.begin(), marks.end());
        for (const char* mark : {".x.job.swp", ".#x.job", ".x.job.kate-swp"})
            QVERIFY2(found.count(mark) == 1, mark);
    }

    void splits() {
        const auto split = spool::split_job_name("a.sh.job");
        QVERIFY(split);
        QCOMPARE(split->stem, "a.sh"s);
        QCOMPARE(split->extension, ".job"s);
    }

    void candidates_fit_and_differ() {
        const std::string accents = [] {
            std::string out;
            for (int i = 0; i < 125; ++i)
                out += "é";
            return out;  // 250 bytes
        }();
        QCOMPARE(spool::candidate_name("x", 1), "x"s);
        QCOMPARE(spool::candidate_name("x", 2), "x~2"s);
        QCOMPARE(spool::candidate_name("x~2", 2), "x~2~2"s);
        std::set<std::string> seen;
        for (int n : {1, 2, 9, 10, 100, 12345}) {
            const std::string candidate = spool::candidate_name(accents, n);
            QVERIFY(candidate.size() + std::string(".sbatch").size() <= 255);
            QVERIFY(spool::is_utf8(candidate));
            QVERIFY(seen.insert(candidate).second);
        }
        QCOMPARE(spool::candidate_name(std::string(251, '\x80'), 1).size(), std::size_t{248});
    }

    void takes_the_first_free_candidate() {
        const std::set<std::string> taken{"x", "x~2", "x~4"};
        const auto is_taken = [&](const std::string& name) { return taken.count(name) == 1; };
        QCOMPARE(spool::unique_name("x", is_taken), "x~3"s);
        QCOMPARE(spool::unique_name("y", is_taken), "y"s);
    }

    void shows_nothing_harmful_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QByteArray>("shown");
        const auto row = [](const char* what, const QByteArray& bytes, const char* shown) {
            QTest::newRow(what) << bytes << QByteArray(shown);
        };
        row("plain", "x <b>é\\", "x <b>é\\");
        row("escape", "\x1b[31m", "\\x1B[31m");
        row("line feed", "a\nb\t", "a\\x0Ab\\x09");
        row("NUL", QByteArray("a\0b", 3), "a\\x00b");
        row("delete", "\x7f", "\\x7F");
        row("C1 as UTF-8", "\xc2\x9b", "\\xC2\\x9B");
        row("C1 as a byte", "\x9b", "\\x9B");
        row("right-to-left override", "\xe2\x80\xae", "\\xE2\\x80\\xAE");
        row("isolate", "\xe2\x81\xa6", "\\xE2\\x81\\xA6");
        row("cut character", "\xe2\x82", "\\xE2\\x82");
        row("overlong", "\xc0\xaf", "\\xC0\\xAF");
        row("surrogate", "\xed\xa0\x80", "\\xED\\xA0\\x80");
        row("above Unicode", "\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80");
        row("emoji", "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d");
    }
    void shows_nothing_harmful() {
        QFETCH(QByteArray, bytes);
        QFETCH(QByteArray, shown);
        QCOMPARE(QByteArray::fromStdString(spool::printable(bytes.toStdString())), shown);
    }

    void json_text_is_reversible() {
        QCOMPARE(spool::to_json_text("a\xff\\n"), "a\\xFF\\\\n"s);
        QCOMPARE(spool::from_json_text("\\q\\x4\\xZZ\\"), "\\q\\x4\\xZZ\\"s);
        std::uint32_t random = 1;
        for (int round = 0; round < 5000; ++round) {
            std::string bytes;
            for (int i = 0; i < 12; ++i) {
                random = random * 1664525 + 1013904223;
                const char interesting[] = "\\xX4fF\xc3\xa9\xe2\x82\n";
                bytes += random >> 31 ? static_cast<char>(random >> 20)
                                      : interesting[(random >> 16) % (sizeof interesting)];
            }
            const std::string text = spool::to_json_text(bytes);
            QVERIFY(spool::is_utf8(text));
            QCOMPARE(spool::from_json_text(text), bytes);
        }
    }

    void cuts_between_characters() {
        QCOMPARE(spool::cut_utf8("aé", 2), std::string_view("a"));
        QCOMPARE(spool::cut_utf8("aé", 3), std::string_view("aé"));
        QCOMPARE(spool::cut_utf8("\xf0\x9f\x90\x8d", 3), std::string_view(""));
        QCOMPARE(spool::cut_utf8("abc", 0), std::string_view(""));
        QCOMPARE(spool::cut_utf8("\x80\x80\x80", 2), std::string_view("\x80\x80"));
    }
};

QTEST_GUILESS_MAIN(UnitNames)
#include "unit_names.moc"
