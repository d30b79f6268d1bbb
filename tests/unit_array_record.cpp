// The record of an open array: written, read again, found by a starting daemon, ended.
#include <QtTest>

#include "libspool/array_steps.h"
#include "libspool/done.h"
#include "libspool/recover.h"
#include "libspool/system.h"
#include "tests/scratch_spool.h"

namespace record = spool::record;
using spool::ArrayRecord;
using spool::Outcome;
using spool::RecoveryAction;

namespace {

const record::BootId this_boot{1}, other_boot{2};
const std::string script = "#SPOOL --array=1,3,5-7\necho hello\n";

struct Scratch : ScratchSpool {
    spool::RecordPool pool{spool};

    spool::OpenRequest request(const std::string& file_name) {
        spool::OpenRequest out;
        out.file_name = file_name;
        out.seen = *files.stat_at(spool.incoming.get(), file_name);
        out.number = 42;
        out.submitted_at = 5;
        out.wishes.priority = 3;
        out.name_taken = [](const std::string&) { return false; };
        return out;
    }
    ArrayRecord opened(const std::string& file_name = "x.job") {
        put(spool.incoming, file_name, script);
        auto array = spool::open_array(spool, clock, request(file_name));
        if (!array || !std::holds_alternative<ArrayRecord>(*array)) qFatal("not opened");
        return std::move(std::get<ArrayRecord>(*array));
    }
    ArrayRecord loaded() {
        auto array = spool::load_array(spool, "array-42", spool::OpenMode::read_write);
        if (!array) qFatal("%s", array.error().text().c_str());
        return std::move(*array);
    }
    spool::ActiveJob claimed(const ArrayRecord& array, std::size_t place,
                             const record::BootId& boot = this_boot) {
        spool::ClaimRequest request;
        request.file_name = array.file_name;
        request.number = array.number_of(place);
        request.launch = [&](const auto&, const auto&) {
            spool::Launch launch;
            launch.facts.array = array.number;
            launch.facts.task = array.tasks[place];
            return launch;
        };
        const spool::ClaimIdentity identity{request.number, 1, array.name_of(place), ".job",
                                            spool::random_token()};
        auto job = spool::claim_task(spool, pool, clock, boot, request, identity, array.job_file);
        if (!job) qFatal("%s", job.error().text().c_str());
        return std::move(*job);
    }
    template <typename Page>
    void write(const spool::ActiveJob& job, std::size_t number, Page page) {
        page.token = job.token;
        if (!spool::write_page(files, job.record, number, page)) qFatal("page");
    }
    spool::Recovery recover() {
        spool::RecordPool next(spool);
        auto recovery = spool::recover(spool, next, clock, this_boot,
                                       [](const spool::RecordContent&) { return false; });
        if (!recovery) qFatal("%s", recovery.error().text().c_str());
        return std::move(*recovery);
    }
};

}  // namespace

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

    void a_damaged_record_is_left_alone_data() {
        QTest::addColumn<int>("offset");
        QTest::newRow("head") << 40;
        QTest::newRow("outcome") << 4 * 4096 + 2;
        QTest::newRow("body") << 5 * 4096 + 3;
    }
    void a_damaged_record_is_left_alone() {
        QFETCH(int, offset);
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QVERIFY(scratch.files.write(array.file.get(), static_cast<std::uint64_t>(offset), "\x77"));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(recovery.arrays.empty());
        // What it names is not known: nothing goes back.
        QVERIFY(scratch.has(scratch.spool.running, "x.job"));
        QVERIFY(scratch.has(scratch.spool.records, "array-42"));
    }

    void a_file_that_has_not_moved_waits_again() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QCOMPARE(::rename((scratch.spool.path + "/running/x.job").c_str(),
                          (scratch.spool.path + "/incoming/x.job").c_str()),
                 0);
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.arrays.empty());
        QCOMPARE(recovery.undone.size(), std::size_t(1));
        QCOMPARE(recovery.undone[0].number, std::uint64_t(42));
        QVERIFY(!scratch.has(scratch.spool.records, "array-42"));
        QVERIFY(!scratch.has(scratch.spool.running, "x.tasks"));
        QVERIFY(scratch.has(scratch.spool.incoming, "x.job"));
    }

    void one_that_has_begun_goes_on_without_its_file() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_outcome(scratch.files, array, 0, Outcome::failed));
        QCOMPARE(::rename((scratch.spool.path + "/running/x.job").c_str(),
                          (scratch.spool.path + "/incoming/x.job").c_str()),
                 0);
        QCOMPARE(scratch.recover().arrays.size(), std::size_t(1));
        QVERIFY(scratch.has(scratch.spool.incoming, "x.job"));
    }

    void one_that_was_saved_anew_before_it_moved_waits_again() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        scratch.put(scratch.spool.incoming, "x.job", script + "true\n");
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.arrays.empty());
        QVERIFY(!scratch.has(scratch.spool.records, "array-42"));
    }

    void a_result_says_what_its_record_has_lost() {
        Scratch scratch;
        ArrayRecord array = scratch.opened();
        QVERIFY(spool::note_rest(scratch.files, array, Outcome::failed, {}));
        spool::JobResult result = spool::array_result(array, 99);
        QVERIFY(spool::publish_array(scratch.spool, array, result));
        QVERIFY(scratch.files.write(array.file.get(), 4 * 4096, std::string(5, '\0')));
        const spool::Recovery recovery = scratch.recover();
        QCOMPARE(recovery.arrays.size(), std::size_t(1));
        QVERIFY(recovery.arrays.front().has_ended());
        QCOMPARE(spool::worst_outcome(recovery.arrays.front()), Outcome::failed);
    }

    void a_task_that_outlives_its_array_is_released() {
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const spool::ActiveJob job = scratch.claimed(array, 0, other_boot);
        spool::JobResult result;
        result.id = 42;
        result.task = 1;
        result.token = spool::to_hex(job.token);
        QVERIFY(spool::publish(scratch.spool, job, result));
        QVERIFY(spool::remove_array_record(scratch.spool, array));
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job"));
        for (int again = 0; again < 2; ++again) {
            const spool::Recovery recovery = scratch.recover();
            QVERIFY(recovery.problems.empty());
            QVERIFY(recovery.jobs.empty());
        }
    }

    void what_is_no_file_keeps_nobody_from_starting() {
        Scratch scratch;
        QVERIFY(scratch.files.make_directory(scratch.spool.records.get(), "array-7"));
        QCOMPARE(scratch.recover().problems.size(), std::size_t(1));
    }

    void records_of_tasks_data() {
        QTest::addColumn<bool>("this_one");
        QTest::addColumn<bool>("runs");
        QTest::addColumn<bool>("ended");
        QTest::addColumn<bool>("cancelled");
        QTest::addColumn<int>("action");  // -1: released, the task waits
        const auto row = [](const char* title, bool same, bool runs, bool ended, bool cancelled,
                            int action) {
            QTest::newRow(title) << same << runs << ended << cancelled << action;
        };
        const int finish = static_cast<int>(RecoveryAction::finish);
        row("claimed", true, false, false, false, -1);
        row("claimed and cancelled", true, false, false, true, finish);
        row("claimed in another boot", false, false, false, false, finish);
        row("ran, its supervisor is dead", true, true, false, false, finish);
        row("ran in another boot", false, true, false, false, finish);
        row("ended", true, true, true, false, finish);
    }
    void records_of_tasks() {
        QFETCH(bool, this_one);
        QFETCH(bool, runs);
        QFETCH(bool, ended);
        QFETCH(bool, cancelled);
        QFETCH(int, action);
        Scratch scratch;
        const ArrayRecord array = scratch.opened();
        const auto& boot = this_one ? this_boot : other_boot;
        const spool::ActiveJob job = scratch.claimed(array, 2, boot);
        QVERIFY(scratch.has(scratch.spool.running, "x.tasks/5.log"));
        if (runs) {
            record::Run run{};
            run.boot_id = boot;
            scratch.write(job, record::run_page, run);
        }
        record::Exit exit{};
        exit.phase = record::Phase::complete;
        if (ended) scratch.write(job, record::exit_page, exit);
        if (cancelled) scratch.write(job, record::cancel_page, record::Cancel{});
        for (int again = 0; again < 2; ++again) {
            const spool::Recovery recovery = scratch.recover();
            QVERIFY(recovery.problems.empty());
            QCOMPARE(recovery.arrays.size(), std::size_t(1));
            QVERIFY(recovery.undone.empty());
            QCOMPARE(recovery.jobs.size(), std::size_t(action < 0 ? 0 : 1));
            if (action < 0) {
                QVERIFY(!scratch.has(scratch.spool.running, "x.tasks/5.log"));
                continue;
            }
            const spool::Recovered& found = recovery.jobs.front();
            QCOMPARE(static_cast<int>(found.action), action);
            QCOMPARE(found.job.number, array.first + 2);
            QCOMPARE(found.job.facts.array, std::uint64_t(42));
            QCOMPARE(found.job.facts.task, std::uint64_t(5));
            QCOMPARE(QString::fromStdString(found.job.shown_number()), "42_5");
        }
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

    void one_without_a_record_is_left_alone_data() {
        QTest::addColumn<bool>("done");
        QTest::newRow("running/") << false;
        QTest::newRow("done/") << true;
    }
    void one_without_a_record_is_left_alone() {
        QFETCH(bool, done);
        Scratch scratch;
        scratch.put(scratch.spool.running, "x.job", script);
        QVERIFY(scratch.files.make_directory(
            (done ? scratch.spool.done : scratch.spool.running).get(), "x.tasks"));
        const spool::Recovery recovery = scratch.recover();
        QVERIFY(recovery.requeued.empty());
        QCOMPARE(recovery.problems.size(), std::size_t(1));
        QVERIFY(scratch.has(scratch.spool.running, "x.job"));
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
};

QTEST_GUILESS_MAIN(UnitArrayRecord)
#include "unit_array_record.moc"
