// By its cgroup, whether the daemon is a service that systemd ends at logout.
#include <QtTest>

#include "cli/lingering.h"

class UnitLingering : public QObject {
    Q_OBJECT

private slots:
    void services_of_the_user_are_told_apart_data() {
        QTest::addColumn<QByteArray>("cgroup");
        QTest::addColumn<bool>("expected");
        QTest::newRow("user service")
            << QByteArray(
                   "0::/user.slice/user-1000.slice/user@1000.service/app.slice/"
                   "gpuspool.service/daemon\n")
            << true;
        QTest::newRow("session") << QByteArray("0::/user.slice/user-1000.slice/session-3.scope\n")
                                 << false;
        QTest::newRow("system service")
            << QByteArray("0::/system.slice/gpuspool.service\n") << false;
        QTest::newRow("both hierarchies")
            << QByteArray(
                   "1:name=systemd:/user.slice/user-7.slice/user@7.service/gpuspool.service\n"
                   "0::/user.slice/user-7.slice/user@7.service/gpuspool.service\n")
            << true;
        QTest::newRow("container") << QByteArray("0::/\n") << false;
        QTest::newRow("gone") << QByteArray() << false;
    }
    void services_of_the_user_are_told_apart() {
        QFETCH(QByteArray, cgroup);
        QTEST(cli::is_user_service(cgroup.toStdString()), "expected");
    }

    void a_process_that_is_gone_is_none() { QVERIFY(!cli::ends_at_logout(-1)); }
};

QTEST_GUILESS_MAIN(UnitLingering)
#include "unit_lingering.moc"
