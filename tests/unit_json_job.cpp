// JSON jobs: reading, writing, and the submitter's key.
#include <QtTest>
#include <nlohmann/json.hpp>

#include "libspool/json_text.h"
#include "tests/rejections.h"

using spool::JobSpec;
using std::string_literals::operator""s;
using Words = std::vector<std::string>;

class UnitJsonJob : public QObject {
    Q_OBJECT

    static JobSpec read(const std::string& text) { return test::read_accepted(text); }
    static spool::SubmitInfo submit_info() {
        return {"0123456789abcdef0123456789abcdef", 42, "/home/a",   "hash", {"A_TOKEN"},
                "2026-11-21T09:30:00.000+01:00",    {}, std::nullopt};
    }
    static JobSpec full_job() {
        JobSpec spec;
        spec.kind = JobSpec::Kind::command;
        spec.command = {"python", "train.py", "--name=a b", "", "\\d+", "é"};
        spec.directory = "~/proj";
        spec.environment = {{"A", "1"}, {"B", "x=\\y"}};
        spec.name = "my job";
        spec.gpus = 0;
        spec.cpus = 3;
        spec.memory = (10ull << 30) + 1024;
        spec.priority = -4;
        spec.profile = "local";
        spec.time_limit = std::chrono::seconds(90);
        spec.output = "o/%j";
        spec.error = "e";
        spec.truncate_output = false;
        spec.shell = "sh";
        spec.conda_environment = "deep";
        spec.virtual_environment = "v";
        spec.modules = {"cuda", "gcc"};
        spec.grace = std::chrono::milliseconds(1500);
        spec.leftover_grace = std::chrono::seconds(0);
        spec.wait_for_leftovers = true;
        spec.submit = submit_info();
        return spec;
    }

private slots:
    void all_keys() {
        const JobSpec spec = read(
            " {\n"
            "            \"command\": [\"python\", \"train.py\"], \"cwd\": \"/data\", \"env\": "
            "{\"A\": \"1\", \"B\": 2},\n"
            "            \"gpus\": 2, \"name\": \"n\", \"cpus\": \"4\", \"mem\": \"10G\", "
            "\"priority\": -7, \"profile\": \"local\",\n"
            "            \"time_limit\": \"2h\", \"output\": \"o\", \"error\": \"e\", "
            "\"open_mode\": \"append\", \"conda_env\": \"deep\",\n"
            "            \"venv\": \"v\", \"modules\": [\"a\", \"b,c\"], \"grace\": 5, "
            "\"leftover_grace\": \"1m\",\n"
            "            \"leftovers\": \"wait\", \"shell\": \"sh\",\n"
            "            \"spool_submit\": {\"spool\": \"s\", \"number\": 3, \"directory\": "
            "\"/d\\\\xFF\", \"later\": [1]} }");
        JobSpec expected;
        expected.kind = JobSpec::Kind::command;
        expected.command = {"python", "train.py"};
        expected.directory = "/data";
        expected.environment = {{"A", "1"}, {"B", "2"}};
        expected.gpus = 2;
        expected.name = "n";
        expected.cpus = 4;
        expected.memory = 10ull << 30;
        expected.priority = -7;
        expected.profile = "local";
        expected.time_limit = std::chrono::hours(2);
        expected.output = "o";
        expected.error = "e";
        expected.truncate_output = false;
        expected.conda_environment = "deep";
        expected.virtual_environment = "v";
        expected.modules = {"a", "b", "c"};
        expected.grace = std::chrono::seconds(5);
        expected.leftover_grace = std::chrono::minutes(1);
        expected.wait_for_leftovers = true;
        expected.shell = "sh";
        expected.submit.emplace();
        expected.submit->spool = "s";
        expected.submit->number = 3;
        expected.submit->directory = "/d\xff";
        QVERIFY(spec == expected);
    }

    void a_string_is_for_the_shell() {
        QCOMPARE(read("{\"command\": \"a | b\"}").command,
                 (Words{"bash", "-eo", "pipefail", "-c", "a | b"}));
        QCOMPARE(read("{\"command\": \"a\", \"shell\": \"zsh -e\"}").command,
                 (Words{"zsh", "-e", "-c", "a"}));
    }

    void arguments_are_not_changed() {
        QCOMPARE(read("{\"command\": [\"grep\", \"\\\\d+\\\\x41\", \"$HOME\", \"a b\", \"\", "
                      "\"\\u00e9\\n\"]}")
                     .command,
                 (Words{"grep", "\\d+\\x41", "$HOME", "a b", "", "é\n"}));
    }

    void rejections_name_line_and_remedy_data() {
        const auto row = test::add_rejection;
        test::add_rejection_columns();
        row("{", 1, "no valid JSON");
        row("{\n", 1, "no valid JSON");
        row("{\"command\": [\"a\"],\n}", 2, "no valid JSON");
        row("{\n\"command\": [\"a\"]\n\"gpus\": 1}", 3, "no valid JSON");
        row("{\"command\": [\"a\"]}\n\nx", 3, "no valid JSON");
        row("{\n\"command\": [\"a\nb\"]}", 2, "no valid JSON");
        row("{\n\"command\": \"\xff\"}", 2, "no valid JSON");
        row("{\"command\": [\"a\"], \"gpus\": 1e999}", 0, "no valid JSON");
        row("{\"command\": [\"a\"],\n\"gpus\": 0,\n\"gpu_mem\": \"1G\"}", 3, "asks for no GPU");
        row("{}", 1, "needs \"command\"");
        row("{\"gpus\": 1}", 1, "needs \"command\"");
        row("{\n\n\"command\": []}", 3, "'command' is a list of strings");
        row("{\"command\": {}}", 1, "'command' is a list of strings");
        row("{\"command\": null}", 1, "'command' is a list of strings");
        row("{\"command\": \" \"}", 1, "'command' is empty");
        row("{\"command\": [\"\"]}", 1, "the program in 'command' is empty");
        row("{\"command\": [\"a\",\n \"b\",\n 3]}", 3, "element 3 is 3");
        row("{\"command\": [\"a\",\n [\"b\"]]}", 2, "element 2 is a list");
        row("{\"command\": [\"a\\u0000b\"]}", 1, "NUL");
        row("{\"command\": \"a\\u0000b\"}", 1, "NUL");
        row("{\"command\": [\"a\"],\n\"gpu\": 1}", 2, "unknown key 'gpu' (did you mean 'gpus'?)");
        row("{\"command\": [\"a\"],\n\"enviroment\":\n{}}", 2, "unknown key");
        row("{\"command\": [\"a\"],\n\n\"gpus\":\n\"many\"}", 3, "'many' is no value for 'gpus'");
        row("{\"command\": [\"a\"], \"gpus\": 1.5}", 1, "'1.5' is no value for 'gpus'");
        row("{\"command\": [\"a\"], \"gpus\": true}", 1, "'true' is no value for 'gpus'");
        row("{\"command\": [\"a\"], \"gpus\": null}", 1, "'null' is no value for 'gpus'");
        row("{\"command\": [\"a\"], \"gpus\": [1]}", 1, "'a list' is no value for 'gpus'");
        row("{\"command\": [\"a\"], \"gpus\": 99999999999999999999}", 1, "no value for 'gpus'");
        row("{\"command\": [\"a\"], \"env\": \"A=1\"}", 1, "'env' is an object");
        row("{\"command\": [\"a\"], \"env\": {\"A\": \"1\",\n\"B\": []}}", 2, "the value of 'B'");
        row("{\"command\": [\"a\"], \"env\": {\n\"A=\": \"1\"}}", 2, "no name of a variable");
        row("{\"command\": [\"a\"], \"env\": {\"\": \"1\"}}", 1, "no name of a variable");
        row("{\"command\": [\"a\"], \"cwd\": \"a\\u0000\"}", 1, "NUL");
        row("{\"command\": [\"a\"],\n\"command\": [\"b\"]}", 2, "given twice");
        row("{\"command\": [\"a\"],\n\"comm\\u0061nd\": [\"b\"]}", 2, "given twice");
        row("{\"command\": [\"a\"],\n\"spool_submit\": {\"number\": \"x\"}}", 2, "'spool_submit'");
        row("{\"command\": [\"a\"], \"escaped\": 1}", 1, "'escaped' is true or false");
    }
    void rejections_name_line_and_remedy() { test::check_rejection(); }

    void deep_nesting_and_long_tokens_are_survived() {
        const std::string deep(1 << 20, '[');
        QVERIFY(!spool::read_job_file("{\"command\": " + deep, "x.job"));
        const std::string closed(1 << 20, ']');
        QVERIFY(!spool::read_job_file("{\"command\": " + deep + closed + "}", "x.job"));
        const auto spec =
            spool::read_job_file("{\"command\": \"" + std::string(1 << 20, 'a'), "x.job");
        QVERIFY(!spec && spec.error().message.size() < 1000);
    }

    void what_is_written_reads_back() {
        const std::string text = spool::write_command_job(full_job());
        QVERIFY(read(text) == full_job());
        QVERIFY2(text.starts_with("{\n  \"command\": ["), text.c_str());
        JobSpec small;
        small.kind = JobSpec::Kind::command;
        small.command = {"true"};
        QCOMPARE(spool::write_command_job(small), "{\n  \"command\": [\n    \"true\"\n  ]\n}\n"s);
    }

    void bytes_that_are_no_utf8_read_back() {
        JobSpec spec = full_job();
        spec.command.push_back("\xff\\x41\\");
        spec.environment["C"] = "\x80";
        QVERIFY(read(spool::write_command_job(spec)) == spec);
    }

    void submit_key_comes_and_goes_data() {
        QTest::addColumn<QByteArray>("text");
        for (const char* text :
             {"{\"command\": [\"a\"]}", "{\n  \"command\": [\"}\\\"\"],\n  \"gpus\": 1\n}\n",
              " { \"command\" : \"a\" } \n\n"})
            QTest::addRow("%s", QByteArray(text).toPercentEncoding().constData())
                << QByteArray(text);
    }
    void submit_key_comes_and_goes() {
        QFETCH(QByteArray, text);
        const std::string job = text.toStdString();
        const auto with = spool::with_submit_info(job, submit_info());
        QVERIFY(with);
        JobSpec expected = read(job);
        expected.submit = submit_info();
        QVERIFY(read(*with) == expected);
        QVERIFY(spool::executed_script(*with) == *with);
        auto other = submit_info();
        other.number = 77;
        QCOMPARE(spool::with_submit_info(*with, other).value(),
                 spool::with_submit_info(job, other).value());
    }
    void submit_key_is_replaced_anywhere() {
        expected_replaced("{\"spool_submit\": {\"number\": 1}, \"command\": [\"a\"]}",
                          "{\"command\": [\"a\"]}");
        expected_replaced("{\"command\": [\"a\"] , \"spool_submit\": {} , \"gpus\": 1}",
                          "{\"command\": [\"a\"] , \"gpus\": 1}");
        expected_replaced("{ \"spool_submit\": 3 }", "{  }");
        QVERIFY(!spool::with_submit_info("{\"command\": ", submit_info()));
    }

    void damaged_files_are_survived() {
        const std::string whole = spool::write_command_job(full_job());
        for (std::size_t length = 0; length < whole.size(); ++length) {
            const auto spec = spool::read_job_file(whole.substr(0, length), "x.job");
            // Only the line feed at the end may be missing.
            QCOMPARE(spec.has_value(), length + 1 == whole.size() || length == 0);
        }
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (const int byte :
                 {0, 9, 10, 27, 32, 34, 44, 45, 48, 57, 58, 91, 92, 93, 123, 125, 128, 255}) {
                std::string damaged = whole;
                damaged[at] = static_cast<char>(byte);
                const auto spec = spool::read_job_file(damaged, "x.job");
                if (!spec) QVERIFY(!spec.error().message.empty());
                (void)spool::with_submit_info(damaged, submit_info());
            }
    }

    void members_are_found() {
        const std::string text =
            "{ \"a\" : [1, {\"x\": \"]}\"}], \"b\\\"\": \"}\\\\\" ,\"c\":1,\"d\":{},\"e\":-1.5e3}";
        const auto members = spool::object_members(text);
        const auto value = [&](std::size_t i) {
            return text.substr(members[i].value_begin,
                               members[i].value_end - members[i].value_begin);
        };
        QCOMPARE(members.size(), std::size_t{5});
        QCOMPARE(members[1].key, "b\""s);
        QCOMPARE(value(0), "[1, {\"x\": \"]}\"}]"s);
        QCOMPARE(value(1), "\"}\\\\\""s);
        QCOMPARE(value(2), "1"s);
        QCOMPARE(value(3), "{}"s);
        QCOMPARE(value(4), "-1.5e3"s);
        QVERIFY(spool::object_members(" {} ").empty());
        QCOMPARE(spool::list_elements("[ 1,[2,3] ,\"]\"]", 0),
                 (std::vector<std::size_t>{2, 4, 11}));
        QVERIFY(spool::list_elements("[]", 0).empty());
    }

private:
    static void expected_replaced(const std::string& before, const std::string& without) {
        const auto replaced = spool::with_submit_info(before, submit_info());
        const auto fresh = spool::with_submit_info(without, submit_info());
        QVERIFY(replaced && fresh);
        QCOMPARE(nlohmann::json::parse(*replaced), nlohmann::json::parse(*fresh));
    }
};

QTEST_GUILESS_MAIN(UnitJsonJob)
#include "unit_json_job.moc"
