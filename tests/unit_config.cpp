// config.json: comments, trailing commas, warnings and errors with their line.
#include <QtTest>

#include "libspool/config.h"
#include "libspool/json_text.h"

using std::chrono::milliseconds;
using std::string_literals::operator""s;
using Words = std::vector<std::string>;

class UnitConfig : public QObject {
    Q_OBJECT
private slots:
    void defaults() {
        const auto config = spool::read_config("{}", "config.json");
        QVERIFY(config);
        QVERIFY(!config->gpus && !config->cpu_slots && config->warnings.empty());
        QCOMPARE(config->settle, milliseconds(100));
        QCOMPARE(config->grace, milliseconds(10'000));
        QCOMPARE(config->leftover_grace, milliseconds(10'000));
        QVERIFY(config->directory.empty() && config->shell.empty());
    }

    void all_keys() {
        const auto config = spool::read_config(
            "// my settings\n"
            "{\n"
            "    \"gpus\": [\"0,1\", 2, \"\", \"2\",], /* four slots,\n"
            "    one without a GPU */\n"
            "    \"cpu_slots\": 8,\n"
            "    \"settle_ms\": 0, \"grace\": \"2m\", \"leftover_grace\": 3,\n"
            "    \"cwd\": \"/data // not a comment, ]\", // but this is\n"
            "    \"env\": {\"A\": \"1\", \"URL\": \"http://x/*y*/,}\", \"N\": 4,},\n"
            "    \"bind\": \"uuid\", \"max_gpus\": 3, \"gpus_drained\": [2, \"GPU-8f6d\"],\n"
            "    \"desktop_share\": 0.5, \"ignored_programs\": [\"Xorg\", \"jupyter\"],\n"
            "    \"cpus\": 16, \"mem\": \"2G\", \"labels\": [\"nvlink\"],\n"
            "    \"inhibit_sleep\": false, \"hook_timeout\": 5,\n"
            "    \"shell\": \"zsh -e\", // the last comma is allowed\n"
            "} // end",
            "config.json");
        QVERIFY2(config, config ? "" : config.error().text().c_str());
        QCOMPARE(*config->gpus, (Words{"0,1", "2", "", "2"}));
        QCOMPARE(config->cpu_slots, std::optional(8));
        QCOMPARE(config->settle, milliseconds(0));
        QCOMPARE(config->grace, milliseconds(120'000));
        QCOMPARE(config->leftover_grace, milliseconds(3000));
        QCOMPARE(config->directory, "/data // not a comment, ]"s);
        QVERIFY((config->environment == std::map<std::string, std::string>{
                                            {"A", "1"}, {"URL", "http://x/*y*/,}"}, {"N", "4"}}));
        QCOMPARE(config->shell, "zsh -e"s);
        QVERIFY(config->bind_by_id);
        QCOMPARE(config->max_gpus, std::optional(3));
        QCOMPARE(config->gpus_drained, (Words{"2", "GPU-8f6d"}));
        QCOMPARE(config->gpu_rules.desktop_share, 0.5);
        QVERIFY((config->gpu_rules.ignored_programs == std::set<std::string>{"Xorg", "jupyter"}));
        QCOMPARE(config->cpus, std::optional(16));
        QCOMPARE(config->memory, std::optional(std::uint64_t{2} << 30));
        QVERIFY(config->labels == std::set<std::string>{"nvlink"});
        QVERIFY(!config->inhibit_sleep);
        QCOMPARE(config->hook_timeout, milliseconds(5000));
        QVERIFY(config->warnings.empty());
    }

    void pools() {
        QVERIFY(!spool::read_config(R"({"gpus": "auto"})", "c").value().gpus);
        QVERIFY(spool::read_config(R"({"gpus": []})", "c").value().gpus->empty());
        QCOMPARE(spool::read_config(R"({"gpus": ["", "0"]})", "c").value().gpus, (Words{"", "0"}));
    }

    void what_can_be_a_slot_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("problem");
        const auto row = [](const char* text, const char* problem) {
            QTest::addRow("%s", QByteArray(text).toPercentEncoding().constData())
                << QByteArray(text) << QByteArray(problem);
        };
        for (const char* good : {"", "0", "0,1", " 0, 12", "GPU-8f6d02a1", "MIG-GPU-8f6d/1/0",
                                 "81:00.0", "0000:81:00.0,GPU-1"})
            row(good, "");
        for (const char* word : {"auto", "all", "none", "-1", "0-3", "x"})
            row(word, "can be no GPU");
        for (const char* empty : {",", "0,", "0,,1", " "})
            row(empty, "names nothing");
        for (const char* control : {"\033[31m0", "0\n", "0\x7f"})
            row(control, "control characters");
    }
    void what_can_be_a_slot() {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, problem);
        const auto said = QByteArray::fromStdString(spool::slot_problem(text.toStdString()));
        QCOMPARE(said.isEmpty(), problem.isEmpty());
        QVERIFY2(said.contains(problem), said);
        QVERIFY2(!said.contains('\033') && !said.contains('\n'), said);
    }

    void unknown_keys_are_warnings() {
        const auto config = spool::read_config(
            "{\n// x\n\"gpu\": [0],\n\"zebra\": {\"a\": [1,]},\n\"gpus\": [1]}", "config.json");
        QVERIFY(config);
        QCOMPARE(config->warnings, (Words{"config.json:3: unknown key 'gpu' (did you mean 'gpus'?)",
                                          "config.json:4: unknown key 'zebra'"}));
        QCOMPARE(*config->gpus, (Words{"1"}));
    }

    void errors_have_their_line_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<int>("line");
        QTest::addColumn<QByteArray>("part");
        const auto row = [](const char* text, int line, const char* part) {
            QTest::addRow("%s", QByteArray(text).toPercentEncoding().constData())
                << QByteArray(text) << line << QByteArray(part);
        };
        row("", 0, "empty");
        row("// nothing\n", 0, "empty");
        row("\n[1]", 2, "one object");
        row("/* a\n b */\n{\n\"gpus\": }", 4, "no valid JSON");
        row("{\"a\": 1 \n \"b\": 2}", 2, "no valid JSON");
        row("{\"a\": 1,, }", 1, "no valid JSON");
        row("{,}", 1, "no valid JSON");
        row("{}\n/* never ends", 2, "no valid JSON");
        row("{\"a\": 1 / 2}", 1, "no valid JSON");
        row("{\n\n\"gpus\": 2}", 3, "'gpus' is wrong: expected \"auto\" or a list");
        row("{\n\"gpus\": [0,\n-1]}", 2, "'gpus'");
        row("{\"gpus\": [1.5]}", 1, "'gpus'");
        row("{\"gpus\": [null]}", 1, "'gpus'");
        row("{\"gpus\": [\"0\\u0000\"]}", 1, "'gpus'");
        row("{\"gpus\": [\"auto\"]}", 1, "'gpus' is wrong");
        row("{\"gpus\": [\"\\u001b[31m0\"]}", 1, "'gpus' is wrong");
        row("{\"ignored_programs\": [5]}", 1, "a list of programs");
        row("{\"ignored_programs\": [\"\"]}", 1, "a list of programs");
        row("{\"max_gpus\": -1}", 1, "'max_gpus'");
        row("{\"max_gpus\": 1025}", 1, "'max_gpus'");
        row("{\"desktop_share\": 1.5}", 1, "'desktop_share'");
        row("{\"desktop_share\": -0.1}", 1, "'desktop_share'");
        row("{\"desktop_share\": \"half\"}", 1, "'desktop_share'");
        row("{\"cpu_slots\": \"8\"}", 1, "'cpu_slots'");
        row("{\"cpu_slots\": -1}", 1, "'cpu_slots'");
        row("{\"cpu_slots\": 18446744073709551615}", 1, "'cpu_slots'");
        row("{\"settle_ms\": 600001}", 1, "'settle_ms'");
        row("{\"grace\": \"soon\"}", 1, "'grace'");
        row("{\"grace\": -1}", 1, "'grace'");
        row("{\"leftover_grace\": true}", 1, "'leftover_grace'");
        row("{\"cwd\": 1}", 1, "'cwd'");
        row("{\"env\": [\"A=1\"]}", 1, "'env'");
        row("{\"env\": {\"A\": null}}", 1, "'env'");
        row("{\"env\": {\"A=B\": \"1\"}}", 1, "'env'");
        row("{\"shell\": []}", 1, "'shell'");
    }
    void errors_have_their_line() {
        QFETCH(QByteArray, text);
        QFETCH(int, line);
        QFETCH(QByteArray, part);
        const auto config = spool::read_config(text.toStdString(), "config.json");
        QVERIFY(!config);
        QCOMPARE(config.error().path, "config.json"s);
        QVERIFY2(config.error().line.value_or(0) == line, config.error().text().c_str());
        QVERIFY2(config.error().message.find(part.toStdString()) != std::string::npos,
                 config.error().message.c_str());
    }

    void comments_become_blanks_of_the_same_shape() {
        const std::string text = "{ // a,\n\"b\": \"//\\\"/*\", /* c\n */ \"d\": [1, /**/ ], }/";
        const std::string plain = spool::without_comments(text);
        QCOMPARE(plain, "{      \n\"b\": \"//\\\"/*\",     \n    \"d\": [1       ]  }/"s);
    }

    void slots_from_arguments() {
        QCOMPARE(spool::gpu_slots_from_arguments({"0,1,2"}), (Words{"0", "1", "2"}));
        QCOMPARE(spool::gpu_slots_from_arguments({"0,1", "2,3"}), (Words{"0,1", "2,3"}));
        QCOMPARE(spool::gpu_slots_from_arguments({"0", "0"}), (Words{"0", "0"}));
        QCOMPARE(spool::gpu_slots_from_arguments({"3"}), (Words{"3"}));
        QCOMPARE(spool::gpu_slots_from_arguments({""}), (Words{""}));
        QCOMPARE(spool::gpu_slots_from_arguments({}), (Words{}));
    }

    void damaged_files_are_survived() {
        const std::string whole =
            "{ // a\n\"gpus\": [\"0,1\", 2,], /* b */ \"env\": {\"A\": \"\\u00e9\"},\n\"grace\": "
            "\"2m\",}";
        QVERIFY(spool::read_config(whole, "c"));
        for (std::size_t length = 0; length < whole.size(); ++length)
            QVERIFY(!spool::read_config(whole.substr(0, length), "c"));
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (int byte = 0; byte < 256; ++byte) {
                std::string damaged = whole;
                damaged[at] = static_cast<char>(byte);
                const auto config = spool::read_config(damaged, "c");
                if (!config) QVERIFY(config.error().line.value_or(1) <= 4);
            }
    }
};

QTEST_GUILESS_MAIN(UnitConfig)
#include "unit_config.moc"
