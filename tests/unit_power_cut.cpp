// The power goes at every operation in turn, while jobs are claimed, run, published and released on
// files in memory: after the next start each job is in one place, nothing ran twice, no success was
// made up, no number names two jobs.
//
// What is driven is the daemon's own code for active and for waiting jobs; the supervisors are
// simulated. GPUSPOOL_SWEEP=full (tests/run --full) tries more of what may be left by chance.
#include "tests/power_cut_world.h"

// Last: Qt makes `slots` a keyword.
#include <QtTest>

using namespace std::chrono_literals;
using spool::test::MemoryFiles;
using spool::test::WrittenBack;
using test::check;
using test::drop;
using test::live;
using test::TestClock;
using test::Truth;

namespace {

/// What the user has put there is on the disk.
void drop_jobs(MemoryFiles& files, Truth& truth, bool array = true) {
    drop(files, "one.job", "true\n", truth);
    drop(files, "failing.job", "exit 3\n", truth);
    drop(files, "invalid.job", "#SPOOL --gpus=banana\ntrue\n", truth);
    drop(files, "two.sh", "true\n", truth);
    drop(files, "retried.job", "true\n", truth);
    if (array) drop(files, "array.job", "#SPOOL --gpus=0 --array=7,9\ntrue\n", truth);
    files.sync_all();
}

struct Cut {
    std::uint64_t process_dies_at = 0;  ///< operation after which the first daemon dies; 0 = not
    std::uint64_t power_fails_at = 0;   ///< operation, counted from the start of its daemon
    std::uint64_t power_fails_again_at = 0;  ///< in the next boot; 0 = not
    WrittenBack written_back = WrittenBack::by_chance;
    std::uint32_t seed = 0;
};

/// The power is gone, if it is, and comes back.
bool lose_power(MemoryFiles& files, const Cut& cut, std::uint32_t seed, Truth& truth) {
    const bool failed = files.is_off();
    files.power_on(cut.written_back, seed);
    if (failed) truth.cut_off.insert(truth.taken.begin(), truth.taken.end());
    return failed;
}

std::vector<std::string> wrong_after(const Cut& cut) {
    MemoryFiles files;
    TestClock clock;
    Truth truth;
    // Without the array: of one whose daemon is killed while it ends, a power cut after the next
    // start may leave logs of its tasks in running/ (docs/protocol.md §14).
    drop_jobs(files, truth, cut.process_dies_at == 0);
    if (cut.process_dies_at != 0) {
        files.cut_at(cut.process_dies_at);
        live(files, clock, 1, truth);
        if (files.is_off()) truth.killed = truth.taken;
        files.process_dies();
    }
    files.cut_at(cut.power_fails_at);
    live(files, clock, 1, truth, "submitted");
    const bool failed = lose_power(files, cut, cut.seed, truth);
    if (cut.power_fails_again_at != 0) {
        files.cut_at(cut.power_fails_again_at);
        live(files, clock, 2, truth);
        (void)lose_power(files, cut, cut.seed + 1, truth);
    }
    live(files, clock, failed ? 3 : 1, truth);
    check(files, truth);
    return truth.wrong;
}

QByteArray text_of(const Cut& cut, const std::vector<std::string>& wrong) {
    QByteArray text = "process dies at " + QByteArray::number(qulonglong(cut.process_dies_at)) +
                      ", power fails at " + QByteArray::number(qulonglong(cut.power_fails_at)) +
                      " and " + QByteArray::number(qulonglong(cut.power_fails_again_at)) +
                      ", seed " + QByteArray::number(cut.seed);
    for (const std::string& sentence : wrong)
        text += "\n    " + QByteArray::fromStdString(sentence);
    return text;
}

std::uint64_t operations_undisturbed() {
    MemoryFiles files;
    TestClock clock;
    Truth truth;
    drop_jobs(files, truth);
    const std::uint64_t before = files.operations();
    live(files, clock, 1, truth, "submitted");
    return files.operations() - before;
}

}  // namespace

class unit_power_cut : public QObject {
    Q_OBJECT
private slots:
    void nothing_happens();
    void at_every_operation_data();
    void at_every_operation();
    void after_a_killed_daemon_data();
    void after_a_killed_daemon();
    void again_in_the_next_boot();
};

void unit_power_cut::nothing_happens() {
    MemoryFiles files;
    TestClock clock;
    Truth truth;
    drop_jobs(files, truth);
    live(files, clock, 1, truth, "submitted");
    check(files, truth);
    QCOMPARE(truth.wrong, std::vector<std::string>());
    QCOMPARE(truth.executed.size(), std::size_t{8});
    QCOMPARE(truth.finished.size(), std::size_t{6});
}

void unit_power_cut::at_every_operation_data() {
    QTest::addColumn<WrittenBack>("written_back");
    QTest::addColumn<int>("seeds");
    QTest::newRow("nothing was written back") << WrittenBack::nothing << 1;
    QTest::newRow("everything was written back") << WrittenBack::everything << 1;
    const bool full = qEnvironmentVariable("GPUSPOOL_SWEEP") == "full";
    QTest::newRow("by chance") << WrittenBack::by_chance << (full ? 60 : 3);
}

void unit_power_cut::at_every_operation() {
    QFETCH(WrittenBack, written_back);
    QFETCH(int, seeds);
    const std::uint64_t operations = operations_undisturbed();
    for (std::uint64_t at = 0; at <= operations; ++at)
        for (int seed = 0; seed < seeds; ++seed) {
            const Cut cut{0, at, 0, written_back, static_cast<std::uint32_t>(seed + 100 * at)};
            const auto wrong = wrong_after(cut);
            QVERIFY2(wrong.empty(), text_of(cut, wrong));
        }
}

void unit_power_cut::after_a_killed_daemon_data() {
    QTest::addColumn<WrittenBack>("written_back");
    QTest::addColumn<bool>("power_fails");
    QTest::newRow("nothing was written back") << WrittenBack::nothing << true;
    QTest::newRow("by chance") << WrittenBack::by_chance << true;
    QTest::newRow("the power stays") << WrittenBack::nothing << false;
}

/// What a killed daemon left unsynced is not on the disk because it can be read.
void unit_power_cut::after_a_killed_daemon() {
    QFETCH(WrittenBack, written_back);
    QFETCH(bool, power_fails);
    const bool full = qEnvironmentVariable("GPUSPOOL_SWEEP") == "full";
    const std::uint64_t operations = operations_undisturbed();
    std::mt19937 chance(20);
    for (int round = 0; round < (full ? 20 : 1); ++round)
        for (std::uint64_t at = 1; at <= operations; at += full ? 1 : 5) {
            const std::uint64_t fails_at = power_fails ? 1 + chance() % operations : 1'000'000;
            const Cut cut{at, fails_at, 0, written_back, static_cast<std::uint32_t>(at)};
            const auto wrong = wrong_after(cut);
            QVERIFY2(wrong.empty(), text_of(cut, wrong));
        }
}

void unit_power_cut::again_in_the_next_boot() {
    const std::uint64_t operations = operations_undisturbed();
    std::mt19937 chance(21);
    for (std::uint64_t at = 1; at <= operations; at += 3) {
        const Cut cut{0, at, 1 + chance() % operations, WrittenBack::by_chance,
                      static_cast<std::uint32_t>(at)};
        const auto wrong = wrong_after(cut);
        QVERIFY2(wrong.empty(), text_of(cut, wrong));
    }
}

QTEST_GUILESS_MAIN(unit_power_cut)
#include "unit_power_cut.moc"
