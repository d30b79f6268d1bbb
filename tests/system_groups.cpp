// A group whose jobs fail one after another holds itself, and is let go by request.
#include <signal.h>

#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

bool drop_failing(TestSpool& spool, int from, int to, const QByteArray& group = "sweep") {
    for (int i = from; i <= to; ++i)
        if (!spool.drop(QString("f%1.job").arg(i),
                        "#SPOOL --gpus=0 --group=" + group + "\necho f >> ~/ran\nexit 3\n"))
            return false;
    return true;
}

}  // namespace

class GroupsTest : public QObject {
    Q_OBJECT

private slots:
    void five_failures_hold_the_group();
    void a_group_is_held_by_request();
    void a_hold_is_kept_when_that_is_possible();
};

void GroupsTest::five_failures_hold_the_group() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(drop_failing(spool, 1, 5));
    for (int i = 1; i <= 5; ++i)
        QCOMPARE(spool.wait_for_result(QString("f%1").arg(i))["group"].toString(), "sweep");
    QVERIFY(wait_for_problem(spool, "gpuspool release --group=sweep"));
    QVERIFY(drop_failing(spool, 6, 6));
    QVERIFY(wait_for_reason(spool, "f6", "group_held"));
    QVERIFY(wait_sentence(spool, "f6").contains("gpuspool release --group=sweep"));
    // It holds nobody else.
    QVERIFY(spool.drop("other.job", "#SPOOL --gpus=0 --group=other\ntrue\n"));
    QCOMPARE(spool.wait_for_result("other")["state"].toString(), "succeeded");
    spool.kill9();
    QVERIFY(QFile::remove(spool.path(".spool/state.json")));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_reason(spool, "f6", "group_held"));
    QVERIFY(problems_of(spool).contains("failed within a minute"));
    QCOMPARE(home_file(spool, "ran").count("f"), 5);

    const Finished released = spool.gpuspool({"release", "--group=sweep"});
    QVERIFY2(released.exit_code == 0 && released.out.contains("sweep is released"),
             released.out + released.err);
    QCOMPARE(spool.wait_for_result("f6")["exit_code"].toInt(), 3);
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem"));
    // The count begins anew.
    QVERIFY(drop_failing(spool, 7, 9));
    for (int i = 7; i <= 9; ++i)
        QCOMPARE(spool.wait_for_result(QString("f%1").arg(i))["exit_code"].toInt(), 3);
}

void GroupsTest::a_group_is_held_by_request() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    const Finished held = spool.gpuspool({"hold", "--group", "a b"});
    QVERIFY2(held.exit_code == 0 && held.out.contains("is held"), held.out + held.err);
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --group='a b'\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "x", "group_held"));
    QVERIFY(spool.stop());
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_reason(spool, "x", "group_held"));
    QCOMPARE(spool.gpuspool({"release", "--group", "a b"}).exit_code, 0);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(spool.gpuspool({"release", "--group", "a b"}).out.contains("was not held"));
    QCOMPARE(spool.gpuspool({"hold", "--group", "a", "x"}).exit_code, 2);
}

void GroupsTest::a_hold_is_kept_when_that_is_possible() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.stop());
    QVERIFY(shell(spool, "echo garbage > $GPUSPOOL_DIR/.spool/groups.json"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_problem(spool, "which groups were held is not known"));
    QVERIFY(spool.gpuspool({"hold", "--group", "a"}).exit_code != 0);  // held, and not noted
    QCOMPARE(spool.read(".spool/groups.json"), "garbage\n");
    QVERIFY(spool.drop("x.job", "#SPOOL --gpus=0 --group=a\ntrue\n"));
    QVERIFY(wait_for_reason(spool, "x", "group_held"));
    QVERIFY(QFile::remove(spool.path(".spool/groups.json")));
    QCOMPARE(::kill(static_cast<pid_t>(spool.pid()), SIGHUP), 0);
    QVERIFY(spool.wait_for([&] { return spool.read(".spool/groups.json").contains("\"a\""); },
                           "the hold to be noted"));
    QVERIFY(spool.wait_for(
        [&] { return !problems_of(spool).contains("which groups were held is not known"); },
        "the problem to be gone"));
    spool.kill9();
    QVERIFY(QFile::remove(spool.path(".spool/state.json")));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_reason(spool, "x", "group_held"));
}

QTEST_GUILESS_MAIN(GroupsTest)
#include "system_groups.moc"
