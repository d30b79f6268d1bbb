// The waiting jobs: settling, readiness, rejection, and what a scan finds.
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/incoming_bench.h"

using namespace std::chrono_literals;
using spool::Hint;
using spool::WaitingJob;
using spool::WaitReason;
using test::hello;
using test::IncomingBench;
using Phase = WaitingJob::Phase;
using Numbers = std::vector<std::uint64_t>;

Q_DECLARE_METATYPE(Phase)
Q_DECLARE_METATYPE(WaitReason::Kind)

class UnitIncoming : public QObject {
    Q_OBJECT

private slots:
    void a_file_is_ready_when_it_has_been_quiet() {
        IncomingBench s;
        s.drop("x.job");
        s.pass(99ms);
        QVERIFY(s.job("x.job").phase == Phase::settling);
        QVERIFY(s.changes().ready.empty());
        QVERIFY(s.incoming->next_deadline() == s.clock.monotonic() + 1ms);
        s.pass(1ms);
        QVERIFY(s.job("x.job").phase == Phase::ready);
        const auto changes = s.changes();
        QCOMPARE(changes.ready, Numbers{1});
        QVERIFY(changes.numbered);
        QVERIFY(!s.incoming->next_deadline());
        QVERIFY(s.changes().ready.empty());
        const WaitingJob* job = s.incoming->find(1);
        QVERIFY(job && job->file_name == "x.job" && job->command == "echo hello" && job->bare);
    }

    void a_change_starts_the_settling_again() {
        IncomingBench s;
        s.drop("x.job");
        s.pass(99ms);
        s.put(s.spool.incoming, "x.job", "echo hello; echo more\n");
        s.pass(1ms);  // nobody told: it is found when the time is over
        QVERIFY(s.job("x.job").phase == Phase::settling);
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{1});
    }

    void settling_is_waived_for_what_arrived_whole_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<bool>("waived");
        QTest::newRow("content") << QByteArray("echo a\n") << true;
        QTest::newRow("nothing in it") << QByteArray() << false;
    }
    void settling_is_waived_for_what_arrived_whole() {
        QFETCH(QByteArray, bytes);
        QFETCH(bool, waived);
        IncomingBench s;
        s.put(s.spool.incoming, "x.job", bytes.toStdString());
        s.incoming->look("x.job", Hint::renamed);
        s.pass(2ms);
        QCOMPARE(s.job("x.job").phase == Phase::ready, waived);
        QCOMPARE(s.changes().ready.size(), waived ? 1u : 0u);
    }

    void editing_a_ready_job_takes_it_back() {
        IncomingBench s;
        const auto number = s.ready("x.job", "#SPOOL --priority=1\necho a\n");
        QCOMPARE(s.job("x.job").terms.priority, 1);
        s.drop("x.job", "#SPOOL --priority=2 --gpus=3\necho b; echo c\n");
        QCOMPARE(s.changes().unready, Numbers{number});
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{number});
        QCOMPARE(s.job("x.job").terms.priority, 2);
        QCOMPARE(s.job("x.job").terms.need.gpus, std::optional(3));
    }

    void a_file_that_is_not_ready_says_why_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("mark");
        QTest::addColumn<WaitReason::Kind>("kind");
        using Kind = WaitReason::Kind;
        QTest::newRow("empty") << QByteArray() << "" << Kind::no_command;
        QTest::newRow("comment only")
            << QByteArray("#!/bin/sh\n# later\n") << "" << Kind::no_command;
        QTest::newRow("vim") << QByteArray("echo\n") << ".x.job.swp" << Kind::editor;
        QTest::newRow("emacs") << QByteArray("echo\n") << ".#x.job" << Kind::editor;
        QTest::newRow("kate") << QByteArray("echo\n") << ".x.job.kate-swp" << Kind::editor;
        QTest::newRow("profile") << QByteArray("#SPOOL --profile=far\necho\n") << ""
                                 << Kind::profile;
    }
    void a_file_that_is_not_ready_says_why() {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, mark);
        QFETCH(WaitReason::Kind, kind);
        IncomingBench s;
        if (!mark.isEmpty()) s.drop(mark.toStdString(), "");
        s.drop("x.job", bytes.toStdString());
        s.pass(100ms);
        QVERIFY(s.job("x.job").phase == Phase::unready);
        QVERIFY(s.job("x.job").reason.kind == kind);
        QVERIFY(s.changes().ready.empty());
        QCOMPARE(s.job("x.job").number, std::uint64_t(1));  // it is shown, so it has a number
        // The remedy.
        if (!mark.isEmpty()) {
            s.remove(mark.toStdString());
            s.incoming->look(mark.toStdString(), Hint::none);
        } else {
            s.drop("x.job", "echo hello world\n");
        }
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{1});
    }

    void an_editor_that_opens_a_ready_job_holds_it() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.drop(".x.job.swp", "");
        QCOMPARE(s.changes().unready, Numbers{number});
        s.pass(100ms);
        QVERIFY(s.job("x.job").reason.kind == WaitReason::Kind::editor);
        QCOMPARE(s.job("x.job").reason.detail, std::string(".x.job.swp"));
        s.remove(".x.job.swp");
        s.scan();  // found without an event too
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{number});
    }

    void rejects_what_can_never_be_a_job_data() {
        QTest::addColumn<QString>("what");
        QTest::addColumn<int>("line");
        for (const char* what : {"symlink", "directory", "fifo", "large"})
            QTest::newRow(what) << what << 0;
        QTest::newRow("bad directive") << "#SPOOL --gpus=many\necho\n" << 1;
        QTest::newRow("unknown key") << "#!/bin/sh\n#SPOOL --gpsu=1\necho\n" << 2;
        QTest::newRow("DOS line ends") << "echo\r\n" << 1;
    }
    void rejects_what_can_never_be_a_job() {
        QFETCH(QString, what);
        QFETCH(int, line);
        IncomingBench s;
        const std::string path = s.path("x.job");
        if (what == "symlink")
            QCOMPARE(::symlink("/etc/passwd", path.c_str()), 0);
        else if (what == "directory")
            QCOMPARE(::mkdir(path.c_str(), 0700), 0);
        else if (what == "fifo")
            QCOMPARE(::mkfifo(path.c_str(), 0600), 0);
        else
            s.put(s.spool.incoming, "x.job", what.toStdString());
        if (what == "large") QCOMPARE(::truncate(path.c_str(), (4 << 20) + 1), 0);
        s.incoming->look("x.job", Hint::renamed);
        s.pass(100ms);
        const auto changes = s.changes();
        QVERIFY(changes.ready.empty());
        QCOMPARE(changes.rejected.size(), std::size_t(1));
        QCOMPARE(changes.rejected[0].file_name, std::string("x.job"));
        QCOMPARE(changes.rejected[0].number, 1u);
        QCOMPARE(changes.rejected[0].error.line.value_or(0), line);
        QVERIFY(changes.rejected[0].error.text().starts_with("incoming/x.job"));
        s.scan();
        s.pass(1s);
        QVERIFY(s.changes().rejected.empty());  // once
        s.incoming->forget(1);
        QVERIFY(s.incoming->jobs().empty());
    }

    void a_file_of_an_active_job_waits_for_its_end() {
        IncomingBench s;
        s.put(s.spool.incoming, "x.job", hello);
        s.active_inode = s.files.stat_at(s.spool.incoming.get(), "x.job")->inode;
        s.incoming->look("x.job", Hint::renamed);
        s.pass(10s);
        QVERIFY(s.job("x.job").reason.kind == WaitReason::Kind::previous_run ||
                s.job("x.job").phase == Phase::settling);
        QVERIFY(s.changes().ready.empty());
        s.active_inode = 0;
        s.pass(1s);
        s.pass(1s);
        QCOMPARE(s.changes().ready.size(), std::size_t(1));
    }

    void a_refused_claim_settles_again() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        s.incoming->settle_again(number, WaitReason::Kind::open);
        QCOMPARE(s.changes().unready, Numbers{number});
        QVERIFY(s.job("x.job").reason.kind == WaitReason::Kind::open);
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{number});
    }

    void other_names_are_ignored_and_listed() {
        IncomingBench s;
        for (const char* name : {"notes.txt", "Makefile", ".hidden", "x.job~", "#x.job#", "a.part"})
            s.put(s.spool.incoming, name, hello);
        s.scan();
        QVERIFY(s.incoming->jobs().empty());
        QCOMPARE(s.incoming->ignored(), (std::set<std::string>{"notes.txt", "Makefile"}));
        s.remove("notes.txt");
        s.scan();
        QCOMPARE(s.incoming->ignored(), std::set<std::string>{"Makefile"});
    }

    /// Not seen is not gone.
    void a_name_that_cannot_be_examined_keeps_its_state() {
        IncomingBench s;
        const auto number = s.ready("x.job");
        for (const int code : {EIO, EACCES, ESTALE}) {
            s.files.arm(1, code);
            s.incoming->look("x.job", Hint::none);
            QVERIFY(s.files.failed());
            s.files.disarm();
            s.pass(2s);
        }
        s.files.arm(1, EIO);
        QVERIFY(!s.incoming->begin_scan());
        s.files.disarm();
        const auto changes = s.changes();
        QVERIFY(changes.withdrawn.empty() && changes.unready.empty());
        QVERIFY(s.incoming->find(number)->phase == Phase::ready);
    }

    /// The same events, told one by one or found by scans, end in the same state.
    void a_scan_finds_what_single_looks_find() {
        IncomingBench looks, scans;
        const std::vector<std::pair<std::string, std::string>> files = {
            {"a.job", hello},
            {"b.sh", ""},
            {"c.job", "#SPOOL --bad\n:\n"},
            {".d.job.swp", ""},
            {"d.job", hello},
            {"e.txt", "x"},
            {"f.job", "#SPOOL --priority=4\necho f\n"}};
        for (const auto& [name, bytes] : files) {
            looks.drop(name, bytes);
            scans.put(scans.spool.incoming, name, bytes);
        }
        scans.scan();
        const auto settle = [&] {
            for (IncomingBench* s : {&looks, &scans}) {
                s->pass(100ms);
                s->pass(1s);
            }
            const auto a = looks.changes(), b = scans.changes();
            return a.ready.size() == b.ready.size() && a.unready.size() == b.unready.size() &&
                   a.rejected.size() == b.rejected.size() &&
                   a.withdrawn.size() == b.withdrawn.size();
        };
        QVERIFY(settle());
        for (IncomingBench* s : {&looks, &scans}) {
            s->remove("a.job");
            s->move("f.job", "g.job");
            s->remove(".d.job.swp");
        }
        for (const char* name : {"a.job", "f.job", "g.job", ".d.job.swp"})
            looks.incoming->look(name, Hint::none);
        scans.scan();
        QVERIFY(settle());
        QCOMPARE(looks.incoming->jobs().size(), scans.incoming->jobs().size());
        for (const auto& [name, job] : looks.incoming->jobs()) {
            QVERIFY2(scans.incoming->jobs().contains(name), name.c_str());
            QVERIFY2(scans.job(name).phase == job.phase, name.c_str());
            QVERIFY2(scans.job(name).number == job.number, name.c_str());
            QVERIFY2(scans.job(name).terms.priority == job.terms.priority, name.c_str());
        }
        QCOMPARE(looks.incoming->ignored(), scans.incoming->ignored());
    }
};

QTEST_GUILESS_MAIN(UnitIncoming)
#include "unit_incoming.moc"
