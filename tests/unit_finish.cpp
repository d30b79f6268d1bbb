// Publishing and releasing, over real files.
#include <unistd.h>

#include <QtTest>

#include "libspool/finish.h"
#include "libspool/outcome.h"
#include "tests/claim_scratch.h"

using spool::ActiveJob;
using Scratch = ClaimScratch;

class UnitFinish : public QObject {
    Q_OBJECT

private slots:
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
};

QTEST_GUILESS_MAIN(UnitFinish)
#include "unit_finish.moc"
