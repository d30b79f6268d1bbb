// Whether a job is executed again: the table of docs/protocol.md, «Attempts», and what a record and
// a result keep of earlier attempts.
#include <QtTest>

#include "libspool/attempts.h"
#include "libspool/job_file.h"
#include "libspool/next_attempt.h"
#include "libspool/outcome.h"
#include "libspool/recover.h"
#include "tests/claim_scratch.h"

namespace record = spool::record;
using spool::JobResult;
using spool::Outcome;
using spool::RetryRules;

namespace {

constexpr std::int64_t second = 1'000'000'000, ended = 1'000 * second;

JobResult verdict(Outcome state, int exit_code = -1, int signal = -1) {
    JobResult out;
    out.state = state;
    out.ended_at = ended;
    if (exit_code >= 0) out.exit_code = exit_code;
    if (signal >= 0) out.signal = signal;
    return out;
}

RetryRules rules_of(const std::string& directives) {
    const auto spec = spool::read_job_file("#SPOOL " + directives + "\ntrue\n", "x.job");
    if (!spec) qFatal("%s", spec.error().text().c_str());
    return spec->rules;
}

/// A record of which the exit page says that its job has failed.
void fail(ClaimScratch& scratch, const spool::ActiveJob& job) {
    record::Exit exit{};
    exit.token = job.token;
    exit.phase = record::Phase::complete;
    exit.wait_status = 3 << 8;
    if (!spool::write_page(scratch.files, job.record, record::exit_page, exit)) qFatal("page");
}

spool::ActiveJob next_of(ClaimScratch& scratch, const spool::ActiveJob& job) {
    auto next = spool::claim_next_attempt(scratch.spool, scratch.pool, scratch.clock, boot, job,
                                          verdict(Outcome::failed, 3), {0, "a rule", {1, 0}},
                                          no_name_taken);
    if (!next) qFatal("%s", next.error().text().c_str());
    return std::move(*next);
}

spool::ActiveJob claimed_with_rules(ClaimScratch& scratch) {
    scratch.put(scratch.spool.incoming, "x.job", script);
    auto request = scratch.request("x.job");
    request.launch = [](const spool::ClaimIdentity& identity, const std::string&) {
        spool::Launch launch;
        launch.arguments = {"/bin/sh", "x"};
        launch.directory = "/somewhere";
        launch.flags = record::truncate_output;
        launch.environment = {"A=B", "GPUSPOOL_ATTEMPT=1", "SLURM_JOB_ID=42",
                              "GPUSPOOL_TOKEN=" + spool::to_hex(identity.token)};
        launch.facts.rules = rules_of("--retries=2 --retry-on=3-4");
        return launch;
    };
    auto claim = scratch.claim(request);
    if (!claim || !std::holds_alternative<spool::ActiveJob>(*claim)) qFatal("not claimed");
    return std::move(std::get<spool::ActiveJob>(*claim));
}

template <typename Page>
void write_page_of(ClaimScratch& scratch, const spool::ActiveJob& job, std::size_t number) {
    Page page{};
    page.token = job.token;
    if (!spool::write_page(scratch.files, job.record, number, page)) qFatal("page");
}

spool::Recovery recover(ClaimScratch& scratch, const record::BootId& now = boot) {
    scratch.pool = spool::RecordPool(scratch.spool);
    auto recovery = spool::recover(scratch.spool, scratch.pool, scratch.clock, now,
                                   [](const spool::RecordContent&) { return false; });
    if (!recovery) qFatal("%s", recovery.error().text().c_str());
    return std::move(*recovery);
}

}  // namespace

Q_DECLARE_METATYPE(JobResult)
Q_DECLARE_METATYPE(spool::RecoveryAction)

class UnitAttempts : public QObject {
    Q_OBJECT

private slots:
    void the_rule_follows_the_table_data() {
        QTest::addColumn<QString>("directives");
        QTest::addColumn<JobResult>("result");
        QTest::addColumn<int>("attempt");
        QTest::addColumn<int>("retries");
        QTest::addColumn<int>("losses");
        QTest::addColumn<bool>("same_boot");
        QTest::addColumn<qint64>("delay");  // seconds; -1: no further attempt
        const auto row = [](const char* name, const char* directives, const JobResult& result,
                            qint64 delay, int attempt = 1, int retries = 0, int losses = 0,
                            bool same_boot = true) {
            QTest::newRow(name) << directives << result << attempt << retries << losses << same_boot
                                << delay;
        };
        using enum Outcome;
        row("nothing asked", "--gpus=0", verdict(failed, 1), -1);
        row("succeeded", "--retries=3 --requeue", verdict(succeeded, 0), -1);
        row("cancelled", "--retries=3 --requeue", verdict(cancelled, 1), -1);
        row("rejected", "--retries=3 --requeue", verdict(rejected), -1);
        row("failed", "--retries=3", verdict(failed, 1), 10);
        row("signal", "--retries=3", verdict(failed, -1, 9), 10);
        row("could not be executed", "--retries=3", verdict(failed), 10);
        row("second failure", "--retries=3", verdict(failed, 1), 20, 2, 1);
        row("third failure", "--retries=3", verdict(failed, 1), 40, 3, 2);
        row("no retries left", "--retries=3", verdict(failed, 1), -1, 4, 3);
        row("back-off has an end", "--retries=99", verdict(failed, 1), 600, 31, 30);
        row("own delay", "--retries=3 --retry-delay=2s", verdict(failed, 1), 4, 2, 1);
        row("a delay that is long stays", "--retries=3 --retry-delay=1h", verdict(failed, 1), 3600,
            3, 2);
        row("no delay", "--retries=3 --retry-delay=0s", verdict(failed, 1), 0);
        row("but once", "--retries=3 --retry-delay=0s", verdict(failed, 1), 1, 2, 1);
        row("more retries than restarts", "--retries=200", verdict(failed, 1), 600, 150, 149);
        row("no more than that", "--retries=200 --requeue-exit=85", verdict(failed, 85), -1, 201);
        row("chosen code", "--retries=3 --retry-on=1,75-78", verdict(failed, 76), 10);
        row("other code", "--retries=3 --retry-on=1,75-78", verdict(failed, 79), -1);
        row("chosen signal", "--retries=3 --retry-on=137", verdict(failed, -1, 9), 10);
        row("other signal", "--retries=3 --retry-on=1", verdict(failed, -1, 9), -1);
        row("not executed is no code", "--retries=3 --retry-on=1-255", verdict(failed), -1);
        row("time limit", "--retries=3 --requeue", verdict(timeout, -1, 15), -1);
        row("lost without requeue", "--retries=3", verdict(lost), -1);
        row("lost", "--requeue", verdict(lost), 10);
        row("lost again", "--requeue", verdict(lost), 40, 3, 0, 2);
        row("interrupted without requeue", "--retries=3", verdict(interrupted), -1, 1, 0, 0, false);
        row("after a reboot", "--requeue", verdict(interrupted), 0, 1, 0, 0, false);
        row("before a reboot", "--requeue", verdict(interrupted), 120);
        row("requeue is no retry", "--requeue", verdict(failed, 1), -1);
        row("asks for it", "--requeue-exit=85", verdict(failed, 85), 0);
        row("asks for it, whatever retries are left", "--requeue-exit=85 --retries=1",
            verdict(failed, 85), 0, 9, 1);
        row("asks for it at its time limit", "--requeue-exit=85", verdict(timeout, 85), 0);
        row("cancelled, though it asks", "--requeue-exit=85", verdict(cancelled, 85), -1);
        row("another code", "--requeue-exit=85", verdict(failed, 86), -1);
        row("restarts are limited", "--requeue-exit=85", verdict(failed, 85), 0, 100);
        row("by default to 100", "--requeue-exit=85", verdict(failed, 85), -1, 101);
        row("to what was said", "--requeue-exit=85 --max-restarts=2", verdict(failed, 85), -1, 3);
        row("retries count too", "--retries=5 --max-restarts=2", verdict(failed, 1), -1, 3, 2);
        row("no restarts", "--requeue --max-restarts=0", verdict(lost), -1);
    }
    void the_rule_follows_the_table() {
        QFETCH(QString, directives);
        QFETCH(JobResult, result);
        QFETCH(int, attempt);
        QFETCH(int, retries);
        QFETCH(int, losses);
        QFETCH(bool, same_boot);
        QFETCH(qint64, delay);
        result.attempt = attempt;
        const auto next = spool::decide_next_attempt(rules_of(directives.toStdString()),
                                                     {retries, losses}, result, same_boot);
        QCOMPARE(next.has_value(), delay >= 0);
        if (!next) return;
        QCOMPARE((next->at - ended) / second, delay);
        QVERIFY(!next->why.empty());
        QCOMPARE(next->asked, result.exit_code == 85);
        const bool is_retry = result.state == Outcome::failed && result.exit_code != 85;
        QCOMPARE(next->counts.retries, retries + is_retry);
        QCOMPARE(next->counts.losses, losses + (result.state == Outcome::lost));
    }

    void exit_codes_are_read_data() {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("again");  // empty: refused
        QTest::newRow("one") << "1"
                             << "1";
        QTest::newRow("some") << "1,75-78,9-9"
                              << "1,75-78,9";
        for (const char* bad : {"", ",", "0", "256", "8-7", "a", "1-", "-1", "1,,2", "1-300"})
            QTest::newRow(bad) << bad << "";
    }
    void exit_codes_are_read() {
        QFETCH(QString, text);
        QFETCH(QString, again);
        const auto codes = spool::parse_exit_codes(text.toStdString());
        QCOMPARE(codes.has_value(), !again.isEmpty());
        if (codes) QCOMPARE(QString::fromStdString(spool::exit_codes_text(*codes)), again);
    }

    void sbatch_says_requeue() {
        const auto requeues = [](const char* text) {
            return spool::read_job_file(text, "x.job")->rules.requeue;
        };
        QVERIFY(requeues("#SBATCH --requeue\ntrue\n"));
        QVERIFY(!requeues("#SBATCH --requeue\n#SBATCH --no-requeue\ntrue\n"));
        QVERIFY(!requeues("#SBATCH --requeue\n#SPOOL --requeue=no\ntrue\n"));
    }

    void rules_outlive_a_command_job_and_a_record() {
        spool::JobSpec spec;
        spec.kind = spool::JobSpec::Kind::command;
        spec.command = {"true"};
        spec.rules = rules_of(
            "--retries=3 --retry-on=1,75-78 --retry-delay=90s --requeue --requeue-exit=85 "
            "--max-restarts=7");
        const auto again = spool::read_job_file(spool::write_command_job(spec), "x.job");
        QVERIFY(again.has_value());
        QVERIFY(again->rules == spec.rules);
        spool::ResultFacts facts;
        facts.rules = spec.rules;
        facts.counts = {2, 1};
        facts.earlier = {spool::past_attempt(verdict(Outcome::failed, 75), {0, "a rule", {}})};
        facts.earlier.front().log = "x.try1.log";
        const spool::ResultFacts read = spool::read_facts(spool::write_facts(facts));
        QVERIFY(read.rules == facts.rules && read.counts == facts.counts);
        QVERIFY(read.earlier == facts.earlier);
    }

    void logs_of_attempts_have_their_names_data() {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("job");
        QTest::newRow("a log") << "x.try12.log"
                               << "x";
        QTest::newRow("dots") << "a.b~2.try1.log"
                              << "a.b~2";
        for (const char* none :
             {"x.log", "x.try.log", ".try1.log", "x.try1.job", "xtry1.log", "1.log", ".log"})
            QTest::newRow(none) << none << "";
    }
    void logs_of_attempts_have_their_names() {
        QFETCH(QString, file);
        QFETCH(QString, job);
        QCOMPARE(QString::fromStdString(spool::job_of_attempt_log(file.toStdString())), job);
        QCOMPARE(QString::fromStdString(spool::attempt_log("x", 12)), "x.try12.log");
    }

    void a_further_attempt_is_the_snapshot_with_what_it_is() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        scratch.put(scratch.spool.running, "x.log", "first\n");
        scratch.put(scratch.spool.running, "x.job", "rm -rf /\n");  // edited: it is not looked at
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QCOMPARE(next.attempt, 2u);
        QVERIFY(next.token != job.token && next.name == job.name && next.inode == job.inode);
        QCOMPARE(scratch.get(scratch.spool.running, "x.try1.log"), "first\n");
        QCOMPARE(scratch.get(scratch.spool.running, "x.log"), "");
        const auto content = spool::read_record(scratch.files, next.record);
        QVERIFY(content->claimed() && !content->ended() && !content->started());
        QCOMPARE(content->claim.flags & record::truncate_output, 0u);
        const auto body = spool::read_body(scratch.files, next.record, content->claim);
        QCOMPARE(body->job_file, script);
        QCOMPARE(body->arguments, (std::vector<std::string>{"/bin/sh", "x"}));
        std::vector<std::string> environment = body->environment;
        std::sort(environment.begin(), environment.end());
        QCOMPARE(environment,
                 (std::vector<std::string>{"A=B", "GPUSPOOL_ATTEMPT=2",
                                           "GPUSPOOL_TOKEN=" + spool::to_hex(next.token),
                                           "SLURM_JOB_ID=42", "SLURM_RESTART_COUNT=1"}));
        const auto facts = spool::read_facts(body->result);
        QCOMPARE(facts.counts.retries, 1);
        QCOMPARE(facts.earlier.size(), 1u);
        QCOMPARE(facts.earlier.front().log, "x.try1.log");
        // The record that it follows is as it was.
        QVERIFY(spool::read_record(scratch.files, job.record)->ended());
    }

    void the_log_of_another_job_is_left_to_it() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        scratch.put(scratch.spool.running, "x.log", "first\n");
        scratch.put(scratch.spool.running, "x.try1.log", "another's\n");
        const auto next = spool::claim_next_attempt(
            scratch.spool, scratch.pool, scratch.clock, boot, job, verdict(Outcome::failed, 3),
            {0, "a rule", {1, 0}}, [](const std::string& name) { return name == "x.try1"; });
        QVERIFY(next.has_value());
        QCOMPARE(scratch.get(scratch.spool.running, "x.log"), "first\n");
        QVERIFY(next->facts.earlier.front().log.empty());
        JobResult result = scratch.result_of(*next);
        QVERIFY(spool::publish(scratch.spool, *next, result).has_value());
        QCOMPARE(scratch.get(scratch.spool.running, "x.try1.log"), "another's\n");
    }

    void which_of_two_records_counts_data() {
        QTest::addColumn<QString>("steps");  // after the claim of the second attempt
        QTest::addColumn<unsigned>("attempt");
        QTest::addColumn<spool::RecoveryAction>("action");
        using enum spool::RecoveryAction;
        // It may not be on the disk, and the first one is not marked free before it is started.
        QTest::newRow("not started") << "" << 1u << finish;
        QTest::newRow("cancelled, not started") << "cancel" << 1u << finish;
        QTest::newRow("its supervisor is on its way") << "lock" << 2u << adopt;
        QTest::newRow("started") << "run" << 2u << finish;
        QTest::newRow("what survived a loss of power may have been started")
            << "reboot" << 2u << finish;
    }
    void which_of_two_records_counts() {
        QFETCH(QString, steps);
        QFETCH(unsigned, attempt);
        QFETCH(spool::RecoveryAction, action);
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        scratch.put(scratch.spool.running, "x.log", "first\n");
        const auto next = next_of(scratch, job);
        spool::OpenFile supervisor;
        if (steps == "lock") {
            supervisor = std::move(*spool::open_file(scratch.files, scratch.spool.records.get(),
                                                     std::to_string(next.record.index),
                                                     spool::OpenMode::read_write));
            QVERIFY(scratch.files.lock(supervisor.get()).value_or(false));
        }
        if (steps == "run") write_page_of<record::Run>(scratch, next, record::run_page);
        if (steps == "cancel") write_page_of<record::Cancel>(scratch, next, record::cancel_page);
        for (int time = 0; time < 2; ++time) {  // doing it twice changes nothing
            const spool::Recovery recovery =
                recover(scratch, steps == "reboot" ? record::BootId{9} : boot);
            QCOMPARE(recovery.jobs.size(), 1u);
            QCOMPARE(recovery.jobs.front().job.attempt, attempt);
            QVERIFY(recovery.jobs.front().action == action);
            QCOMPARE(spool::read_record(scratch.files, job.record)->claimed(), attempt == 1);
            QCOMPARE(spool::read_record(scratch.files, next.record)->claimed(), attempt == 2);
            // The mark of the one that goes is in the one that stays.
            QCOMPARE(recovery.jobs.front().content.cancelled(), steps == "cancel");
            QCOMPARE(spool::read_record(scratch.files, job.record)->cancelled(), steps == "cancel");
            QCOMPARE(scratch.get(scratch.spool.running, "x.log"), attempt == 1 ? "first\n" : "");
        }
    }

    void a_file_with_logs_of_attempts_never_goes_back_data() {
        QTest::addColumn<QString>("file");
        QTest::addColumn<bool>("goes_back");
        QTest::newRow("nothing else") << "" << true;
        QTest::newRow("a log of an attempt") << "x.try1.log" << false;
        QTest::newRow("of another job") << "xx.try1.log" << true;
    }
    void a_file_with_logs_of_attempts_never_goes_back() {
        QFETCH(QString, file);
        QFETCH(bool, goes_back);
        ClaimScratch scratch;
        scratch.put(scratch.spool.running, "x.job", script);
        scratch.put(scratch.spool.running, "x.log", "");
        if (!file.isEmpty()) scratch.put(scratch.spool.running, file.toStdString(), "");
        const spool::Recovery recovery = recover(scratch);
        QCOMPARE(scratch.has(scratch.spool.incoming, "x.job"), goes_back);
        QCOMPARE(recovery.problems.size(), goes_back ? 0u : 1u);
    }

    void what_the_history_has_is_superseded_data() {
        QTest::addColumn<int>("record");
        QTest::addColumn<int>("history");
        QTest::addColumn<bool>("same_token");
        QTest::addColumn<bool>("superseded");
        QTest::newRow("the last one, its x.json is torn") << 2 << 2 << true << false;
        QTest::newRow("undone, the next one has its number") << 2 << 2 << false << true;
        QTest::newRow("others followed") << 1 << 3 << true << true;
        QTest::newRow("undone, none followed") << 2 << 1 << true << true;
        QTest::newRow("a first one") << 1 << 1 << true << false;
        QTest::newRow("a line without attempts") << 1 << 0 << true << false;
    }
    void what_the_history_has_is_superseded() {
        QFETCH(int, record);
        QFETCH(int, history);
        QFETCH(bool, same_token);
        QFETCH(bool, superseded);
        spool::ActiveJob job;
        job.attempt = static_cast<std::uint32_t>(record);
        job.token = spool::random_token();
        JobResult result = verdict(Outcome::failed, 1);
        result.attempt = history;
        result.token = spool::to_hex(same_token ? job.token : spool::random_token());
        const auto end = spool::read_history_entry(spool::write_line(spool::history_entry(result)));
        QVERIFY(end.has_value());
        QCOMPARE(spool::is_superseded(job, *end), superseded);
    }

    void a_further_attempt_goes_on_with_another_file_of_its_name() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QVERIFY(spool::release(scratch.spool, job).has_value());
        scratch.put(scratch.spool.running, "new", "saved anew\n");
        QVERIFY(scratch.files.remove(scratch.spool.running.get(), "x.job").has_value());
        QVERIFY(scratch.files.rename(scratch.spool.running.get(), "new",
                                     scratch.spool.running.get(), "x.job"));
        const spool::Recovery recovery = recover(scratch);
        QCOMPARE(recovery.jobs.size(), 1u);
        QVERIFY(recovery.jobs.front().action == spool::RecoveryAction::start);
    }

    void a_claim_that_fails_costs_no_record() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        for (int time = 0; time < 3; ++time) {
            spool::ActiveJob next = next_of(scratch, job);
            QVERIFY(spool::undo_next_attempt(scratch.spool, next).value_or(false));
            scratch.pool.give_back(std::move(next.record));
        }
        QCOMPARE(scratch.count(scratch.spool.records), std::size_t(2));
    }

    void long_names_are_published_without_logs_of_attempts() {
        ClaimScratch scratch;
        const std::string stem(248, 'x');
        scratch.put(scratch.spool.incoming, stem + ".job", script);
        auto claim = scratch.claim(scratch.request(stem + ".job"));
        QVERIFY(claim && std::holds_alternative<spool::ActiveJob>(*claim));
        auto job = std::move(std::get<spool::ActiveJob>(*claim));
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QVERIFY(next.facts.earlier.front().log.empty());
        // Of those that are listed no more it is not known.
        auto many = next_of(scratch, next);
        many.facts.earlier.clear();
        JobResult result = scratch.result_of(many);
        QVERIFY(spool::publish(scratch.spool, many, result).has_value());
    }

    void a_claim_that_is_not_whole_is_void_data() {
        QTest::addColumn<bool>("started");
        QTest::newRow("not started") << false;
        QTest::newRow("started: then it counts") << true;
    }
    void a_claim_that_is_not_whole_is_void() {
        QFETCH(bool, started);
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QVERIFY(scratch.files.write(next.record.file.get(), record::body_offset, "torn"));
        if (started) {
            record::Run run{};
            run.token = next.token;
            run.boot_id = boot;
            QVERIFY(spool::write_page(scratch.files, next.record, record::run_page, run));
        }
        const spool::Recovery recovery = recover(scratch);
        QCOMPARE(recovery.jobs.size(), 1u);
        QCOMPARE(recovery.jobs.front().job.attempt, started ? 2u : 1u);
        QVERIFY(recovery.jobs.front().action == spool::RecoveryAction::finish);
    }

    void a_further_attempt_never_goes_back_to_the_queue() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QVERIFY(scratch.files.rename(scratch.spool.running.get(), "x.job",
                                     scratch.spool.incoming.get(), "x.job"));
        const spool::Recovery recovery = recover(scratch);
        QCOMPARE(recovery.undone.size(), 0u);
        QCOMPARE(recovery.jobs.size(), 1u);
        const auto result =
            spool::decide_outcome(recovery.jobs[0].job, recovery.jobs[0].content, boot, 9);
        QVERIFY(result.state == Outcome::cancelled);
    }

    void an_undone_attempt_is_no_more() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        const auto next = next_of(scratch, job);
        QVERIFY(spool::undo_next_attempt(scratch.spool, next).has_value());
        QCOMPARE(recover(scratch).jobs.front().job.attempt, 1u);
        // And once more.
        const auto third = next_of(scratch, job);
        QCOMPARE(third.attempt, 2u);
        QCOMPARE(third.facts.earlier.front().log, "x.try1.log");
    }

    void a_mark_between_attempts_cancels_the_job() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        fail(scratch, job);
        record::Cancel cancel{};
        cancel.token = job.token;
        cancel.reason_length = 7;
        std::memcpy(cancel.reason, "by hand", 7);
        QVERIFY(spool::write_page(scratch.files, job.record, record::cancel_page, cancel));
        const auto content = spool::read_record(scratch.files, job.record);
        const JobResult result = spool::decide_outcome(job, *content, boot, 9);
        QVERIFY(result.state == Outcome::cancelled);
        QCOMPARE(result.exit_code, std::optional(3));
        QVERIFY(QString::fromStdString(*result.reason).contains("by hand"));
        // With no attempt to come what happened before the mark stays true.
        spool::ActiveJob last = claimed_with_rules(scratch);
        last.facts.rules.retries = 0;
        QVERIFY(spool::decide_outcome(last, *content, boot, 9).state == Outcome::failed);
    }

    void results_name_all_attempts_and_their_logs() {
        ClaimScratch scratch;
        const auto job = claimed_with_rules(scratch);
        scratch.put(scratch.spool.running, "x.log", "first\n");
        const auto next = next_of(scratch, job);
        scratch.put(scratch.spool.running, "x.log", "second\n");
        // Somebody has put something in the way meanwhile.
        scratch.put(scratch.spool.done, "x.try1.log", "older\n");
        JobResult result = scratch.result_of(next);
        result.attempts = next.facts.earlier;
        QVERIFY(spool::publish(scratch.spool, next, result).has_value());
        QCOMPARE(scratch.get(scratch.spool.done, "x.try1.log"), "older\n");
        QCOMPARE(scratch.get(scratch.spool.done, "x~2.try1.log"), "first\n");
        QCOMPARE(scratch.get(scratch.spool.done, "x~2.log"), "second\n");
        const auto read =
            spool::read_result(scratch.get(scratch.spool.done, "x~2.json"), "x~2.json");
        QVERIFY(read.has_value());
        QCOMPARE(read->attempts.size(), 1u);
        QCOMPARE(read->attempts[0].log, "x~2.try1.log");
        QCOMPARE(read->attempts[0].exit_code, std::optional(3));
    }
};

QTEST_GUILESS_MAIN(UnitAttempts)
#include "unit_attempts.moc"
