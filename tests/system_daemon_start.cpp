// The daemon as what starts it sees it: readiness and end, the journal, its version, which spool it
// serves.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <QRegularExpression>
#include <QtTest>

#include "tests/support/look.h"

namespace {

/// What sd_notify speaks to: a datagram socket, as a service manager has one.
class NotifySocket {
public:
    explicit NotifySocket(const QString& path)
        : descriptor_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        qstrncpy(address.sun_path, path.toUtf8().constData(), sizeof address.sun_path);
        if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            qFatal("cannot bind %s", qPrintable(path));
    }
    ~NotifySocket() { ::close(descriptor_); }
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;

    /// All that was said until now, a line each.
    QByteArray said() {
        char buffer[4096];
        for (ssize_t count = 0; (count = ::recv(descriptor_, buffer, sizeof buffer, 0)) > 0;)
            said_ += QByteArray(buffer, count) + '\n';
        return said_;
    }

private:
    int descriptor_;
    QByteArray said_;
};

}  // namespace

class SystemDaemonStart : public QObject {
    Q_OBJECT
private slots:
    void readiness_and_end_are_told();
    void a_refused_start_is_not_told_as_ready();
    void the_journal_gets_priorities_data();
    void the_journal_gets_priorities();
    void the_version_is_told();
    void wrong_usage_exits_with_2_data();
    void wrong_usage_exits_with_2();
    void the_option_wins_over_the_environment();
};

void SystemDaemonStart::readiness_and_end_are_told() {
    TestSpool spool;
    NotifySocket manager(spool.scratch("notify"));
    spool.environment.insert("NOTIFY_SOCKET", spool.scratch("notify"));
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.wait_for([&] { return !manager.said().isEmpty(); }, "a notification"));
    QCOMPARE(manager.said(), "READY=1\n");
    // That is the daemon's affair: a job cannot speak for it.
    QVERIFY(spool.drop("x.job", "echo \"socket ${NOTIFY_SOCKET:-none}\"\n"));
    QVERIFY(!spool.wait_for_result("x").isEmpty());
    QCOMPARE(spool.read("done/x.log"), "socket none\n");
    QCOMPARE(manager.said(), "READY=1\n");
    QVERIFY(spool.stop());
    QCOMPARE(manager.said(), "READY=1\nSTOPPING=1\n");
}

void SystemDaemonStart::a_refused_start_is_not_told_as_ready() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    NotifySocket manager(spool.scratch("notify"));
    spool.environment.insert("NOTIFY_SOCKET", spool.scratch("notify"));
    QCOMPARE(spool.run(SPOOLD, {"--gpus", "0"}).exit_code, 1);
    QCOMPARE(manager.said(), QByteArray());
}

void SystemDaemonStart::the_journal_gets_priorities_data() {
    QTest::addColumn<QString>("stream");
    QTest::addColumn<QString>("line");
    const QString own = "$(stat -Lc %d:%i /dev/stderr)";
    const QString plain = "^\\d{4}-\\d\\d-\\d\\dT\\S+ spoold: ";
    QTest::newRow("the journal") << own << "^<[4-6]>";
    QTest::newRow("that of a parent") << "1:2" << plain;
    QTest::newRow("none") << "" << plain;
}

void SystemDaemonStart::the_journal_gets_priorities() {
    QFETCH(QString, stream);
    QFETCH(QString, line);
    const TestSpool spool;
    const QString start = "exec 2> ~/err; export JOURNAL_STREAM=" + stream +
                          "; [ -n \"$JOURNAL_STREAM\" ] || unset JOURNAL_STREAM; ";
    QVERIFY(shell(spool, start + "'" SPOOLD "' --once --gpus 0"));
    const QByteArray log = home_file(spool, "err");
    QVERIFY(!log.isEmpty());
    for (const QByteArray& said : log.trimmed().split('\n'))
        QVERIFY2(QRegularExpression(line).match(QString::fromUtf8(said)).hasMatch(), said);
    QVERIFY(!shell(spool, start + "'" SPOOLD "' --once --gpus ,"));
    const QByteArray error = home_file(spool, "err");
    QVERIFY2(error.startsWith("<3>--gpus") == line.startsWith("^<") &&
                 error.contains("spoold: error: --gpus") == !line.startsWith("^<"),
             error);
}

void SystemDaemonStart::the_version_is_told() {
    const TestSpool spool;
    const Finished told = spool.run(SPOOLD, {"--version"});
    QCOMPARE(told.exit_code, 0);
    QVERIFY2(QRegularExpression("^spoold \\d+\\.\\d+\\.\\d+\\n$")
                 .match(QString::fromUtf8(told.out))
                 .hasMatch(),
             told.out);
    QCOMPARE(told.out.mid(7), spool.gpuspool({"--version"}).out.mid(9));
    QVERIFY(!spool.exists(""));
}

void SystemDaemonStart::wrong_usage_exits_with_2_data() {
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("unknown option") << QStringList{"--gpu", "0"};
    QTest::newRow("unknown word") << QStringList{"start"};
    QTest::newRow("out of range") << QStringList{"--cpu-slots", "-1"};
    QTest::newRow("no slots") << QStringList{"--gpus", ","};
    QTest::newRow("no spool") << QStringList{"--spool", ""};
}

void SystemDaemonStart::wrong_usage_exits_with_2() {
    QFETCH(QStringList, arguments);
    const TestSpool spool;
    const Finished done = spool.run(SPOOLD, arguments);
    QCOMPARE(done.exit_code, 2);
    QVERIFY(done.out.isEmpty() && !done.err.isEmpty());
    QVERIFY(!spool.exists(""));
}

void SystemDaemonStart::the_option_wins_over_the_environment() {
    const TestSpool spool;
    const QStringList once = {"--once", "--cpu-slots", "1", "--spool", "another"};
    QCOMPARE(spool.run(SPOOLD, once).exit_code, 0);
    QVERIFY(QFile::exists(spool.scratch("another/.spool/format")));
    QVERIFY(write_home_file(spool, "another/incoming/x.job", "echo \"in $GPUSPOOL_DIR\"\n"));
    QVERIFY(spool.wait_for(
        [&] {
            return spool.run(SPOOLD, once).exit_code == 0 &&
                   QFile::exists(spool.scratch("another/done/x.json"));
        },
        "x to end"));
    QCOMPARE(home_file(spool, "another/done/x.log"),
             "in " + spool.scratch("another").toUtf8() + '\n');
    const Finished list = spool.gpuspool({"--spool", "another", "list"});
    QVERIFY2(list.exit_code == 0 && list.out.contains("succeeded"), list.out + list.err);
    QVERIFY(!QFile::exists(spool.path()));
}

QTEST_GUILESS_MAIN(SystemDaemonStart)
#include "system_daemon_start.moc"
