#include "libspool/journal.h"
#include "libspool/reader.h"
#include "libspool/submit.h"
#include "libspool/system.h"
#include "scratch_spool.h"

using Kind = spool::WaitReason::Kind;

namespace {

spool::JobResult result_of(std::uint64_t id, const std::string& name, std::int64_t ended) {
    spool::JobResult out;
    out.id = id;
    out.name = name;
    out.file = name + ".job";
    out.state = spool::Outcome::succeeded;
    out.exit_code = 0;
    out.ended_at = ended * 1'000'000'000;
    return out;
}

void put_done(ScratchSpool& scratch, std::uint64_t id, const std::string& name,
              std::int64_t ended) {
    scratch.put(scratch.spool.done, name + ".job", "true\n");
    scratch.put(scratch.spool.done, name + ".json",
                spool::write_result(result_of(id, name, ended)));
}

/// What a daemon on this host would leave behind: its lock is held for as long as the handle lives.
spool::OpenFile pretend_daemon(ScratchSpool& scratch, const spool::SpoolState& state) {
    spool::Owner owner;
    owner.host = "here";
    owner.machine_id = *spool::machine_id();
    if (!spool::write_owner(scratch.spool, owner)) qFatal("owner");
    scratch.put(scratch.spool.internal, "state.json", spool::write_state(state));
    auto lock = spool::open_file(scratch.files, scratch.spool.internal.get(), "lock",
                                 spool::OpenMode::create);
    if (!lock || !*scratch.files.lock(lock->get())) qFatal("lock");
    return std::move(*lock);
}

spool::WaitingState waiting_job(std::uint64_t id, const std::string& name, Kind kind) {
    spool::WaitingState out;
    out.id = id;
    out.name = name;
    out.file = name + ".job";
    out.reason.kind = kind;
    return out;
}

std::uint64_t submit(ScratchSpool& scratch, const std::string& name,
                     const std::string& bytes = "true\n") {
    const auto submitted = spool::submit(scratch.spool, {bytes, name, ".job", {}}, scratch.clock);
    if (!submitted) qFatal("%s", submitted.error().text().c_str());
    return submitted->number;
}

}  // namespace

class UnitReader : public QObject {
    Q_OBJECT
private slots:
    void without_a_daemon_the_directories_speak();
    void bare_files_have_the_numbers_that_were_shown();
    void a_number_that_is_used_does_not_count();
    void with_a_daemon_its_state_speaks();
    void a_job_that_was_just_submitted_is_seen();
    void a_claimed_job_that_still_waits_is_shown_once();
    void a_running_job_that_has_ended_is_not_running();
    void a_broken_state_is_reported();
    void a_daemon_that_cannot_write_is_reported();
    void results_are_newest_first();
    void the_history_is_a_hint_only();
    void jobs_are_found_data();
    void jobs_are_found();
    void an_unknown_job_is_an_error_that_helps();
};

void UnitReader::without_a_daemon_the_directories_speak() {
    ScratchSpool scratch;
    submit(scratch, "a", "#SPOOL --priority=1\ntrue\n");
    submit(scratch, "b", "#SPOOL --priority=5\necho b\n");
    scratch.put(scratch.spool.incoming, "bare.job", "");
    scratch.put(scratch.spool.incoming, "notes.txt", "x");
    scratch.put(scratch.spool.incoming, ".hidden.job", "x");
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QVERIFY(state.has_value());
    QVERIFY(!state->daemon.running);
    QCOMPARE(state->waiting_count, std::uint64_t(3));
    QCOMPARE(state->waiting.size(), std::size_t(3));
    QCOMPARE(state->waiting[0].name, std::string("b"));
    QCOMPARE(state->waiting[0].id, std::uint64_t(2));
    QCOMPARE(state->waiting[0].command, std::string("echo b"));
    QCOMPARE(state->waiting[0].reason.kind, Kind::daemon_down);
    QCOMPARE(state->waiting[2].id, std::uint64_t(0));
    QCOMPARE(state->waiting[2].reason.kind, Kind::no_command);
    QCOMPARE(state->ignored.size(), std::size_t(1));
    QCOMPARE(state->ignored[0].path, std::string("incoming/notes.txt"));
}

void UnitReader::bare_files_have_the_numbers_that_were_shown() {
    ScratchSpool scratch;
    scratch.put(scratch.spool.incoming, "moved.job", "true\n");
    scratch.put(scratch.spool.incoming, "saved.job", "true\n");
    const auto stat = *scratch.files.stat_at(scratch.spool.incoming.get(), "moved.job");
    scratch.put(scratch.spool.internal, "waiting",
                spool::write_line(spool::WaitingEntry{5, stat.device, stat.inode, "old.job", 0}) +
                    spool::write_line(spool::WaitingEntry{6, 1, 1, "saved.job", 0}) + "not json\n" +
                    R"({"n":9,"name":"torn)");
    QCOMPARE(spool::find_job(scratch.spool, "moved", scratch.clock)->id, std::uint64_t(5));
    QCOMPARE(spool::find_job(scratch.spool, "6", scratch.clock)->name, std::string("saved"));
}

void UnitReader::a_number_that_is_used_does_not_count() {
    ScratchSpool scratch;
    submit(scratch, "x");
    const std::string bytes = scratch.get(scratch.spool.incoming, "x.job");
    scratch.put(scratch.spool.incoming, "copy.job", bytes);
    std::vector<std::uint64_t> numbers;
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QVERIFY(state.has_value());
    for (const auto& job : state->waiting)
        numbers.push_back(job.id);
    QCOMPARE(numbers, (std::vector<std::uint64_t>{1, 0}));
    QVERIFY(scratch.files.remove(scratch.spool.incoming.get(), "copy.job").has_value());
    put_done(scratch, 1, "x", 5);  // moved back from done/
    QCOMPARE(spool::read_spool(scratch.spool, scratch.clock)->waiting[0].id, std::uint64_t(0));
}

void UnitReader::with_a_daemon_its_state_speaks() {
    ScratchSpool scratch;
    scratch.put(scratch.spool.incoming, "x.job", "true\n");
    spool::SpoolState published;
    published.waiting = {waiting_job(7, "x", Kind::cpu_slots),
                         waiting_job(8, "withdrawn", Kind::next)};
    published.waiting_count = 2;
    const spool::OpenFile lock = pretend_daemon(scratch, published);
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QVERIFY(state->daemon.running);
    QCOMPARE(state->waiting.size(), std::size_t(1));
    QCOMPARE(state->waiting[0].id, std::uint64_t(7));
    QCOMPARE(state->waiting[0].reason.kind, Kind::cpu_slots);
}

void UnitReader::a_job_that_was_just_submitted_is_seen() {
    ScratchSpool scratch;
    const spool::OpenFile lock = pretend_daemon(scratch, {});
    const std::uint64_t number = submit(scratch, "x");
    const auto job = spool::find_job(scratch.spool, std::to_string(number), scratch.clock);
    QVERIFY(job.has_value() && job->waiting());
    QCOMPARE(job->waiting()->reason.kind, Kind::next);
}

void UnitReader::a_claimed_job_that_still_waits_is_shown_once() {
    ScratchSpool scratch;
    const std::uint64_t number = submit(scratch, "x");
    QVERIFY(scratch.files
                .rename(scratch.spool.incoming.get(), "x.job", scratch.spool.running.get(), "x.job")
                .has_value());
    spool::SpoolState published;
    published.waiting = {waiting_job(number, "x", Kind::gpus)};
    published.waiting_count = 1;
    const spool::OpenFile lock = pretend_daemon(scratch, published);
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QCOMPARE(state->waiting.size(), std::size_t(1));
    QCOMPARE(state->running.size(), std::size_t(0));
}

void UnitReader::a_running_job_that_has_ended_is_not_running() {
    ScratchSpool scratch;
    spool::SpoolState published;
    spool::RunningState running;
    running.id = 3;
    running.name = "x";
    running.phase = "running";
    published.running = {running};
    spool::RunningState other = running;
    other.id = 4;
    other.name = "y";
    published.running.push_back(other);
    published.gpus = {{"0", 3, "x", {3}, "held"}, {"1", 3, "x", {3, 4}, "held"}};
    spool::DeviceState device;
    device.status = "held";
    device.jobs = {3};
    published.devices = {device};
    const spool::OpenFile lock = pretend_daemon(scratch, published);
    scratch.put(scratch.spool.running, "x.job", "true\n");
    scratch.put(scratch.spool.running, "y.job", "true\n");
    const auto before = spool::read_spool(scratch.spool, scratch.clock);
    QCOMPARE(before->running.size(), std::size_t(2));
    QCOMPARE(before->gpus[0].status, std::string("held"));
    QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job").has_value());
    put_done(scratch, 3, "x", 5);
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QCOMPARE(state->running.size(), std::size_t(1));
    const spool::GpuState& alone = state->gpus[0];
    QVERIFY(!alone.job.has_value() && alone.jobs.empty());
    QCOMPARE(alone.status, std::string("free"));
    const spool::GpuState& shared = state->gpus[1];
    QCOMPARE(shared.jobs, std::vector<std::uint64_t>{4});
    QCOMPARE(shared.name, std::string("y"));
    QCOMPARE(state->devices[0].status, std::string("free"));
    QVERIFY(spool::find_job(scratch.spool, "3", scratch.clock)->result());
}

void UnitReader::a_broken_state_is_reported() {
    ScratchSpool scratch;
    scratch.put(scratch.spool.internal, "state.json", "{");
    submit(scratch, "x");
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QVERIFY(state.has_value());
    QCOMPARE(state->daemon.problems.size(), std::size_t(1));
    QCOMPARE(state->waiting.size(), std::size_t(1));
}

void UnitReader::a_daemon_that_cannot_write_is_reported() {
    ScratchSpool scratch;
    const spool::OpenFile lock = pretend_daemon(scratch, {});
    scratch.clock.now = spool::read_owner(scratch.spool)->heartbeat;
    scratch.clock.advance(std::chrono::seconds(60));
    QVERIFY(spool::read_spool(scratch.spool, scratch.clock)->daemon.problems.empty());
    scratch.clock.advance(std::chrono::seconds(120));
    const auto state = spool::read_spool(scratch.spool, scratch.clock);
    QVERIFY(state->daemon.running);
    QCOMPARE(state->daemon.problems.size(), std::size_t(1));
    QVERIFY(state->daemon.problems[0].find("read-only") != std::string::npos);
}

void UnitReader::results_are_newest_first() {
    ScratchSpool scratch;
    put_done(scratch, 1, "a", 30);
    put_done(scratch, 2, "b", 10);
    put_done(scratch, 3, "c", 20);
    scratch.put(scratch.spool.done, "torn.json", "{");
    std::vector<std::uint64_t> ids;
    const auto results = spool::read_results(scratch.spool, 10);
    QVERIFY(results.has_value());
    for (const auto& result : *results)
        ids.push_back(result.id);
    QCOMPARE(ids, (std::vector<std::uint64_t>{1, 3, 2}));
    QCOMPARE(spool::read_results(scratch.spool, 1)->front().id, std::uint64_t(1));
    std::vector<spool::Error> unreadable;
    QVERIFY(spool::read_results(scratch.spool, 10, &unreadable).has_value());
    QCOMPARE(unreadable.size(), std::size_t(1));
    QCOMPARE(unreadable[0].path, std::string("done/torn.json"));
}

void UnitReader::the_history_is_a_hint_only() {
    ScratchSpool scratch;
    put_done(scratch, 1, "a", 10);
    put_done(scratch, 2, "b", 20);
    put_done(scratch, 3, "c", 30);
    std::string history;
    for (const auto& [number, name] : {std::pair(1, "a"), {2, "b"}, {3, "c"}, {4, "removed"}})
        history += spool::write_line(spool::HistoryEntry{
            std::uint64_t(number), name, spool::Outcome::succeeded, 0, number * 10});
    scratch.put(scratch.spool.internal, "history", history + "{\"n\":5,\"na");
    QCOMPARE(spool::read_results(scratch.spool, 2)->front().id, std::uint64_t(3));
    QCOMPARE(spool::read_results(scratch.spool, 2)->size(), std::size_t(2));
    QCOMPARE(spool::find_job(scratch.spool, "2", scratch.clock)->name, std::string("b"));
}

void UnitReader::jobs_are_found_data() {
    QTest::addColumn<QString>("job");
    QTest::addColumn<quint64>("id");
    QTest::newRow("number, done") << "10" << quint64(10);
    QTest::newRow("number, waiting") << "12" << quint64(12);
    QTest::newRow("plain name: the newest") << "x" << quint64(12);
    QTest::newRow("exact name") << "x~2" << quint64(11);
    QTest::newRow("file name") << "y.job" << quint64(13);
    QTest::newRow("a name that is a number") << "2024" << quint64(14);
    QTest::newRow("newest of all") << "" << quint64(15);
    QTest::newRow("leading dash") << "-x" << quint64(15);
}

void UnitReader::jobs_are_found() {
    QFETCH(QString, job);
    ScratchSpool scratch;
    QVERIFY(spool::raise_counter(scratch.spool, 11).has_value());
    put_done(scratch, 10, "x", 10);
    put_done(scratch, 11, "x~2", 20);
    for (const char* name : {"x", "y", "2024", "-x"})
        submit(scratch, name);
    const auto found = spool::find_job(scratch.spool, job.toStdString(), scratch.clock);
    QVERIFY2(found.has_value(), found ? "" : found.error().text().c_str());
    QTEST(quint64(found->id), "id");
}

void UnitReader::an_unknown_job_is_an_error_that_helps() {
    ScratchSpool scratch;
    QCOMPARE(spool::find_job(scratch.spool, "", scratch.clock).error().code, ENOENT);
    submit(scratch, "training");
    const auto error = spool::find_job(scratch.spool, "trainig", scratch.clock).error();
    QCOMPARE(error.code, ENOENT);
    QVERIFY(error.message.find("did you mean 'training'") != error.message.npos);
    QVERIFY(error.message.find("1 (training)") != error.message.npos);
    QCOMPARE(spool::find_job(scratch.spool, "99", scratch.clock).error().code, ENOENT);
}

QTEST_GUILESS_MAIN(UnitReader)
#include "unit_reader.moc"
