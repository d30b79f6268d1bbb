// Claiming a file, and undoing a claim, over real files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>

#include "tests/claim_scratch.h"

using spool::ActiveJob;
using spool::NotClaimed;
using Scratch = ClaimScratch;

namespace {

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
        QTest::newRow("job in running") << QStringList{"running/x.sh"} << "x~2";
        QTest::newRow("other extension in running") << QStringList{"running/x.job"} << "x~2";
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

    void a_file_removed_before_the_rename_is_not_claimed() {
        Scratch s;
        s.put(s.spool.incoming, "x.job", script);
        auto request = s.request("x.job");
        const auto launch = request.launch;
        request.launch = [&](const spool::ClaimIdentity& identity, const std::string& bytes) {
            ::unlink(s.path("incoming/x.job").c_str());
            return launch(identity, bytes);
        };
        const auto refused = refusal(s.claim(request));
        QVERIFY(refused.has_value());
        QVERIFY(*refused == NotClaimed::changed);
        QCOMPARE(s.names(s.spool.incoming), QStringList());
        QCOMPARE(s.names(s.spool.running), QStringList());
        // Its record is free: recovery finds nothing of it, and the next claim gets it.
        const ActiveJob next = s.claimed("y.job");
        QCOMPARE(s.count(s.spool.records), std::size_t(1));
        QCOMPARE(next.name, std::string("y"));
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
};

QTEST_GUILESS_MAIN(UnitClaim)
#include "unit_claim.moc"
