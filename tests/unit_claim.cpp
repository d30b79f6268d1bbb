// Claiming, undoing a claim, publishing and releasing, over real files; and what is left when a
// file operation fails in the middle.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>

#include "libspool/claim.h"
#include "libspool/finish.h"
#include "libspool/outcome.h"
#include "libspool/system.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

using spool::ActiveJob;
using spool::NotClaimed;

namespace {

const spool::record::BootId boot{1, 2, 3};
const std::string script = "echo hello\n";

bool no_name_taken(const std::string&) {
    return false;
}

struct Scratch : ScratchSpoolOn<FailingFiles> {
    spool::RecordPool pool{spool};

    /// What a daemon asks for after it has looked at incoming/`file_name`.
    spool::ClaimRequest request(const std::string& file_name) {
        spool::ClaimRequest out;
        out.file_name = file_name;
        if (const auto stat = files.stat_at(spool.incoming.get(), file_name)) out.seen = *stat;
        out.number = 42;
        out.launch = [](const spool::ClaimIdentity&, const std::string&) {
            spool::Launch launch;
            launch.arguments = {"/bin/sh", "x"};
            launch.directory = "/somewhere";
            launch.environment = {"A=B", "UNSET", "EMPTY="};
            launch.facts.command = "echo hello";
            return launch;
        };
        out.name_taken = no_name_taken;
        return out;
    }
    spool::Result<std::variant<ActiveJob, NotClaimed>> claim(const spool::ClaimRequest& request) {
        return spool::claim(spool, pool, clock, boot, request);
    }
    ActiveJob claimed(const std::string& file_name) {
        put(spool.incoming, file_name, script);
        auto claim = this->claim(request(file_name));
        if (!claim) qFatal("%s", claim.error().text().c_str());
        if (!std::holds_alternative<ActiveJob>(*claim)) qFatal("not claimed");
        return std::move(std::get<ActiveJob>(*claim));
    }
    spool::JobResult result_of(const ActiveJob& job) {
        spool::JobResult result;
        result.id = job.number;
        result.name = job.name;
        result.state = spool::Outcome::succeeded;
        result.exit_code = 0;
        result.token = spool::to_hex(job.token);
        return result;
    }
    std::string path(const std::string& below) { return spool.path + "/" + below; }
};

std::optional<NotClaimed> refusal(const spool::Result<std::variant<ActiveJob, NotClaimed>>& claim) {
    if (!claim || !std::holds_alternative<NotClaimed>(*claim)) return std::nullopt;
    return std::get<NotClaimed>(*claim);
}

}  // namespace

Q_DECLARE_METATYPE(NotClaimed)

class UnitClaim : public QObject {
    Q_OBJECT

private slots:
    void claims_a_file() {
        Scratch s;
        const ActiveJob job = s.claimed("x.job");
        QCOMPARE(s.names(s.spool.incoming), QStringList());
        QCOMPARE(s.names(s.spool.running), (QStringList{"x.job", "x.log"}));
        QCOMPARE(s.get(s.spool.running, "x.job"), script);
        QCOMPARE(s.get(s.spool.running, "x.log"), std::string());
        const auto content = spool::read_record(s.files, job.record);
        QVERIFY(content && content->claimed() && !content->started() && !content->ended());
        QCOMPARE(content->claim.job, std::uint64_t(42));
        QCOMPARE(content->claim.attempt, 1u);
        QCOMPARE(content->name(), std::string("x"));
        QCOMPARE(content->file_name(), std::string("x.job"));
        QVERIFY(content->claim.boot_id == boot);
        const auto body = spool::read_body(s.files, job.record, content->claim);
        QVERIFY(body.has_value());
        QCOMPARE(body->job_file, script);
        QCOMPARE(body->environment, (std::vector<std::string>{"A=B", "UNSET", "EMPTY="}));
        QCOMPARE(body->directory, std::string("/somewhere"));
    }

    void a_name_in_use_gets_a_suffix_data() {
        QTest::addColumn<QStringList>("there");
        QTest::addColumn<QString>("name");
        QTest::newRow("nothing") << QStringList{} << "x";
        QTest::newRow("job in done") << QStringList{"done/x.job"} << "x~2";
        QTest::newRow("other extension in done") << QStringList{"done/x.slurm"} << "x~2";
        QTest::newRow("log in done") << QStringList{"done/x.log"} << "x~2";
        QTest::newRow("result in done") << QStringList{"done/x.json"} << "x~2";
        QTest::newRow("tasks in done") << QStringList{"done/x.tasks"} << "x~2";
        QTest::newRow("log in running") << QStringList{"running/x.log"} << "x~2";
        QTest::newRow("two") << QStringList{"done/x.json", "done/x~2.sh"} << "x~3";
        QTest::newRow("a gap") << QStringList{"done/x.json", "done/x~3.json"} << "x~2";
        QTest::newRow("other names") << QStringList{"done/xy.json", "running/y.log"} << "x";
    }
    void a_name_in_use_gets_a_suffix() {
        QFETCH(QStringList, there);
        QFETCH(QString, name);
        Scratch s;
        for (const QString& file : there)
            s.put(file.startsWith("done/") ? s.spool.done : s.spool.running,
                  file.section('/', 1).toStdString(), "old");
        const ActiveJob job = s.claimed("x.sh");
        QCOMPARE(QString::fromStdString(job.name), name);
        QVERIFY(s.has(s.spool.running, job.name + ".sh"));
        QVERIFY(s.has(s.spool.running, job.name + ".log"));
        for (const QString& file : there)
            QCOMPARE(s.get(file.startsWith("done/") ? s.spool.done : s.spool.running,
                           file.section('/', 1).toStdString()),
                     std::string("old"));
    }

    void a_name_of_an_active_job_gets_a_suffix() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        auto request = s.request("x.job");
        request.name_taken = [](const std::string& name) { return name == "x"; };
        auto claim = s.claim(request);
        QVERIFY(claim && std::holds_alternative<ActiveJob>(*claim));
        QCOMPARE(std::get<ActiveJob>(*claim).name, std::string("x~2"));
    }

    void a_file_that_is_not_as_it_was_is_not_claimed_data() {
        QTest::addColumn<QString>("change");
        QTest::addColumn<NotClaimed>("expected");
        QTest::newRow("removed") << "remove" << NotClaimed::gone;
        QTest::newRow("written to") << "write" << NotClaimed::changed;
        QTest::newRow("replaced") << "replace" << NotClaimed::changed;
        QTest::newRow("a symlink") << "symlink" << NotClaimed::gone;
        QTest::newRow("a FIFO") << "fifo" << NotClaimed::changed;
        QTest::newRow("open for writing") << "open" << NotClaimed::open_for_writing;
    }
    void a_file_that_is_not_as_it_was_is_not_claimed() {
        QFETCH(QString, change);
        QFETCH(NotClaimed, expected);
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        const auto request = s.request("x.job");
        const std::string path = s.path("incoming/x.job");
        int writer = -1;
        if (change == "write") s.put(s.spool.incoming, "x.job", "echo another\n");
        if (change == "open") writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        if (change == "remove" || change == "symlink" || change == "fifo") ::unlink(path.c_str());
        if (change == "symlink") QCOMPARE(::symlink("/etc/passwd", path.c_str()), 0);
        if (change == "fifo") QCOMPARE(::mkfifo(path.c_str(), 0600), 0);
        if (change == "replace") {
            s.put(s.spool.done, "other", script);
            QCOMPARE(::rename(s.path("done/other").c_str(), path.c_str()), 0);
        }
        const auto refused = refusal(s.claim(request));
        if (writer >= 0) ::close(writer);
        QVERIFY(refused.has_value());
        QVERIFY(*refused == expected);
        QCOMPARE(s.names(s.spool.running), QStringList());
        QCOMPARE(s.has(s.spool.incoming, "x.job"), change != "remove");
    }

    void a_named_output_makes_the_log_a_link() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        auto request = s.request("x.job");
        const auto launch = request.launch;
        request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
            spool::Launch made = launch(identity, bytes);
            made.output = "/data/out";
            return made;
        };
        auto claimed = s.claim(request);
        QVERIFY(claimed.has_value());
        auto& job = std::get<ActiveJob>(*claimed);
        QCOMPARE(QFile::symLinkTarget(QString::fromStdString(s.path("running/x.log"))),
                 QString("/data/out"));
        QVERIFY(spool::unclaim(s.spool, job).value_or(false));
        QCOMPARE(s.names(s.spool.running), QStringList());
    }

    /// Between the last look and the rename another file takes the name: that one goes back.
    void a_file_exchanged_before_the_rename_goes_back() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        auto request = s.request("x.job");
        const auto launch = request.launch;
        request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
            s.put(s.spool.temporary, "other", "echo other\n");
            ::rename(s.path(".spool/tmp/other").c_str(), s.path("incoming/x.job").c_str());
            return launch(identity, bytes);
        };
        const auto refused = refusal(s.claim(request));
        QVERIFY(refused.has_value());
        QVERIFY(*refused == NotClaimed::changed);
        QCOMPARE(s.get(s.spool.incoming, "x.job"), std::string("echo other\n"));
        QCOMPARE(s.names(s.spool.running), QStringList());
    }

    void a_claim_can_be_undone_data() {
        QTest::addColumn<bool>("name_taken_again");
        QTest::addColumn<QStringList>("incoming");
        QTest::newRow("name free") << false << QStringList{"x.job"};
        QTest::newRow("name taken again") << true << QStringList{"x.job", "x~2.job"};
    }
    void a_claim_can_be_undone() {
        QFETCH(bool, name_taken_again);
        QFETCH(QStringList, incoming);
        Scratch s;
        ActiveJob job = s.claimed("x.job");
        if (name_taken_again) s.put(s.spool.incoming, "x.job", "echo new\n");
        QVERIFY(spool::unclaim(s.spool, job).has_value());
        QCOMPARE(s.names(s.spool.incoming), incoming);
        QCOMPARE(s.get(s.spool.incoming, incoming.last().toStdString()), script);
        QCOMPARE(s.names(s.spool.running), QStringList());
        const auto content = spool::read_record(s.files, job.record);
        QVERIFY(content && !content->claimed());
        QVERIFY(spool::unclaim(s.spool, job).has_value());  // may be repeated
        QCOMPARE(s.names(s.spool.incoming), incoming);
    }

    void publishes_and_releases() {
        Scratch s;
        const ActiveJob job = s.claimed("x.job");
        s.put(s.spool.running, "x.log", "hello\n");
        auto result = s.result_of(job);
        const auto published = spool::publish(s.spool, job, result);
        QVERIFY(published.has_value());
        QCOMPARE(published->name, std::string("x"));
        QCOMPARE(s.names(s.spool.running), QStringList());
        QCOMPARE(s.names(s.spool.done), (QStringList{"x.job", "x.json", "x.log"}));
        QCOMPARE(s.get(s.spool.done, "x.log"), std::string("hello\n"));
        QVERIFY(spool::is_published(s.spool, "x", job.token));
        QVERIFY(!spool::is_published(s.spool, "x", spool::record::Token{}));
        auto again = s.result_of(job);
        const auto repeated = spool::publish(s.spool, job, again);
        QVERIFY(repeated && repeated->name == "x");
        QCOMPARE(s.count(s.spool.done), std::size_t(3));
        QVERIFY(spool::release(s.spool, job).has_value());
        const auto content = spool::read_record(s.files, job.record);
        QVERIFY(content && content->claim_validity == spool::record::Validity::valid);
        QVERIFY(!content->claimed());
    }

    void a_deleted_job_file_is_restored_at_publication() {
        Scratch s;
        const ActiveJob job = s.claimed("x.job");
        ::unlink(s.path("running/x.job").c_str());
        ::unlink(s.path("running/x.log").c_str());
        auto result = s.result_of(job);
        QVERIFY(spool::publish(s.spool, job, result).has_value());
        QCOMPARE(s.get(s.spool.done, "x.job"), script);
        QCOMPARE(s.names(s.spool.done), (QStringList{"x.job", "x.json"}));
    }

    void publication_replaces_nothing_data() {
        QTest::addColumn<QString>("foreign");
        for (const char* name : {"x.json", "x.job", "x.log"})
            QTest::newRow(name) << name;
    }
    void publication_replaces_nothing() {
        QFETCH(QString, foreign);
        Scratch s;
        const ActiveJob job = s.claimed("x.job");
        s.put(s.spool.running, "x.log", "hello\n");
        s.put(s.spool.done, foreign.toStdString(), "theirs");
        auto result = s.result_of(job);
        const auto published = spool::publish(s.spool, job, result);
        QVERIFY(published.has_value());
        QCOMPARE(published->name, std::string("x~2"));
        QCOMPARE(result.name, std::string("x~2"));
        QCOMPARE(s.get(s.spool.done, foreign.toStdString()), std::string("theirs"));
        QCOMPARE(s.get(s.spool.done, "x~2.job"), script);
        QCOMPARE(s.get(s.spool.done, "x~2.log"), std::string("hello\n"));
        QVERIFY(spool::is_published(s.spool, "x~2", job.token));
    }

    void publishes_what_never_ran_data() {
        QTest::addColumn<bool>("file_is_there");
        QTest::addColumn<bool>("name_in_done");
        QTest::addColumn<QStringList>("done");
        QTest::newRow("rejected") << true << false << QStringList{"x.job", "x.json"};
        QTest::newRow("withdrawn") << false << false << QStringList{"x.json"};
        QTest::newRow("rejected again")
            << true << true << QStringList{"x.log", "x~2.job", "x~2.json"};
    }
    void publishes_what_never_ran() {
        QFETCH(bool, file_is_there);
        QFETCH(bool, name_in_done);
        QFETCH(QStringList, done);
        Scratch s;
        if (file_is_there) s.put(s.spool.incoming, "x.job", "bad");
        if (name_in_done) s.put(s.spool.done, "x.log", "old");
        auto result = spool::withdrawn_result(7, "x.job", 1);
        const auto published =
            spool::publish_unstarted(s.spool, result, {file_is_there, {}}, no_name_taken);
        QVERIFY(published.has_value());
        QCOMPARE(s.names(s.spool.done), done);
        QCOMPARE(s.names(s.spool.incoming), QStringList());
        const auto read =
            spool::read_result(s.get(s.spool.done, published->name + ".json"), "x.json");
        QVERIFY(read && read->id == 7);
    }

    void each_failing_call_of_a_step_data() {
        QTest::addColumn<QString>("step");
        QTest::addColumn<int>("code");
        for (const char* step : {"claim", "unclaim", "publish", "publish restored", "reject"})
            for (const int code : {ENOSPC, EIO, EMFILE})
                QTest::addRow("%s, %s", step, strerrorname_np(code)) << step << code;
    }
    /// After the failure the file is in incoming/, or in done/, or there is a record that says
    /// claimed; and the step, done again, ends as if nothing had happened.
    void each_failing_call_of_a_step() {
        QFETCH(QString, step);
        QFETCH(int, code);
        int call = 1;
        for (;; ++call) {
            Scratch s;
            std::optional<ActiveJob> job;
            prepare_step(s, step, job);
            const auto perform = [&] { return do_step(s, step, job); };
            s.files.arm(call, code);
            const bool ok = perform();
            const bool reached = s.files.failed();
            s.files.disarm();
            if (!reached) {
                QVERIFY(ok);
                break;
            }
            const QByteArray where = "call " + QByteArray::number(call) + " (" +
                                     QByteArray::fromStdString(s.files.failed_call()) + ")";
            if (!ok) {
                QVERIFY2(kept(s, job), "lost after " + where);
                if (step == "claim")
                    QVERIFY2(s.count(s.spool.running) == 0, "stray file, " + where);
                QVERIFY2(perform(), "not repeatable after " + where);
            }
            // A body that cannot be read must not keep the result from being published.
            if (step == "publish restored" && s.files.failed_call().starts_with("read")) continue;
            if (const QString left = leftover(s, step); !left.isEmpty())
                QFAIL(where + ": " + left.toUtf8());
        }
        QVERIFY(call > 3);
    }

    void a_rename_that_stops_halfway_is_completed_data() {
        QTest::addColumn<QString>("step");
        for (const char* step : {"claim", "unclaim", "publish", "publish restored", "reject"})
            QTest::newRow(step) << step;
    }
    /// Where renames are link and unlink, and the second of these fails.
    void a_rename_that_stops_halfway_is_completed() {
        QFETCH(QString, step);
        int number = 1;
        for (;; ++number) {
            Scratch s;
            std::optional<ActiveJob> job;
            prepare_step(s, step, job);
            s.files.halve_rename(number);
            const bool ok = do_step(s, step, job);
            if (!s.files.halved()) {
                QVERIFY(ok);
                break;
            }
            const QByteArray where = "rename " + QByteArray::number(number);
            QVERIFY2(ok || do_step(s, step, job), "not repeatable after " + where);
            if (const QString left = leftover(s, step); !left.isEmpty())
                QFAIL(where + ": " + left.toUtf8());
        }
        QVERIFY(number > 1);
    }

private:
    static void prepare_step(Scratch& s, const QString& step, std::optional<ActiveJob>& job) {
        if (step == "claim" || step == "reject")
            s.put(s.spool.incoming, "x.job", script);
        else
            job = s.claimed("x.job");
        if (step == "publish restored") ::unlink(s.path("running/x.job").c_str());
    }

    static bool do_step(Scratch& s, const QString& step, std::optional<ActiveJob>& job) {
        if (step == "claim") {
            auto claim = s.claim(s.request("x.job"));
            if (!claim || !std::holds_alternative<ActiveJob>(*claim)) return false;
            job = std::move(std::get<ActiveJob>(*claim));
            return true;
        }
        if (step == "unclaim") return spool::unclaim(s.spool, *job).has_value();
        if (step == "reject") {
            auto result = spool::withdrawn_result(7, "x.job", 1);
            return spool::publish_unstarted(s.spool, result, {}, no_name_taken).has_value();
        }
        auto result = s.result_of(*job);
        return spool::publish(s.spool, *job, result).has_value();
    }

    static bool kept(Scratch& s, const std::optional<ActiveJob>& job) {
        if (s.get(s.spool.incoming, "x.job") == script) return true;
        if (s.get(s.spool.done, "x.job") == script) return true;
        if (!job) return false;
        const auto content = spool::read_record(s.files, job->record);
        // In running/ without a record that claims it: recovery puts it back into the queue.
        if (content && !content->claimed() && s.get(s.spool.running, "x.job") == script)
            return true;
        return content && content->claimed() &&
               spool::read_body(s.files, job->record, content->claim)
                   .map([](const auto& body) { return body.job_file == script; })
                   .value_or(false);
    }

    /// What is not as it must be at the end of a step.
    static QString leftover(Scratch& s, const QString& step) {
        const auto listing = [&](const char* what, const spool::OpenFile& where,
                                 const QStringList& expected) {
            QStringList found = s.names(where);
            // A name that could not be examined is passed over: all files have the next one then.
            if (found.filter("x~2.") == found) found.replaceInStrings("x~2.", "x.");
            return found == expected ? QString() : QString(what) + " has " + found.join(' ');
        };
        QString wrong = listing("tmp", s.spool.temporary, {});
        if (step == "claim") {
            wrong += listing("incoming", s.spool.incoming, {});
            wrong += listing("running", s.spool.running, {"x.job", "x.log"});
        } else if (step == "unclaim") {
            wrong += listing("incoming", s.spool.incoming, {"x.job"});
        } else if (step == "reject") {
            wrong += listing("incoming", s.spool.incoming, {});
            wrong += listing("done", s.spool.done, {"x.job", "x.json"});
        } else {
            wrong += listing("running", s.spool.running, {});
            wrong += listing("done", s.spool.done, {"x.job", "x.json", "x.log"});
        }
        return wrong;
    }
};

QTEST_GUILESS_MAIN(UnitClaim)
#include "unit_claim.moc"
