// What locks of GPUs and tickets are called, and what is written in them.
#include <QTemporaryDir>
#include <QtTest>

#include "tests/support/gpu_locks.h"

using spool::LockDirectory;
using spool::LockFileName;
using spool::LockFileText;
using test::Locks;
using Kind = LockFileName::Kind;

class unit_gpu_lock_name : public QObject {
    Q_OBJECT

private slots:
    void names_data();
    void names();
    void names_that_are_none_data();
    void names_that_are_none();
    void texts();
    void a_spool_is_its_directory();
};

void unit_gpu_lock_name::names_data() {
    QTest::addColumn<LockFileName>("name");
    QTest::addColumn<QString>("text");
    const auto row = [](const LockFileName& name, const char* text) {
        QTest::newRow(text) << name << QString(text);
    };
    row({Kind::lock, "GPU-7f-1", 1000, "ab12", "n0"}, "gpuspool.GPU-7f-1.1000.ab12.n0");
    row({Kind::lock, "pci-0000:81:00.0", 0, "a", "n"}, "gpuspool.pci-0000:81:00%2E0.0.a.n");
    row({Kind::lock, "../x y%\n", 4294967295u, "a", "n"},
        "gpuspool.%2E%2E%2Fx%20y%25%0A.4294967295.a.n");
    row({Kind::lock, "%-x/", 1, "a", "n"}, "gpuspool.%25-x%2F.1.a.n");
    row({Kind::ticket, "", 1000, "ab12", "n0"}, "gpuspool-ticket.1000.ab12.n0");
    row({Kind::making, "", 1000, "ab12", "n0"}, ".gpuspool-new.1000.ab12.n0");
}

void unit_gpu_lock_name::names() {
    QFETCH(LockFileName, name);
    QFETCH(QString, text);
    QCOMPARE(QString::fromStdString(write_lock_name(name)), text);
    QCOMPARE(spool::read_lock_name(text.toStdString()), std::optional(name));
}

void unit_gpu_lock_name::names_that_are_none_data() {
    QTest::addColumn<QString>("text");
    for (const char* text :
         {"gpuspool", "gpuspool.", "gpuspool.a.1.b", "gpuspool..1.a.n", "gpuspool.a.x.a.n",
          "gpuspool.a.-1.a.n", "gpuspool.a.4294967296.a.n", "gpuspool.a.1..n", "gpuspool.a.1.a.",
          "gpuspool.a.1.a.n.o", "gpuspool.a%2.1.a.n", "gpuspool.a%zz.1.a.n", "gpuspool.a b.1.a.n",
          "gpuspool-ticket.1.a", "x.gpuspool.a.1.a.n", "gpuspool.%-xy.1.a.n"})
        QTest::newRow(text) << text;
}

void unit_gpu_lock_name::names_that_are_none() {
    QFETCH(QString, text);
    QVERIFY(!spool::read_lock_name(text.toStdString()));
}

void unit_gpu_lock_name::texts() {
    const std::string long_id(4000, '/'), other_id(4000, '.');
    QVERIFY(spool::escape_gpu_id(long_id).size() < 130);
    QVERIFY(spool::escape_gpu_id(long_id) != spool::escape_gpu_id(other_id));
    QCOMPARE(spool::escape_gpu_id(spool::escape_gpu_id(long_id)), spool::escape_gpu_id(long_id));
    const LockFileText text{{"GPU-1", "b\xff"},       "n0", "/home/x\xfe", 42, 812, 0,
                            1'700'000'000'000'000'000};
    const std::string line = write_lock_text(text);
    QCOMPARE(spool::read_lock_text(line), std::optional(text));
    QVERIFY(spool::read_lock_text(line + "garbage of an older, longer text"));
    for (const char* bad :
         {"", "{}", "[]", "{\"nonce\":1}", "{\"nonce\":\"a\",\"job\":-1}", "\xff"})
        QVERIFY2(!spool::read_lock_text(bad), bad);
    QVERIFY(!spool::read_lock_text(std::string(8000, '[')));
}

void unit_gpu_lock_name::a_spool_is_its_directory() {
    const std::string mark = spool::spool_mark("0123", 1, 2);
    QCOMPARE(mark.size(), 16u);
    QCOMPARE(mark, spool::spool_mark("0123", 1, 2));
    QVERIFY(mark != spool::spool_mark("0123", 1, 3));
    QVERIFY(mark != spool::spool_mark("0124", 1, 2));
    QVERIFY(mark != spool::spool_mark("0123", 12, 2));
}

QTEST_GUILESS_MAIN(unit_gpu_lock_name)
#include "unit_gpu_lock_name.moc"
