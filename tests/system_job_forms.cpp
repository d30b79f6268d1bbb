// What a job asks of the queue, in each of the four forms, through a real daemon.
#include <QtTest>

#include "tests/support/job_forms.h"
#include "tests/support/look.h"

namespace {

/// Puts the same job into the queue once for each form that there is, as spool, sbatch, json and
/// command; returns their names.
QStringList drop_all_forms(TestSpool& spool, const Wish& wish, const QByteArray& body) {
    QStringList names;
    const auto put = [&](const QString& name, bool done) {
        if (!done) qFatal("%s cannot be queued", qPrintable(name));
        names << name;
    };
    Wish without_gpu = wish;
    without_gpu.settings.prepend({"gpus", "0"});
    put("spool", spool.drop("spool.job", spool_script(without_gpu, body)));
    put("json", spool.drop("json.job", json_job(without_gpu, QString::fromUtf8(body))));
    if (!wish.sbatch.isEmpty()) {
        Wish slurm = wish;
        slurm.sbatch += " --gres=gpu:0";
        put("sbatch", spool.drop("sbatch.job", sbatch_script(slurm, body)));
    }
    if (!wish.options.isEmpty())
        put("command",
            spool.gpuspool(QStringList{"submit", "-n", "command", "-g", "0"} + wish.options +
                           QStringList{"--", "bash", "-ec", QString::fromUtf8(body)})
                    .exit_code == 0);
    return names;
}

/// The first job of each spool: it runs on until ~/first.go is there.
bool run_first(TestSpool& spool) {
    return shell(spool,
                 "mkdir -p -m 700 $GPUSPOOL_DIR && echo '{\"cpus\": 4, \"mem\": \"8G\"}' > "
                 "$GPUSPOOL_DIR/config.json") &&
           spool.start({"--cpu-slots", "9"}) &&
           spool.drop("first.job",
                      "#SPOOL --gpus=0 --cpus=3 --mem=6G --group=g%1\n" + gated("first")) &&
           wait_for_log(spool, "first", "started");
}

}  // namespace

class JobFormsTest : public QObject {
    Q_OBJECT

private slots:
    void it_waits_for_this_data();
    void it_waits_for_this();
    void it_ends_like_this_data();
    void it_ends_like_this();
    void priorities_order_the_queue();
    void singletons_follow_their_name_data();
    void singletons_follow_their_name();
    void arrays_have_their_tasks();
};

void JobFormsTest::it_waits_for_this_data() {
    QTest::addColumn<Wish>("wish");
    QTest::addColumn<QString>("reason");
    const auto row = [](const char* title, const Wish& wish, const char* reason) {
        QTest::newRow(title) << wish << reason;
    };
    const auto after = [&](const char* condition) {
        row(condition,
            {{{"dependency", condition}},
             QByteArray("-d ") + condition,
             {"--dependency", condition}},
            "dependency");
    };
    row("hold", {{{"hold", "yes"}}, "--hold", {"--hold"}}, "held");
    row("begin", {{{"begin", "now+1hour"}}, "--begin=now+1hour", {"--begin", "now+1hour"}},
        "begin");
    row("group", {{{"group", "g%1"}}, "", {"--group", "g%1"}}, "group_limit");
    row("cpus", {{{"cpus", "2"}}, "-c 2", {"--cpus", "2"}}, "cpus");
    row("mem", {{{"mem", "4G"}}, "--mem=4G", {"--mem", "4G"}}, "memory");
    row("labels", {{{"labels", "nvlink"}}, "", {"--labels", "nvlink"}}, "never_label");
    after("afterok:first");
    after("afternotok:1");
    after("afterany:first");
    after("aftercorr:first");
    after("afterok:1,afterany:1");
    after("afternotok:1?afterok:1");
}

void JobFormsTest::it_waits_for_this() {
    QFETCH(Wish, wish);
    QFETCH(QString, reason);
    TestSpool spool;
    QVERIFY(run_first(spool));
    for (const QString& name : drop_all_forms(spool, wish, "true\n"))
        QVERIFY(wait_for_reason(spool, name, reason));
}

void JobFormsTest::it_ends_like_this_data() {
    QTest::addColumn<Wish>("wish");
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QString>("state");
    QTest::addColumn<int>("attempt");
    const auto row = [](const char* title, const Wish& wish, const char* body, const char* state,
                        int attempt = 1) {
        QTest::newRow(title) << wish << QByteArray(body) << state << attempt;
    };
    const char* const second = "[ $GPUSPOOL_ATTEMPT = 2 ] || exit 85\n";
    row("after", {{{"dependency", "after:1"}}, "-d after:1", {"-d", "after:1"}}, "true\n",
        "succeeded");
    row("time", {{{"time", "0:01"}}, "-t 0:01", {"--time", "0:01"}},
        "while :; do sleep 0.1; done\n", "timeout");
    row("signal",
        {{{"time", "1"}, {"signal", "USR1@59"}},
         "--time=1 --signal=B:USR1@59",
         {"--time", "1", "--signal", "USR1@59"}},
        "trap 'exit 0' USR1\nwhile :; do sleep 0.1; done\n", "succeeded");
    row("retries",
        {{{"retries", "1"}, {"retry-delay", "1ms"}},
         "",
         {"--retries", "1", "--retry-delay", "1ms"}},
        second, "succeeded", 2);
    row("retry-on",
        {{{"retries", "1"}, {"retry-on", "84"}}, "", {"--retries", "1", "--retry-on", "84"}},
        second, "failed");
    row("requeue-exit", {{{"requeue-exit", "85"}}, "", {"--requeue-exit", "85"}}, second,
        "succeeded", 2);
    row("max-restarts",
        {{{"requeue-exit", "85"}, {"max-restarts", "2"}},
         "",
         {"--requeue-exit", "85", "--max-restarts", "2"}},
        "exit 85\n", "failed", 3);
    row("requeue",
        {{{"requeue", "yes"}, {"retry-delay", "1ms"}},
         "--requeue",
         {"--requeue", "--retry-delay", "1ms"}},
        "[ $GPUSPOOL_ATTEMPT = 2 ] || kill -9 $PPID $$\n", "succeeded", 2);
}

void JobFormsTest::it_ends_like_this() {
    QFETCH(Wish, wish);
    QFETCH(QByteArray, body);
    QFETCH(QString, state);
    QFETCH(int, attempt);
    TestSpool spool;
    QVERIFY(run_first(spool));
    for (const QString& name : drop_all_forms(spool, wish, body)) {
        const QJsonObject result = spool.wait_for_result(name);
        QVERIFY2(result["state"] == state, QJsonDocument(result).toJson());
        QCOMPARE(result["attempt"].toInt(), attempt);
    }
}

void JobFormsTest::priorities_order_the_queue() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("first.job", gated_job("first")));
    QVERIFY(wait_for_log(spool, "first", "started"));
    QVERIFY(spool.drop("last.job", gated_job("last")));
    QVERIFY(wait_for_reason(spool, "last", "cpu_slots"));
    const Wish high{{{"priority", "5"}}, "--nice=-5", {"--priority", "5"}};
    const QStringList names = drop_all_forms(spool, high, "echo $GPUSPOOL_JOB_ID >> ~/before\n");
    QCOMPARE(names.size(), 4);
    for (const QString& name : names) {
        QVERIFY(wait_for_reason(spool, name, "cpu_slots"));
        QCOMPARE(waiting_job(spool, name)["priority"].toInt(), 5);
    }
    QVERIFY(open_gate(spool, "first"));
    QVERIFY(wait_for_log(spool, "last", "started"));
    QCOMPARE(home_file(spool, "before").count('\n'), 4);
    QVERIFY(home_file(spool, "before") == "3\n4\n5\n6\n");  // first come, first served among them
}

void JobFormsTest::singletons_follow_their_name_data() {
    QTest::addColumn<QString>("form");
    for (const char* form : {"#SPOOL", "#SBATCH", "JSON", "submit"})
        QTest::newRow(form) << form;
}

void JobFormsTest::singletons_follow_their_name() {
    QFETCH(QString, form);
    TestSpool spool;
    QVERIFY(run_first(spool));
    const Wish wish{{{"gpus", "0"}, {"dependency", "singleton"}},
                    "-d singleton --gres=gpu:0",
                    {"-g", "0", "-d", "singleton"}};
    if (form == "#SPOOL") QVERIFY(spool.drop("first.job", spool_script(wish, "true\n")));
    if (form == "#SBATCH") QVERIFY(spool.drop("first.job", sbatch_script(wish, "true\n")));
    if (form == "JSON") QVERIFY(spool.drop("first.job", json_job(wish, "true")));
    if (form == "submit")
        QCOMPARE(spool
                     .gpuspool(QStringList{"submit", "-n", "first"} + wish.options +
                               QStringList{"--", "true"})
                     .exit_code,
                 0);
    QVERIFY(wait_for_reason(spool, form == "submit" ? "first~2" : "first", "dependency"));
    QVERIFY(open_gate(spool, "first"));
    QCOMPARE(spool.wait_for_result("first~2")["state"].toString(), "succeeded");
}

void JobFormsTest::arrays_have_their_tasks() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    const Wish wish{{{"array", "0-6:3%2"}}, "--array=0-6:3%2", {"-a", "0-6:3%2"}};
    const QStringList names =
        drop_all_forms(spool, wish, "echo task $SLURM_ARRAY_TASK_ID $GPUSPOOL_ARRAY_TASK_ID\n");
    QCOMPARE(names.size(), 4);
    for (const QString& name : names) {
        const QJsonObject tasks = spool.wait_for_result(name)["tasks"].toObject();
        QCOMPARE(tasks["succeeded"].toString(), "0,3,6");
        QCOMPARE(spool.read("done/" + name + ".tasks/3.log"), "task 3 3\n");
    }
}

QTEST_GUILESS_MAIN(JobFormsTest)
#include "system_job_forms.moc"
