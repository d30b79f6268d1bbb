#include "libspool/job_file.h"
#include "libspool/submit.h"
#include "scratch_spool.h"

class UnitSubmit : public QObject {
    Q_OBJECT
private slots:
    void the_file_carries_number_and_origin();
    void nothing_is_left_in_tmp();
    void a_name_in_use_gets_a_number_data();
    void a_name_in_use_gets_a_number();
    void many_jobs_of_one_name();
    void what_can_be_no_job_is_refused_data();
    void what_can_be_no_job_is_refused();
    void odd_names_become_safe_data();
    void odd_names_become_safe();
};

void UnitSubmit::the_file_carries_number_and_origin() {
    ScratchSpool scratch;
    QVERIFY(spool::raise_counter(scratch.spool, 41).has_value());
    spool::Submission submission{"echo $1\n", "x", ".sh", {}};
    submission.info.directory = "/some/where";
    submission.info.arguments = {"a b", "c\xff"};
    submission.info.retry_of = 7;
    const auto submitted = spool::submit(scratch.spool, submission, scratch.clock);
    QVERIFY2(submitted.has_value(), submitted ? "" : submitted.error().text().c_str());
    QCOMPARE(submitted->number, std::uint64_t(42));
    QCOMPARE(submitted->file_name, std::string("x.sh"));
    const std::string bytes = scratch.get(scratch.spool.incoming, "x.sh");
    QCOMPARE(spool::executed_script(bytes), std::string("echo $1\n"));
    const auto spec = spool::read_job_file(bytes, "x.sh");
    QVERIFY(spec.has_value() && spec->submit.has_value());
    QCOMPARE(spec->submit->spool, scratch.spool.identity);
    QCOMPARE(spec->submit->number, std::uint64_t(42));
    QCOMPARE(spec->submit->directory, std::string("/some/where"));
    QCOMPARE(spec->submit->arguments, submission.info.arguments);
    QCOMPARE(spec->submit->retry_of, std::optional<std::uint64_t>(7));
    QCOMPARE(*spool::counter_value(scratch.spool), std::uint64_t(42));
}

void UnitSubmit::nothing_is_left_in_tmp() {
    ScratchSpool scratch;
    QVERIFY(spool::submit(scratch.spool, {"true\n", "x", ".job", {}}, scratch.clock).has_value());
    QCOMPARE(scratch.count(scratch.spool.temporary), std::size_t(0));
    QCOMPARE(scratch.files.stat_at(scratch.spool.incoming.get(), "x.job")->mode, 0600u);
}

void UnitSubmit::a_name_in_use_gets_a_number_data() {
    QTest::addColumn<QString>("where");
    QTest::addColumn<QString>("file");
    QTest::addColumn<QString>("expected");
    QTest::newRow("free") << "incoming"
                          << "y.job"
                          << "x.job";
    QTest::newRow("waiting") << "incoming"
                             << "x.job"
                             << "x~2.job";
    QTest::newRow("waiting, other extension") << "incoming"
                                              << "x.sh"
                                              << "x~2.job";
    QTest::newRow("a log of that name in incoming is none") << "incoming"
                                                            << "x.log"
                                                            << "x.job";
    QTest::newRow("running") << "running"
                             << "x.sbatch"
                             << "x~2.job";
    QTest::newRow("ended") << "done"
                           << "x.json"
                           << "x~2.job";
    QTest::newRow("a log is left") << "done"
                                   << "x.log"
                                   << "x~2.job";
}

void UnitSubmit::a_name_in_use_gets_a_number() {
    QFETCH(QString, where);
    QFETCH(QString, file);
    QFETCH(QString, expected);
    ScratchSpool scratch;
    spool::OpenFile& directory = where == "incoming"  ? scratch.spool.incoming
                                 : where == "running" ? scratch.spool.running
                                                      : scratch.spool.done;
    scratch.put(directory, file.toStdString(), "before");
    const auto submitted = spool::submit(scratch.spool, {"true\n", "x", ".job", {}}, scratch.clock);
    QVERIFY(submitted.has_value());
    QCOMPARE(submitted->file_name, expected.toStdString());
    QCOMPARE(scratch.get(directory, file.toStdString()), std::string("before"));
}

void UnitSubmit::many_jobs_of_one_name() {
    ScratchSpool scratch;
    for (int i = 1; i <= 30; ++i) {
        const auto submitted =
            spool::submit(scratch.spool, {"true\n", "x", ".job", {}}, scratch.clock);
        QVERIFY(submitted.has_value());
        QCOMPARE(submitted->file_name, i == 1 ? "x.job" : "x~" + std::to_string(i) + ".job");
        QCOMPARE(submitted->number, static_cast<std::uint64_t>(i));
    }
}

void UnitSubmit::what_can_be_no_job_is_refused_data() {
    QTest::addColumn<QByteArray>("bytes");
    QTest::newRow("empty") << QByteArray("");
    QTest::newRow("comments only") << QByteArray("#!/bin/sh\n# nothing\n");
    QTest::newRow("unknown key") << QByteArray("#SPOOL --gpuz=1\ntrue\n");
    QTest::newRow("NUL") << QByteArray("true\0\n", 6);
    QTest::newRow("DOS") << QByteArray("true\r\n");
    QTest::newRow("broken JSON") << QByteArray("{\"command\": [");
    QTest::newRow("too large") << QByteArray((4 << 20) + 1, 'x');
}

void UnitSubmit::what_can_be_no_job_is_refused() {
    QFETCH(QByteArray, bytes);
    ScratchSpool scratch;
    const auto submitted =
        spool::submit(scratch.spool, {bytes.toStdString(), "x", ".job", {}}, scratch.clock);
    QVERIFY(!submitted.has_value());
    QVERIFY(!submitted.error().text().empty());
    QCOMPARE(scratch.count(scratch.spool.incoming), std::size_t(0));
    QCOMPARE(*spool::counter_value(scratch.spool), std::uint64_t(0));
}

void UnitSubmit::odd_names_become_safe_data() {
    QTest::addColumn<QByteArray>("stem");
    QTest::addColumn<QByteArray>("file");
    QTest::newRow("empty") << QByteArray("") << QByteArray("job.job");
    QTest::newRow("slashes") << QByteArray("../a/b") << QByteArray("_._a_b.job");
    QTest::newRow("hidden") << QByteArray(".x") << QByteArray("_x.job");
    QTest::newRow("dash") << QByteArray("-rf") << QByteArray("-rf.job");
    QTest::newRow("line feed") << QByteArray("a\nb") << QByteArray("a\nb.job");
    QTest::newRow("not UTF-8") << QByteArray("a\xff") << QByteArray("a\xff.job");
}

void UnitSubmit::odd_names_become_safe() {
    QFETCH(QByteArray, stem);
    ScratchSpool scratch;
    const auto submitted =
        spool::submit(scratch.spool, {"true\n", stem.toStdString(), ".job", {}}, scratch.clock);
    QVERIFY2(submitted.has_value(), submitted ? "" : submitted.error().text().c_str());
    QTEST(QByteArray::fromStdString(submitted->file_name), "file");
    QVERIFY(scratch.has(scratch.spool.incoming, submitted->file_name));
}

QTEST_GUILESS_MAIN(UnitSubmit)
#include "unit_submit.moc"
