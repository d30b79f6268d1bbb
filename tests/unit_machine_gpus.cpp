// What the ends of jobs say of the GPUs that they had.
#include <QtTest>
#include <boost/asio/io_context.hpp>

#include "spoold/machine_gpus.h"
#include "tests/scratch_spool.h"

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t started = 1'700'000'000'000'000'000;

spool::JobResult result(std::uint64_t id, std::chrono::nanoseconds lasted,
                        spool::Outcome state = spool::Outcome::failed) {
    spool::JobResult out;
    out.id = id;
    out.state = state;
    out.exit_code = state == spool::Outcome::succeeded ? 0 : 3;
    out.started_at = started;
    out.ended_at = started + lasted.count();
    out.gpus = {"0"};
    out.gpu_ids = {"GPU-a"};
    return out;
}

class Machine {
public:
    ScratchSpool scratch;
    boost::asio::io_context io;
    spoold::MachineGpus gpus{io, scratch.spool, scratch.clock, {}, [] {}};

    /// Whether the GPU was drained by one of these ends.
    bool drained_by(const std::vector<spool::JobResult>& ends) {
        bool drained = false;
        for (const spool::JobResult& end : ends)
            drained = gpus.note_end(end).has_value() || drained;
        return drained;
    }
};

}  // namespace

Q_DECLARE_METATYPE(std::vector<spool::JobResult>)

class UnitMachineGpus : public QObject {
    Q_OBJECT

private slots:
    void three_quick_failures_in_a_row_data();
    void three_quick_failures_in_a_row();
    void the_message_names_jobs_and_remedy();
};

void UnitMachineGpus::three_quick_failures_in_a_row_data() {
    using Results = std::vector<spool::JobResult>;
    using spool::Outcome;
    QTest::addColumn<Results>("ends");
    QTest::addColumn<bool>("drained");
    const auto row = [](const char* name, const Results& ends, bool drained) {
        QTest::newRow(name) << ends << drained;
    };
    row("after 59 s", {result(1, 59s), result(2, 59s), result(3, 59s)}, true);
    row("after 61 s", {result(1, 61s), result(2, 61s), result(3, 61s)}, false);
    row("one after 61 s", {result(1, 59s), result(2, 61s), result(3, 59s), result(4, 59s)}, false);
    row("three after one of 61 s",
        {result(1, 59s), result(2, 61s), result(3, 59s), result(4, 59s), result(5, 59s)}, true);
    row("two", {result(1, 1s), result(2, 1s)}, false);
    row("a success between",
        {result(1, 1s), result(2, 1s), result(3, 1s, Outcome::succeeded), result(4, 1s)}, false);
    row("a quick time limit between",
        {result(1, 1s), result(2, 1s), result(3, 1s, Outcome::timeout), result(4, 1s)}, false);
    row("one that was cancelled does not count",
        {result(1, 1s), result(2, 1s), result(3, 1s, Outcome::cancelled)}, false);
    row("nor does it begin the count anew",
        {result(1, 1s), result(2, 1s), result(3, 1s, Outcome::cancelled), result(4, 1s)}, true);
    row("three attempts of one job", {result(1, 1s), result(1, 1s), result(1, 1s)}, false);
    spool::JobResult elsewhere = result(3, 1s);
    elsewhere.gpu_ids = {"GPU-b"};
    row("another GPU", {result(1, 1s), result(2, 1s), elsewhere}, false);
    spool::JobResult never_ran = result(3, 1s);
    never_ran.exit_code.reset();
    row("one that could not be executed", {result(1, 1s), result(2, 1s), never_ran}, false);
}

void UnitMachineGpus::three_quick_failures_in_a_row() {
    QFETCH(std::vector<spool::JobResult>, ends);
    Machine machine;
    QTEST(machine.drained_by(ends), "drained");
    QFETCH(bool, drained);
    QCOMPARE(machine.gpus.failed_gpus().empty(), !drained);
}

void UnitMachineGpus::the_message_names_jobs_and_remedy() {
    Machine machine;
    QVERIFY(!machine.gpus.note_end(result(7, 1s)) && !machine.gpus.note_end(result(8, 1s)));
    const auto message = machine.gpus.note_end(result(9, 1s));
    QVERIFY(message.has_value());
    QCOMPARE(*message,
             std::string("GPU GPU-a is drained: jobs 7, 8, 9 failed within a minute of their "
                         "start; when it is well again: gpuspool gpus undrain GPU-a"));
    // The next daemon knows it too.
    boost::asio::io_context io;
    spoold::MachineGpus next(io, machine.scratch.spool, machine.scratch.clock, {}, [] {});
    QVERIFY(next.load().has_value());
    QVERIFY(next.failed_gpus().find("jobs 7, 8, 9") != std::string::npos);
}

QTEST_GUILESS_MAIN(UnitMachineGpus)
#include "unit_machine_gpus.moc"
