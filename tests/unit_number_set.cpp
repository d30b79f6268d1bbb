// A set of numbers beside the plain one of the library.
#include <QtTest>
#include <random>
#include <set>

#include "libspool/number_set.h"

class unit_number_set : public QObject {
    Q_OBJECT
private slots:
    void is_a_set_data();
    void is_a_set();
    void takes_any_number();
};

void unit_number_set::is_a_set_data() {
    QTest::addColumn<unsigned>("seed");
    for (unsigned seed = 1; seed <= 5; ++seed)
        QTest::addRow("seed %u", seed) << seed;
}

void unit_number_set::is_a_set() {
    QFETCH(unsigned, seed);
    std::mt19937 random(seed);
    std::set<std::uint64_t> plain;
    spool::NumberSet numbers;
    for (int i = 0; i < 200; ++i) {
        const std::uint64_t number = random() % 100;
        plain.insert(number);
        numbers.insert(number);
        for (std::uint64_t n = 0; n <= 100; ++n)
            QCOMPARE(numbers.contains(n), plain.contains(n));
    }
}

void unit_number_set::takes_any_number() {
    constexpr std::uint64_t largest = ~std::uint64_t(0);
    spool::NumberSet numbers;
    for (const std::uint64_t number : {largest, std::uint64_t(0), largest - 1})
        numbers.insert(number);
    for (const std::uint64_t number : {largest, largest - 1, std::uint64_t(0)})
        QVERIFY(numbers.contains(number));
    QVERIFY(!numbers.contains(1) && !numbers.contains(largest - 2));
}

QTEST_GUILESS_MAIN(unit_number_set)
#include "unit_number_set.moc"
