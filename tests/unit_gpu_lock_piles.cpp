// Many files in the directory of GPU locks: dead ones, mischief, and what it costs.
#include <QTemporaryDir>
#include <QtTest>

#include "tests/support/gpu_locks.h"

using spool::GpuHolder;
using spool::GpuLocks;
using spool::LockDirectory;
using spool::LockFileName;
using spool::LockFileText;
using test::gpus;
using test::Locks;
using test::take;

namespace {

void put(const Locks& locks, const std::string& name, const std::string& text = {}) {
    QFile file(locks.directory.filePath(QString::fromStdString(name)));
    if (!file.open(QIODevice::WriteOnly)) qFatal("cannot write %s", name.c_str());
    file.write(QByteArray::fromStdString(text));
}

std::string numbered(int number) {
    return QString("%1").arg(number, 16, 16, QChar('0')).toStdString();
}

}  // namespace

class unit_gpu_lock_piles : public QObject {
    Q_OBJECT

private slots:
    void too_many_files_for_a_gpu_hold_it_alone();
    void what_one_left_behind_goes_however_many();
    void many_tickets_of_one_owner();
    void files_are_sorted_within_bounds();
};

void unit_gpu_lock_piles::too_many_files_for_a_gpu_hold_it_alone() {
    const Locks locks;
    for (int i = 0; i < 300; ++i)
        put(locks, "gpuspool.GPU-a.61002.0123456789abcdef." + numbered(i));
    for (int i = 0; i < 200; ++i)
        put(locks, "gpuspool.GPU-b.61002.0123456789abcdef." + numbered(i));
    GpuLocks ours = locks.of("m1");
    const auto scene = ours.look({"GPU-a", "GPU-b"});
    QVERIFY(scene);
    QCOMPARE(scene->held.size(), std::size_t{1});
    QCOMPARE(scene->held[0].gpu, std::string("GPU-a"));
    QCOMPARE(scene->held[0].uid, geteuid());
    const QString sentence = QString::fromStdString(scene->problems.at("GPU-a"));
    for (const QString& part :
         {QString("GPU-a counts as held: 300 lock files"),
          locks.directory.filePath("gpuspool.GPU-a.") + "*", QString("remove")})
        QVERIFY2(sentence.contains(part), qPrintable(sentence));
    auto refused = ours.take(gpus({"GPU-a"}), 7);
    QVERIFY(refused);
    const auto* holder = std::get_if<GpuHolder>(&*refused);
    QVERIFY(holder);
    QCOMPARE(holder->too_many, std::size_t{301});  // with the one that it made
    QVERIFY(take(ours, gpus({"GPU-b"})));
}

void unit_gpu_lock_piles::what_one_left_behind_goes_however_many() {
    const Locks locks;
    for (int i = 0; i < 1000; ++i) {
        LockFileText text;
        text.nonce = numbered(i);
        text.gpus = {"GPU-a"};
        put(locks, "gpuspool.GPU-a." + std::to_string(geteuid()) + ".m2." + text.nonce,
            spool::write_lock_text(text));
    }
    GpuLocks ours = locks.of("m1");
    for (int looks = 0; looks < 4; ++looks)
        QVERIFY(ours.look({"GPU-a"}));
    QCOMPARE(locks.files(), QStringList{});
    QVERIFY(ours.look({"GPU-a"})->held.empty());
}

void unit_gpu_lock_piles::many_tickets_of_one_owner() {
    const Locks locks;
    GpuLocks theirs = locks.of("m2");
    std::vector<spool::GpuTicket> tickets;
    for (int i = 0; i < 300; ++i) {
        auto ticket = theirs.make_ticket({});
        QVERIFY(ticket);
        tickets.push_back(std::move(*ticket));
    }
    QCOMPARE(locks.of("m1").look()->tickets.size(), std::size_t{256});
}

void unit_gpu_lock_piles::files_are_sorted_within_bounds() {
    std::vector<std::string> names;
    for (int i = 0; i < 5000; ++i) {
        names.push_back("gpuspool.GPU-a.7.m." + numbered(i));
        names.push_back("gpuspool.OTHER-" + std::to_string(i) + ".7.m.n");
        names.push_back("gpuspool-ticket.7.m." + numbered(i));
        names.push_back("gpuspool-ticket." + std::to_string(i) + ".m.n");
        names.push_back(".gpuspool-new.7.m." + numbered(i));
        names.push_back(".gpuspool-new.8.m." + numbered(i));
    }
    const auto piles = spool::sort_lock_files(names, {"GPU-a"}, 7, "m");
    QCOMPARE(piles.locks.size(), std::size_t{1});
    QCOMPARE(piles.locks.at("GPU-a").count, std::size_t{5000});
    QVERIFY(piles.locks.at("GPU-a").own.size() <= 256);
    QVERIFY(piles.of_other_gpus.own.size() <= 256);
    QCOMPARE(piles.of_other_gpus.count, std::size_t{5000});
    QCOMPARE(piles.tickets.size(), std::size_t{2048});
    QVERIFY(piles.making.size() <= 256);
    for (const std::string& name : piles.making)
        QVERIFY(name.starts_with(".gpuspool-new.7."));
    for (const std::size_t gpus : {1, 8, 64, 1000})
        QVERIFY(gpus == 1000 || gpus * spool::LockPile::most_examined(gpus) <= 8192);
}

QTEST_GUILESS_MAIN(unit_gpu_lock_piles)
#include "unit_gpu_lock_piles.moc"
