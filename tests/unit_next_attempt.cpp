// From one attempt to the next: what is executed again, the logs of the attempts, and how the end
// of the last one is published.
#include <QtTest>

#include "libspool/outcome.h"
#include "tests/attempt_scratch.h"

namespace record = spool::record;
using spool::JobResult;
using spool::Outcome;

class UnitNextAttempt : public QObject {
    Q_OBJECT

private slots:
    void a_further_attempt_is_the_snapshot_with_what_it_is() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.put(scratch.spool.running, "x.log", "first\n");
        scratch.put(scratch.spool.running, "x.job", "rm -rf /\n");  // edited: it is not looked at
        scratch.fail(job);
        const auto next = scratch.next_of(job);
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
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.put(scratch.spool.running, "x.log", "first\n");
        scratch.put(scratch.spool.running, "x.try1.log", "another's\n");
        const auto next =
            spool::claim_next_attempt(scratch.spool, scratch.pool, scratch.clock, boot, job,
                                      test::verdict(Outcome::failed, 3), {0, "a rule", {1, 0}},
                                      [](const std::string& name) { return name == "x.try1"; });
        QVERIFY(next.has_value());
        QCOMPARE(scratch.get(scratch.spool.running, "x.log"), "first\n");
        QVERIFY(next->facts.earlier.front().log.empty());
        JobResult result = scratch.result_of(*next);
        QVERIFY(spool::publish(scratch.spool, *next, result).has_value());
        QCOMPARE(scratch.get(scratch.spool.running, "x.try1.log"), "another's\n");
    }

    void a_claim_that_fails_costs_no_record() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
        for (int time = 0; time < 3; ++time) {
            spool::ActiveJob next = scratch.next_of(job);
            QVERIFY(spool::undo_next_attempt(scratch.spool, next).value_or(false));
            scratch.pool.give_back(std::move(next.record));
        }
        QCOMPARE(scratch.count(scratch.spool.records), std::size_t(2));
    }

    void long_names_are_published_without_logs_of_attempts() {
        AttemptScratch scratch;
        const std::string stem(248, 'x');
        scratch.put(scratch.spool.incoming, stem + ".job", script);
        auto claim = scratch.claim(scratch.request(stem + ".job"));
        QVERIFY(claim && std::holds_alternative<spool::ActiveJob>(*claim));
        auto job = std::move(std::get<spool::ActiveJob>(*claim));
        scratch.fail(job);
        const auto next = scratch.next_of(job);
        QVERIFY(next.facts.earlier.front().log.empty());
        // Of those that are listed no more it is not known.
        auto many = scratch.next_of(next);
        many.facts.earlier.clear();
        JobResult result = scratch.result_of(many);
        QVERIFY(spool::publish(scratch.spool, many, result).has_value());
    }

    void a_mark_between_attempts_cancels_the_job() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.fail(job);
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
        spool::ActiveJob last = scratch.claimed_with_rules();
        last.facts.rules.retries = 0;
        QVERIFY(spool::decide_outcome(last, *content, boot, 9).state == Outcome::failed);
    }

    void results_name_all_attempts_and_their_logs() {
        AttemptScratch scratch;
        const auto job = scratch.claimed_with_rules();
        scratch.put(scratch.spool.running, "x.log", "first\n");
        const auto next = scratch.next_of(job);
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

QTEST_GUILESS_MAIN(UnitNextAttempt)
#include "unit_next_attempt.moc"
