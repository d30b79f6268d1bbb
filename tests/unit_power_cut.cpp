// The power goes at every operation in turn, while jobs are claimed, run, published and released on
// files in memory: after the next start each job is in one place, nothing ran twice, no success was
// made up, no number names two jobs.
//
// What is driven is the daemon's own code for active and for waiting jobs; the supervisors are
// simulated. GPUSPOOL_SWEEP=full (tests/run --full) tries more of what may be left by chance.
#include "libspool/submit.h"
#include "libspool/system.h"
#include "tests/power_cut_daemon.h"

// Last: Qt makes `slots` a keyword.
#include <QtTest>

using namespace std::chrono_literals;
using spool::test::MemoryFiles;
using spool::test::WrittenBack;
using test::dropped_name;
using test::open_spool_in_memory;
using test::PowerCutDaemon;
using test::TestClock;
using test::Truth;

namespace {

void drop(MemoryFiles& files, const std::string& name, const std::string& text, Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    auto file =
        spool::open_file(files, spool.incoming.get(), name, spool::OpenMode::create_exclusive);
    if (file) (void)files.write(file->get(), 0, text);
    truth.dropped.push_back(name);
}

/// What the user has put there is on the disk.
void drop_jobs(MemoryFiles& files, Truth& truth) {
    drop(files, "one.job", "true\n", truth);
    drop(files, "failing.job", "exit 3\n", truth);
    drop(files, "invalid.job", "#SPOOL --gpus=banana\ntrue\n", truth);
    drop(files, "two.sh", "true\n", truth);
    drop(files, "retried.job", "true\n", truth);
    files.sync_all();
}

/// `gpuspool submit`: once it has returned, the job must not be lost.
void submit_job(MemoryFiles& files, const TestClock& clock, const std::string& stem, Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    spool::Submission submission;
    submission.bytes = "true\n";
    submission.stem = stem;
    if (const auto submitted = spool::submit(spool, submission, clock); submitted) {
        truth.dropped.push_back(submitted->file_name);
        truth.shown.emplace(submitted->number, submitted->file_name);
    }
}

std::vector<spool::JobResult> results_in(spool::Spool& spool, Truth& truth) {
    std::vector<spool::JobResult> results;
    const auto entries = spool.files->list(spool.done.get());
    if (!entries) return results;
    for (const auto& entry : *entries) {
        if (!entry.name.ends_with(".json")) continue;
        const auto bytes = spool::read_whole(*spool.files, spool.done.get(), entry.name);
        const auto result = bytes.and_then(
            [&](const std::string& text) { return spool::read_result(text, entry.name); });
        if (result)
            results.push_back(*result);
        else
            truth.wrong.push_back("done/" + entry.name + " is damaged");
    }
    return results;
}

/// What becomes of a job that nothing is done to.
spool::Outcome true_outcome(const std::string& file) {
    if (file.starts_with("failing")) return spool::Outcome::failed;
    if (file.starts_with("invalid")) return spool::Outcome::rejected;
    return spool::Outcome::succeeded;
}

/// A result is the truth, or what a cut or a kill in the middle of the job permits and no more.
void check_outcome(const spool::JobResult& result, int executions, Truth& truth) {
    const std::string file = dropped_name(result.file);
    const bool is_true =
        result.state == true_outcome(file) && (!file.starts_with("retried") || result.attempt == 2);
    const bool permitted =
        (result.state == spool::Outcome::interrupted && truth.cut_off.contains(file)) ||
        (result.state == spool::Outcome::lost && truth.killed.contains(file) && executions == 1);
    const auto told = truth.told.find(result.id);
    // What is not known stays so, whichever way it was lost.
    const bool as_told =
        told == truth.told.end() || told->second == result.state ||
        (told->second == spool::Outcome::lost && result.state == spool::Outcome::interrupted);
    if ((is_true || permitted) && as_told) return;
    truth.wrong.push_back(file + " is " + std::string(spool::outcome_name(result.state)) +
                          " at attempt " + std::to_string(result.attempt) + ": " +
                          result.reason.value_or("no reason") +
                          (as_told ? "" : "; and something else was told before"));
}

/// All jobs have ended: what does the disk say of them?
void check(MemoryFiles& files, Truth& truth) {
    spool::Spool spool = open_spool_in_memory(files);
    const auto results = results_in(spool, truth);
    std::map<std::string, int> places;
    std::map<std::string, std::string> said;
    std::map<std::uint64_t, std::string> numbers;
    for (const auto& result : results) {
        const std::string file = dropped_name(result.file);
        ++places[file];
        said[file] += result.name + " " + std::to_string(result.id) + " " +
                      std::string(spool::outcome_name(result.state)) + " " +
                      result.reason.value_or("") + "; ";
        if (const auto [known, fresh] = numbers.emplace(result.id, file); !fresh)
            truth.wrong.push_back("number " + std::to_string(result.id) + " is of " +
                                  known->second + " and of " + file);
        if (const auto shown = truth.shown.find(result.id);
            shown != truth.shown.end() && shown->second != result.file)
            truth.wrong.push_back("a number shown for " + shown->second + " is of " + result.file);
        const std::string attempt =
            test::attempt_name(file, static_cast<std::uint32_t>(result.attempt));
        const auto executed = truth.executed.find(attempt);
        const int executions = executed == truth.executed.end() ? 0 : executed->second;
        const bool ran_well = executions == 1 && truth.finished.contains(attempt);
        if (result.state == spool::Outcome::succeeded && !ran_well)
            truth.wrong.push_back(result.file + " succeeded without having run to its end");
        check_outcome(result, executions, truth);
    }
    for (const auto& [name, count] : truth.executed)
        if (count > 1)
            truth.wrong.push_back(name + " was executed " + std::to_string(count) + " times");
    for (const std::string& name : truth.dropped)
        if (places[name] != 1)
            truth.wrong.push_back(name + " has " + std::to_string(places[name]) +
                                  " results: " + said[name]);
    const auto left = files.list(spool.running.get());
    for (const auto& entry : left.value_or(std::vector<spool::DirectoryEntry>{}))
        truth.wrong.push_back("left behind: running/" + entry.name);
}

struct Cut {
    std::uint64_t process_dies_at = 0;  ///< operation after which the first daemon dies; 0 = not
    std::uint64_t power_fails_at = 0;   ///< operation, counted from the start of its daemon
    std::uint64_t power_fails_again_at = 0;  ///< in the next boot; 0 = not
    WrittenBack written_back = WrittenBack::by_chance;
    std::uint32_t seed = 0;
};

/// One life of a daemon, until its end or that of the machine.
void live(MemoryFiles& files, TestClock& clock, std::uint8_t boot, Truth& truth,
          const std::string& submitted = {}) {
    PowerCutDaemon daemon(files, clock, boot, truth);
    if (const auto started = daemon.start(); !started) {
        if (!files.is_off()) truth.wrong.push_back("does not start: " + started.error().text());
        return;
    }
    if (!submitted.empty()) submit_job(files, clock, submitted, truth);
    if (!daemon.work()) truth.wrong.push_back("not settled: " + daemon.left());
}

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
    drop_jobs(files, truth);
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
    QCOMPARE(truth.executed.size(), std::size_t{6});
    QCOMPARE(truth.finished.size(), std::size_t{4});
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
