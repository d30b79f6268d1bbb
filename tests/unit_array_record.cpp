// The record of an open array: written, read again, ended.
#include <QtTest>

#include "libspool/done.h"
#include "libspool/next_attempt.h"
#include "tests/array_scratch.h"

namespace record = spool::record;
using spool::ArrayRecord;
using spool::Outcome;
using spool::RecoveryAction;
using test::other_boot;
using test::script;
using test::this_boot;
using Scratch = test::ArrayScratch;

class UnitArrayRecord : public QObject {
    Q_OBJECT

private slots:
    void what_is_opened_is_read_again() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QVERIFY(!scratch.has(scratch.spool.incoming, "x.job"));
        QCOMPARE(scratch.get(scratch.spool.running, "x.job"), script);
        const ArrayRecord read = scratch.loaded();
        QCOMPARE(read.number, std::uint64_t(42));
        QCOMPARE(read.first, array.first);
        QVERIFY(read.first > 0);
        QCOMPARE(read.name, "x");
        QCOMPARE(read.file_name, "x.job");
        QCOMPARE(read.tasks, (spool::TaskList{1, 3, 5, 6, 7}));
        QCOMPARE(read.job_file, script);
        QCOMPARE(read.token, array.token);
        QCOMPARE(read.submitted_at, std::int64_t(5));
        QCOMPARE(*read.wishes.priority, 3);
        QVERIFY(!read.cancelled);
        QCOMPARE(read.ended(), std::uint64_t(0));
        // The next number is behind the block.
        QCOMPARE(*spool::take_numbers(scratch.spool, 1, false), array.first + 5);
    }

    void what_is_noted_is_read_again() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_outcome(scratch.files, array, 1, Outcome::failed));
        QVERIFY(spool::note_outcome(scratch.files, array, 4, Outcome::succeeded));
        QVERIFY(spool::note_wishes(scratch.files, array, {std::nullopt, true}));
        QVERIFY(spool::note_cancelled(scratch.files, array, "why", 7));
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::cancelled, {2}));
        const ArrayRecord read = scratch.loaded();
        QCOMPARE(read.outcomes, array.outcomes);
        QCOMPARE(read.outcomes, (std::vector<std::optional<Outcome>>{
                                    Outcome::cancelled, Outcome::failed, std::nullopt,
                                    Outcome::cancelled, Outcome::succeeded}));
        QCOMPARE(read.counts, array.counts);
        QCOMPARE(read.ended(), std::uint64_t(4));
        QVERIFY(!read.has_ended());
        QCOMPARE(*read.wishes.held, true);
        QVERIFY(!read.wishes.priority);
        QCOMPARE(*read.cancelled, "why");
        QCOMPARE(spool::task_results(read).by_outcome.at(Outcome::cancelled), "1,6");
    }

    void whom_it_follows_is_read_again_data() {
        QTest::addColumn<int>("leaders");
        QTest::addColumn<bool>("known");
        QTest::newRow("none") << 0 << true;
        QTest::newRow("two") << 2 << true;
        QTest::newRow("as many as there is room for") << 500 << true;
        QTest::newRow("more: they are looked up again") << 501 << false;
    }
    void whom_it_follows_is_read_again() {
        QFETCH(int, leaders);
        QFETCH(bool, known);
        Scratch scratch;
        scratch.put(scratch.spool.incoming, "x.job", script);
        spool::OpenRequest request = scratch.request("x.job");
        for (int i = 0; i < leaders; ++i)
            request.leaders.push_back(7 + static_cast<std::uint64_t>(i));
        QVERIFY(spool::open_array(scratch.spool, scratch.clock, request));
        const ArrayRecord read = scratch.loaded();
        QCOMPARE(read.leaders.has_value(), known);
        if (known) QCOMPARE(*read.leaders, request.leaders);
        QCOMPARE(read.job_file, script);
    }

    void the_worst_task_is_the_outcome_data() {
        QTest::addColumn<int>("bad");
        QTest::addColumn<int>("expected");
        for (const Outcome bad : {Outcome::succeeded, Outcome::cancelled, Outcome::timeout,
                                  Outcome::failed, Outcome::interrupted, Outcome::lost})
            QTest::newRow(std::string(spool::outcome_name(bad)).c_str())
                << static_cast<int>(bad) << static_cast<int>(bad);
    }
    void the_worst_task_is_the_outcome() {
        QFETCH(int, bad);
        QFETCH(int, expected);
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_outcome(scratch.files, array, 3, static_cast<Outcome>(bad)));
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::succeeded, {}));
        QCOMPARE(static_cast<int>(spool::worst_outcome(scratch.loaded())), expected);
    }

    void a_task_is_published_beside_the_others() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const spool::ActiveJob job = scratch.claimed(array, 0);
        spool::JobResult result;
        result.id = 42;
        result.task = 1;
        result.state = Outcome::failed;
        result.token = spool::to_hex(job.token);
        for (int again = 0; again < 2; ++again) {
            const auto published = spool::publish(scratch.spool, job, result);
            QVERIFY2(published, published ? "" : published.error().text().c_str());
            QCOMPARE(published->name, "x.tasks/1");
        }
        QCOMPARE(scratch.names(scratch.spool.done), QStringList{"x.tasks"});
        QVERIFY(scratch.has(scratch.spool.done, "x.tasks/1.log"));
        QCOMPARE(*spool::read_done(scratch.spool, "x.tasks/1"), result);
        QVERIFY(scratch.has(scratch.spool.running, "x.job"));
        QVERIFY(spool::is_published(scratch.spool, "x.tasks/1", job.token));
        QCOMPARE(scratch.recover().jobs.front().action, RecoveryAction::release);
    }

    void the_end_may_be_repeated() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::succeeded, {}));
        std::optional<spool::JobResult> first;
        for (int again = 0; again < 3; ++again) {
            spool::JobResult result = spool::array_result(array, 99 + again);
            const auto published = spool::publish_array(scratch.spool, array, result);
            QVERIFY2(published, published ? "" : published.error().text().c_str());
            const auto read = spool::read_done(scratch.spool, "x");
            QVERIFY(read);
            if (!first) first = *read;
            QCOMPARE(*read, *first);
            QCOMPARE(read->tasks->by_outcome.at(Outcome::succeeded), "1,3,5-7");
            QCOMPARE(scratch.get(scratch.spool.done, "x.job"), script);
            spool::remove_task_directories(scratch.spool, array);
            QVERIFY(scratch.names(scratch.spool.running).isEmpty());
        }
    }

    void a_missing_file_is_restored_for_the_end() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::cancelled, {}));
        spool::JobResult result = spool::array_result(array, 99);
        QVERIFY(spool::publish_array(scratch.spool, array, result));
        QCOMPARE(scratch.get(scratch.spool.done, "x.job"), script);
    }

    void the_end_under_another_name_may_be_repeated() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::succeeded, {}));
        scratch.put(scratch.spool.done, "x.json", "{}");
        for (int again = 0; again < 3; ++again) {
            spool::JobResult result = spool::array_result(array, 99);
            const auto published = spool::publish_array(scratch.spool, array, result);
            QVERIFY2(published, published ? "" : published.error().text().c_str());
            QCOMPARE(result.name, "x~2");
            spool::remove_task_directories(scratch.spool, array);
            QVERIFY(scratch.names(scratch.spool.running).isEmpty());
        }
        QCOMPARE(scratch.names(scratch.spool.done), (QStringList{"x.json", "x~2.job", "x~2.json"}));
        QCOMPARE(scratch.get(scratch.spool.done, "x~2.job"), script);
    }

    void names_are_free_everywhere() {
        Scratch scratch;
        scratch.put(scratch.spool.done, "x.json", "{}");
        QVERIFY(scratch.files.make_directory(scratch.spool.done.get(), "x~2.tasks"));
        scratch.put(scratch.spool.running, "x~3.log", "");
        QVERIFY(scratch.files.make_directory(scratch.spool.running.get(), "x~4.tasks"));
        QCOMPARE(scratch.opened().name, "x~5");
    }

    void the_longest_name_has_room_for_its_tasks() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened(std::string(250, 'n') + ".job");
        const spool::ActiveJob job = scratch.claimed(array, 4);
        QCOMPARE(scratch.recover().jobs.size(), std::size_t(0));
        QVERIFY(job.name.size() <= sizeof(record::Claim::name));
        QCOMPARE(job.name, array.name + ".tasks/7");
    }

    void a_file_that_has_changed_is_not_opened() {
        Scratch scratch;
        scratch.put(scratch.spool.incoming, "x.job", script);
        const spool::OpenRequest request = scratch.request("x.job");
        scratch.put(scratch.spool.incoming, "x.job", script + "true\n");
        const auto answer = spool::open_array(scratch.spool, scratch.clock, request);
        QVERIFY(answer);
        QCOMPARE(std::get<spool::NotClaimed>(*answer), spool::NotClaimed::changed);
        QVERIFY(scratch.names(scratch.spool.running).isEmpty());
        QVERIFY(!scratch.has(scratch.spool.records, "array-42"));
    }

    void what_fails_to_put_its_file_back_leaves_nothing() {
        for (int call = 1;; ++call) {
            Scratch scratch;
            const ArrayRecord array = scratch.opened();
            QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
            scratch.files.arm(call, ENOSPC);
            const bool restored = spool::restore_array_file(scratch.spool, array).has_value();
            const bool reached = scratch.files.failed();
            scratch.files.disarm();
            QVERIFY2(scratch.names(scratch.spool.temporary).isEmpty(),
                     scratch.files.failed_call().c_str());
            QVERIFY(restored || reached);
            QVERIFY(spool::restore_array_file(scratch.spool, array));
            QCOMPARE(scratch.get(scratch.spool.running, "x.job"), script);
            if (!reached) return;
        }
    }

    void a_further_attempt_makes_the_directories_of_its_task() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const spool::ActiveJob job = scratch.claimed(array, 0);
        spool::remove_task_directories(scratch.spool, array);
        QVERIFY(!scratch.has(scratch.spool.running, "x.tasks"));
        QVERIFY(!scratch.has(scratch.spool.scripts, "x.tasks"));
        spool::JobResult verdict;
        verdict.state = Outcome::failed;
        const auto next = spool::claim_next_attempt(scratch.spool, scratch.pool, scratch.clock,
                                                    this_boot, job, verdict, {0, "a rule", {1, 0}},
                                                    [](const std::string&) { return false; });
        QVERIFY2(next, next ? "" : next.error().text().c_str());
        QVERIFY(scratch.has(scratch.spool.running, "x.tasks"));
        QVERIFY(scratch.has(scratch.spool.scripts, "x.tasks"));
    }
};

QTEST_GUILESS_MAIN(UnitArrayRecord)
#include "unit_array_record.moc"
