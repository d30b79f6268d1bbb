// What the daemon is told, and told anew while it runs: config.json and the login environment.
#include <signal.h>

#include <QFile>
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

bool wait_for_slots(const TestSpool& spool, const QStringList& wanted) {
    return spool.wait_for([&] { return pool_of(spool) == wanted; }, "slots " + wanted.join(' '));
}

bool configure(const TestSpool& spool, const QByteArray& text) {
    QFile file(spool.path("config.json"));
    return file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
}

const QByteArray until_go =
    "echo \"gpus=$CUDA_VISIBLE_DEVICES\"\nuntil [ -e ~/go ]; do sleep 0.02; done\n";

bool open_gate(const TestSpool& spool) {
    return write_home_file(spool, "go", {});
}

}  // namespace

class SettingsTest : public QObject {
    Q_OBJECT

private slots:
    void the_pool_is_read_from_config();
    void a_changed_pool_does_not_touch_what_runs();
    void a_broken_config_leaves_the_last_good_one();
    void a_broken_config_from_the_start_is_reported();
    void hup_reads_the_environment_again();
};

void SettingsTest::the_pool_is_read_from_config() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(pool_of(spool), QStringList());
    QVERIFY(configure(
        spool, "// my machine\n{\n  \"gpus\": [0, \"2,3\", ], /* the rest is Ann's */\n}\n"));
    QVERIFY(wait_for_slots(spool, {"0", "2,3"}));
    QVERIFY(QFile::remove(spool.path("config.json")));
    QVERIFY(wait_for_slots(spool, {}));
    // Written as editors do it, by rename.
    QVERIFY(shell(spool, "echo '{\"gpus\": [\"7\"]}' > c; mv c $GPUSPOOL_DIR/config.json"));
    QVERIFY(wait_for_slots(spool, {"7"}));
    QVERIFY(spool.drop("x.job", "echo $CUDA_VISIBLE_DEVICES\n"));
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    QCOMPARE(spool.read("done/x.log"), "7\n");
    QCOMPARE(problems_of(spool), QString());
}

void SettingsTest::a_changed_pool_does_not_touch_what_runs() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(configure(spool, "{\"gpus\": [0, 1]}"));
    QVERIFY(wait_for_slots(spool, {"0", "1"}));
    QVERIFY(spool.drop("x.job", until_go));
    QVERIFY(wait_for_log(spool, "x", "gpus=0\n"));
    // GPU 0 is now part of another slot, which is not free before x has ended.
    QVERIFY(configure(spool, "{\"gpus\": [\"0,1\"]}"));
    QVERIFY(wait_for_slots(spool, {"0,1"}));
    QVERIFY(spool.drop("y.job", until_go));
    QVERIFY(wait_for_reason(spool, "y", "gpus"));
    // GPU 0 is gone from the pool altogether.
    QVERIFY(configure(spool, "{\"gpus\": [1]}"));
    QVERIFY(wait_for_log(spool, "y", "gpus=1\n"));
    QVERIFY(configure(spool, "{\"gpus\": [0, 1]}"));
    QVERIFY(wait_for_slots(spool, {"0", "1"}));
    QVERIFY(spool.drop("z.job", until_go));
    QVERIFY(wait_for_reason(spool, "z", "gpus"));
    QVERIFY(open_gate(spool));
    for (const char* name : {"x", "y", "z"})
        QCOMPARE(spool.wait_for_result(name)["state"].toString(), "succeeded");
}

void SettingsTest::a_broken_config_leaves_the_last_good_one() {
    TestSpool spool;
    QVERIFY(spool.start());
    QVERIFY(configure(spool, "{\"gpus\": [3]}\n"));
    QVERIFY(wait_for_slots(spool, {"3"}));
    for (const QByteArray& broken :
         QByteArrayList{"{\n\"gpus\": [4\n", "{\n\"gpus\": -4}\n", "", "[]\n",
                        "{\"gpus\": [4], \"settle_ms\": \"x\"}"}) {
        QVERIFY(configure(spool, broken));
        QVERIFY(wait_for_problem(spool, "the last good settings stay in force"));
        QVERIFY2(problems_of(spool).contains("config.json"), qPrintable(problems_of(spool)));
        QCOMPARE(pool_of(spool), QStringList{"3"});
        QVERIFY(configure(spool, "{\"gpus\": [3]}\n"));
        QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem"));
    }
    QVERIFY(configure(spool, "{\n\"gpus\": [4\n"));
    QVERIFY(wait_for_problem(spool, "config.json:"));
    QVERIFY(spool.drop("x.job", "echo $CUDA_VISIBLE_DEVICES\n"));
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    QCOMPARE(spool.read("done/x.log"), "3\n");
}

void SettingsTest::a_broken_config_from_the_start_is_reported() {
    TestSpool spool;
    QVERIFY(shell(spool, "mkdir -m 700 $GPUSPOOL_DIR; echo '{]' > $GPUSPOOL_DIR/config.json"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(wait_for_problem(spool, "config.json"));
    QVERIFY(spool.drop("x.job", "true\n"));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void SettingsTest::hup_reads_the_environment_again() {
    TestSpool spool;
    QVERIFY(write_home_file(spool, ".bash_profile", "export FLAVOUR=one\n"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "echo $FLAVOUR\n"));
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    QCOMPARE(spool.read("done/x.log"), "one\n");
    QVERIFY(write_home_file(spool, ".bash_profile", "export FLAVOUR=two\n"));
    QCOMPARE(kill(static_cast<pid_t>(spool.pid()), SIGHUP), 0);
    int tries = 0;
    const auto sees_the_new_one = [&] {
        const QString name = QString("y%1").arg(++tries);
        return spool.drop(name + ".job", "echo $FLAVOUR\n") &&
               !spool.wait_for_result(name).isEmpty() &&
               spool.read("done/" + name + ".log") == "two\n";
    };
    QVERIFY(spool.wait_for(sees_the_new_one, "the new environment", 25s));
}

QTEST_GUILESS_MAIN(SettingsTest)
#include "system_settings.moc"
