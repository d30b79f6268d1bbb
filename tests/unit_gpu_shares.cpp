// Many daemons that share a machine's GPUs by turns: nobody starves, shares are equal, no GPU is
// idle for nothing.
#include <QtTest>
#include <deque>

#include "tests/support/gpu_world.h"

using gpu_world::Daemon;
using gpu_world::World;
using Kinds = std::vector<std::vector<int>>;

Q_DECLARE_METATYPE(Kinds)

class UnitGpuShares : public QObject {
    Q_OBJECT

private slots:
    void equal_shares_data();
    void equal_shares();
    void jobs_of_many_gpus_data();
    void jobs_of_many_gpus();
};

void UnitGpuShares::equal_shares_data() {
    QTest::addColumn<int>("gpus");
    QTest::addColumn<int>("honest");
    QTest::addColumn<int>("dead");
    QTest::addColumn<int>("stale");
    QTest::addColumn<bool>("long_and_short");
    QTest::newRow("2 users, 4 GPUs") << 4 << 2 << 0 << 0 << false;
    QTest::newRow("3 users, 4 GPUs") << 4 << 3 << 0 << 0 << false;
    QTest::newRow("5 users, 4 GPUs") << 4 << 5 << 0 << 0 << false;
    QTest::newRow("5 users, 1 GPU") << 1 << 5 << 0 << 0 << false;
    QTest::newRow("10 users, 8 GPUs") << 8 << 10 << 0 << 0 << false;
    QTest::newRow("3 users, 4 GPUs, a dead ticket") << 4 << 3 << 1 << 0 << false;
    QTest::newRow("3 users, 2 GPUs, four dead tickets") << 2 << 3 << 4 << 0 << false;
    QTest::newRow("3 users, 1 GPU, an everlasting ticket") << 1 << 3 << 0 << 1 << false;
    QTest::newRow("4 users, 4 GPUs, two with short jobs") << 4 << 4 << 0 << 0 << true;
}

/// All want more than there is, all the time: any minute's shares are within one GPU of equal.
void UnitGpuShares::equal_shares() {
    QFETCH(int, gpus);
    QFETCH(int, honest);
    QFETCH(int, dead);
    QFETCH(int, stale);
    QFETCH(bool, long_and_short);
    World world;
    world.gpus = gpus;
    std::vector<Daemon*> equals;
    for (int i = 0; i < dead; ++i)
        world.add(Daemon::Kind::dead, 1);
    for (int i = 0; i < honest + stale; ++i) {
        world.now = 0.1 * i;
        equals.push_back(
            &world.add(i < stale ? Daemon::Kind::stale : Daemon::Kind::honest, 1'000'000));
        if (long_and_short && i % 2 == 0) equals.back()->longest = 1;
    }
    constexpr double step = 0.002;
    constexpr int warm_up = 30;
    double total = 0;
    std::vector<double> before;            // what each was served by the end of the warm-up
    std::deque<std::vector<double>> past;  // what each was served by the end of each second
    for (int second = 0; second < 300; ++second) {
        for (double at = 0; at < 1; at += step)
            world.advance(step);
        if (second < warm_up) continue;
        if (second == warm_up)
            for (const Daemon* daemon : equals)
                before.push_back(daemon->served);
        else
            total += gpus;
        past.emplace_back();
        for (const Daemon* daemon : equals)
            past.back().push_back(daemon->served);
        if (past.size() <= 60) continue;
        const double share = static_cast<double>(gpus) / static_cast<double>(equals.size());
        for (std::size_t i = 0; i < equals.size(); ++i) {
            const double held = (past.back()[i] - past.front()[i]) / 60;
            QVERIFY2(std::abs(held - share) < 1,
                     qPrintable(QString("user %1 held %2 of %3").arg(i).arg(held).arg(share)));
        }
        past.pop_front();
    }
    double served = 0, least = 1e9, most = 0;
    for (std::size_t i = 0; i < equals.size(); ++i) {
        const Daemon* daemon = equals[i];
        const double got = daemon->served - before[i];
        served += got;
        least = std::min(least, got);
        most = std::max(most, got);
        // No starvation: nobody was without a GPU for longer than it takes all others to have one,
        // and for each dead ticket to be skipped.
        const double turns = std::ceil(static_cast<double>(equals.size()) / gpus);
        const double bound = turns * 5 + 5 * dead + 5;
        QVERIFY2(daemon->longest_wait < bound,
                 qPrintable(QString("waited %1 s").arg(daemon->longest_wait)));
    }
    // GPUs were busy nearly all the time; over all, shares are nearly equal.
    QVERIFY2(served > 0.85 * total, qPrintable(QString::number(served / total)));
    QVERIFY2(most < 1.35 * least, qPrintable(QString("%1 to %2").arg(least).arg(most)));
}

void UnitGpuShares::jobs_of_many_gpus_data() {
    QTest::addColumn<Kinds>("kinds");
    QTest::addColumn<int>("gpus");
    QTest::addColumn<double>("lag");
    const std::vector<int> one{1}, two{2}, four{4}, mixed{1, 2, 4};
    QTest::newRow("two beside one") << Kinds{one, two} << 4 << 0.0;
    QTest::newRow("four beside one") << Kinds{one, four} << 4 << 0.0;
    QTest::newRow("four beside one, let go of late") << Kinds{one, four} << 4 << 1.5;
    QTest::newRow("one, two and four") << Kinds{one, two, four} << 4 << 0.0;
    QTest::newRow("two who want all") << Kinds{four, four, one} << 4 << 0.0;
    QTest::newRow("mixed") << Kinds{mixed, mixed, mixed, mixed} << 4 << 0.0;
    QTest::newRow("mixed, let go of late") << Kinds{mixed, mixed, mixed, mixed} << 4 << 1.5;
    QTest::newRow("mixed, eight GPUs") << Kinds{mixed, mixed, mixed, one, one} << 8 << 0.5;
}

/// Each waits for the others' jobs and for what is set aside for them, and not longer; who has the
/// same kind of jobs has the same share.
void UnitGpuShares::jobs_of_many_gpus() {
    QFETCH(Kinds, kinds);
    QFETCH(int, gpus);
    QFETCH(double, lag);
    World world;
    world.gpus = gpus;
    world.longest_lag = lag;
    for (const std::vector<int>& sizes : kinds)
        world.add(Daemon::Kind::honest, 1'000'000, sizes);
    while (world.now < 600)
        world.advance(0.004);
    std::map<std::vector<int>, std::pair<double, double>> served;  // by kind: least, most
    const double one_job = 4 + lag + 0.1;
    for (const auto& daemon : world.daemons) {
        qInfo("user %u: %.0f GPU seconds, waited %.1f s at most", daemon->uid, daemon->served,
              daemon->longest_wait);
        // Each of the others goes first once, and may have waited for the end of a job before.
        const double bound = 2 * one_job * static_cast<double>(kinds.size());
        const double still = daemon->waited_since < 0 ? 0 : world.now - daemon->waited_since;
        QVERIFY2(std::max(daemon->longest_wait, still) < bound,
                 qPrintable(QString("waited %1 s").arg(std::max(daemon->longest_wait, still))));
        auto [entry, added] = served.try_emplace(daemon->sizes, daemon->served, daemon->served);
        entry->second.first = std::min(entry->second.first, daemon->served);
        entry->second.second = std::max(entry->second.second, daemon->served);
    }
    for (const auto& [kind, shares] : served)
        QVERIFY2(shares.second < 1.35 * shares.first,
                 qPrintable(QString("%1 to %2").arg(shares.first).arg(shares.second)));
    // What is set aside waits for jobs that run, no longer; for one user after the other.
    const auto big = std::count_if(kinds.begin(), kinds.end(),
                                   [](const auto& sizes) { return sizes.back() > 1; });
    qInfo("a GPU was idle for %.1f s at most", world.longest_idle);
    QVERIFY2(world.longest_idle < one_job * static_cast<double>(1 + big),
             qPrintable(QString::number(world.longest_idle)));
}

QTEST_GUILESS_MAIN(UnitGpuShares)
#include "unit_gpu_shares.moc"
