// The power goes while an array is opened, and after a disk has refused the results of its tasks.
#include "tests/power_cut_world.h"

// Last: Qt makes `slots` a keyword.
#include <QtTest>

using spool::test::MemoryFiles;
using spool::test::WrittenBack;
using test::check;
using test::drop;
using test::live;
using test::PowerCutDaemon;
using test::TestClock;
using test::Truth;

class unit_power_cut_arrays : public QObject {
    Q_OBJECT
private slots:
    void numbers_of_tasks_are_not_given_twice();
    void what_was_not_synced_of_a_task_is_kept();
};

/// A command takes numbers too, before a daemon has read what there is.
void unit_power_cut_arrays::numbers_of_tasks_are_not_given_twice() {
    MemoryFiles files;
    const TestClock clock;
    Truth truth;
    drop(files, "array.job", "#SPOOL --array=1-3\ntrue\n", truth);
    files.sync_all();
    spool::Spool spool = test::open_spool_in_memory(files);
    QCOMPARE(spool::take_numbers(spool, 1, true).value_or(0), std::uint64_t{1});
    spool::OpenRequest request;
    request.file_name = "array.job";
    request.seen = *files.stat_at(spool.incoming.get(), "array.job");
    request.number = 1;
    request.name_taken = [](const std::string&) { return false; };
    QVERIFY(spool::open_array(spool, clock, request));
    files.power_on(WrittenBack::nothing, 1);
    spool = test::open_spool_in_memory(files);
    const auto array = spool::load_array(spool, "array-1", spool::OpenMode::read);
    QVERIFY(array);
    QVERIFY(*spool::take_numbers(spool, 1, false) >= array->first + 3);
}

/// The third barrier of tasks fails, that of their array does not.
void unit_power_cut_arrays::what_was_not_synced_of_a_task_is_kept() {
    MemoryFiles files;
    TestClock clock;
    Truth truth;
    drop(files, "array.job", "#SPOOL --gpus=0 --array=7\ntrue\n", truth);
    files.sync_all();
    {
        PowerCutDaemon daemon(files, clock, 1, truth);
        QVERIFY(daemon.start());
        QVERIFY(daemon.work_until([](const spoold::ActiveJobs& active) {
            return active.jobs().size() == 1 &&
                   active.jobs().begin()->second.stage == spoold::Stage::syncing_result;
        }));
        files.fail_syncs(EIO);
        QVERIFY(daemon.work_until([](const auto& active) { return active.jobs().empty(); }));
        files.fail_syncs(0);
        QVERIFY(daemon.work());
    }
    // What was removed there may be gone from the disk, though nobody has waited for that.
    QVERIFY(files.sync(test::open_spool_in_memory(files).records.get(), true));
    files.power_on(WrittenBack::nothing, 1);
    live(files, clock, 2, truth);
    check(files, truth);
    QCOMPARE(truth.wrong, std::vector<std::string>());
}

QTEST_GUILESS_MAIN(unit_power_cut_arrays)
#include "unit_power_cut_arrays.moc"
