// The counter of job numbers: under contention, lost, and on a disk that fails.
#include <sys/wait.h>
#include <unistd.h>

#include <QtTest>
#include <set>
#include <thread>

#include "libspool/job_file.h"
#include "libspool/journal.h"
#include "libspool/layout.h"
#include "libspool/record_store.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

class UnitCounter : public QObject {
    Q_OBJECT

private slots:
    void numbers_are_given_once() {
        ScratchSpool s;
        QCOMPARE(spool::counter_value(s.spool).value_or(99), std::uint64_t(0));
        QCOMPARE(spool::take_numbers(s.spool, 1, true).value_or(0), std::uint64_t(1));
        QCOMPARE(spool::take_numbers(s.spool, 10, false).value_or(0), std::uint64_t(2));
        QCOMPARE(spool::take_numbers(s.spool, 1, false).value_or(0), std::uint64_t(12));
        QVERIFY(spool::raise_counter(s.spool, 5).has_value());
        QCOMPARE(spool::counter_value(s.spool).value_or(0), std::uint64_t(12));
        QVERIFY(spool::raise_counter(s.spool, 100).has_value());
        QCOMPARE(spool::take_numbers(s.spool, 1, false).value_or(0), std::uint64_t(101));
        QCOMPARE(s.get(s.spool.internal, "seq").size(), std::size_t(8));
    }

    /// A number that was shown is found again in one of four places.
    void a_lost_counter_goes_on_behind_what_is_there_data() {
        QTest::addColumn<QString>("where");
        QTest::addColumn<bool>("raised");  // by a daemon that starts
        for (const char* where : {"submitted", "waiting", "history", "record"})
            for (const bool raised : {false, true})
                QTest::addRow("%s%s", where, raised ? ", daemon" : "") << where << raised;
    }
    void a_lost_counter_goes_on_behind_what_is_there() {
        QFETCH(QString, where);
        QFETCH(bool, raised);
        ScratchSpool s;
        QVERIFY(spool::raise_counter(s.spool, 57).has_value());
        if (where == "submitted") {
            spool::SubmitInfo info;
            info.spool = s.spool.identity;
            info.number = 57;
            info.directory = "/";
            info.submitted_at = "2026-01-02T03:04:05Z";
            s.put(s.spool.incoming, "x.job", *spool::with_submit_info("echo hello\n", info));
        }
        if (where == "waiting")
            s.put(s.spool.internal, "waiting",
                  R"({"n":57,"dev":1,"ino":2,"name":"x.job","at":3})"
                  "\n");
        if (where == "history")
            s.put(s.spool.internal, "history",
                  spool::write_line(spool::HistoryEntry{57, "x", spool::Outcome::succeeded, 0, 1}));
        if (where == "record") {
            spool::RecordPool pool(s.spool);
            auto record = pool.take();
            spool::record::Claim claim{};
            claim.job = 57;
            QVERIFY(spool::write_claim(s.files, *record, claim, {}).has_value());
        }
        QVERIFY(s.files.remove(s.spool.internal.get(), "seq").has_value());
        if (raised) QVERIFY(spool::raise_counter(s.spool, 3).has_value());
        if (raised) QCOMPARE(spool::counter_value(s.spool).value_or(0), std::uint64_t(57));
        QCOMPARE(spool::take_numbers(s.spool, 1, true).value_or(0), std::uint64_t(58));
    }

    void threads_never_get_the_same_number() {
        ScratchSpool s;
        constexpr int threads = 6, turns = 300;
        std::vector<std::vector<std::uint64_t>> taken(threads);
        std::vector<std::thread> running;
        for (auto& numbers : taken)
            running.emplace_back([&] {
                for (int turn = 0; turn < turns; ++turn)
                    if (const auto first = spool::take_numbers(s.spool, 2, false))
                        numbers.insert(numbers.end(), {*first, *first + 1});
            });
        for (std::thread& thread : running)
            thread.join();
        std::set<std::uint64_t> all;
        for (const auto& numbers : taken)
            all.insert(numbers.begin(), numbers.end());
        QCOMPARE(all.size(), std::size_t(2 * threads * turns));
        QCOMPARE(*all.rbegin(), std::uint64_t(2 * threads * turns));
    }

    void processes_never_get_the_same_number() {
        ScratchSpool s;
        constexpr int processes = 4, turns = 200;
        for (int i = 0; i < processes; ++i)
            if (::fork() == 0) {
                auto own = spool::open_spool(s.files, s.spool.path, spool::IfMissing::fail);
                std::string text;
                for (int turn = 0; own && turn < turns; ++turn)
                    text += std::to_string(spool::take_numbers(*own, 1, false).value_or(0)) + "\n";
                s.put(own->temporary, std::to_string(i), text);
                ::_exit(0);
            }
        for (int i = 0; i < processes; ++i)
            QVERIFY(::wait(nullptr) > 0);
        QSet<QString> all;
        for (int i = 0; i < processes; ++i)
            for (const QString& line :
                 QString::fromStdString(s.get(s.spool.temporary, std::to_string(i)))
                     .split('\n', Qt::SkipEmptyParts))
                all.insert(line);
        QCOMPARE(all.size(), processes * turns);
        QVERIFY(!all.contains("0"));
        QCOMPARE(spool::counter_value(s.spool).value_or(0), std::uint64_t(processes * turns));
    }

    /// A failure may skip numbers; it never gives one twice.
    void a_failing_counter_gives_no_number_twice() {
        ScratchSpoolOn<FailingFiles> s;
        std::set<std::uint64_t> given;
        for (int call = 1; call < 8; ++call) {
            s.files.arm(call, EIO);
            if (const auto number = spool::take_numbers(s.spool, 1, true))
                QVERIFY(given.insert(*number).second);
            s.files.disarm();
            const auto number = spool::take_numbers(s.spool, 1, true);
            QVERIFY(number.has_value());
            QVERIFY2(given.insert(*number).second, s.files.failed_call().c_str());
        }
    }
};

QTEST_GUILESS_MAIN(UnitCounter)
#include "unit_counter.moc"
