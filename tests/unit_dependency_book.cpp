// Jobs that follow others: when they may go, when they never can, and who waits for whom.
#include <QtTest>

#include "libspool/dependency_book.h"

using spool::After;
using spool::Dependencies;
using spool::DependencyBook;
using spool::judge;
using spool::Standing;
using spool::Verdict;

namespace {

using Jobs = std::vector<std::uint64_t>;

Standing all_wait(std::uint64_t) {
    return Standing::waiting;
}

Dependencies after(std::initializer_list<spool::Dependency> list, bool any = false) {
    return {list, any};
}

}  // namespace

Q_DECLARE_METATYPE(After)
Q_DECLARE_METATYPE(Standing)
Q_DECLARE_METATYPE(Verdict)

class UnitDependencyBook : public QObject {
    Q_OBJECT

private slots:
    void judges_one_condition_data() {
        QTest::addColumn<After>("condition");
        QTest::addColumn<QString>("verdicts");  // of unknown, waiting, running, succeeded, failed
        QTest::newRow("start") << After::start << "never open met met met";
        QTest::newRow("end") << After::end << "never open open met met";
        QTest::newRow("success") << After::success << "never open open met never";
        QTest::newRow("failure") << After::failure << "never open open never met";
    }
    void judges_one_condition() {
        QFETCH(After, condition);
        QFETCH(QString, verdicts);
        QStringList found;
        for (const Standing standing : {Standing::unknown, Standing::waiting, Standing::running,
                                        Standing::succeeded, Standing::failed}) {
            const Verdict verdict = judge(condition, standing);
            found << (verdict == Verdict::met    ? "met"
                      : verdict == Verdict::open ? "open"
                                                 : "never");
        }
        QCOMPARE(found.join(' '), verdicts);
    }

    void all_or_any_of_several_data() {
        QTest::addColumn<bool>("any");
        QTest::addColumn<Standing>("first");
        QTest::addColumn<Standing>("second");
        QTest::addColumn<Verdict>("verdict");
        const auto ok = Standing::succeeded, bad = Standing::failed, waits = Standing::waiting;
        QTest::newRow("all: both") << false << ok << ok << Verdict::met;
        QTest::newRow("all: one open") << false << ok << waits << Verdict::open;
        QTest::newRow("all: one never") << false << waits << bad << Verdict::never;
        QTest::newRow("any: one") << true << bad << ok << Verdict::met;
        QTest::newRow("any: one open") << true << bad << waits << Verdict::open;
        QTest::newRow("any: none") << true << bad << bad << Verdict::never;
    }
    void all_or_any_of_several() {
        QFETCH(bool, any);
        QFETCH(Standing, first);
        QFETCH(Standing, second);
        QFETCH(Verdict, verdict);
        DependencyBook book;
        book.add(9, after({{After::success, 1}, {After::success, 2}}, any),
                 [&](std::uint64_t job) { return job == 1 ? first : second; });
        QCOMPARE(book.verdict(9), verdict);
        QCOMPARE(book.obstacle(9).has_value(), verdict != Verdict::met);
        // The same, told one after the other.
        DependencyBook told;
        told.add(9, after({{After::success, 1}, {After::success, 2}}, any), all_wait);
        told.note(1, first);
        told.note(2, second);
        QCOMPARE(told.verdict(9), verdict);
    }

    void says_whose_verdict_has_changed() {
        DependencyBook book;
        book.add(5, after({{After::success, 1}}), all_wait);
        book.add(6, after({{After::start, 1}, {After::end, 2}}), all_wait);
        book.add(7, after({{After::end, 1}}), all_wait);
        QCOMPARE(book.note(1, Standing::running), Jobs{});
        QCOMPARE(book.note(2, Standing::failed), Jobs{6});
        QCOMPARE(book.note(1, Standing::failed), (Jobs{5, 7}));
        QCOMPARE(book.verdict(5), Verdict::never);
        QCOMPARE(book.obstacle(5)->job, std::uint64_t(1));
        QCOMPARE(book.note(99, Standing::failed), Jobs{});
    }

    void what_is_removed_follows_nobody() {
        DependencyBook book;
        book.add(5, after({{After::success, 1}, {After::end, 1}}), all_wait);
        book.remove(5);
        book.remove(5);
        QCOMPARE(book.note(1, Standing::failed), Jobs{});
        QCOMPARE(book.verdict(5), Verdict::met);
        // Said anew: the old conditions are gone, and what is known is asked anew.
        book.add(5, after({{After::success, 1}}), all_wait);
        book.add(5, after({{After::success, 2}}), [](auto) { return Standing::succeeded; });
        QCOMPARE(book.verdict(5), Verdict::met);
        QCOMPARE(book.note(1, Standing::failed), Jobs{});
    }

    void finds_circles() {
        DependencyBook book;
        book.add(1, after({{After::end, 2}}), all_wait);
        book.add(2, after({{After::end, 7}, {After::end, 3}}), all_wait);
        QCOMPARE(book.circle(1), Jobs{});
        book.add(3, after({{After::end, 1}}), all_wait);
        QCOMPARE(book.circle(1), (Jobs{1, 2, 3}));
        QCOMPARE(book.circle(3), (Jobs{3, 1, 2}));
        QCOMPARE(book.circle(7), Jobs{});
        book.add(4, after({{After::end, 4}}), all_wait);
        QCOMPARE(book.circle(4), Jobs{4});
        // One that leads to a circle is not in it.
        book.add(5, after({{After::end, 4}}), all_wait);
        QCOMPARE(book.circle(5), Jobs{});
    }
};

QTEST_GUILESS_MAIN(UnitDependencyBook)
#include "unit_dependency_book.moc"
