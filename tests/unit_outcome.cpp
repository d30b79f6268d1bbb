// What became of a job: the table of docs/protocol.md §8, and what a result says besides.
#include <sys/wait.h>

#include <QtTest>
#include <cerrno>
#include <csignal>

#include "libspool/outcome.h"

namespace record = spool::record;
using spool::Outcome;

namespace {

const record::BootId this_boot{1}, other_boot{2};

spool::ActiveJob active_job() {
    spool::ActiveJob job;
    job.number = 42;
    job.attempt = 3;
    job.name = "x~2";
    job.extension = ".job";
    job.file_name = "x.job";
    job.token = {0xAB, 0xCD};
    job.directory = "/home/u/proj";
    job.facts = {"python train.py", "local", "login", 1'000, {"a note"}, 7, {}, false,
                 "/opt/python",     true};
    job.facts.memory = 4ULL << 30;
    return job;
}

/// A record of this boot, started and ended with exit 0.
spool::RecordContent ended() {
    using enum record::Validity;
    spool::RecordContent content;
    content.claim_validity = content.run_validity = content.exit_validity = valid;
    content.claim.boot_id = content.run.boot_id = this_boot;
    content.claim.state = record::ClaimState::claimed;
    content.claim.time_limit = 90'000;
    content.run.main_pid = 77;
    content.run.started_at = 2'000;
    content.run.limits = record::memory_is_limited;
    const std::string gpus = R"(["0,1","GPU-\\xff"])";
    content.run.gpus_length = static_cast<std::uint16_t>(gpus.copy(content.run.gpus, 1024));
    content.exit.phase = record::Phase::complete;
    content.exit.ended_at = 3'000;
    content.exit.user_microseconds = 1'500'000;
    content.exit.system_microseconds = 250'000;
    content.exit.max_rss_kilobytes = 2048;
    return content;
}

void cancel(spool::RecordContent& content, std::string_view reason) {
    content.cancel_validity = record::Validity::valid;
    content.cancel.reason_length =
        static_cast<std::uint32_t>(reason.copy(content.cancel.reason, 256));
}

spool::JobResult decide(const spool::RecordContent& content) {
    return spool::decide_outcome(active_job(), content, this_boot, 9'000);
}

}  // namespace

Q_DECLARE_METATYPE(Outcome)

class UnitOutcome : public QObject {
    Q_OBJECT

private slots:
    void a_valid_exit_page_decides_data() {
        QTest::addColumn<unsigned>("flags");
        QTest::addColumn<int>("wait_status");
        QTest::addColumn<int>("failed_step");
        QTest::addColumn<Outcome>("state");
        QTest::addColumn<int>("exit_code");  // -1: null
        QTest::addColumn<int>("signal");
        QTest::addColumn<QString>("reason");
        const auto code = [](int n) { return W_EXITCODE(n, 0); };
        const auto row = [](const char* name, unsigned flags, int status, int step, Outcome state,
                            int exit_code, int signal, const char* reason) {
            QTest::newRow(name) << flags << status << step << state << exit_code << signal
                                << reason;
        };
        using enum Outcome;
        row("exit 0", 0, code(0), 0, succeeded, 0, -1, "");
        row("exit 0, leftovers killed", record::leftovers_killed, code(0), 0, succeeded, 0, -1, "");
        row("exit 1", 0, code(1), 0, failed, 1, -1, "exit code 1; it ran in /home/u/proj");
        row("exit 127", 0, code(127), 0, failed, 127, -1, "exit code 127");
        row("exit 255", 0, code(255), 0, failed, 255, -1, "exit code 255");
        row("killed", 0, SIGKILL, 0, failed, -1, SIGKILL,
            "ended by signal 9 (Killed); the kernel does that to a process when memory runs out");
        row("killed in a shell", 0, code(137), 0, failed, 137, -1,
            "exit code 137; the kernel does that");
        using record::killed_for_memory, record::over_memory_limit;
        row("over its memory", killed_for_memory | over_memory_limit, SIGKILL, 0, failed, -1,
            SIGKILL, "killed for memory: more than --mem=4G; it ran in /home/u/proj");
        row("the machine's memory", killed_for_memory, SIGKILL, 0, failed, -1, SIGKILL,
            "killed for memory: the machine had none left");
        row("a process of it", killed_for_memory | over_memory_limit, code(1), 0, failed, 1, -1,
            "exit code 1; processes of it were killed for memory: more than --mem=4G");
        row("a process of it, which did not matter", killed_for_memory, code(0), 0, succeeded, 0,
            -1, "");
        row("cancelled, and killed", record::cancelled | killed_for_memory, SIGKILL, 0, cancelled,
            -1, SIGKILL, "by hand");
        row("dumped core", 0, SIGSEGV | WCOREFLAG, 0, failed, -1, SIGSEGV, "ended by signal 11");
        row("cancelled, exit 0", record::cancelled, code(0), 0, cancelled, 0, -1, "by hand");
        row("cancelled, signal", record::cancelled, SIGTERM, 0, cancelled, -1, SIGTERM, "by hand");
        row("cancelled wins", record::cancelled | record::timed_out | record::interrupted, SIGTERM,
            0, cancelled, -1, SIGTERM, "by hand");
        row("time limit", record::timed_out, SIGKILL, 0, timeout, -1, SIGKILL,
            "its time limit of 90 s was reached");
        row("time limit, exit 0", record::timed_out, code(0), 0, timeout, 0, -1, "time limit");
        row("shutdown", record::interrupted, SIGTERM, 0, interrupted, -1, SIGTERM, "shutting down");
        row("no directory", 0, 0, int(record::Step::directory), failed, -1, -1,
            "not started: cannot change to its directory /home/u/proj: No such file");
        row("no program", 0, 0, int(record::Step::exec), failed, -1, -1,
            "not started: its interpreter /opt/python could not be executed");
        row("no process", 0, 0, int(record::Step::fork), failed, -1, -1, "not started: no process");
        row("no script", 0, 0, int(record::Step::script), failed, -1, -1, "its script");
        row("no output", 0, 0, int(record::Step::output), failed, -1, -1, "its output file");
        row("no error file", 0, 0, int(record::Step::error_output), failed, -1, -1, "error file");
        row("no environment", 0, 0, int(record::Step::environment), failed, -1, -1, "environment");
        row("unknown step", 0, 0, 99, failed, -1, -1, "not started: No such file");
    }
    void a_valid_exit_page_decides() {
        QFETCH(unsigned, flags);
        QFETCH(int, wait_status);
        QFETCH(int, failed_step);
        QFETCH(Outcome, state);
        QFETCH(int, exit_code);
        QFETCH(int, signal);
        QFETCH(QString, reason);
        auto content = ended();
        cancel(content, "by hand");  // a cancel page after the end changes nothing
        content.exit.flags = flags;
        content.exit.wait_status = wait_status;
        content.exit.failed_step = static_cast<record::Step>(failed_step);
        content.exit.error = ENOENT;
        const auto result = decide(content);
        QCOMPARE(spool::outcome_name(result.state), spool::outcome_name(state));
        QCOMPARE(result.exit_code.value_or(-1), exit_code);
        QCOMPARE(result.signal.value_or(-1), signal);
        QCOMPARE(result.reason.has_value(), !reason.isEmpty());
        QVERIFY2(QString::fromStdString(result.reason.value_or("")).contains(reason),
                 result.reason.value_or("").c_str());
        QCOMPARE(result.ended_at, std::int64_t(3'000));
        // Of whatever boot: an outcome that is known is known.
        content.claim.boot_id = other_boot;
        QVERIFY(decide(content).state == state);
    }

    void what_was_only_counted_is_noted_data() {
        QTest::addColumn<quint64>("memory");
        QTest::addColumn<quint64>("processors");
        QTest::addColumn<unsigned>("limits");
        QTest::addColumn<QString>("note");
        using record::memory_is_limited, record::processors_are_limited;
        const quint64 some = 1500ULL << 20;
        QTest::newRow("nothing asked") << quint64(0) << quint64(0) << 0U << "";
        QTest::newRow("memory") << some << quint64(0) << 0U << "--mem=1500M was counted, not";
        QTest::newRow("both") << some << quint64(2) << 0U
                              << "--mem=1500M and --cpus=2 were counted, not enforced";
        QTest::newRow("one of them")
            << some << quint64(2) << unsigned(memory_is_limited) << "--cpus=2 was counted";
        QTest::newRow("enforced") << some << quint64(2)
                                  << unsigned(memory_is_limited | processors_are_limited) << "";
    }
    void what_was_only_counted_is_noted() {
        QFETCH(quint64, memory);
        QFETCH(quint64, processors);
        QFETCH(unsigned, limits);
        QFETCH(QString, note);
        spool::ActiveJob job = active_job();
        job.facts.notes.clear();
        job.facts.memory = memory;
        job.facts.processors = processors;
        auto content = ended();
        content.run.limits = limits;
        const auto notes = spool::decide_outcome(job, content, this_boot, 9'000).notes;
        QCOMPARE(notes.size(), std::size_t(note.isEmpty() ? 0 : 1));
        if (!notes.empty())
            QVERIFY2(QString::fromStdString(notes[0]).startsWith(note), notes[0].c_str());
        // It is in the record.
        const auto read = spool::read_facts(spool::write_facts(job.facts));
        QCOMPARE(read.memory, std::uint64_t(memory));
        QCOMPARE(read.processors, std::uint64_t(processors));
        // Of a job that was not executed nothing is said.
        content.run_validity = record::Validity::absent;
        QVERIFY(spool::decide_outcome(job, content, this_boot, 9'000).notes.empty());
    }

    void without_an_exit_page_it_is_not_known_data() {
        QTest::addColumn<bool>("same_boot");
        QTest::addColumn<bool>("started");
        QTest::addColumn<bool>("cancelled");
        QTest::addColumn<Outcome>("state");
        using enum Outcome;
        QTest::newRow("this boot, started") << true << true << false << lost;
        QTest::newRow("this boot, not started") << true << false << false << lost;
        QTest::newRow("this boot, started, cancelled") << true << true << true << lost;
        QTest::newRow("this boot, cancelled before the start")
            << true << false << true << Outcome::cancelled;
        QTest::newRow("another boot, started") << false << true << false << interrupted;
        QTest::newRow("another boot, claimed") << false << false << false << interrupted;
        QTest::newRow("another boot, started, cancelled") << false << true << true << interrupted;
        QTest::newRow("another boot, cancelled before the start")
            << false << false << true << Outcome::cancelled;
    }
    void without_an_exit_page_it_is_not_known() {
        QFETCH(bool, same_boot);
        QFETCH(bool, started);
        QFETCH(bool, cancelled);
        QFETCH(Outcome, state);
        for (const auto validity :
             {record::Validity::absent, record::Validity::damaged, record::Validity::newer}) {
            auto content = ended();  // whose exit page says 0, but does not count
            content.exit_validity = validity;
            if (!same_boot) content.claim.boot_id = other_boot;
            if (!started) content.run_validity = record::Validity::absent;
            if (cancelled) cancel(content, "by hand");
            const auto result = decide(content);
            QCOMPARE(spool::outcome_name(result.state), spool::outcome_name(state));
            QVERIFY(!result.exit_code && !result.signal);
            QVERIFY(result.reason && !result.reason->empty());
            QVERIFY(!result.cpu_seconds && !result.max_rss_bytes);
            QCOMPARE(result.ended_at, std::int64_t(9'000));
            QCOMPARE(result.started_at, std::int64_t(started ? 2'000 : 0));
        }
    }

    void an_exit_page_counts_without_a_run_page() {
        auto content = ended();
        content.run_validity = record::Validity::damaged;
        auto result = decide(content);
        QVERIFY(result.state == Outcome::succeeded);
        QCOMPARE(result.exit_code, std::optional(0));
        QVERIFY(result.gpus.empty());
        QCOMPARE(result.started_at, std::int64_t(0));
        // Cancelled before its start: it has no exit code.
        content.exit.flags = record::cancelled;
        content.run_validity = record::Validity::absent;
        result = decide(content);
        QVERIFY(result.state == Outcome::cancelled);
        QVERIFY(!result.exit_code && !result.signal);
    }

    void a_result_says_what_the_job_was() {
        const auto result = decide(ended());
        QCOMPARE(result.id, std::uint64_t(42));
        QCOMPARE(result.name, std::string("x~2"));
        QCOMPARE(result.file, std::string("x.job"));
        QCOMPARE(result.command, std::string("python train.py"));
        QCOMPARE(result.directory, std::string("/home/u/proj"));
        QCOMPARE(result.profile, std::string("local"));
        QCOMPARE(result.attempt, 3);
        QCOMPARE(result.submitted_at, std::int64_t(1'000));
        QCOMPARE(result.started_at, std::int64_t(2'000));
        QCOMPARE(result.environment_source, std::string("login"));
        QCOMPARE(result.notes, std::vector<std::string>{"a note"});
        QCOMPARE(result.retry_of, std::optional<std::uint64_t>(7));
        QCOMPARE(result.token, "abcd" + std::string(28, '0'));
        QCOMPARE(result.cpu_seconds, std::optional(1.75));
        QCOMPARE(result.max_rss_bytes, std::optional<std::uint64_t>(2048 * 1024));
        QCOMPARE(result.gpus, (std::vector<std::string>{"0,1", "GPU-\xff"}));
    }

    void damaged_lengths_are_bounded() {
        auto content = ended();
        content.run.gpus_length = 65535;
        QCOMPARE(decide(content).gpus.size(), std::size_t(2));
        cancel(content, "why");
        content.cancel.reason_length = 0xFFFFFFFF;
        content.exit.flags = record::cancelled;
        QVERIFY(decide(content).reason->starts_with("why"));
    }

    void what_never_ran_has_a_result() {
        const spool::Error error{{}, "incoming/x.job", "bad key", 0, 3};
        const auto rejected = spool::rejected_result(5, "x.job", error, 100);
        QVERIFY(rejected.state == Outcome::rejected);
        QCOMPARE(rejected.line, std::optional(3));
        QCOMPARE(rejected.reason, std::optional<std::string>("incoming/x.job:3: bad key"));
        QCOMPARE(rejected.name, std::string("x"));
        QCOMPARE(rejected.id, 5u);
        const auto withdrawn = spool::withdrawn_result(6, "y.sh", 100);
        QVERIFY(withdrawn.state == Outcome::cancelled);
        QVERIFY(withdrawn.reason->starts_with("withdrawn"));
        QCOMPARE(withdrawn.file, std::string("y.sh"));
        QCOMPARE(withdrawn.ended_at, std::int64_t(100));
        QVERIFY(!withdrawn.exit_code && withdrawn.started_at == 0);
    }
    void of_a_damaged_record_only_the_exit_page_counts() {
        spool::RecordContent content = ended();
        content.claim_validity = record::Validity::damaged;
        QVERIFY(spool::decide_outcome(active_job(), content, this_boot, 100).state ==
                Outcome::succeeded);
        content.exit_validity = record::Validity::absent;
        const auto lost = spool::decide_outcome(active_job(), content, this_boot, 100);
        QVERIFY(lost.state == Outcome::lost);
        QVERIFY(lost.reason->find("was damaged") != std::string::npos);
        // Whether it was executed is not known either.
        content.run_validity = record::Validity::absent;
        content.cancel_validity = record::Validity::valid;
        QVERIFY(spool::decide_outcome(active_job(), content, this_boot, 100).state ==
                Outcome::lost);
    }
};

QTEST_GUILESS_MAIN(UnitOutcome)
#include "unit_outcome.moc"
