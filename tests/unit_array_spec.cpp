// What --array= says, what tasks are called, and what they are told.
#include <QtTest>

#include "libspool/job_file.h"
#include "libspool/output_pattern.h"
#include "libspool/policy.h"
#include "tests/launch_job.h"
#include "tests/policy_model.h"

using spool::TaskList;

Q_DECLARE_METATYPE(spool::TaskList)

namespace {

QString text(const std::string& bytes) {
    return QString::fromStdString(bytes);
}

spool::NumberSet set_of(std::initializer_list<std::uint64_t> numbers) {
    spool::NumberSet out;
    for (const std::uint64_t number : numbers)
        out.insert(number);
    return out;
}

}  // namespace

class UnitArraySpec : public QObject {
    Q_OBJECT

private slots:
    void reads_lists_data() {
        QTest::addColumn<QString>("written");
        QTest::addColumn<TaskList>("tasks");
        QTest::addColumn<QString>("shortest");
        QTest::addColumn<unsigned>("step");
        const auto row = [](const char* written, TaskList tasks, const char* shortest,
                            unsigned step) {
            QTest::newRow(written) << written << std::move(tasks) << shortest << step;
        };
        row("7", {7}, "7", 1);
        row("0", {0}, "0", 1);
        row("0-3", {0, 1, 2, 3}, "0-3", 1);
        row("0-9:3", {0, 3, 6, 9}, "0,3,6,9", 3);
        row("1-10:4", {1, 5, 9}, "1,5,9", 4);
        row("1,3,5-9", {1, 3, 5, 6, 7, 8, 9}, "1,3,5-9", 1);
        row("9,1,5", {1, 5, 9}, "1,5,9", 4);
        row("1-3,2,2-4", {1, 2, 3, 4}, "1-4", 1);
        row("5-5", {5}, "5", 1);
        row("4000000", {4000000}, "4000000", 1);
    }
    void reads_lists() {
        QFETCH(QString, written);
        QFETCH(TaskList, tasks);
        QFETCH(QString, shortest);
        QFETCH(unsigned, step);
        const auto read = spool::parse_tasks(written.toStdString());
        QVERIFY(read);
        QCOMPARE(*read, tasks);
        QCOMPARE(text(spool::tasks_text(*read)), shortest);
        QCOMPARE(*spool::parse_tasks(spool::tasks_text(*read)), tasks);
        QCOMPARE(spool::step_of(*read), step);
    }

    void refuses_what_is_none_data() {
        QTest::addColumn<QString>("written");
        for (const char* written : {"", ",", "x", "1,", "-1", "1-", "-", "3-1", "1-3:0", "1-3:",
                                    "1:2", "1-2-3", "4000001", "0-100000", "1.5", " 1", "1 "})
            QTest::newRow(written) << written;
    }
    void refuses_what_is_none() {
        QFETCH(QString, written);
        QVERIFY(!spool::parse_tasks(written.toStdString()));
        QVERIFY(!spool::parse_array(written.toStdString() + "%2"));
    }
    void as_many_as_allowed() {
        QCOMPARE(spool::parse_tasks("1-100000")->size(), std::size_t(100'000));
        QCOMPARE(spool::parse_tasks("0-99999,5,7-9")->size(), std::size_t(100'000));
        QVERIFY(!spool::parse_tasks("1-100000,100001"));
    }

    void limits() {
        QCOMPARE(spool::parse_array("0-9%4")->limit, 4);
        QCOMPARE(spool::parse_array("0-9")->limit, 0);
        QCOMPARE(text(spool::array_text(*spool::parse_array("0-9:3%4"))), "0-9:3%4");
        for (const char* bad : {"0-9%", "0-9%0", "0-9%-1", "0-9%x", "%4", "0-9%4%4"})
            QVERIFY2(!spool::parse_array(bad), bad);
    }

    void every_format_says_the_same() {
        for (const char* job :
             {"#SPOOL --array=1-9:4%2\ntrue\n", "#SBATCH -a 1-9:4%2\ntrue\n",
              "#SBATCH --array=1-9:4%2\ntrue\n", R"({"command": ["true"], "array": "1-9:4%2"})"}) {
            const auto spec = spool::read_job_file(job, "x.job");
            QVERIFY2(spec, job);
            QCOMPARE(spec->array, (spool::ArraySpec{"1-9:4", 2}));
            QCOMPARE(spool::terms_of(*spec, 0).tasks, std::size_t(3));
            QCOMPARE(spool::terms_of(*spec, 0).array_limit, 2);
        }
        auto spec = spool::read_job_file(R"({"command": ["true"], "array": 7})", "x.job");
        QCOMPARE(spec->array.tasks, "7");
        spec->array.limit = 3;
        QCOMPARE(spool::read_job_file(spool::write_command_job(*spec), "x.job")->array,
                 spec->array);
    }

    void names_of_tasks() {
        QCOMPARE(text(spool::task_name("a.tasks/1", 7)), "a.tasks/1.tasks/7");
        QCOMPARE(spool::split_task_name("x~2.tasks/7")->array, "x~2");
        QCOMPARE(spool::split_task_name("x.tasks/7")->task, 7U);
        for (const char* other : {"x", "x.tasks", "x/7", "x.tasks/", "x.tasks/y", "/7"})
            QVERIFY2(!spool::split_task_name(other), other);
        QCOMPARE(text(spool::job_number_text(42, 7)), "42_7");
        QCOMPARE(text(spool::job_number_text(42, std::nullopt)), "42");
    }

    void references() {
        const auto one = spool::parse_task_reference("my_sweep_12");
        QCOMPARE(one->array, "my_sweep");
        QCOMPARE(one->tasks, TaskList{12});
        QCOMPARE(spool::parse_task_reference("42_[3-5,8]")->tasks, (TaskList{3, 4, 5, 8}));
        for (const char* other : {"42", "_7", "x_", "x_y", "x_[]", "x_1-2", "x_[3-"})
            QVERIFY2(!spool::parse_task_reference(other), other);
    }

    void tasks_are_told_of_their_array() {
        test::LaunchJob job;
        QCOMPARE(job.value("SLURM_ARRAY_TASK_ID"), "(absent)");
        const spool::ArrayTask task = spool::array_task(42, 5, {1, 5, 9});
        QCOMPARE(task.count, std::size_t(3));
        QCOMPARE(task.least, 1U);
        QCOMPARE(task.most, 9U);
        QCOMPARE(task.step, 4U);
    }

    void output_patterns() {
        spool::OutputContext context{45, 7, "x", "host", "me", 42};
        QCOMPARE(text(spool::expand_output_pattern("%A_%a-%j-%3a-%b", context)), "42_7-45-007-7");
        context.task.reset();
        context.array.reset();
        QCOMPARE(text(spool::expand_output_pattern("%A_%a", context)), "45_0");
    }

    void the_queue_starts_one_task_for_each_place() {
        spool::Policy policy = test::policy_of({}, 3);
        spool::Terms terms = test::terms(0, test::need(0));
        policy.add_array(42, terms, set_of({43, 44, 45, 46, 47}));
        test::add(policy, 50, 0, test::need(0));
        QCOMPARE(test::numbers(policy.decide()), (test::Jobs{43, 44, 45}));
        QCOMPARE(policy.tasks_started(42), 3);
        policy.release(44);
        const auto next = policy.decide();
        QCOMPARE(next.front().job, std::uint64_t(46));
        QCOMPARE(next.front().array, std::uint64_t(42));
        policy.take_back(46);
        QCOMPARE(policy.tasks_started(42), 2);
        policy.close_task(42, 46);
        QCOMPARE(test::numbers(policy.decide()), test::Jobs{47});
        QVERIFY(!policy.waits(42));
        policy.release(43);
        QCOMPARE(test::numbers(policy.decide()), test::Jobs{50});
    }

    void no_more_than_its_limit() {
        spool::Policy policy = test::policy_of({}, 9);
        spool::Terms terms = test::terms(5, test::need(0));
        terms.array_limit = 2;
        policy.adopt(43, "", {}, {1, 0, 0});
        policy.adopt_task(42, 43);
        policy.add_array(42, terms, set_of({44, 45, 46}));
        test::add(policy, 60, 0, test::need(0));
        QCOMPARE(test::numbers(policy.decide()), (test::Jobs{44, 60}));
        QCOMPARE(policy.why(42)->kind, spool::WaitReason::Kind::array_limit);
        policy.set_held(42, true);
        policy.release(43);
        QVERIFY(policy.decide().empty());
        policy.set_held(42, false);
        QCOMPARE(test::numbers(policy.decide()), test::Jobs{45});
        QVERIFY(policy.next(9).empty());
    }

    /// A start that is taken back waits as it was asked to meanwhile.
    void what_is_taken_back_has_the_wishes_of_now() {
        spool::Policy policy = test::policy_of({}, 1);
        policy.add_array(42, test::terms(5, test::need(0)), set_of({43}));
        QCOMPARE(test::numbers(policy.decide()), test::Jobs{43});
        policy.set_held(42, true);
        policy.set_priority(42, 7);
        policy.take_back(43);
        QCOMPARE(policy.why(42)->kind, spool::WaitReason::Kind::held);
        QCOMPARE(policy.priority(42), std::optional(7));
        QVERIFY(policy.decide().empty());
        policy.set_held(42, false);
        QCOMPARE(test::numbers(policy.decide()), test::Jobs{43});
    }

    void a_decision_costs_the_same_however_many_tasks_wait() {
        spool::NumberSet all;
        for (std::uint64_t task = 100; task < 100'100; ++task)
            all.insert(task);
        spool::Policy policy = test::policy_of({}, 1);
        policy.add_array(42, test::terms(0, test::need(0)), std::move(all));
        QElapsedTimer time;
        time.start();
        for (std::uint64_t task = 100; task < 10'100; ++task) {
            QCOMPARE(test::numbers(policy.decide()), test::Jobs{task});
            policy.release(task);
        }
        QVERIFY2(time.elapsed() < 5000, qPrintable(QString::number(time.elapsed())));
        QCOMPARE(policy.open_tasks(42)->size(), std::uint64_t(90'000));
    }
};

QTEST_GUILESS_MAIN(UnitArraySpec)
#include "unit_array_spec.moc"
