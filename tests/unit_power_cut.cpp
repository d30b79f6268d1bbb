// The power goes at every operation in turn, while jobs are claimed, run, published and released on
// files in memory: after the next start each job is in one place, nothing ran twice, no success was
// made up, no number names two jobs.
//
// What is driven is the daemon's own code for active and for waiting jobs; the supervisors are
// simulated. GPUSPOOL_SWEEP=full tries more of what may be left by chance.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <set>

#include "libspool/finish.h"
#include "libspool/incoming.h"
#include "libspool/outcome.h"
#include "libspool/recover.h"
#include "libspool/submit.h"
#include "libspool/system.h"
#include "spoold/active_jobs.h"
#include "tests/support/memory_files.h"

// Last: Qt makes `slots` a keyword.
#include <QtTest>

using namespace std::chrono_literals;
using spool::test::MemoryFiles;
using spool::test::WrittenBack;

namespace {

class TestClock : public spool::Clock {
public:
    [[nodiscard]] std::int64_t wall() const override { return 1'700'000'000'000'000'000 + now_; }
    [[nodiscard]] std::chrono::nanoseconds monotonic() const override { return 1h + now(); }
    void advance(std::chrono::nanoseconds time) { now_ += time.count(); }

private:
    [[nodiscard]] std::chrono::nanoseconds now() const { return std::chrono::nanoseconds(now_); }
    std::int64_t now_ = 0;
};

/// The name under which a file was dropped, whatever number its name has been given since.
std::string dropped_name(const std::string& file_name) {
    const std::size_t dot = file_name.rfind('.');
    return file_name.substr(0, std::min(file_name.find('~'), dot)) + file_name.substr(dot);
}

/// What truly happened, whatever the disk says.
struct Truth {
    std::map<std::string, int> executed;         ///< by the name as dropped
    std::set<std::string> finished;              ///< came to their end with exit code 0
    std::map<std::uint64_t, std::string> shown;  ///< which file a number was shown for
    std::vector<std::string> dropped;            ///< must not be lost
    std::vector<std::string> wrong;
};

spool::Spool open_spool_in_memory(MemoryFiles& files) {
    spool::Spool spool;
    spool.files = &files;
    spool.path = "/spool";
    spool.identity = "0123456789abcdef0123456789abcdef";
    spool.root = spool::OpenFile(files, files.root());
    const auto directory = [&](const spool::OpenFile& parent, const char* name) {
        (void)files.make_directory(parent.get(), name);
        auto opened = spool::open_file(files, parent.get(), name, spool::OpenMode::directory);
        return opened ? std::move(*opened) : spool::OpenFile();
    };
    spool.incoming = directory(spool.root, "incoming");
    spool.running = directory(spool.root, "running");
    spool.done = directory(spool.root, "done");
    spool.control = directory(spool.root, "control");
    spool.internal = directory(spool.root, ".spool");
    spool.records = directory(spool.internal, "records");
    spool.scripts = directory(spool.internal, "scripts");
    spool.environments = directory(spool.internal, "env");
    spool.temporary = directory(spool.internal, "tmp");
    return spool;
}

/// Runs jobs as spool-exec does: lock, claim, run page, execution, exit page.
class Supervisors : public spoold::Executor {
public:
    Supervisors(spool::Spool& spool, const spool::record::BootId& boot, Truth& truth)
        : spool_(spool), files_(*spool.files), boot_(boot), truth_(truth) {}

    spool::Result<void> start(const spool::ActiveJob& job, const spoold::Binding&) override {
        auto file = spool::open_file(files_, spool_.records.get(), std::to_string(job.record.index),
                                     spool::OpenMode::read_write);
        if (!file) return tl::unexpected(file.error());
        const auto locked = files_.lock(file->get());
        if (!locked || !*locked) return {};
        spool::RecordFile record{job.record.index, std::move(*file), job.record.size, false};
        const auto content = spool::read_record(files_, record);
        if (!content || !content->claimed() || content->claim.token != job.token ||
            content->started() || content->cancelled())
            return {};
        spool::record::Run run{};
        run.token = job.token;
        run.boot_id = boot_;
        run.supervisor_pid = run.main_pid = 4711;
        run.started_at = 1;
        if (!spool::write_page(files_, record, spool::record::run_page, run)) return {};
        if (files_is_off()) return {};
        const std::string name = dropped_name(job.file_name);
        ++truth_.executed[name];
        running_.push_back({std::move(record), job.token, name});
        return {};
    }

    spool::Result<void> notify_cancel(const spool::ActiveJob&,
                                      const spool::RecordContent&) override {
        return {};
    }

    spool::Result<spoold::Standing> standing(const spool::ActiveJob& job) override {
        const auto locked = files_.is_locked(job.record.file.get());
        if (!locked) return tl::unexpected(locked.error());
        auto content = spool::read_record(files_, job.record);
        if (!content) return tl::unexpected(content.error());
        return spoold::Standing{std::move(*content), *locked};
    }

    /// The oldest running job comes to its end.
    void end_one() {
        if (running_.empty()) return;
        Running ended = std::move(running_.front());
        running_.pop_front();
        const bool fails = ended.file_name.starts_with("failing");
        spool::record::Exit exit{};
        exit.token = ended.token;
        exit.phase = spool::record::Phase::complete;
        exit.wait_status = fails ? 3 << 8 : 0;
        exit.ended_at = 2;
        if (!fails && !files_is_off()) truth_.finished.insert(ended.file_name);
        (void)spool::write_page(files_, ended.record, spool::record::exit_page, exit);
    }

private:
    struct Running {
        spool::RecordFile record;
        spool::record::Token token;
        std::string file_name;
    };
    [[nodiscard]] bool files_is_off() const {
        return static_cast<const MemoryFiles&>(files_).is_off();
    }

    spool::Spool& spool_;
    spool::Files& files_;
    spool::record::BootId boot_;
    Truth& truth_;
    std::deque<Running> running_;
};

/// A daemon without its loop, its events and its scheduling: every ready job is started at once.
class Daemon {
public:
    Daemon(MemoryFiles& files, TestClock& clock, std::uint8_t boot, Truth& truth)
        : files_(files),
          clock_(clock),
          truth_(truth),
          spool_(open_spool_in_memory(files)),
          pool_(spool_),
          supervisors_(spool_, boot_id(boot), truth) {
        boot_ = boot_id(boot);
    }

    spool::Result<void> start();
    /// Works until nothing waits or runs, or the power is gone. False if it comes to no end.
    bool work();

private:
    static spool::record::BootId boot_id(std::uint8_t boot) {
        spool::record::BootId id{};
        id[0] = boot;
        return id;
    }
    void pass();
    void take_changes();
    bool end_unstarted(spool::JobResult result, bool has_file);
    void end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files);
    void finish_unstarted(const spool::JobResult& result, spool::Published published);
    void claim(std::uint64_t number);
    void note_shown();
    [[nodiscard]] bool idle() const;
    spoold::ActiveJobsListener listener();

    MemoryFiles& files_;
    TestClock& clock_;
    Truth& truth_;
    boost::asio::io_context io_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_ =
        boost::asio::make_work_guard(io_);
    spool::Spool spool_;
    spool::record::BootId boot_{};
    spool::RecordPool pool_;
    Supervisors supervisors_;
    std::set<std::uint64_t> used_, queue_;
    std::optional<spool::Journal> history_;
    std::optional<spool::Incoming> incoming_;
    std::optional<spoold::ActiveJobs> active_;
    std::optional<spoold::SyncThread> syncs_;
    int syncs_pending_ = 0, numbers_pending_ = 0;
};

spoold::ActiveJobsListener Daemon::listener() {
    return {[](std::uint64_t) {},
            [](const spool::ActiveJob&) {},
            [](const spoold::Active&) {},
            [this](const spool::JobResult& result) { used_.insert(result.id); },
            [] {},
            [](const spool::ActiveJob&) { return std::vector<std::string>(); },
            [](const std::string&, const std::string&) {}};
}

/// As spoold's Daemon::recover does it.
spool::Result<void> Daemon::start() {
    syncs_.emplace(io_, files_);
    auto history = spool::load_history(spool_, history_);
    if (!history) return tl::unexpected(history.error());
    std::uint64_t highest = 0;
    for (const auto& entry : *history) {
        highest = std::max(highest, entry.number);
        used_.insert(entry.number);
    }
    auto recovery = spool::recover(spool_, pool_, clock_, boot_,
                                   [](const spool::record::Token&) { return false; });
    if (!recovery) return tl::unexpected(recovery.error());
    active_.emplace(spool_, clock_, boot_, pool_, *history_, *syncs_, supervisors_, listener());
    incoming_.emplace(
        spool_, clock_, [this](std::uint64_t number) { return used_.contains(number); },
        [this](const spool::FileStat& stat) {
            return active_->has_inode(stat.device, stat.inode);
        });
    for (auto& recovered : recovery->jobs) {
        const std::uint64_t number = recovered.job.number;
        highest = std::max(highest, number);
        used_.insert(number);
        const bool starts = recovered.action == spool::RecoveryAction::start;
        active_->adopt(std::move(recovered));
        if (starts) active_->bind(number, {{"0"}, {}});
    }
    auto ends = spool::recover_unstarted(
        spool_, [this](std::uint64_t number) { return used_.contains(number); });
    if (!ends) return tl::unexpected(ends.error());
    for (auto& end : *ends)
        finish_unstarted(end.result, std::move(end.published));
    if (auto raised = spool::raise_counter(spool_, highest); !raised) return raised;
    return incoming_->load();
}

bool Daemon::idle() const {
    if (!active_->jobs().empty() || syncs_pending_ + numbers_pending_ > 0) return false;
    const auto entries = spool_.files->list(spool_.incoming.get());
    return entries && entries->empty() && incoming_->jobs().empty();
}

bool Daemon::work() {
    for (int passes = 0; passes < 3000; ++passes) {
        pass();
        if (files_.is_off() || idle()) return true;
    }
    return false;
}

void Daemon::pass() {
    clock_.advance(60ms);
    if (incoming_->begin_scan())
        while (incoming_->continue_scan(1s)) {
        }
    incoming_->advance();
    take_changes();
    for (const std::uint64_t number : std::set<std::uint64_t>(queue_))
        if (active_->jobs().size() < 3) claim(number);
    supervisors_.end_one();
    active_->look_at_all();
    active_->advance();
    io_.run_one_for(200us);  // a sync may be on its way
    io_.poll();
}

void Daemon::take_changes() {
    auto changes = incoming_->take_changes();
    if (!changes) return;
    for (const std::uint64_t number : changes->unready)
        queue_.erase(number);
    for (const std::uint64_t number : changes->ready)
        queue_.insert(number);
    for (const auto& gone : changes->withdrawn)
        end_unstarted(spool::withdrawn_result(gone.number, gone.file_name, clock_.wall()), false);
    if (!changes->numbered && numbers_pending_ == 0) return end_rejected(changes->rejected);
    spool::SyncSet barrier;
    incoming_->add_barrier(barrier);
    ++numbers_pending_;
    syncs_->sync(std::move(barrier), [this, changes = std::move(*changes)](const auto& failures) {
        --numbers_pending_;
        if (!failures.empty()) return;
        note_shown();
        end_rejected(changes.rejected);
    });
}

void Daemon::end_rejected(const std::vector<spool::IncomingChanges::Rejected>& files) {
    for (const auto& file : files) {
        const bool ended = end_unstarted(
            spool::rejected_result(file.number, file.file_name, file.error, clock_.wall()), true);
        if (ended)
            incoming_->forget(file.number);
        else
            incoming_->settle_again(file.number, spool::WaitReason::Kind::trouble);
    }
}

void Daemon::note_shown() {
    for (const auto& [name, job] : incoming_->jobs()) {
        if (job.number == 0) continue;
        const auto [known, fresh] = truth_.shown.emplace(job.number, name);
        if (!fresh && known->second != name)
            truth_.wrong.push_back("number " + std::to_string(job.number) + " was shown for " +
                                   known->second + " and for " + name);
    }
}

bool Daemon::end_unstarted(spool::JobResult result, bool has_file) {
    auto published = spool::publish_unstarted(
        spool_, result, has_file,
        [this](const std::string& name) { return active_->name_taken(name); });
    if (published) finish_unstarted(result, std::move(*published));
    return published.has_value();
}

void Daemon::finish_unstarted(const spool::JobResult& result, spool::Published published) {
    used_.insert(result.id);
    (void)history_->append(spool::write_line(spool::HistoryEntry{
        result.id, result.name, result.state, result.exit_code, result.ended_at}));
    spool::SyncSet barrier;
    spool::add_publish_barrier(spool_, published, barrier);
    barrier.add(spool_.incoming.get(), true);
    barrier.add(history_->handle(), false);
    auto kept = std::make_shared<spool::Published>(std::move(published));
    ++syncs_pending_;
    syncs_->sync(std::move(barrier), [this, kept](const auto&) { --syncs_pending_; });
}

void Daemon::claim(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    queue_.erase(number);
    if (job == nullptr) return;
    spool::ClaimRequest request;
    request.file_name = job->file_name;
    request.seen = job->stat;
    request.number = number;
    request.launch = [](const spool::ClaimIdentity&, const std::string&) {
        spool::Launch launch;
        launch.arguments = {"/bin/true"};
        launch.directory = "/";
        return launch;
    };
    request.name_taken = [this](const std::string& name) { return active_->name_taken(name); };
    auto claimed = spool::claim(spool_, pool_, clock_, boot_, request);
    if (!claimed || std::holds_alternative<spool::NotClaimed>(*claimed))
        return incoming_->settle_again(number, spool::WaitReason::Kind::settling);
    incoming_->forget(number);
    active_->add(std::get<spool::ActiveJob>(std::move(*claimed)));
    active_->bind(number, {{"0"}, {}});
}

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
        const auto executed = truth.executed.find(file);
        const int executions = executed == truth.executed.end() ? 0 : executed->second;
        const bool ran_well = executions == 1 && truth.finished.contains(file);
        if (result.state == spool::Outcome::succeeded && !ran_well)
            truth.wrong.push_back(result.file + " succeeded without having run to its end");
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
    Daemon daemon(files, clock, boot, truth);
    if (const auto started = daemon.start(); !started) {
        if (!files.is_off()) truth.wrong.push_back("does not start: " + started.error().text());
        return;
    }
    if (!submitted.empty()) submit_job(files, clock, submitted, truth);
    if (!daemon.work()) truth.wrong.push_back("not settled");
}

std::vector<std::string> wrong_after(const Cut& cut) {
    MemoryFiles files;
    TestClock clock;
    Truth truth;
    drop_jobs(files, truth);
    if (cut.process_dies_at != 0) {
        files.cut_at(cut.process_dies_at);
        live(files, clock, 1, truth);
        files.process_dies();
    }
    files.cut_at(cut.power_fails_at);
    live(files, clock, 1, truth, "submitted");
    const bool failed = files.is_off();
    files.power_on(cut.written_back, cut.seed);
    if (cut.power_fails_again_at != 0) {
        files.cut_at(cut.power_fails_again_at);
        live(files, clock, 2, truth);
        files.power_on(cut.written_back, cut.seed + 1);
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
    QCOMPARE(truth.executed.size(), std::size_t{4});
    QCOMPARE(truth.finished.size(), std::size_t{3});
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
    QTest::newRow("nothing was written back") << WrittenBack::nothing;
    QTest::newRow("by chance") << WrittenBack::by_chance;
}

/// What a killed daemon left unsynced is not on the disk because it can be read.
void unit_power_cut::after_a_killed_daemon() {
    QFETCH(WrittenBack, written_back);
    const std::uint64_t operations = operations_undisturbed();
    std::mt19937 chance(20);
    for (std::uint64_t at = 1; at <= operations; at += 3) {
        const Cut cut{at, 1 + chance() % operations, 0, written_back,
                      static_cast<std::uint32_t>(at)};
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
