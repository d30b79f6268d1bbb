// x.json: its keys, which are an interface, and reading it whatever is in it.
#include <QtTest>
#include <nlohmann/json.hpp>

#include "libspool/result.h"

using spool::JobResult;
using std::string_literals::operator""s;
using Json = nlohmann::ordered_json;

class UnitResult : public QObject {
    Q_OBJECT

    static JobResult full_result() {
        JobResult result;
        result.id = 18446744073709551615ull;
        result.name = "x\xff~2";
        result.file = "x\\\xff.job";
        result.state = spool::Outcome::failed;
        result.exit_code = 3;
        result.signal = 9;
        result.reason = "it ran in /home/a and failed \\ é";
        result.line = 7;
        result.command = "grep '\\d' \x80";
        result.directory = "/home/\xfe";
        result.gpus = {"0,1", ""};
        result.profile = "local";
        result.host = "box";
        result.attempt = 2;
        result.submitted_at = 1795249800123'000'000;
        result.started_at = 1795249801000'000'000;
        result.ended_at = 1795249802999'000'000;
        result.cpu_seconds = 1.25;
        result.max_rss_bytes = 1ull << 40;
        result.environment_source = "login";
        result.notes = {"line 2: --partition=gpu is ignored"};
        result.retry_of = 41;
        result.token = "00112233445566778899aabbccddeeff";
        return result;
    }

private slots:
    void reads_back() {
        const auto read = spool::read_result(spool::write_result(full_result()), "x.json");
        QVERIFY2(read, read ? "" : read.error().text().c_str());
        QVERIFY(*read == full_result());
        JobResult least;
        least.id = 1;
        const auto small = spool::read_result(spool::write_result(least), "x.json");
        QVERIFY(small && *small == least);
    }

    void every_outcome_reads_back() {
        using spool::Outcome;
        for (const Outcome outcome :
             {Outcome::succeeded, Outcome::failed, Outcome::cancelled, Outcome::timeout,
              Outcome::lost, Outcome::interrupted, Outcome::rejected})
            QVERIFY(spool::outcome_from_name(spool::outcome_name(outcome)) == outcome);
        QVERIFY(!spool::outcome_from_name(""));
        QVERIFY(!spool::outcome_from_name("Succeeded"));
    }

    void the_keys_are_an_interface() {
        const Json json = Json::parse(spool::write_result(full_result()));
        std::vector<std::string> keys;
        for (const auto& [key, value] : json.items())
            keys.push_back(key);
        const std::vector<std::string> expected{
            "id",          "name",          "file",       "state",        "exit_code",  "signal",
            "reason",      "line",          "command",    "cwd",          "gpus",       "gpu_ids",
            "profile",     "host",          "attempt",    "submitted_at", "started_at", "ended_at",
            "cpu_seconds", "max_rss_bytes", "env_source", "notes",        "retry_of",   "token",
            "group",       "task",          "attempts"};
        QCOMPARE(keys, expected);
        QCOMPARE(json["state"], "failed");
        QCOMPARE(json["name"], "x\\xFF~2");
        QCOMPARE(json["gpus"], Json::array({"0,1", ""}));
        const Json empty = Json::parse(spool::write_result(JobResult()));
        for (const char* key :
             {"exit_code", "signal", "reason", "line", "submitted_at", "started_at", "ended_at",
              "cpu_seconds", "max_rss_bytes", "retry_of"})
            QVERIFY2(empty.at(key).is_null(), key);
        QCOMPARE(empty["gpus"], Json::array());
        QCOMPARE(empty["notes"], Json::array());
    }

    void is_readable_by_people() {
        const std::string text = spool::write_result(full_result());
        QVERIFY(text.starts_with("{\n  \"id\": "));
        QVERIFY(text.ends_with("\n}\n"));
    }

    void sentences_that_are_no_utf8_are_written() {
        JobResult result = full_result();
        result.reason = "bad \xff";
        result.notes = {"\xfe"};
        const auto read = spool::read_result(spool::write_result(result), "x.json");
        QVERIFY(read);
        QCOMPARE(*read->reason, "bad \\xFF"s);
    }

    void unknown_keys_and_missing_ones_do_no_harm() {
        const auto read = spool::read_result(
            R"({"id": 3, "state": "lost", "later": {"a": []}, "host": null})", "x.json");
        JobResult expected;
        expected.id = 3;
        QVERIFY(read && *read == expected);
    }

    void wrong_content_is_an_error_data() {
        QTest::addColumn<QByteArray>("text");
        for (const char* text : {"",
                                 " ",
                                 "null",
                                 "[]",
                                 "3",
                                 "\"x\"",
                                 "{",
                                 "{}",
                                 "{\"id\": 1}",
                                 "{\"state\": \"lost\"}",
                                 R"({"id": -1, "state": "lost"})",
                                 R"({"id": "1", "state": "lost"})",
                                 R"({"id": 1.5, "state": "lost"})",
                                 R"({"id": 1e30, "state": "lost"})",
                                 R"({"id": 1, "state": 3})",
                                 R"({"id": 1, "state": "vanished"})",
                                 R"({"id": 1, "state": "lost", "exit_code": 4294967296})",
                                 R"({"id": 1, "state": "lost", "exit_code": "0"})",
                                 R"({"id": 1, "state": "lost", "gpus": "0"})",
                                 R"({"id": 1, "state": "lost", "gpus": [0]})",
                                 R"({"id": 1, "state": "lost", "name": []})",
                                 R"({"id": 1, "state": "lost", "notes": {}})",
                                 R"({"id": 1, "state": "lost", "ended_at": "yesterday"})",
                                 R"({"id": 1, "state": "lost", "ended_at": 5})",
                                 R"({"id": 1, "state": "lost", "cpu_seconds": "1"})",
                                 R"({"id": 1, "state": "lost", "retry_of": -2})",
                                 "{\"id\": 1, \"state\": \"\xff\"}",
                                 R"({"id": 1e999, "state": "lost"})"})
            QTest::newRow(*text ? text : "(empty)") << QByteArray(text);
    }
    void wrong_content_is_an_error() {
        QFETCH(QByteArray, text);
        const auto read = spool::read_result(text.toStdString(), "done/x.json");
        QVERIFY(!read);
        QCOMPARE(read.error().path, "done/x.json"s);
        QVERIFY(!read.error().message.empty());
    }

    void damaged_files_are_survived() {
        const std::string whole = spool::write_result(full_result());
        for (std::size_t length = 0; length + 1 < whole.size(); ++length)
            QVERIFY(!spool::read_result(whole.substr(0, length), "x.json"));
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (int byte = 0; byte < 256; byte += 3) {
                std::string damaged = whole;
                damaged[at] = static_cast<char>(byte);
                const auto read = spool::read_result(damaged, "x.json");
                if (!read) QVERIFY(!read.error().message.empty());
            }
    }
};

QTEST_GUILESS_MAIN(UnitResult)
#include "unit_result.moc"
