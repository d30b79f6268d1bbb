// When a group is held for its failures, and the file that keeps it.
#include <QtTest>

#include "libspool/group_notes.h"
#include "tests/scratch_spool.h"

using spool::JobResult;
using spool::Outcome;

namespace {

constexpr std::int64_t second = 1'000'000'000;

JobResult result(std::uint64_t id, Outcome state = Outcome::failed, int seconds = 5,
                 const std::string& group = "sweep") {
    JobResult out;
    out.id = id;
    out.state = state;
    out.exit_code = state == Outcome::succeeded ? 0 : 1;
    out.group = group;
    out.started_at = 1'000 * second;
    out.ended_at = out.started_at + seconds * second;
    return out;
}

}  // namespace

Q_DECLARE_METATYPE(JobResult)

class UnitGroupNotes : public QObject {
    Q_OBJECT

private slots:
    void five_quick_failures_in_a_row_hold_the_group_data() {
        QTest::addColumn<JobResult>("between");  // after four failures; then one more comes
        QTest::addColumn<bool>("held");
        QTest::newRow("a failure") << result(9) << true;
        QTest::newRow("a success") << result(9, Outcome::succeeded) << false;
        QTest::newRow("a late failure") << result(9, Outcome::failed, 60) << false;
        QTest::newRow("a cancellation") << result(9, Outcome::cancelled) << false;
        QTest::newRow("another group") << result(9, Outcome::failed, 5, "other") << false;
        JobResult never_ran = result(9);
        never_ran.exit_code.reset();
        QTest::newRow("one that could not be executed") << never_ran << false;
    }
    void five_quick_failures_in_a_row_hold_the_group() {
        QFETCH(JobResult, between);
        QFETCH(bool, held);
        spool::GroupFailures failures;
        for (std::uint64_t job = 1; job <= 4; ++job)
            QVERIFY(!failures.note(result(job)));
        const auto why = failures.note(between);
        QCOMPARE(why.has_value(), held);
        if (held) QCOMPARE(*why, "jobs 1, 2, 3, 4, 9 failed within a minute of their start");
        const bool begins_anew = held || between.state == Outcome::succeeded ||
                                 between.ended_at - between.started_at >= 60 * second;
        QCOMPARE(failures.note(result(10)).has_value(), !begins_anew);
    }
    void jobs_without_a_group_hold_nothing() {
        spool::GroupFailures failures;
        for (std::uint64_t job = 1; job <= 20; ++job)
            QVERIFY(!failures.note(result(job, Outcome::failed, 1, "")));
    }
    void the_file_keeps_what_is_held() {
        ScratchSpool scratch;
        QVERIFY(spool::load_groups(scratch.spool)->empty());
        const spool::HeldGroups groups{{"a b\xff", {"why\nnot", 1'000 * second}}, {"c", {"", 0}}};
        QVERIFY(spool::store_groups(scratch.spool, groups).has_value());
        QVERIFY(*spool::load_groups(scratch.spool) == groups);
        scratch.put(scratch.spool.internal, "groups.json", "{\"held\":[{\"group\":3}]}\n\n\n\n\n");
        QVERIFY(!spool::load_groups(scratch.spool));
        QCOMPARE(spool::release_command("a b"), "gpuspool release --group='a b'");
    }
};

QTEST_GUILESS_MAIN(UnitGroupNotes)
#include "unit_group_notes.moc"
