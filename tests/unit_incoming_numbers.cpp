// Which number a waiting job has, and how long: renamed, saved, linked, removed, submitted, after a
// restart.
#include <fcntl.h>
#include <sys/stat.h>

#include "libspool/claim.h"
#include "tests/incoming_bench.h"

using namespace std::chrono_literals;
using spool::Hint;
using test::hello;
using test::IncomingBench;
using Numbers = std::vector<std::uint64_t>;

class UnitIncomingNumbers : public QObject {
    Q_OBJECT

private slots:
    void a_renamed_job_keeps_its_number_data() {
        QTest::addColumn<QString>("how");  // what is looked at, in order
        QTest::newRow("old name first") << "old new";
        QTest::newRow("new name first") << "new old";
        QTest::newRow("scan") << "scan";
        QTest::newRow("restart") << "restart";
    }
    void a_renamed_job_keeps_its_number() {
        QFETCH(QString, how);
        IncomingBench s;
        const auto number = s.ready("a.job");
        s.move("a.job", "b.job");
        if (how == "restart") s.restart();
        if (how == "restart" || how == "scan") s.scan();
        for (const QString& which : how.split(' '))
            if (which == "old" || which == "new")
                s.incoming->look(which == "old" ? "a.job" : "b.job", Hint::none);
        s.pass(2s);
        s.pass(2s);
        const auto changes = s.changes();
        QCOMPARE(changes.ready, Numbers{number});
        QVERIFY(changes.withdrawn.empty());
        QCOMPARE(s.job("b.job").number, number);
        QCOMPARE(s.incoming->jobs().size(), std::size_t(1));
    }

    void a_job_saved_by_rename_keeps_its_number() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.put(s.spool.temporary, "new", "echo new\n");
        QCOMPARE(::rename((s.spool.path + "/.spool/tmp/new").c_str(), s.path("x.job").c_str()), 0);
        s.incoming->look("x.job", Hint::renamed);
        s.pass(2ms);
        const auto changes = s.changes();
        QCOMPARE(changes.unready, Numbers{number});
        QCOMPARE(changes.ready, Numbers{number});
        QCOMPARE(s.job("x.job").command, std::string("echo new"));
    }

    /// An inode that a waiting job had before it was saved by rename is not that job any more.
    void an_earlier_inode_of_a_job_is_another_job() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        const std::string kept = s.spool.path + "/done/kept";
        QCOMPARE(::link(s.path("x.job").c_str(), kept.c_str()), 0);
        s.put(s.spool.temporary, "new", "echo new\n");
        QCOMPARE(::rename((s.spool.path + "/.spool/tmp/new").c_str(), s.path("x.job").c_str()), 0);
        s.incoming->look("x.job", Hint::none);
        s.remove("x.job");
        QCOMPARE(::rename(kept.c_str(), s.path("y.job").c_str()), 0);
        s.incoming->look("x.job", Hint::none);
        s.incoming->look("y.job", Hint::none);
        s.pass(1s);
        const auto changes = s.changes();
        QCOMPARE(changes.withdrawn.size(), std::size_t(1));
        QCOMPARE(changes.withdrawn[0].number, number);
        QVERIFY(s.job("y.job").number != number);
    }

    void a_hard_link_is_a_second_job() {
        IncomingBench s;
        const auto first = s.ready("a.job");
        QCOMPARE(::link(s.path("a.job").c_str(), s.path("b.job").c_str()), 0);
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("a.job").number, first);
        QCOMPARE(s.job("b.job").number, first + 1);
    }

    void a_removed_job_is_withdrawn_after_a_second() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.incoming->look("x.job", Hint::none);
        QCOMPARE(s.changes().unready, Numbers{number});
        s.pass(999ms);
        QVERIFY(s.changes().withdrawn.empty());
        s.pass(1ms);
        const auto changes = s.changes();
        QCOMPARE(changes.withdrawn.size(), std::size_t(1));
        QCOMPARE(changes.withdrawn[0].number, number);
        QCOMPARE(changes.withdrawn[0].file_name, std::string("x.job"));
        QVERIFY(s.changes().withdrawn.empty());
        s.incoming->forget(number);
        QVERIFY(!s.incoming->find(number));
    }

    /// A full disk may refuse the result: the job must not be forgotten over that.
    void a_withdrawal_that_could_not_be_written_comes_again() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.incoming->look("x.job", Hint::none);
        s.pass(1s);
        QCOMPARE(s.changes().withdrawn.size(), std::size_t(1));
        s.incoming->settle_again(number, spool::WaitReason::Kind::trouble);
        s.pass(100ms);
        QVERIFY(s.changes().withdrawn.empty());
        s.pass(1s);
        const auto again = s.changes();
        QCOMPARE(again.withdrawn.size(), std::size_t(1));
        QCOMPARE(again.withdrawn[0].number, number);
    }

    /// Its withdrawal was noted, and no pass has taken note of it yet.
    void a_job_that_reappears_at_the_last_moment_keeps_its_number() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.scan();
        s.pass(1s);
        s.drop("x.job", "echo again\n");
        s.pass(100ms);
        const auto changes = s.changes();
        QVERIFY(changes.withdrawn.empty());
        QCOMPARE(changes.ready, Numbers{number});
    }

    /// The kernel gives the inode of a removed file to the next new one.
    void a_new_file_with_the_inode_of_a_removed_one_is_another_job() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.put(s.spool.incoming, "y.job", hello);
        s.files.lent_inode = {"y.job", s.job("x.job").stat.inode};
        s.incoming->look("x.job", Hint::none);
        s.incoming->look("y.job", Hint::none);
        if (s.job("x.job").stat.born == 0) QSKIP("this file system keeps no time of birth");
        s.pass(1s);
        const auto changes = s.changes();
        QCOMPARE(changes.withdrawn.size(), std::size_t(1));
        QCOMPARE(changes.withdrawn[0].number, number);
        QVERIFY(s.job("y.job").number != number);
    }

    void a_job_that_reappears_in_time_keeps_its_number() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.scan();
        s.pass(900ms);
        s.drop("x.job", "echo again\n");
        s.pass(100ms);
        const auto changes = s.changes();
        QVERIFY(changes.withdrawn.empty());
        QCOMPARE(changes.ready, Numbers{number});
    }

    /// On a busy machine the time of a job that was not seen yet may be over before the scan, or
    /// the event, that shows its file.
    void a_job_that_was_not_looked_for_yet_is_not_withdrawn_data() {
        QTest::addColumn<QString>("name");
        QTest::newRow("under its name") << "x.job";
        QTest::newRow("under another name") << "y.job";
    }
    void a_job_that_was_not_looked_for_yet_is_not_withdrawn() {
        QFETCH(QString, name);
        IncomingBench s;
        const auto number = s.ready("x.job");
        if (name != "x.job") s.move("x.job", name.toStdString());
        s.restart();
        s.pass(10s);
        s.pass(1s);
        const auto changes = s.changes();
        QVERIFY(changes.withdrawn.empty());
        QCOMPARE(changes.ready, Numbers{number});
        QCOMPARE(s.incoming->find(number)->file_name, name.toStdString());
    }

    void a_job_that_cannot_be_looked_for_is_not_withdrawn() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.incoming->look("x.job", Hint::none);
        for (const int call : {1, 3}) {  // the list, and the last look at the name
            s.files.arm(call, EIO);
            s.pass(2s);
            QVERIFY(s.files.failed() && s.changes().withdrawn.empty());
            s.files.disarm();
        }
        s.pass(2s);
        QCOMPARE(s.changes().withdrawn.size(), std::size_t(1));
        QVERIFY(s.incoming->find(number) != nullptr);
    }

    void a_job_gone_while_no_daemon_ran_is_withdrawn() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        const auto stays = s.ready("y.job");
        s.remove("x.job");
        s.restart();
        s.scan();
        s.pass(1s);
        const auto changes = s.changes();
        QCOMPARE(changes.withdrawn.size(), std::size_t(1));
        QCOMPARE(changes.withdrawn[0].number, number);
        QCOMPARE(changes.ready, Numbers{stays});
    }

    void a_submitted_number_counts_if_it_is_its_own_data() {
        QTest::addColumn<QString>("case_");
        QTest::addColumn<std::uint64_t>("number");  // the counter is at 10
        QTest::newRow("given by this spool") << "own" << std::uint64_t(7);
        QTest::newRow("of another spool") << "foreign" << std::uint64_t(11);
        QTest::newRow("used") << "used" << std::uint64_t(11);
        QTest::newRow("above the counter") << "above" << std::uint64_t(11);
        QTest::newRow("of another waiting job") << "twice" << std::uint64_t(11);
        QTest::newRow("zero") << "zero" << std::uint64_t(11);
    }
    void a_submitted_number_counts_if_it_is_its_own() {
        QFETCH(QString, case_);
        QFETCH(std::uint64_t, number);
        IncomingBench s;
        QVERIFY(spool::take_numbers(s.spool, 10, false).has_value());
        if (case_ == "used") s.used.insert(7);
        if (case_ == "twice") QCOMPARE(s.ready("a.job", s.submitted(7, s.spool.identity)), 7u);
        const std::uint64_t wanted = case_ == "above" ? 700 : case_ == "zero" ? 0 : 7;
        const std::string identity = case_ == "foreign" ? std::string(32, 'f') : s.spool.identity;
        QCOMPARE(s.ready("x.job", s.submitted(wanted, identity)), number);
        s.restart();
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("x.job").number, number);
    }

    void bare_files_are_numbered_by_change_time_then_name() {
        IncomingBench s;
        for (const char* name : {"c.job", "a.job", "b.job"}) {
            s.put(s.spool.incoming, name, hello);
            // The next one must have a later ctime, whatever the clock's granularity.
            const auto first = s.files.stat_at(s.spool.incoming.get(), name)->changed;
            QTRY_VERIFY((s.put(s.spool.temporary, "probe", "x"),
                         s.files.stat_at(s.spool.temporary.get(), "probe")->changed > first));
        }
        s.scan();
        s.pass(100ms);
        QCOMPARE(s.changes().ready, (Numbers{1, 2, 3}));
        QCOMPARE(s.job("c.job").number, 1u);
        QCOMPARE(s.job("a.job").number, 2u);
        QCOMPARE(s.job("b.job").number, 3u);
    }

    void names_decide_between_equal_change_times() {
        IncomingBench s;
        s.put(s.spool.incoming, "b.job", hello);
        QCOMPARE(::link(s.path("b.job").c_str(), s.path("a.job").c_str()), 0);  // one ctime
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("a.job").number, 1u);
        QCOMPARE(s.job("b.job").number, 2u);
    }

    void numbers_outlive_a_restart() {
        IncomingBench s;
        const auto x = s.ready("x.job");
        const auto y = s.ready("y\xff.job");  // a name is bytes
        s.restart();
        QCOMPARE(s.incoming->find(x)->file_name, std::string("x.job"));
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("x.job").number, x);
        QCOMPARE(s.job("y\xff.job").number, y);
        s.used.insert(x);  // ended meanwhile: a moved-back file is a new job
        s.restart();
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("x.job").number, y + 1);
    }

    /// No space for the line in .spool/waiting: the number is not shown before it is there.
    void a_number_that_could_not_be_written_down_is_not_shown() {
        for (int call = 1;; ++call) {
            IncomingBench s;
            s.drop("x.job");
            s.pass(100ms);
            s.files.arm(call, ENOSPC);
            const auto failing = s.incoming->take_changes();
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) {
                QVERIFY(failing.has_value());
                QVERIFY(call > 3);
                break;
            }
            Numbers ready = failing ? failing->ready : Numbers{};
            if (!failing) ready = s.changes().ready;
            QCOMPARE(ready.size(), std::size_t(1));
            s.restart();
            QVERIFY2(s.incoming->find(ready[0]),
                     qPrintable("no line after call " + QString::number(call)));
        }
    }
};

QTEST_GUILESS_MAIN(UnitIncomingNumbers)
#include "unit_incoming_numbers.moc"
