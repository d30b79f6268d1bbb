// Whole schedules: jobs with time limits, dependencies, groups and several resources come, run and
// end at random, and what must hold is checked at every step.
#include <QtTest>

#include "tests/schedule_world.h"

using test::ScheduleWorld;

class UnitSchedule : public QObject {
    Q_OBJECT

private slots:
    void what_must_hold_holds() {
        int backfilled = 0, followers = 0, hopeless = 0, full_groups = 0, tasks = 0,
            full_arrays = 0;
        for (unsigned seed = 0; seed < 400; ++seed) {
            ScheduleWorld world(seed);
            for (int step = 0; step < 200; ++step) {
                const std::string fault = world.step();
                QVERIFY2(fault.empty(), qPrintable(QString("seed %1, step %2: %3")
                                                       .arg(seed)
                                                       .arg(step)
                                                       .arg(QString::fromStdString(fault))));
            }
            backfilled += world.backfilled();
            followers += world.followers();
            hopeless += world.hopeless();
            full_groups += world.full_groups();
            tasks += world.tasks();
            full_arrays += world.full_arrays();
        }
        // What the schedules are to be about has happened.
        QVERIFY2(backfilled > 1000, qPrintable(QString::number(backfilled)));
        QVERIFY2(followers > 1000, qPrintable(QString::number(followers)));
        QVERIFY2(hopeless > 100, qPrintable(QString::number(hopeless)));
        QVERIFY2(full_groups > 100, qPrintable(QString::number(full_groups)));
        QVERIFY2(tasks > 1000, qPrintable(QString::number(tasks)));
        QVERIFY2(full_arrays > 100, qPrintable(QString::number(full_arrays)));
    }

    void all_end_when_no_more_come() {
        for (unsigned seed = 0; seed < 200; ++seed) {
            ScheduleWorld world(seed);
            for (int step = 0; step < 100; ++step)
                world.step();
            world.close();
            for (int step = 0; step < 2000 && !world.is_done(); ++step) {
                const std::string fault = world.step();
                QVERIFY2(fault.empty(), fault.c_str());
            }
            QVERIFY2(world.is_done(), qPrintable(QString("seed %1").arg(seed)));
        }
    }

    void a_seed_makes_the_same_schedule_twice() {
        ScheduleWorld first(7), second(7);
        for (int step = 0; step < 500; ++step) {
            first.step();
            second.step();
        }
        QVERIFY(!first.trace().empty());
        QCOMPARE(first.trace(), second.trace());
    }
};

QTEST_GUILESS_MAIN(UnitSchedule)
#include "unit_schedule.moc"
