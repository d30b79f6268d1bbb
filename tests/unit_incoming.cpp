// The waiting jobs: settling, readiness, numbers and names, over a real directory and a clock that
// the test moves.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>

#include "libspool/claim.h"
#include "libspool/incoming.h"
#include "libspool/job_file.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

using namespace std::chrono_literals;
using spool::Hint;
using spool::WaitingJob;
using spool::WaitReason;
using Phase = WaitingJob::Phase;
using Numbers = std::vector<std::uint64_t>;

namespace {

const std::string script = "echo hello\n";

struct Scratch : ScratchSpoolOn<FailingFiles> {
    std::set<std::uint64_t> used;
    std::uint64_t active_inode = 0;
    std::unique_ptr<spool::Incoming> incoming;

    Scratch() { restart(); }

    /// As a new daemon would begin.
    void restart() {
        incoming = std::make_unique<spool::Incoming>(
            spool, clock, [this](std::uint64_t number) { return used.contains(number); },
            [this](const spool::FileStat& stat) { return stat.inode == active_inode; });
        if (auto loaded = incoming->load(); !loaded) qFatal("%s", loaded.error().text().c_str());
    }
    std::string path(const std::string& name) { return spool.path + "/incoming/" + name; }
    void drop(const std::string& name, const std::string& bytes = script) {
        put(spool.incoming, name, bytes);
        incoming->look(name, Hint::none);
    }
    void move(const std::string& from, const std::string& to) {
        if (::rename(path(from).c_str(), path(to).c_str()) != 0) qFatal("rename");
    }
    void remove(const std::string& name) {
        if (::unlink(path(name).c_str()) != 0) qFatal("unlink %s", name.c_str());
    }
    void pass(std::chrono::nanoseconds time) {
        clock.advance(time);
        incoming->advance();
    }
    void scan() {
        if (auto begun = incoming->begin_scan(); !begun) qFatal("scan");
        while (incoming->continue_scan(1ms)) {
        }
    }
    spool::IncomingChanges changes() {
        auto changes = incoming->take_changes();
        if (!changes) qFatal("%s", changes.error().text().c_str());
        return std::move(*changes);
    }
    /// Drops a file, lets it settle, and returns its number.
    std::uint64_t ready(const std::string& name, const std::string& bytes = script) {
        drop(name, bytes);
        pass(100ms);
        const auto ready = changes().ready;
        if (ready.size() != 1) qFatal("%s is not ready", name.c_str());
        return ready[0];
    }
    const WaitingJob& job(const std::string& name) const { return incoming->jobs().at(name); }
    std::string submitted(std::uint64_t number, const std::string& identity) {
        spool::SubmitInfo info;
        info.spool = identity;
        info.number = number;
        info.directory = "/";
        info.submitted_at = "2026-01-02T03:04:05Z";
        auto bytes = spool::with_submit_info(script, info);
        if (!bytes) qFatal("%s", bytes.error().text().c_str());
        return *bytes;
    }
};

}  // namespace

Q_DECLARE_METATYPE(Phase)
Q_DECLARE_METATYPE(WaitReason::Kind)

class UnitIncoming : public QObject {
    Q_OBJECT

private slots:
    void a_file_is_ready_when_it_has_been_quiet() {
        Scratch s;
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
        Scratch s;
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
        Scratch s;
        s.put(s.spool.incoming, "x.job", bytes.toStdString());
        s.incoming->look("x.job", Hint::renamed);
        s.pass(2ms);
        QCOMPARE(s.job("x.job").phase == Phase::ready, waived);
        QCOMPARE(s.changes().ready.size(), waived ? 1u : 0u);
    }

    void editing_a_ready_job_takes_it_back() {
        Scratch s;
        const auto number = s.ready("x.job", "#SPOOL --priority=1\necho a\n");
        QCOMPARE(s.job("x.job").priority, 1);
        s.drop("x.job", "#SPOOL --priority=2 --gpus=3\necho b; echo c\n");
        QCOMPARE(s.changes().unready, Numbers{number});
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{number});
        QCOMPARE(s.job("x.job").priority, 2);
        QVERIFY(s.job("x.job").need == spool::Need{3});
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
        Scratch s;
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
        Scratch s;
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

    void a_renamed_job_keeps_its_number_data() {
        QTest::addColumn<QString>("how");  // what is looked at, in order
        QTest::newRow("old name first") << "old new";
        QTest::newRow("new name first") << "new old";
        QTest::newRow("scan") << "scan";
        QTest::newRow("restart") << "restart";
    }
    void a_renamed_job_keeps_its_number() {
        QFETCH(QString, how);
        Scratch s;
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
        Scratch s;
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
        Scratch s;
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
        Scratch s;
        const auto first = s.ready("a.job");
        QCOMPARE(::link(s.path("a.job").c_str(), s.path("b.job").c_str()), 0);
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("a.job").number, first);
        QCOMPARE(s.job("b.job").number, first + 1);
    }

    void a_removed_job_is_withdrawn_after_a_second() {
        Scratch s;
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
        Scratch s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.incoming->look("x.job", Hint::none);
        s.pass(1s);
        QCOMPARE(s.changes().withdrawn.size(), std::size_t(1));
        s.incoming->settle_again(number, WaitReason::Kind::trouble);
        s.pass(100ms);
        QVERIFY(s.changes().withdrawn.empty());
        s.pass(1s);
        const auto again = s.changes();
        QCOMPARE(again.withdrawn.size(), std::size_t(1));
        QCOMPARE(again.withdrawn[0].number, number);
    }

    /// Its withdrawal was noted, and no pass has taken note of it yet.
    void a_job_that_reappears_at_the_last_moment_keeps_its_number() {
        Scratch s;
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
        Scratch s;
        const auto number = s.ready("x.job");
        s.remove("x.job");
        s.put(s.spool.incoming, "y.job", script);
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
        Scratch s;
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

    void a_job_gone_while_no_daemon_ran_is_withdrawn() {
        Scratch s;
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
        Scratch s;
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
        Scratch s;
        for (const char* name : {"c.job", "a.job", "b.job"}) {
            s.put(s.spool.incoming, name, script);
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
        Scratch s;
        s.put(s.spool.incoming, "b.job", script);
        QCOMPARE(::link(s.path("b.job").c_str(), s.path("a.job").c_str()), 0);  // one ctime
        s.scan();
        s.pass(100ms);
        s.changes();
        QCOMPARE(s.job("a.job").number, 1u);
        QCOMPARE(s.job("b.job").number, 2u);
    }

    void numbers_outlive_a_restart() {
        Scratch s;
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
            Scratch s;
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
        Scratch s;
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
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
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
        Scratch s;
        const auto number = s.ready("x.job");
        s.incoming->settle_again(number, WaitReason::Kind::open);
        QCOMPARE(s.changes().unready, Numbers{number});
        QVERIFY(s.job("x.job").reason.kind == WaitReason::Kind::open);
        s.pass(100ms);
        QCOMPARE(s.changes().ready, Numbers{number});
    }

    void other_names_are_ignored_and_listed() {
        Scratch s;
        for (const char* name : {"notes.txt", "Makefile", ".hidden", "x.job~", "#x.job#", "a.part"})
            s.put(s.spool.incoming, name, script);
        s.scan();
        QVERIFY(s.incoming->jobs().empty());
        QCOMPARE(s.incoming->ignored(), (std::set<std::string>{"notes.txt", "Makefile"}));
        s.remove("notes.txt");
        s.scan();
        QCOMPARE(s.incoming->ignored(), std::set<std::string>{"Makefile"});
    }

    /// Not seen is not gone.
    void a_name_that_cannot_be_examined_keeps_its_state() {
        Scratch s;
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
        Scratch looks, scans;
        const std::vector<std::pair<std::string, std::string>> files = {
            {"a.job", script},
            {"b.sh", ""},
            {"c.job", "#SPOOL --bad\n:\n"},
            {".d.job.swp", ""},
            {"d.job", script},
            {"e.txt", "x"},
            {"f.job", "#SPOOL --priority=4\necho f\n"}};
        for (const auto& [name, bytes] : files) {
            looks.drop(name, bytes);
            scans.put(scans.spool.incoming, name, bytes);
        }
        scans.scan();
        const auto settle = [&] {
            for (Scratch* s : {&looks, &scans}) {
                s->pass(100ms);
                s->pass(1s);
            }
            const auto a = looks.changes(), b = scans.changes();
            return a.ready.size() == b.ready.size() && a.unready.size() == b.unready.size() &&
                   a.rejected.size() == b.rejected.size() &&
                   a.withdrawn.size() == b.withdrawn.size();
        };
        QVERIFY(settle());
        for (Scratch* s : {&looks, &scans}) {
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
            QVERIFY2(scans.job(name).priority == job.priority, name.c_str());
        }
        QCOMPARE(looks.incoming->ignored(), scans.incoming->ignored());
    }
};

QTEST_GUILESS_MAIN(UnitIncoming)
#include "unit_incoming.moc"
