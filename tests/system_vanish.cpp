// Files that vanish from running/, and jobs that go on all the same.
#include <QtTest>
#include <algorithm>

#include "tests/support/look.h"

namespace {

QString number_of(const TestSpool& spool, const QString& name) {
    return QString::number(running_job(spool, name)["id"].toInt());
}

const QByteArray until_go = "echo started\nuntil [ -e ~/go ]; do sleep 0.05; done\n";
const char* const three[] = {"x", "y", "z"};

bool start_three(TestSpool& spool) {
    if (!spool.start({"--gpus", "0,1,2"})) return false;
    for (const char* name : three)
        if (!spool.drop(QString(name) + ".job", until_go)) return false;
    return std::all_of(std::begin(three), std::end(three),
                       [&](const char* name) { return wait_for_log(spool, name, "started"); });
}

bool all_three_succeed(const TestSpool& spool) {
    return write_home_file(spool, "go", {}) &&
           std::all_of(std::begin(three), std::end(three), [&](const char* name) {
               return spool.wait_for_result(name)["state"].toString() == "succeeded";
           });
}

}  // namespace

class VanishTest : public QObject {
    Q_OBJECT

private slots:
    void a_running_file_that_comes_back_ends_nothing();
    void another_file_of_the_name_counts_as_present();
    void all_running_files_deleted_are_put_back();
    void running_files_deleted_one_after_another_are_put_back();
};

void VanishTest::a_running_file_that_comes_back_ends_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", until_go));
    QVERIFY(wait_for_log(spool, "x", "started"));
    const QString x = "$GPUSPOOL_DIR/running/x.job";
    for (int i = 0; i < 3; ++i)
        QVERIFY(shell(spool, "mv " + x + " away; sleep 0.6; mv away " + x + "; sleep 0.2"));
    // As an editor saves: another inode of the same name.
    QVERIFY(shell(spool, "rm " + x + "; sleep 0.3; echo edited > " + x + "; sleep 1.5"));
    QVERIFY(!running_job(spool, "x").isEmpty());
    QVERIFY(write_home_file(spool, "go", {}));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void VanishTest::another_file_of_the_name_counts_as_present() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "echo started\nsleep 1.5\necho end\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/running; echo 'echo other' > .n; mv .n x.job"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.log"), "started\nend\n");
    QCOMPARE(spool.read("done/x.job"), "echo other\n");
}

void VanishTest::all_running_files_deleted_are_put_back() {
    TestSpool spool;
    QVERIFY(start_three(spool));
    QVERIFY(shell(spool, "rm $GPUSPOOL_DIR/running/*.job"));
    QVERIFY(wait_for_problem(spool, "gpuspool cancel"));
    QVERIFY2(problems_of(spool).contains("put back"), qPrintable(problems_of(spool)));
    for (const char* name : three) {
        QVERIFY2(problems_of(spool).contains(number_of(spool, name)),
                 qPrintable(problems_of(spool)));
        QVERIFY(spool.wait_for(
            [&] { return spool.read(QString("running/%1.job").arg(name)) == until_go; },
            "the file"));
    }
    QVERIFY(all_three_succeed(spool));
}

/// As rm does it, seen by a daemon that is fast: between any two of them it has looked.
void VanishTest::running_files_deleted_one_after_another_are_put_back() {
    TestSpool spool;
    QVERIFY(start_three(spool));
    QVERIFY(shell(spool, "cd $GPUSPOOL_DIR/running; for j in *.job; do rm $j; sleep 0.2; done"));
    QVERIFY(wait_for_problem(spool, "put back"));
    QVERIFY(spool.wait_for(
        [&] {
            return spool.exists("running/x.job") && spool.exists("running/y.job") &&
                   spool.exists("running/z.job");
        },
        "all three files"));
    QVERIFY(all_three_succeed(spool));
}

QTEST_GUILESS_MAIN(VanishTest)
#include "system_vanish.moc"
