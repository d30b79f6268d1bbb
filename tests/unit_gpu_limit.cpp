// Pool::max_gpus: never exceeded, and nobody waits for it while a slot that fits is free.
#include <QtTest>

#include "tests/policy_model.h"

using spool::Need;
using spool::Policy;
using spool::Pool;
using spool::Start;
using spool::WaitReason;
using test::Jobs;
using test::need;
using test::numbers;
using test::pool_of;
using test::Texts;
using test::texts;

namespace {

Policy policy_with(const Texts& listed, int limit) {
    Pool pool = pool_of(listed);
    pool.max_gpus = limit;
    Policy policy;
    policy.set_pool(pool);
    return policy;
}

/// Whether some choice of free slots serves the need within the limit: all of them are tried.
bool some_choice_fits(const Policy& policy, const Need& wish, const std::set<std::string>& held) {
    const auto& all = policy.pool().gpu_slots;
    const auto most = static_cast<std::size_t>(*policy.pool().max_gpus);
    for (unsigned choice = 1; choice < 1u << all.size(); ++choice) {
        std::set<std::string> with = held, own;
        std::size_t count = 0, devices = 0;
        bool free = true;
        for (std::size_t slot = 0; slot < all.size(); ++slot) {
            if ((choice >> slot & 1) == 0) continue;
            free = free && policy.book().holders(slot).empty();
            with.insert(all[slot].devices.begin(), all[slot].devices.end());
            own.insert(all[slot].devices.begin(), all[slot].devices.end());
            devices += all[slot].devices.size();
            ++count;
        }
        const bool enough =
            wish.gpus ? own.size() >= static_cast<std::size_t>(*wish.gpus) && own.size() == devices
                      : count == 1;
        if (free && enough && with.size() <= most) return true;
    }
    return false;
}

}  // namespace

Q_DECLARE_METATYPE(Texts)

class UnitGpuLimit : public QObject {
    Q_OBJECT

private slots:
    void uneven_slots_data();
    void uneven_slots();
    void what_can_never_fit_holds_nobody_back();
    void who_waits_for_our_own_jobs_asks_no_others();
    void random_pools();
};

void UnitGpuLimit::uneven_slots_data() {
    QTest::addColumn<Texts>("listed");
    QTest::addColumn<int>("limit");
    QTest::addColumn<QList<int>>("needs");  // -1: not said
    QTest::addColumn<QStringList>("given");
    const auto row = [](const char* name, const Texts& listed, int limit, const QList<int>& needs,
                        const QStringList& given) {
        QTest::newRow(name) << listed << limit << needs << given;
    };
    const Texts uneven = {"0,1", "2", "3"};
    row("any: the first fits", uneven, 2, {-1, -1}, {"0,1"});
    row("any: the first is too many", uneven, 1, {-1, -1}, {"2"});
    row("any: one, then what still fits", uneven, 2, {1, -1, -1}, {"2", "3"});
    row("any: three", uneven, 3, {-1, -1, -1}, {"0,1", "2"});
    row("one: no pair for it", {"0,1", "2"}, 2, {1, 1}, {"2"});
    row("two of singles rather than too many", {"0,1,2", "3", "4"}, 2, {2}, {"3 4"});
    row("none at all", uneven, 0, {-1, 1}, {});
    row("a slot without a GPU is none", {"0", ""}, 0, {-1, -1}, {""});
    row("a GPU twice counts once", {"0", "0", "1"}, 1, {-1, -1, -1}, {"0", "0"});
    row("a GPU twice counts once, the other first", {"1", "0", "0"}, 1, {1, 1}, {"1"});
}

void UnitGpuLimit::uneven_slots() {
    QFETCH(Texts, listed);
    QFETCH(int, limit);
    QFETCH(QList<int>, needs);
    QFETCH(QStringList, given);
    Policy policy = policy_with(listed, limit);
    std::uint64_t job = 0;
    for (const int wanted : needs)
        test::add(policy, ++job, 0, need(wanted < 0 ? std::nullopt : std::optional(wanted)));
    QStringList found;
    for (const Start& start : policy.decide()) {
        QStringList given_slots;
        for (const std::string& text : texts(policy, start))
            given_slots << QString::fromStdString(text);
        found << given_slots.join(' ');
    }
    QCOMPARE(found, given);
}

void UnitGpuLimit::what_can_never_fit_holds_nobody_back() {
    Policy policy = policy_with({"0,1", "2"}, 1);
    test::add(policy, 1, 0, need(2));
    test::add(policy, 2, 0, need(std::nullopt));
    QCOMPARE(numbers(policy.decide()), Jobs{2});
    QCOMPARE(policy.why(1)->kind, WaitReason::Kind::max_gpus);
    QVERIFY(!policy.first_for_gpus());
}

void UnitGpuLimit::who_waits_for_our_own_jobs_asks_no_others() {
    Policy policy = policy_with({"0,1", "2", "3"}, 2);
    test::add(policy, 1, 0, need(2));
    QCOMPARE(numbers(policy.decide()), Jobs{1});
    test::add(policy, 2, 0, need(1));
    QVERIFY(policy.decide().empty());
    QVERIFY(!policy.first_for_gpus());
    // Nor when the others have those that it could take: it could not take them.
    Pool pool = policy.pool();
    pool.gpu_slots[1].state = pool.gpu_slots[2].state = spool::GpuSlot::State::elsewhere;
    policy.set_pool(pool);
    QVERIFY(!policy.first_for_gpus());
    policy.release(1);
    QCOMPARE(numbers(policy.decide()), Jobs{2});
}

void UnitGpuLimit::random_pools() {
    const std::vector<Texts> pools = {{"0,1", "2", "3"},
                                      {"0", "1,2,3", "4", "5,6"},
                                      {"0", "0", "1"},
                                      {"0,1", "0", "1", "2"},
                                      {"", "0,1,2", "3"}};
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        Policy policy = policy_with(pools[random() % pools.size()], static_cast<int>(random() % 5));
        std::map<std::uint64_t, Need> wishes;
        std::set<std::uint64_t> running;
        for (std::uint64_t job = 1; job < 12; ++job) {
            const int wanted = static_cast<int>(random() % 4);
            wishes[job] = need(wanted == 0 ? std::nullopt : std::optional(wanted));
            test::add(policy, job, 0, wishes[job]);
            for (const Start& start : policy.decide())
                running.insert(start.job);
            std::set<std::string> held;
            for (const std::uint64_t holder : running)
                for (const std::string& gpu : policy.book().gpus(holder).devices)
                    held.insert(gpu);
            QVERIFY(held.size() <= static_cast<std::size_t>(*policy.pool().max_gpus));
            // The first that can have its turn at all.
            const auto first = policy.next(1);
            if (!first.empty()) QVERIFY(!some_choice_fits(policy, wishes[first[0]], held));
            if (running.empty() || random() % 2 == 0) continue;
            policy.release(*running.begin());
            running.erase(running.begin());
        }
    }
}

QTEST_GUILESS_MAIN(UnitGpuLimit)
#include "unit_gpu_limit.moc"
