#include "libspool/control.h"
#include "scratch_spool.h"

class UnitControl : public QObject {
    Q_OBJECT
private slots:
    void a_request_is_answered();
    void requests_come_in_order_of_time();
    void what_is_no_request_is_answered_and_removed_data();
    void what_is_no_request_is_answered_and_removed();
    void what_is_not_a_request_file_is_left_alone();
    void pause_and_resume();
    void old_replies_are_removed();
};

void UnitControl::a_request_is_answered() {
    ScratchSpool scratch;
    const auto sent = spool::send_request(scratch.spool, {{}, "cancel", 42, 0}, scratch.clock);
    QVERIFY(sent.has_value());
    QVERIFY(!spool::read_reply(scratch.spool, *sent)->has_value());
    const auto requests = spool::read_requests(scratch.spool);
    QCOMPARE(requests->size(), std::size_t(1));
    QCOMPARE(requests->front().nonce, sent->nonce);
    QCOMPARE(requests->front().verb, std::string("cancel"));
    QCOMPARE(requests->front().job, std::optional<std::uint64_t>(42));
    QCOMPARE(requests->front().at, scratch.clock.now);
    QVERIFY(spool::answer(scratch.spool, requests->front(), {true, "gone"}).has_value());
    QVERIFY(spool::read_requests(scratch.spool)->empty());
    const auto reply = spool::read_reply(scratch.spool, *sent);
    QVERIFY(reply->has_value() && (*reply)->ok);
    QCOMPARE((*reply)->message, std::string("gone"));
}

void UnitControl::requests_come_in_order_of_time() {
    ScratchSpool scratch;
    std::vector<std::string> verbs;
    for (const char* verb : {"drain", "reload", "undrain"}) {
        QVERIFY(spool::send_request(scratch.spool, {{}, verb, std::nullopt, 0}, scratch.clock)
                    .has_value());
        scratch.clock.now -= 5'000'000;
    }
    const auto requests = spool::read_requests(scratch.spool);
    QVERIFY(requests.has_value());
    for (const auto& request : *requests)
        verbs.push_back(request.verb);
    QCOMPARE(verbs, (std::vector<std::string>{"undrain", "reload", "drain"}));
}

void UnitControl::what_is_no_request_is_answered_and_removed_data() {
    QTest::addColumn<QString>("content");
    QTest::newRow("not JSON") << "cancel 42";
    QTest::newRow("a list") << "[1]";
    QTest::newRow("unknown verb") << R"({"verb":"explode"})";
    QTest::newRow("no job") << R"({"verb":"cancel"})";
    QTest::newRow("negative job") << R"({"verb":"cancel","job":-1})";
}

void UnitControl::what_is_no_request_is_answered_and_removed() {
    QFETCH(QString, content);
    ScratchSpool scratch;
    scratch.put(scratch.spool.control, "abc.request", content.toStdString());
    QVERIFY(spool::read_requests(scratch.spool)->empty());
    QVERIFY(!scratch.has(scratch.spool.control, "abc.request"));
    const auto reply = spool::read_reply(scratch.spool, {"abc", "", {}, 0});
    QVERIFY(reply->has_value() && !(*reply)->ok);
    QVERIFY(!(*reply)->message.empty());
}

void UnitControl::what_is_not_a_request_file_is_left_alone() {
    ScratchSpool scratch;
    scratch.put(scratch.spool.control, "empty.request", "");
    scratch.put(scratch.spool.control, "odd name.request", "x");
    scratch.put(scratch.spool.control, "notes.txt", "x");
    QVERIFY(scratch.files.make_directory(scratch.spool.control.get(), "d.request").has_value());
    QVERIFY(scratch.files.make_symlink(scratch.spool.control.get(), "l.request", "notes.txt")
                .has_value());
    QVERIFY(spool::read_requests(scratch.spool)->empty());
    QCOMPARE(scratch.count(scratch.spool.control), std::size_t(5));
}

void UnitControl::pause_and_resume() {
    ScratchSpool scratch;
    QVERIFY(!spool::pause_reason(scratch.spool)->has_value());
    QVERIFY(spool::set_pause(scratch.spool, "upgrade").has_value());
    QCOMPARE(**spool::pause_reason(scratch.spool), std::string("upgrade"));
    QVERIFY(spool::set_pause(scratch.spool, "").has_value());
    QCOMPARE(**spool::pause_reason(scratch.spool), std::string());
    QVERIFY(spool::clear_pause(scratch.spool).has_value());
    QVERIFY(spool::clear_pause(scratch.spool).has_value());
    QVERIFY(!spool::pause_reason(scratch.spool)->has_value());
}

void UnitControl::old_replies_are_removed() {
    ScratchSpool scratch;
    QVERIFY(spool::answer(scratch.spool, {"abc", "", {}, 0}, {true, "x"}).has_value() ||
            scratch.has(scratch.spool.control, "abc.reply"));
    scratch.clock.now =
        scratch.files.stat_at(scratch.spool.control.get(), "abc.reply")->modified + 59'000'000'000;
    spool::remove_old_replies(scratch.spool, scratch.clock);
    QVERIFY(scratch.has(scratch.spool.control, "abc.reply"));
    scratch.clock.now += 2'000'000'000;
    spool::remove_old_replies(scratch.spool, scratch.clock);
    QVERIFY(!scratch.has(scratch.spool.control, "abc.reply"));
}

QTEST_GUILESS_MAIN(UnitControl)
#include "unit_control.moc"
