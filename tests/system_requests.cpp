// Requests about jobs that the daemon has not read yet: they count all the same.
#include <signal.h>

#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

const QByteArray job_text = "echo one >> ~/ran\n";

bool submit(const TestSpool& spool, const QString& name) {
    return write_home_file(spool, name + ".sh", job_text) &&
           spool.gpuspool({"submit", "--gpus=0", "--no-env", spool.scratch(name + ".sh")})
                   .exit_code == 0;
}

/// As `gpuspool` sends it.
bool request(const TestSpool& spool, const QString& nonce, const QString& verb, int job) {
    return shell(spool, QString("cd $GPUSPOOL_DIR; echo '{\"verb\":\"%2\",\"job\":%3,\"at\":"
                                "\"2026-01-01T00:00:00Z\"}' > .spool/tmp/r && "
                                "mv .spool/tmp/r control/%1.request")
                            .arg(nonce, verb)
                            .arg(job));
}

bool wait_for_reply(const TestSpool& spool, const QString& nonce) {
    return spool.wait_for([&] { return spool.exists("control/" + nonce + ".reply"); },
                          "the answer to " + nonce);
}

class Stopped {
public:
    explicit Stopped(const TestSpool& spool) : pid_(static_cast<pid_t>(spool.pid())) {
        if (kill(pid_, SIGSTOP) != 0) qFatal("cannot stop the daemon");
    }
    ~Stopped() { kill(pid_, SIGCONT); }
    Stopped(const Stopped&) = delete;
    Stopped& operator=(const Stopped&) = delete;

private:
    pid_t pid_;
};

}  // namespace

class RequestsTest : public QObject {
    Q_OBJECT

private slots:
    void a_cancel_that_comes_with_its_job();
    void a_hold_that_comes_with_its_job();
    void a_request_that_is_older_than_the_daemon_data();
    void a_request_that_is_older_than_the_daemon();
    void a_number_that_is_nobodys_data();
    void a_number_that_is_nobodys();
    void a_file_that_was_renamed_while_no_daemon_ran();
    void a_job_that_can_never_start_says_why_data();
    void a_job_that_can_never_start_says_why();
};

void RequestsTest::a_cancel_that_comes_with_its_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    {
        const Stopped stopped(spool);
        QVERIFY(submit(spool, "x"));
        const Finished asked = spool.gpuspool({"cancel", "1"});
        QCOMPARE(asked.exit_code, 0);
        QVERIFY2(asked.out.contains("requested"), asked.out);
    }
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    QCOMPARE(home_file(spool, "ran"), "");
}

void RequestsTest::a_hold_that_comes_with_its_job() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    {
        const Stopped stopped(spool);
        QVERIFY(submit(spool, "x"));
        QCOMPARE(spool.gpuspool({"hold", "x"}).exit_code, 0);
    }
    QVERIFY(wait_for_reason(spool, "x", "held"));
    QCOMPARE(home_file(spool, "ran"), "");
    const Finished released = spool.gpuspool({"release", "x"});
    QVERIFY2(released.exit_code == 0 && released.out.contains("is released"), released.err);
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
}

void RequestsTest::a_request_that_is_older_than_the_daemon_data() {
    QTest::addColumn<QString>("verb");
    QTest::addColumn<bool>("known");  // to an earlier daemon
    for (const char* verb : {"cancel", "hold"}) {
        QTest::addRow("%s, new", verb) << verb << false;
        QTest::addRow("%s, known", verb) << verb << true;
    }
}

void RequestsTest::a_request_that_is_older_than_the_daemon() {
    QFETCH(QString, verb);
    QFETCH(bool, known);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    if (known) {
        QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
        QVERIFY(submit(spool, "x"));
        QVERIFY(wait_for_reason(spool, "x", "paused"));
    }
    QVERIFY(spool.stop());
    if (!known) QVERIFY(submit(spool, "x"));
    QVERIFY(request(spool, "a1", verb, 1));
    QVERIFY(shell(spool, "rm -f $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_reply(spool, "a1"));
    QVERIFY2(spool.read("control/a1.reply").contains("true"), spool.read("control/a1.reply"));
    if (verb == "cancel")
        QCOMPARE(spool.wait_for_result("x")["state"].toString(), "cancelled");
    else
        QVERIFY(wait_for_reason(spool, "x", "held"));
    // What comes later has its turn, and the job had none.
    QVERIFY(submit(spool, "later"));
    QCOMPARE(spool.wait_for_result("later")["state"].toString(), "succeeded");
    QCOMPARE(home_file(spool, "ran"), "one\n");
}

void RequestsTest::a_number_that_is_nobodys_data() {
    QTest::addColumn<int>("number");
    QTest::newRow("never given") << 1000;
    QTest::newRow("given, its file is gone") << 1;
}

void RequestsTest::a_number_that_is_nobodys() {
    QFETCH(int, number);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.stop());
    QVERIFY(submit(spool, "x"));
    QVERIFY(shell(spool, "rm $I/x.sh"));
    QVERIFY(request(spool, "a1", "cancel", number));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(wait_for_reply(spool, "a1"));
    QVERIFY2(spool.read("control/a1.reply").contains("is not known"),
             spool.read("control/a1.reply"));
}

void RequestsTest::a_file_that_was_renamed_while_no_daemon_ran() {
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(shell(spool, "touch $GPUSPOOL_DIR/control/pause"));
    QVERIFY(submit(spool, "x"));
    QVERIFY(wait_for_reason(spool, "x", "paused"));
    QVERIFY(spool.stop());
    QVERIFY(request(spool, "a1", "cancel", 1));
    QVERIFY(shell(spool, "mv $I/x.sh $I/y.sh; rm $GPUSPOOL_DIR/control/pause"));
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "cancelled");
    QCOMPARE(spool.wait_for_result("y")["id"].toInt(), 1);
    QCOMPARE(home_file(spool, "ran"), "");
}

void RequestsTest::a_job_that_can_never_start_says_why_data() {
    QTest::addColumn<QByteArray>("after");
    QTest::addColumn<QString>("reason");
    QTest::newRow("success") << QByteArray("afterok:1")
                             << "never started: it was to follow job 1 (prep) after its success, "
                                "which did not come";
    QTest::newRow("nobody") << QByteArray("afterany:77")
                            << "never started: it was to follow job 77, which there is not";
}

void RequestsTest::a_job_that_can_never_start_says_why() {
    QFETCH(QByteArray, after);
    QFETCH(QString, reason);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    QVERIFY(spool.drop("prep.job", "exit 1\n"));
    QCOMPARE(spool.wait_for_result("prep")["state"].toString(), "failed");
    QVERIFY(spool.drop("train.job", "#SPOOL --dependency=" + after + "\n" + job_text));
    QCOMPARE(spool.wait_for_result("train")["reason"].toString(), reason);
    QCOMPARE(home_file(spool, "ran"), "");
}

QTEST_GUILESS_MAIN(RequestsTest)
#include "system_requests.moc"
