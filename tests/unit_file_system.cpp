// Which file systems are looked at by polling, because other machines change them.
#include <QtTest>

#include "libspool/file_system.h"

class unit_file_system : public QObject {
    Q_OBJECT
private slots:
    void names_data();
    void names();
};

void unit_file_system::names_data() {
    QTest::addColumn<quint32>("type");
    QTest::addColumn<QByteArray>("name");
    QTest::newRow("NFS") << 0x6969u << QByteArray("NFS");
    QTest::newRow("SMB 1") << 0x517Bu << QByteArray("SMB");
    QTest::newRow("SMB 3") << 0xFE534D42u << QByteArray("SMB");
    QTest::newRow("BeeGFS") << 0x19830326u << QByteArray("BeeGFS");
    QTest::newRow("sshfs and the like") << 0x65735546u << QByteArray("FUSE");
    QTest::newRow("ext4") << 0xEF53u << QByteArray();
    QTest::newRow("tmpfs") << 0x01021994u << QByteArray();
}

void unit_file_system::names() {
    QFETCH(quint32, type);
    const std::string_view name = spool::network_file_system(type);
    QTEST(QByteArray(name.data(), static_cast<qsizetype>(name.size())), "name");
}

QTEST_GUILESS_MAIN(unit_file_system)
#include "unit_file_system.moc"
