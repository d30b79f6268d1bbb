// Whose turn it is: tables of single decisions. (Many daemons: unit_gpu_shares.)
#include <QtTest>
#include <cmath>

#include "tests/support/gpu_look.h"

using namespace std::chrono_literals;
using spool::GpuTurn;
using spool::GpuTurns;
using spool::GpuWish;
using Time = GpuTurns::Time;

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
};

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

QTEST_GUILESS_MAIN(unit_gpu_fairness)
#include "unit_gpu_fairness.moc"
