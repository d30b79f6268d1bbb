// What a starting daemon does with what is left, with real records.
#include <sys/resource.h>
#include <unistd.h>

#include <QtTest>

#include "libspool/claim.h"
#include "libspool/finish.h"
#include "libspool/recover.h"
#include "libspool/system.h"
#include "tests/scratch_spool.h"

namespace record = spool::record;
using spool::ActiveJob;
using spool::RecoveryAction;

namespace {

const record::BootId this_boot{1}, other_boot{2};
const std::string script = "echo hello\n";

struct Scratch : ScratchSpool {
    std::unique_ptr<spool::RecordPool> pool = std::make_unique<spool::RecordPool>(spool);
    bool tree_alive = false;

    ActiveJob claimed(const std::string& file_name, std::uint64_t number = 42,
                      const record::BootId& boot = this_boot) {
        put(spool.incoming, file_name, script);
        spool::ClaimRequest request;
        request.file_name = file_name;
        request.seen = *files.stat_at(spool.incoming.get(), file_name);
        request.number = number;
        request.launch = [](const auto&, const auto&) { return spool::Launch{}; };
        request.name_taken = [](const std::string&) { return false; };
        auto claim = spool::claim(spool, *pool, clock, boot, request);
        if (!claim || !std::holds_alternative<ActiveJob>(*claim)) qFatal("not claimed");
        return std::move(std::get<ActiveJob>(*claim));
    }
    void write_run(const ActiveJob& job, const record::BootId& boot = this_boot) {
        record::Run run{};
        run.token = job.token;
        run.boot_id = boot;
        run.main_pid = 5;
        write(job, record::run_page, run);
    }
    void write_exit(const ActiveJob& job, record::Phase phase = record::Phase::complete) {
        record::Exit exit{};
        exit.token = job.token;
        exit.phase = phase;
        write(job, record::exit_page, exit);
    }
    void write_cancel(const ActiveJob& job) {
        record::Cancel cancel{};
        cancel.token = job.token;
        write(job, record::cancel_page, cancel);
    }
    template <typename Page>
    void write(const ActiveJob& job, std::size_t number, const Page& page) {
        if (!spool::write_page(files, job.record, number, page)) qFatal("page");
    }
    void remove(const std::string& below) { ::unlink((spool.path + "/" + below).c_str()); }
    void move(const std::string& from, const std::string& to) {
        if (::rename((spool.path + "/" + from).c_str(), (spool.path + "/" + to).c_str()) != 0)
            qFatal("rename");
    }
    /// As the next daemon does it, with a pool that knows nothing.
    spool::Recovery recover() {
        pool = std::make_unique<spool::RecordPool>(spool);
        auto recovery = spool::recover(spool, *pool, clock, this_boot,
                                       [this](const spool::RecordContent&) { return tree_alive; });
        if (!recovery) qFatal("%s", recovery.error().text().c_str());
        return std::move(*recovery);
    }
};

}  // namespace

Q_DECLARE_METATYPE(RecoveryAction)

class UnitRecover : public QObject {
    Q_OBJECT

private slots:
    /// Of an array that was about to be opened there is a directory, its reservation. Where there
    /// is more of it it may have been executed.
    void directories_of_no_array_go_data() {
        QTest::addColumn<QStringList>("files");
        QTest::addColumn<QStringList>("left");
        QTest::newRow("empty") << QStringList{} << QStringList{};
        QTest::newRow("with a log") << QStringList{"x.tasks/3.log"} << QStringList{"x.tasks"};
        QTest::newRow("with the job file")
            << QStringList{"x.job"} << QStringList{"x.job", "x.tasks"};
    }
    void directories_of_no_array_go() {
        QFETCH(QStringList, files);
        QFETCH(QStringList, left);
        Scratch s;
        QVERIFY(s.files.make_directory(s.spool.running.get(), "x.tasks").has_value());
        QVERIFY(s.files.make_directory(s.spool.scripts.get(), "x.tasks").has_value());
        for (const QString& file : files)
            s.put(s.spool.running, file.toStdString(), "text\n");
        (void)s.recover();
        QCOMPARE(s.names(s.spool.running), left);
        QCOMPARE(s.names(s.spool.scripts).isEmpty(), !files.contains("x.job"));
        QCOMPARE(s.names(s.spool.incoming), QStringList());
    }

    void a_record_is_recovered_data() {
        QTest::addColumn<QString>("steps");  // after the claim
        QTest::addColumn<RecoveryAction>("action");
        QTest::addColumn<QStringList>("incoming");
        QTest::addColumn<QStringList>("running");
        const QStringList none, file{"x.job"}, both{"x.job", "x.log"};
        QTest::newRow("released") << "publish release" << RecoveryAction::pool << none << none;
        QTest::newRow("published") << "run exit publish" << RecoveryAction::release << none << none;
        QTest::newRow("alive") << "run lock" << RecoveryAction::adopt << none << both;
        QTest::newRow("alive, no run page yet") << "lock" << RecoveryAction::adopt << none << both;
        QTest::newRow("exit page") << "run exit" << RecoveryAction::finish << none << both;
        QTest::newRow("exit page, tree alive")
            << "run main-exit tree" << RecoveryAction::await_tree << none << both;
        QTest::newRow("exit page of leftovers that are gone")
            << "run main-exit" << RecoveryAction::finish << none << both;
        QTest::newRow("complete exit page, its token is somewhere")
            << "run exit tree" << RecoveryAction::finish << none << both;
        QTest::newRow("cancelled") << "cancel" << RecoveryAction::finish << none << both;
        QTest::newRow("cancelled, moved back")
            << "cancel back" << RecoveryAction::finish << file << QStringList{"x.log"};
        QTest::newRow("claimed") << "" << RecoveryAction::start << none << both;
        QTest::newRow("rename lost") << "back" << RecoveryAction::undo << file << none;
        QTest::newRow("moved back under another name")
            << "rename-back" << RecoveryAction::undo << QStringList{"y.job"} << none;
        QTest::newRow("deleted") << "delete" << RecoveryAction::finish << none
                                 << QStringList{"x.log"};
        QTest::newRow("another boot") << "reboot" << RecoveryAction::finish << none << both;
        QTest::newRow("another boot, rename lost")
            << "reboot back" << RecoveryAction::undo << file << none;
        QTest::newRow("another boot, started")
            << "reboot run" << RecoveryAction::finish << none << both;
        QTest::newRow("tree alive") << "run tree" << RecoveryAction::await_tree << none << both;
        QTest::newRow("lost") << "run" << RecoveryAction::finish << none << both;
    }
    void a_record_is_recovered() {
        QFETCH(QString, steps);
        QFETCH(RecoveryAction, action);
        QFETCH(QStringList, incoming);
        QFETCH(QStringList, running);
        Scratch s;
        const record::BootId boot = steps.contains("reboot") ? other_boot : this_boot;
        std::optional<ActiveJob> job = s.claimed("x.job", 42, boot);
        spool::OpenFile supervisor;
        for (const QString& step : steps.split(' ')) {
            if (step == "run") s.write_run(*job, boot);
            if (step == "exit") s.write_exit(*job);
            if (step == "main-exit") s.write_exit(*job, record::Phase::leftovers);
            if (step == "cancel") s.write_cancel(*job);
            if (step == "tree") s.tree_alive = true;
            if (step == "delete") s.remove("running/x.job");
            if (step == "back") s.move("running/x.job", "incoming/x.job");
            if (step == "rename-back") s.move("running/x.job", "incoming/y.job");
            if (step == "release") QVERIFY(spool::release(s.spool, *job).has_value());
            if (step == "publish") {
                spool::JobResult result;
                result.id = 42;
                result.name = "x";
                result.token = spool::to_hex(job->token);
                QVERIFY(spool::publish(s.spool, *job, result).has_value());
            }
            if (step == "lock") {
                supervisor = std::move(*spool::open_file(s.files, s.spool.records.get(), "0",
                                                         spool::OpenMode::read_write));
                QVERIFY(s.files.lock(supervisor.get()).value_or(false));
            }
        }
        const record::Token token = job->token;
        job.reset();
        for (int time = 0; time < 2; ++time) {  // doing it twice changes nothing
            const auto recovery = s.recover();
            QVERIFY(recovery.problems.empty());
            QVERIFY(recovery.requeued.empty());
            QCOMPARE(s.names(s.spool.incoming), incoming);
            QCOMPARE(s.names(s.spool.running), running);
            if (action == RecoveryAction::pool || action == RecoveryAction::undo) {
                QVERIFY(recovery.jobs.empty());
                if (time == 1) QCOMPARE(s.pool->take()->index, 0u);
                continue;
            }
            QCOMPARE(recovery.jobs.size(), std::size_t(1));
            const auto& recovered = recovery.jobs[0];
            QVERIFY(recovered.action == action);
            QCOMPARE(recovered.job.number, std::uint64_t(42));
            QCOMPARE(recovered.job.job_file(), std::string("x.job"));
            QVERIFY(recovered.job.token == token);
            // A job deleted after the claim, and before its start, was cancelled so.
            if (steps == "delete") QVERIFY(recovered.content.cancelled());
            if (steps == "run") QVERIFY(!recovered.content.cancelled());
        }
    }

    void a_record_that_is_not_understood_is_left_alone_data() {
        QTest::addColumn<bool>("newer");
        QTest::newRow("newer") << true;
        QTest::newRow("damaged") << false;
    }
    void a_record_that_is_not_understood_is_left_alone() {
        QFETCH(bool, newer);
        Scratch s;
        {
            const ActiveJob job = s.claimed("x.job");
            const record::Header header{record::Claim::magic, newer ? 2u : 1u, 77, 1};
            QVERIFY(s.files.write(job.record.file.get(), 0,
                                  {reinterpret_cast<const char*>(&header), sizeof header}));
        }
        const std::string before = s.get(s.spool.records, "0");
        const auto recovery = s.recover();
        QVERIFY(recovery.jobs.empty());
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(recovery.problems[0].find(".spool/records/0") != std::string::npos);
        QCOMPARE(recovery.problems[0].find("newer") != std::string::npos, newer);
        QCOMPARE(s.get(s.spool.records, "0"), before);
        // Its job may be the one in running/, so that is not taken for unclaimed.
        QCOMPARE(s.names(s.spool.running), (QStringList{"x.job", "x.log"}));
        QCOMPARE(s.pool->take()->index, 1u);
    }

    void jobs_are_in_order_of_number() {
        Scratch s;
        {
            const ActiveJob a = s.claimed("a.job", 9), b = s.claimed("b.job", 3),
                            c = s.claimed("c.job", 5);
        }
        const auto recovery = s.recover();
        QCOMPARE(recovery.jobs.size(), std::size_t(3));
        QCOMPARE(recovery.jobs[0].job.number, 3u);
        QCOMPARE(recovery.jobs[2].job.number, 9u);
    }

    void what_no_record_names_is_put_away() {
        Scratch s;
        const ActiveJob job = s.claimed("x.job");
        s.put(s.spool.running, "y.job", "echo y\n");
        s.put(s.spool.running, "z.job", "echo z\n");
        s.put(s.spool.incoming, "z.job", "echo another z\n");
        s.put(s.spool.running, "y.log", "");
        s.put(s.spool.running, "old.log", "output\n");
        s.put(s.spool.running, "README", "by hand");
        s.put(s.spool.scripts, "x.job", script);
        s.put(s.spool.scripts, "y.job", script);
        s.put(s.spool.temporary, "fresh", "");
        s.clock.now = spool::wall_time();
        const auto recovery = s.recover();
        QCOMPARE(recovery.requeued.size(), std::size_t(2));
        QCOMPARE(s.names(s.spool.incoming), (QStringList{"y.job", "z.job", "z~2.job"}));
        QCOMPARE(s.get(s.spool.incoming, "z.job"), std::string("echo another z\n"));
        QCOMPARE(s.names(s.spool.running), (QStringList{"README", "x.job", "x.log"}));
        QCOMPARE(s.names(s.spool.done), QStringList{"old.log"});
        QCOMPARE(s.names(s.spool.scripts), QStringList{"x.job"});
        QCOMPARE(s.names(s.spool.temporary), QStringList{"fresh"});
        s.clock.advance(std::chrono::hours(2));
        QVERIFY(s.recover().requeued.empty());
        QCOMPARE(s.names(s.spool.temporary), QStringList());
    }

    /// What is left of a record says nothing; that it is locked, or that there is output, does.
    void a_started_job_whose_record_was_cut_is_not_taken_for_unclaimed_data() {
        QTest::addColumn<bool>("alive");
        QTest::newRow("its supervisor lives") << true;
        QTest::newRow("it has written something") << false;
    }
    void a_started_job_whose_record_was_cut_is_not_taken_for_unclaimed() {
        QFETCH(bool, alive);
        Scratch s;
        {
            const ActiveJob job = s.claimed("x.job");
            s.write_run(job);
            QVERIFY(s.files.truncate(job.record.file.get(), 0).has_value());
        }
        if (!alive) s.put(s.spool.running, "x.log", "epoch 1\n");
        auto supervisor =
            spool::open_file(s.files, s.spool.records.get(), "0", spool::OpenMode::read_write);
        if (alive) QVERIFY(s.files.lock(supervisor->get()).value_or(false));
        const auto recovery = s.recover();
        QVERIFY(recovery.requeued.empty());
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QCOMPARE(s.names(s.spool.running), (QStringList{"x.job", "x.log"}));
        QCOMPARE(s.names(s.spool.incoming), QStringList());
        if (alive) QCOMPARE(s.pool->take()->index, 1u);
    }

    void a_record_that_is_no_file_is_left_alone() {
        Scratch s;
        QCOMPARE(::symlink("/dev/null", (s.spool.path + "/.spool/records/0").c_str()), 0);
        s.put(s.spool.running, "x.job", script);
        const auto recovery = s.recover();
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(recovery.problems[0].find(".spool/records/0") != std::string::npos);
        QCOMPARE(s.names(s.spool.running), QStringList{"x.job"});
        QCOMPARE(s.pool->take()->index, 1u);
    }

    /// A move that was cut in half, by a claim that left nothing else.
    void one_file_under_both_names_is_one_job() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        QCOMPARE(::link((s.spool.path + "/incoming/x.job").c_str(),
                        (s.spool.path + "/running/x.job").c_str()),
                 0);
        s.recover();
        QCOMPARE(s.names(s.spool.incoming), QStringList{"x.job"});
        QCOMPARE(s.names(s.spool.running), QStringList());
    }

    /// The number goes with the file, and not with the name that is another's by now.
    void an_undone_claim_says_where_its_file_is() {
        Scratch s;
        {
            const ActiveJob job = s.claimed("x.job");
            QVERIFY(s.files.write(job.record.file.get(), record::body_offset, "XX"));
        }
        s.put(s.spool.incoming, "x.job", "echo another\n");
        const auto recovery = s.recover();
        QCOMPARE(recovery.undone.size(), std::size_t(1));
        QCOMPARE(recovery.undone[0].file_name, std::string("x~2.job"));
        QCOMPARE(s.get(s.spool.incoming, "x~2.job"), script);
    }

    /// Without a descriptor nothing can be looked at: not seen is not gone.
    void a_tree_that_cannot_be_looked_for_counts_as_alive() {
#ifdef __SANITIZE_ADDRESS__
        QSKIP("the sanitizers look at objects through a pipe, and need descriptors for it");
#endif
        const record::Token token = spool::random_token();
        QVERIFY(!spool::token_is_alive(token));
        rlimit before{};
        QCOMPARE(::getrlimit(RLIMIT_NOFILE, &before), 0);
        for (const rlim_t spare : {0, 1}) {
            const int lowest = ::dup(0);
            ::close(lowest);
            const rlimit none{static_cast<rlim_t>(lowest) + spare, before.rlim_max};
            QCOMPARE(::setrlimit(RLIMIT_NOFILE, &none), 0);
            const bool alive = spool::token_is_alive(token);
            QCOMPARE(::setrlimit(RLIMIT_NOFILE, &before), 0);
            QVERIFY(alive);
        }
    }

    void a_damaged_body_is_reported_and_the_job_recovered() {
        Scratch s;
        {
            const ActiveJob job = s.claimed("x.job");
            s.write_run(job);
            QVERIFY(s.files.write(job.record.file.get(), record::body_offset, "XX"));
        }
        const auto recovery = s.recover();
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QCOMPARE(recovery.jobs.size(), std::size_t(1));
        QVERIFY(recovery.jobs[0].action == RecoveryAction::finish);
    }
};

QTEST_GUILESS_MAIN(UnitRecover)
#include "unit_recover.moc"
