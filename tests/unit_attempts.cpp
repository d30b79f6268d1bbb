// Whether a job is executed again: the table of docs/protocol.md, «Attempts», and what its rules
// are in a job file, in a record and in a result.
#include <QtTest>

#include "libspool/active_job.h"
#include "libspool/attempts.h"
#include "tests/attempt_scratch.h"

using spool::JobResult;
using spool::Outcome;
using test::ended;
using test::rules_of;
using test::verdict;

namespace {

constexpr std::int64_t second = 1'000'000'000;

}  // namespace

Q_DECLARE_METATYPE(JobResult)

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
};

QTEST_GUILESS_MAIN(UnitAttempts)
#include "unit_attempts.moc"
