// Who wants more GPUs than are free: what is set aside for him, for how long, and what is not.
#include <QtTest>

#include "tests/support/gpu_look.h"

using namespace std::chrono_literals;
using spool::GpuLeft;
using spool::GpuTurn;
using spool::GpuTurns;
using spool::GpuWish;
using Time = GpuTurns::Time;
using Others = std::map<std::string, GpuLeft>;

Q_DECLARE_METATYPE(Others)

namespace {

constexpr double hour = 3600;

/// Bob wants two GPUs; one is free, the others have jobs of ours.
Look one_is_free(double at) {
    return Look(at, {"0"}).ticket(bob, -2, {2, {}}).holds(us, "1").holds(us, "2").holds(us, "3");
}

/// Looks every 2 s, as a daemon does that waits. Returns for how long GPU 0 was left to Bob.
template <typename Seen>
double left_to_bob(GpuTurns& turns, double from, double to, Seen seen) {
    double left = 0;
    for (double at = from; at < to; at += 2)
        if (turns.may_take(seen(at).view).others.contains("0")) left += 2;
    return left;
}

}  // namespace

class UnitGpuReservations : public QObject {
    Q_OBJECT

private slots:
    void a_slot_of_two_is_two_gpus();
    void one_decision_data();
    void one_decision();
    void what_bob_waits_for_is_said();
    void six_hours_of_seven();
    void only_as_many_gpus_end_it();
    void smaller_jobs_do_not_end_it();
    void time_that_nobody_has_seen_does_not_count();
    void a_gpu_that_is_being_let_go_of_counts();
    void while_it_is_worn_out_he_may_take();
};

void UnitGpuReservations::a_slot_of_two_is_two_gpus() {
    const GpuWish pairs = spool::wish_for_slots(2, {{"0", "1"}, {"2", "3"}, {"4", "5", "6"}});
    QCOMPARE(pairs.wants, 4);
    QCOMPARE(pairs.gpus.size(), std::size_t{7});
    QCOMPARE(spool::wish_for_slots(3, {{"0"}, {"1", "2"}}).wants, 3);
    QCOMPARE(spool::wish_for_slots(2, {}).wants, 2);
    QCOMPARE(spool::wish_for_slots(1, {{}}).wants, 1);
}

void UnitGpuReservations::one_decision_data() {
    QTest::addColumn<Look>("look");
    QTest::addColumn<Gpus>("ours");
    QTest::addColumn<Others>("others");
    const auto row = [](const char* name, const Look& look, const Gpus& ours,
                        const Others& others) { QTest::newRow(name) << look << ours << others; };
    const GpuLeft for_two{bob, 2};
    row("too few for him: set aside", one_is_free(0), {}, {{"0", for_two}});
    row("enough for him",
        Look(0, {"0", "1"}).ticket(bob, -2, {2, {}}).holds(us, "2").holds(us, "3"), {},
        {{"0", {bob, 0}}, {"1", {bob, 0}}});
    row("what he holds himself counts",
        Look(0, {"0"})
            .ticket(bob, -2, {2, {"0", "1"}})
            .holds(bob, "1")
            .holds(us, "2")
            .holds(us, "3"),
        {}, {{"0", for_two}});
    row("strangers have what he needs", Look(0, {"0"}).ticket(bob, -2, {3, {}}).holds(us, "1"),
        {"0"}, {});
    row("locks for GPUs of others' pools are none",
        Look(0, {"0"}).ticket(bob, -2, {3, {}}).holds(us, "1").holds(eve, "made up"), {"0"}, {});
    row("only what he could take",
        Look(0, {"0", "3"}).ticket(bob, -2, {2, {"0", "1"}}).holds(us, "1").holds(us, "2"), {"3"},
        {{"0", for_two}});
    row("not his turn",
        Look(0, {"0"}).ticket(bob, -2, {2, {}}).holds(bob, "1").holds(bob, "2").holds(us, "3"),
        {"0"}, {});
    row("ours: nothing for us yet, and nothing for others",
        Look(0, {"0"}, {2, {}}).ticket(bob, -2).holds(bob, "1").holds(bob, "2").holds(bob, "3"), {},
        {});
    row("what was dealt to another is held soon",
        Look(0, {"0", "1", "2", "3"}).ticket(bob, -9).ticket(eve, -8, {4, {}}), {},
        {{"0", {eve, 4}}, {"1", {eve, 4}}, {"2", {eve, 4}}, {"3", {bob, 0}}});
    row("two who want many: the first",
        Look(0, {"0"})
            .ticket(bob, -9, {2, {}})
            .ticket(eve, -8, {4, {}})
            .holds(us, "1")
            .holds(us, "2")
            .holds(us, "3"),
        {}, {{"0", for_two}});
    row("two who want many, of different GPUs",
        Look(0, {"0", "3"})
            .ticket(bob, -9, {2, {"0", "1"}})
            .ticket(eve, -8, {2, {"2", "3"}})
            .holds(us, "1")
            .holds(us, "2"),
        {}, {{"0", for_two}, {"3", {eve, 2}}});
    Look many(0, {"0", "1", "2"});
    many.view.pool = {"0", "1", "2", "4", "5", "6"};
    many.ticket(bob, -2, {2, {}}).holds(us, "4").holds(us, "5").holds(us, "6");
    row("not for the next wish of who has his turn already", many, {"0"},
        {{"1", {bob, 0}}, {"2", {bob, 0}}});
}

void UnitGpuReservations::one_decision() {
    QFETCH(Look, look);
    QFETCH(Gpus, ours);
    QFETCH(Others, others);
    GpuTurns turns(us, "a");
    const GpuTurn turn = turns.may_take(look.view);
    QCOMPARE(turn.gpus, ours);
    QCOMPARE(turn.others, others);
    QCOMPARE(turns.may_take(look.view), turn);
}

void UnitGpuReservations::what_bob_waits_for_is_said() {
    GpuTurns turns(us, "a");
    const GpuTurn turn = turns.may_take(one_is_free(0).view);
    QCOMPARE(turn.ahead, std::optional(bob));
    QCOMPARE(turn.look_again, std::optional(Time(1000s + 6h)));
    // He does not let anything lie: there are too few for him.
    QCOMPARE(left_to_bob(turns, 2, 600, one_is_free), 598.0);
}

void UnitGpuReservations::six_hours_of_seven() {
    GpuTurns turns(us, "a");
    QCOMPARE(left_to_bob(turns, 0, 7 * hour, one_is_free), 6 * hour);
    QCOMPARE(left_to_bob(turns, 7 * hour, 14 * hour, one_is_free), 6 * hour);
    QCOMPARE(left_to_bob(turns, 13 * hour, 14 * hour - 2, one_is_free), 0.0);
}

void UnitGpuReservations::only_as_many_gpus_end_it() {
    GpuTurns turns(us, "a");
    QCOMPARE(left_to_bob(turns, 0, 5 * hour, one_is_free), 5 * hour);
    turns.may_take(
        Look(5 * hour, {}).holds(bob, "0", 5 * hour - 1).holds(bob, "1", 5 * hour - 1).view);
    // His next one has six hours of its own.
    QCOMPARE(left_to_bob(turns, 5 * hour + 2, 11 * hour, one_is_free), 6 * hour - 2);
    QCOMPARE(left_to_bob(turns, 11 * hour, 11.5 * hour, one_is_free), 2.0);
}

void UnitGpuReservations::smaller_jobs_do_not_end_it() {
    GpuTurns turns(us, "a");
    // He had two all along, takes one and gives it back.
    const auto with_two = [](double at) {
        Look look = one_is_free(at);
        look.view.pool = {"0", "1", "2", "3", "4", "5"};
        return look.holds(bob, "4").holds(bob, "5");
    };
    QCOMPARE(left_to_bob(turns, 0, 5 * hour, with_two), 5 * hour);
    turns.may_take(with_two(5 * hour).holds(bob, "0", 5 * hour - 1).view);
    QCOMPARE(left_to_bob(turns, 5 * hour + 2, 7 * hour, with_two), hour);
}

void UnitGpuReservations::time_that_nobody_has_seen_does_not_count() {
    GpuTurns turns(us, "a");
    QCOMPARE(left_to_bob(turns, 0, hour, one_is_free), hour);
    // We wait again after a day. What was free then was left to nobody meanwhile.
    QCOMPARE(left_to_bob(turns, 24 * hour, 29 * hour, one_is_free), 5 * hour);
    QCOMPARE(left_to_bob(turns, 29 * hour, 29.5 * hour, one_is_free), 2.0);
    // Nor is he passed over for what he could have taken a day ago.
    GpuTurns patient(us, "a");
    patient.may_take(Look(0, {"0"}).ticket(bob, -2).view);
    QCOMPARE(patient.may_take(Look(24 * hour, {"0"}).ticket(bob, -2).view).ahead,
             std::optional(bob));
}

void UnitGpuReservations::a_gpu_that_is_being_let_go_of_counts() {
    // All four for Bob, three are set aside; the job on the fourth ends, and is still seen there.
    GpuTurns turns(us, "a");
    const auto look = [](double at) { return Look(at, {"0", "1", "2"}).ticket(bob, -2, {4, {}}); };
    QVERIFY(turns.may_take(look(0).holds(us, "3").view).gpus.empty());
    QVERIFY(turns.may_take(look(2).view).gpus.empty());
    QVERIFY(turns.may_take(look(10).view).gpus.empty());
    // By then it is a stranger's.
    QCOMPARE(turns.may_take(look(10.5).view).gpus, (Gpus{"0", "1", "2"}));
}

void UnitGpuReservations::while_it_is_worn_out_he_may_take() {
    GpuTurns turns(us, "a");
    (void)left_to_bob(turns, 0, 6 * hour + 10, one_is_free);
    const Look two =
        Look(6 * hour + 12, {"0", "1"}).ticket(bob, -2, {2, {}}).holds(us, "2").holds(us, "3");
    QCOMPARE(turns.may_take(two.view).others, (Others{{"0", {bob, 0}}, {"1", {bob, 0}}}));
}

QTEST_GUILESS_MAIN(UnitGpuReservations)
#include "unit_gpu_reservations.moc"
