// What a starting daemon does with what is left: the table of docs/protocol.md §10, complete.
#include <QtTest>
#include <map>

#include "libspool/recover.h"

namespace record = spool::record;
using spool::RecoveryAction;
using spool::RecoveryFacts;

namespace {

/// The table, row by row, as docs/protocol.md has it: the first that fits.
struct Row {
    const char* name;
    bool (*fits)(const RecoveryFacts&);
    RecoveryAction action;
};
using Facts = RecoveryFacts;
const Row rows[] = {
    {"free or never written",
     [](const Facts& f) {
         return f.claim == record::Validity::absent ||
                (f.claim == record::Validity::valid && !f.claimed);
     },
     RecoveryAction::pool},
    {"damaged or newer",
     [](const Facts& f) {
         return f.claim == record::Validity::damaged || f.claim == record::Validity::newer;
     },
     RecoveryAction::leave},
    {"published", [](const Facts& f) { return f.published; }, RecoveryAction::release},
    {"lock held", [](const Facts& f) { return f.lock_held; }, RecoveryAction::adopt},
    {"exit page, something lives", [](const Facts& f) { return f.ended && f.tree_alive; },
     RecoveryAction::await_tree},
    {"exit page", [](const Facts& f) { return f.ended; }, RecoveryAction::finish},
    {"no run page, cancel page", [](const Facts& f) { return !f.started && f.cancelled; },
     RecoveryAction::finish},
    {"no run page, in incoming, first attempt", [](const Facts& f) { return !f.started && f.in_incoming && !f.further_attempt; },
     RecoveryAction::undo},
    {"no run page, this boot, in running",
     [](const Facts& f) { return !f.started && f.same_boot && f.in_running; },
     RecoveryAction::start},
    {"no run page, this boot, neither", [](const Facts& f) { return !f.started && f.same_boot; },
     RecoveryAction::finish},
    {"no run page, another boot", [](const Facts& f) { return !f.started; },
     RecoveryAction::finish},
    {"run page, this boot, something lives",
     [](const Facts& f) { return f.same_boot && f.tree_alive; }, RecoveryAction::await_tree},
    {"run page, nothing lives or another boot", [](const Facts&) { return true; },
     RecoveryAction::finish},
};

}  // namespace

class UnitDecideRecovery : public QObject {
    Q_OBJECT

private slots:
    void every_combination_of_facts_follows_the_table() {
        std::map<const char*, int> hits;
        for (int validity = 0; validity < 4; ++validity)
            for (int bits = 0; bits < 1 << 11; ++bits) {
                const auto bit = [&](int n) { return (bits >> n & 1) != 0; };
                const Facts facts{static_cast<record::Validity>(validity),
                                  bit(0),
                                  bit(1),
                                  bit(2),
                                  bit(3),
                                  bit(4),
                                  bit(5),
                                  bit(6),
                                  bit(7),
                                  bit(8),
                                  bit(9),
                                  bit(10)};
                // These never come together: a dead boot leaves no lock and no process.
                if (!facts.same_boot && (facts.lock_held || facts.tree_alive)) continue;
                const Row* row = rows;
                while (!row->fits(facts))
                    ++row;
                ++hits[row->name];
                QVERIFY2(spool::decide_recovery(facts) == row->action,
                         qPrintable(QString("%1, validity %2, bits %3")
                                        .arg(row->name)
                                        .arg(validity)
                                        .arg(bits, 10, 2, QChar('0'))));
            }
        QCOMPARE(hits.size(), std::size(rows));  // each row decides something
    }
};

QTEST_GUILESS_MAIN(UnitDecideRecovery)
#include "unit_decide_recovery.moc"
