// GPU locks between real users: processes of several uids race for a few GPUs. Needs root, to
// become them.
#include <atomic>
#include <random>

#include "tests/support/lock_users.h"

using spool::GpuLock;
using spool::GpuLocks;
using test::doing;
using test::first_user;
using test::gpus;
using test::mallory;
using test::open_locks;
using test::Process;
using test::Shared;
using test::SharedDirectory;
using test::what_is_found;

namespace {

constexpr int race_gpus = 4;

/// Who has which GPU by the racers' own account, independent of lock files.
struct Account {
    std::atomic<int> holder[race_gpus]{};
    std::atomic<int> twice{0}, grants{0}, refusals{0}, errors{0};
    std::atomic<bool> go{false};

    void enter(int gpu, int who) {
        int nobody = 0;
        if (!holder[gpu].compare_exchange_strong(nobody, who)) ++twice;
    }
    void leave(int gpu, int who) {
        int expected = who;
        if (!holder[gpu].compare_exchange_strong(expected, 0)) ++twice;
    }
};

void race(Account& account, int who, int rounds) {
    GpuLocks locks = open_locks("s" + std::to_string(who));
    std::mt19937 random(static_cast<unsigned>(who));
    while (!account.go) {
    }
    for (int round = 0; round < rounds; ++round) {
        const int one = static_cast<int>(random() % race_gpus);
        std::vector<int> wanted{one};
        if (random() % 4 == 0) wanted.push_back((one + 1) % race_gpus);
        std::vector<std::string> ids;
        for (const int gpu : wanted)
            ids.push_back(std::to_string(gpu));
        auto answer = locks.take(gpus(ids), 1);
        if (!answer) {
            ++account.errors;
            continue;
        }
        auto* lock = std::get_if<GpuLock>(&*answer);
        ++(lock ? account.grants : account.refusals);
        if (!lock) continue;
        for (const int gpu : wanted)
            account.enter(gpu, who);
        if (random() % 8 == 0) sched_yield();
        for (const int gpu : wanted)
            account.leave(gpu, who);
        lock->remove();
    }
}

}  // namespace

class system_gpu_lock : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void nobody_has_a_gpu_twice_data();
    void nobody_has_a_gpu_twice();
    void a_killed_holder_frees_it();
};

void system_gpu_lock::initTestCase() {
    if (geteuid() != 0) QSKIP("only root can become several users");
}

void system_gpu_lock::nobody_has_a_gpu_twice_data() {
    QTest::addColumn<int>("users");
    QTest::addColumn<int>("rounds");
    QTest::newRow("two") << 2 << 8000;
    QTest::newRow("five") << 5 << 4000;
}

void system_gpu_lock::nobody_has_a_gpu_twice() {
    QFETCH(int, users);
    QFETCH(int, rounds);
    SharedDirectory directory;
    Shared<Account> account;
    std::vector<Process> racers;
    for (int i = 1; i <= users; ++i)
        racers.emplace_back(first_user + static_cast<uid_t>(i), directory.path,
                            [&, i] { race(*account.operator->(), i, rounds); });
    account->go = true;
    for (Process& racer : racers)
        QCOMPARE(racer.wait(), 0);
    QCOMPARE(account->twice.load(), 0);
    QCOMPARE(account->errors.load(), 0);
    // They did meet, and did get on.
    QVERIFY2(account->refusals > rounds / 100, qPrintable(QString::number(account->refusals)));
    QVERIFY2(account->grants > rounds / 10, qPrintable(QString::number(account->grants)));
    QCOMPARE(directory.files(), QStringList());
}

void system_gpu_lock::a_killed_holder_frees_it() {
    SharedDirectory directory;
    Process holder = doing(mallory, directory, [] {
        static auto kept = open_locks("m").take(gpus({"0", "1"}), 42);
        if (!kept || !std::get_if<GpuLock>(&*kept)) qFatal("not taken");
    });
    const QString told = what_is_found(directory);
    QVERIFY2(told.startsWith("0 is held by user 61002: job 42 of /home/m, since 20"),
             qPrintable(told));
    // Shared within a spool of one user only.
    QVERIFY(what_is_found(directory, first_user + 5, gpus({"1"})).contains("job 42"));
    holder.kill9();
    QCOMPARE(what_is_found(directory), QString("free"));
}

QTEST_GUILESS_MAIN(system_gpu_lock)
#include "system_gpu_lock.moc"
