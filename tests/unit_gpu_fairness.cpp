// Whose turn it is: tables of single decisions, and a simulation of many daemons that see each
// other only by locks and tickets, late and with races.
#include <QtTest>
#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <set>

#include "libspool/gpu_fairness.h"

using namespace std::chrono_literals;
using spool::GpuTicketSeen;
using spool::GpuTurn;
using spool::GpuTurns;
using spool::GpuView;
using spool::GpuWish;
using Time = GpuTurns::Time;

namespace {

constexpr std::uint32_t us = 1000, bob = 1001, eve = 1002;
constexpr std::int64_t start = 1'700'000'000'000'000'000;

/// A look by us (1000, spool "a") at `seconds` after the start.
struct Look {
    GpuView view;

    explicit Look(double seconds, std::vector<std::string> free, GpuWish own = {}) {
        view.now = 1000s + std::chrono::nanoseconds(std::llround(seconds * 1e9));
        view.wall = start + std::llround(seconds * 1e9);
        view.pool = {"0", "1", "2", "3"};
        view.free = std::move(free);
        view.own = std::move(own);
        ticket(us, -1);
    }
    Look& ticket(std::uint32_t uid, double since, GpuWish wish = {}, std::string nonce = "n",
                 std::string spool = {}) {
        if (spool.empty()) spool = uid == us ? "a" : "x";
        if (uid == us && spool == "a")
            std::erase_if(view.tickets,
                          [](const auto& t) { return t.uid == us && t.spool == "a"; });
        view.tickets.push_back(
            {uid, spool, nonce, start + std::llround(since * 1e9), std::move(wish)});
        return *this;
    }
    Look& holds(std::uint32_t uid, const std::string& gpu, double since = -100) {
        view.held.push_back({gpu, uid, "x", start + std::llround(since * 1e9)});
        return *this;
    }
};

using Gpus = std::vector<std::string>;

}  // namespace

class unit_gpu_fairness : public QObject {
    Q_OBJECT

private slots:
    void one_decision_data();
    void one_decision();
    void a_dead_ticket_is_skipped_after_five_seconds();
    void skipping_lasts_longer_each_time();
    void taking_ends_the_skipping();
    void a_lock_for_no_gpu_shows_no_life();
    void a_thousand_tickets_count_as_one();
    void an_old_ticket_does_not_outlive_a_start();
    void a_clock_set_back_starves_nobody();
    void our_own_spools_take_turns();
    void nobody_waits_for_nothing();
    void simulation_data();
    void simulation();
};

Q_DECLARE_METATYPE(Look)

void unit_gpu_fairness::one_decision_data() {
    QTest::addColumn<Look>("look");
    QTest::addColumn<Gpus>("ours");
    QTest::addColumn<int>("ahead");
    const auto row = [](const char* name, const Look& look, const Gpus& ours, int ahead = 0) {
        QTest::newRow(name) << look << ours << ahead;
    };
    row("alone: all", Look(0, {"0", "1", "2"}), {"0", "1", "2"});
    row("nothing free", Look(0, {}), {});
    row("older ticket", Look(0, {"0"}).ticket(bob, -2), {}, bob);
    row("younger ticket", Look(0, {"0"}).ticket(bob, -0.5), {"0"});
    row("older, but holds more", Look(0, {"0"}).ticket(bob, -9).holds(bob, "1"), {"0"});
    row("younger, but we hold more", Look(0, {"0"}).ticket(bob, -0.5).holds(us, "1"), {}, bob);
    row("two jobs on one GPU are one",
        Look(0, {"0"}).ticket(bob, -0.5).holds(us, "1").holds(bob, "2").holds(bob, "2"), {"0"});
    row("half each", Look(0, {"0", "1", "2", "3"}).ticket(bob, -9), {"0", "1"});
    row("up to what he holds", Look(0, {"0", "1"}).ticket(bob, -9).holds(bob, "2").holds(bob, "3"),
        {"0", "1"});
    row("cannot take this one", Look(0, {"0"}).ticket(bob, -9, {1, {"3"}}), {"0"});
    row("can take only this one", Look(0, {"0", "1"}).ticket(bob, -9, {1, {"0"}}), {"1"});
    row("we cannot take it", Look(0, {"0"}, {1, {"2"}}), {});
    row("two of two", Look(0, {"0", "1"}, {2, {}}), {"0", "1"});
    row("two of three", Look(0, {"0", "1", "2"}, {2, {}}), {"0", "1"});
    row("two of one", Look(0, {"0"}, {2, {}}), {});
    row("wants a thousand", Look(0, {"0", "1"}).ticket(eve, -9, {1000, {}}), {"0", "1"});
    row("wants less than nothing", Look(0, {"0"}).ticket(eve, -0.5, {-7, {}}), {"0"});
    row("since 1970", Look(0, {"0", "1"}).ticket(eve, -1.7e9), {"0"});
    row("from the future", Look(0, {"0"}).ticket(eve, 1e6), {"0"});
}

void unit_gpu_fairness::one_decision() {
    QFETCH(Look, look);
    QFETCH(Gpus, ours);
    QFETCH(int, ahead);
    GpuTurns turns(us, "a");
    const GpuTurn turn = turns.may_take(look.view);
    QCOMPARE(turn.gpus, ours);
    QCOMPARE(static_cast<int>(turn.ahead.value_or(0)), ahead);
    // The answer does not change by asking again.
    QCOMPARE(turns.may_take(look.view).gpus, ours);
}

void unit_gpu_fairness::a_dead_ticket_is_skipped_after_five_seconds() {
    GpuTurns turns(us, "a");
    // Nothing is free: time does not count against him.
    QVERIFY(turns.may_take(Look(0, {}).ticket(bob, -2).view).gpus.empty());
    const GpuTurn freed = turns.may_take(Look(100, {"0"}).ticket(bob, -2).view);
    QVERIFY(freed.gpus.empty());
    QCOMPARE(*freed.ahead, bob);
    QCOMPARE(*freed.look_again, Time(1105s));
    QVERIFY(turns.may_take(Look(104.9, {"0"}).ticket(bob, -2).view).gpus.empty());
    QCOMPARE(turns.may_take(Look(105, {"0"}).ticket(bob, -2).view).gpus, Gpus{"0"});
    // A second one, behind him, has seconds of his own.
    GpuTurns third(us, "a");
    const auto look = [&](double at) {
        return third.may_take(Look(at, {"0"}).ticket(bob, -9).ticket(eve, -8).view);
    };
    QCOMPARE(*look(0).ahead, bob);
    QCOMPARE(*look(5).ahead, eve);
    QCOMPARE(look(10).gpus, Gpus{"0"});
}

void unit_gpu_fairness::skipping_lasts_longer_each_time() {
    GpuTurns turns(us, "a");
    double ours = 0, all = 0;
    for (double at = 0; at < 3600; at += 0.5, ++all)
        ours += turns.may_take(Look(at, {"0"}).ticket(bob, -2).view).gpus.empty() ? 0 : 1;
    // Of an hour he costs 5 s at 0, 1, 3, 7, 15 and 31 minutes.
    QVERIFY2(ours > all - 2 * 6.5 * 5, qPrintable(QString::number(all - ours)));
    QVERIFY(ours < all - 2 * 4.5 * 5);
}

void unit_gpu_fairness::taking_ends_the_skipping() {
    GpuTurns turns(us, "a");
    turns.may_take(Look(0, {"0"}).ticket(bob, -2).view);
    QCOMPARE(turns.may_take(Look(5, {"0"}).ticket(bob, -2).view).gpus, Gpus{"0"});
    turns.may_take(Look(6, {}).ticket(bob, 6, {}, "new").holds(bob, "0", 5.9).view);
    // He holds none again, we took one at 7: his ticket is the older.
    const GpuTurn turn =
        turns.may_take(Look(8, {"0"}).ticket(us, 7, {}, "new").ticket(bob, 6, {}, "new").view);
    QCOMPARE(turn.ahead, std::optional(bob));
}

void unit_gpu_fairness::a_lock_for_no_gpu_shows_no_life() {
    GpuTurns turns(us, "a");
    const auto look = [&](double at) { return Look(at, {"0"}).ticket(eve, -2).holds(us, "1"); };
    QVERIFY(turns.may_take(look(0).view).gpus.empty());
    QVERIFY(turns.may_take(look(4).holds(eve, "made up", 3.9).view).gpus.empty());
    QCOMPARE(turns.may_take(look(5).view).gpus, Gpus{"0"});
}

void unit_gpu_fairness::a_thousand_tickets_count_as_one() {
    GpuTurns turns(us, "a");
    const auto look = [&](double at) {
        Look seen(at, {"0"});
        // New ones all the time, each of another spool.
        for (int i = 0; i < 1000; ++i)
            seen.ticket(eve, -2, {}, std::to_string(i + at), "s" + std::to_string(i + at));
        return turns.may_take(seen.view).gpus;
    };
    QVERIFY(look(0).empty());
    QVERIFY(look(4).empty());
    for (double at = 5; at < 60; at += 0.5)
        QCOMPARE(look(at), Gpus{"0"});
}

/// A daemon that keeps its first ticket for ever gets one start by it, not all.
void unit_gpu_fairness::an_old_ticket_does_not_outlive_a_start() {
    GpuTurns turns(us, "a");
    QVERIFY(turns.may_take(Look(0, {"0"}).ticket(eve, -1e6).view).gpus.empty());
    turns.may_take(Look(1, {}).ticket(eve, -1e6).holds(eve, "0", 0.5).view);
    QCOMPARE(turns.may_take(Look(2, {"0"}).ticket(eve, -1e6).view).gpus, Gpus{"0"});
}

void unit_gpu_fairness::a_clock_set_back_starves_nobody() {
    // Ours was made before the wall clock was set back by a day, seen then; his after it.
    GpuTurns turns(us, "a");
    Look first(0, {});
    turns.may_take(first.ticket(us, -1).view);
    Look later(10, {"0"});
    later.ticket(us, -1).ticket(bob, 5 - 86400.0);
    later.view.wall -= 86'400'000'000'000;
    QCOMPARE(turns.may_take(later.view).gpus, Gpus{"0"});
    // And one who comes late to it takes what is dated in the future as from now.
    GpuTurns late(us, "a");
    Look seen(10, {"0"});
    seen.ticket(us, 9 - 86400.0).ticket(bob, 5);
    seen.view.wall -= 86'400'000'000'000;
    QCOMPARE(late.may_take(seen.view).gpus, Gpus{"0"});
    Look again(20, {"0"});
    again.ticket(us, 19 - 86400.0, {}, "renewed").ticket(bob, 5);
    again.view.wall -= 86'400'000'000'000;
    QCOMPARE(late.may_take(again.view).ahead, std::optional(bob));
}

void unit_gpu_fairness::our_own_spools_take_turns() {
    GpuTurns turns(us, "a");
    const auto other = [](double at, double since) {
        return Look(at, {"0"}).ticket(us, since, {}, "m", "b").view;
    };
    QCOMPARE(turns.may_take(other(0, -2)).ahead, std::optional(us));
    QCOMPARE(turns.may_take(other(5, -2)).gpus, Gpus{"0"});
    GpuTurns fresh(us, "a");
    QCOMPARE(fresh.may_take(other(0, -0.5)).gpus, Gpus{"0"});
}

void unit_gpu_fairness::nobody_waits_for_nothing() {
    GpuTurns turns(us, "a");
    Look idle(0, {"0"});
    idle.view.own.reset();
    QCOMPARE(turns.may_take(idle.view), GpuTurn{});
    // Without a ticket of our own (no space for it) we wait from the first look.
    Look without(1, {"0"});
    without.view.tickets.clear();
    QCOMPARE(turns.may_take(without.ticket(bob, 2).view).gpus, Gpus{"0"});
}

// ---- Many daemons --------------------------------------------------------------------------

namespace {

struct World;

/// A daemon of one user: jobs of random lengths, a ticket while some wait, looks that come late.
struct Daemon {
    enum class Kind { honest, dead, greedy, stale };
    std::uint32_t uid = 0;
    Kind kind = Kind::honest;
    int jobs = 0;  ///< that wait
    double shortest = 0.5, longest = 4;
    std::optional<GpuTicketSeen> ticket;
    std::unique_ptr<GpuTurns> turns;
    double next_look = 0;
    double served = 0;         ///< GPU seconds
    double waited_since = -1;  ///< since when it waits and holds nothing
    double longest_wait = 0;
};

struct Held {
    Daemon* by;
    double since, until;
};

struct World {
    std::mt19937 random{1};
    double now = 0;
    int gpus = 4, nonce = 0;
    std::map<std::string, Held> held;
    std::vector<std::unique_ptr<Daemon>> daemons;
    int races = 0;

    double between(double low, double high) {
        return std::uniform_real_distribution<>(low, high)(random);
    }
    [[nodiscard]] std::int64_t wall(double at) const { return start + std::llround(at * 1e9); }

    Daemon& add(Daemon::Kind kind, int jobs) {
        auto daemon = std::make_unique<Daemon>();
        daemon->uid = 1000 + static_cast<std::uint32_t>(daemons.size());
        daemon->kind = kind;
        daemon->jobs = jobs;
        daemon->turns = std::make_unique<GpuTurns>(daemon->uid, "s");
        renew(*daemon);
        daemons.push_back(std::move(daemon));
        return *daemons.back();
    }
    void renew(Daemon& daemon) {
        if (daemon.kind == Daemon::Kind::stale && daemon.ticket) return;
        if (daemon.jobs == 0)
            daemon.ticket.reset();
        else
            daemon.ticket = GpuTicketSeen{daemon.uid, "s", std::to_string(++nonce), wall(now), {}};
    }
    /// Everybody notices a change, each after a time of his own.
    void changed() {
        for (auto& daemon : daemons)
            daemon->next_look = std::min(daemon->next_look, now + between(0.001, 0.04));
    }
    [[nodiscard]] GpuView view(const Daemon& daemon) const {
        GpuView view;
        view.now = 1000s + std::chrono::nanoseconds(std::llround(now * 1e9));
        view.wall = wall(now);
        for (int i = 0; i < gpus; ++i) {
            view.pool.push_back(std::to_string(i));
            if (!held.contains(view.pool.back())) view.free.push_back(view.pool.back());
        }
        for (const auto& [gpu, holder] : held)
            view.held.push_back({gpu, holder.by->uid, "s", wall(holder.since)});
        for (const auto& other : daemons)
            if (other->ticket) view.tickets.push_back(*other->ticket);
        if (daemon.jobs > 0) view.own = GpuWish{};
        return view;
    }
    void look(Daemon& daemon) {
        daemon.next_look = now + 2;
        if (daemon.kind == Daemon::Kind::dead || daemon.jobs == 0) return;
        const GpuView seen = view(daemon);
        const GpuTurn turn = daemon.turns->may_take(seen);
        if (turn.look_again)
            daemon.next_look = std::min(
                daemon.next_look, std::chrono::duration<double>(*turn.look_again - 1000s).count());
        // The greedy one heeds nobody.
        for (const std::string& gpu : daemon.kind == Daemon::Kind::greedy ? seen.free : turn.gpus)
            if (daemon.jobs > 0) take(daemon, gpu);
    }
    void take(Daemon& daemon, const std::string& gpu) {
        const double length = between(daemon.shortest, daemon.longest);
        if (!held.emplace(gpu, Held{&daemon, now, now + length}).second) qFatal("taken twice");
        if (daemon.waited_since >= 0)
            daemon.longest_wait = std::max(daemon.longest_wait, now - daemon.waited_since);
        --daemon.jobs;
        renew(daemon);
        changed();
    }
    void account(double step) {
        std::set<const Daemon*> holding;
        for (auto& [gpu, holder] : held) {
            holder.by->served += step;
            holding.insert(holder.by);
        }
        for (auto& daemon : daemons) {
            const bool waits = daemon->jobs > 0 && !holding.contains(daemon.get());
            if (!waits) daemon->waited_since = -1;
            if (waits && daemon->waited_since < 0) daemon->waited_since = now;
        }
    }
    void advance(double step) {
        now += step;
        const auto ended =
            std::erase_if(held, [&](const auto& h) { return h.second.until <= now; });
        if (ended > 0) changed();
        account(step);
        for (auto& daemon : daemons)
            if (daemon->next_look <= now) look(*daemon);
    }
};

}  // namespace

void unit_gpu_fairness::simulation_data() {
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
void unit_gpu_fairness::simulation() {
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

QTEST_GUILESS_MAIN(unit_gpu_fairness)
#include "unit_gpu_fairness.moc"
