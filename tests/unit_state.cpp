// state.json: reads back, stays within its bound, and the sentences for waiting jobs.
#include <QtTest>
#include <nlohmann/json.hpp>
#include <set>

#include "libspool/state.h"
#include "libspool/utf8.h"

using spool::SpoolState;
using spool::WaitReason;
using Kind = spool::WaitReason::Kind;
using std::string_literals::operator""s;
using Json = nlohmann::ordered_json;

class UnitState : public QObject {
    Q_OBJECT

    static constexpr std::size_t bound = 64 * 1024;

    static spool::WaitingState waiting(std::uint64_t id) {
        return {id,
                "x\xff",
                "x\xff.job",
                "grep '\\d'",
                -3,
                1795249800123'000'000,
                {Kind::gpus, 2, 1, "d\xfe", {"41 (x)", "42 (\xff)"}}};
    }
    static SpoolState full_state() {
        SpoolState state;
        state.daemon = {true, "box", "0.1.0",          "2026-11-21T09:30:00.000+01:00",      812,
                        true, true,  "dinner \\ \xff", {"the disk is full: free some space"}};
        state.gpus = {{"0,1", 41, "x\xff"}, {"", std::nullopt, ""}};
        state.cpu_slots = 4;
        state.cpu_slots_used = 1;
        state.running = {{41,
                          "x\xff",
                          "python a.py",
                          "/home/a\xff",
                          "local",
                          "ending",
                          "2 processes left",
                          {"0,1"},
                          1795249800123'000'000,
                          1795249801000'000'000,
                          2,
                          77}};
        state.running[0].unenforced = {"--cpus=2"};
        state.daemon.enforced = {"mem"};
        state.daemon.not_enforced = "there is no controller cpu";
        state.waiting = {waiting(42), waiting(0)};
        state.waiting_count = 2;
        spool::JobResult ended;
        ended.id = 40;
        ended.name = "w";
        ended.state = spool::Outcome::succeeded;
        ended.exit_code = 0;
        state.recent = {ended};
        state.ignored = {{"incoming/notes\xff.txt", "not a job file"}};
        return state;
    }

private slots:
    void reads_back() {
        const auto read = spool::read_state(spool::write_state(full_state()), "state.json");
        QVERIFY2(read, read ? "" : read.error().text().c_str());
        QVERIFY(read->daemon == full_state().daemon);
        QVERIFY(read->waiting == full_state().waiting);
        QVERIFY(*read == full_state());
        const auto empty = spool::read_state(spool::write_state(SpoolState()), "state.json");
        QVERIFY(empty && *empty == SpoolState());
    }

    void has_the_keys_of_the_protocol() {
        const std::string text = spool::write_state(full_state());
        QCOMPARE(std::count(text.begin(), text.end(), '\n'), 1);  // compact, with a final line feed
        const Json json = Json::parse(text);
        for (const char* key :
             {"daemon", "gpus", "running", "counts", "waiting", "recent", "ignored", "problems"})
            QVERIFY2(json.contains(key), key);
        QCOMPARE(json["waiting"][0]["reason"]["kind"], "gpus");
        QCOMPARE(json["counts"]["waiting"], 2);
    }

    void stays_within_its_bound_data() {
        QTest::addColumn<int>("jobs");
        QTest::addColumn<QByteArray>("text");
        for (const int jobs : {199, 201, 1000})
            for (const char* piece : {"a", "é", "\xff", "\x01", "\\", "\""})
                for (const int length : {1, 200, 20'000})
                    QTest::addRow("%d jobs, %d times %s", jobs, length,
                                  QByteArray(piece).toPercentEncoding().constData())
                        << jobs << QByteArray(piece).repeated(length);
    }
    void stays_within_its_bound() {
        QFETCH(int, jobs);
        QFETCH(QByteArray, text);
        SpoolState state = full_state();
        for (int i = 0; i < jobs; ++i) {
            state.waiting.push_back(waiting(100 + i));
            state.waiting.back().command = text.toStdString();
        }
        state.waiting_count = state.waiting.size();
        const std::string written = spool::write_state(state);
        QVERIFY2(written.size() <= bound, qPrintable(QString::number(written.size())));
        const auto read = spool::read_state(written, "state.json");
        QVERIFY(read);
        QCOMPARE(read->waiting_count, std::uint64_t(jobs + 2));
        QVERIFY(!read->waiting.empty() && read->waiting.size() <= SpoolState::max_waiting);
        for (std::size_t i = 2; i < read->waiting.size(); ++i)
            QCOMPARE(read->waiting[i].id, std::uint64_t(100 + i - 2));  // the first ones, in order
        QCOMPARE(read->running.size(), std::size_t{1});
    }

    void everything_huge_stays_within_the_bound() {
        const std::string huge(100'000, '\x02');
        SpoolState state = full_state();
        for (int i = 0; i < 500; ++i) {
            state.running.push_back(state.running[0]);
            state.running.back().directory = huge;
            state.recent.push_back(state.recent[0]);
            state.recent.back().reason = huge;
            state.recent.back().notes = {huge};
            state.ignored.push_back({huge, huge});
            state.gpus.push_back(state.gpus[0]);
            state.daemon.problems.push_back(huge);
        }
        state.daemon.pause_reason = huge;
        const std::string written = spool::write_state(state);
        QVERIFY2(written.size() <= bound, qPrintable(QString::number(written.size())));
        QVERIFY(spool::read_state(written, "state.json"));
    }

    void commands_are_cut_between_characters() {
        SpoolState state;
        state.waiting = {waiting(1)};
        for (const int before : {0, 1, 2}) {
            std::string command(static_cast<std::size_t>(before), 'a');
            while (command.size() < 2000)
                command += "é";
            state.waiting[0].command = command;
            const auto read = spool::read_state(spool::write_state(state), "state.json");
            QVERIFY(read);
            const std::string& cut = read->waiting[0].command;
            QVERIFY(cut.size() <= 500 && cut.size() > 490);
            QVERIFY(spool::is_utf8(cut));
            QVERIFY(cut.ends_with("…"));
        }
    }

    void the_count_is_of_all() {
        SpoolState state;
        state.waiting = {waiting(1)};
        state.waiting_count = 12345;
        QCOMPARE(spool::read_state(spool::write_state(state), "s")->waiting_count, 12345u);
    }

    void wrong_content_is_an_error_data() {
        QTest::addColumn<QByteArray>("text");
        for (const char* text : {"",
                                 "[]",
                                 "3",
                                 "{",
                                 R"({"daemon": 3})",
                                 R"({"daemon": {"pid": "x"}})",
                                 R"({"daemon": {"running": 1}})",
                                 R"({"gpus": {}})",
                                 R"({"gpus": [3]})",
                                 R"({"gpus": [{"job": -1}]})",
                                 R"({"running": [{"gpus": [1]}]})",
                                 R"({"running": [{"attempt": 1e9}]})",
                                 R"({"running": [{"started_at": "x"}]})",
                                 R"({"counts": []})",
                                 R"({"counts": {"waiting": -1}})",
                                 R"({"waiting": [{"reason": "gpus"}]})",
                                 R"({"waiting": [{"reason": {"kind": 3}}]})",
                                 R"({"recent": [{"id": 1}]})",
                                 R"({"ignored": ["x"]})",
                                 R"({"problems": [1]})"})
            QTest::newRow(*text ? text : "(empty)") << QByteArray(text);
    }
    void wrong_content_is_an_error() {
        QFETCH(QByteArray, text);
        const auto read = spool::read_state(text.toStdString(), ".spool/state.json");
        QVERIFY(!read);
        QCOMPARE(read.error().path, ".spool/state.json"s);
    }

    /// A newer daemon's state is worth showing.
    void a_reason_that_is_not_known_leaves_the_rest() {
        const auto read = spool::read_state(
            R"({"waiting": [{"id": 7, "reason": {"kind": "boredom"}}, {"id": 8}]})", "s");
        QVERIFY(read.has_value());
        QCOMPARE(read->waiting.size(), std::size_t(2));
        QCOMPARE(read->waiting[0].id, std::uint64_t(7));
        const std::string sentence = spool::wait_sentence(read->waiting[0].reason);
        QVERIFY2(sentence.find("boredom") != std::string::npos, sentence.c_str());
    }

    void damaged_files_are_survived() {
        const std::string whole = spool::write_state(full_state());
        for (std::size_t length = 0; length + 1 < whole.size(); ++length)
            QVERIFY(!spool::read_state(whole.substr(0, length), "s"));
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (const int byte : {0, 10, 34, 44, 45, 48, 57, 58, 91, 92, 93, 123, 125, 255}) {
                std::string damaged = whole;
                damaged[at] = static_cast<char>(byte);
                const auto read = spool::read_state(damaged, "s");
                if (!read) QVERIFY(!read.error().message.empty());
            }
    }

    void sentences_data() {
        QTest::addColumn<int>("kind");
        QTest::addColumn<int>("wanted");
        QTest::addColumn<int>("free");
        QTest::addColumn<QByteArray>("detail");
        QTest::addColumn<QStringList>("obstacles");
        QTest::addColumn<QByteArray>("expected");
        const auto row = [](Kind kind, int wanted, int free, const char* detail,
                            const QStringList& obstacles, const char* expected) {
            QTest::newRow(expected) << int(kind) << wanted << free << QByteArray(detail)
                                    << obstacles << QByteArray(expected);
        };
        row(Kind::next, 0, 0, "", {}, "next to start");
        row(Kind::no_command, 0, 0, "", {}, "the file has no command yet");
        row(Kind::editor, 0, 0, ".x.job.swp", {},
            "open in vim or nano: close it there, or remove incoming/.x.job.swp if nobody edits "
            "it");
        row(Kind::editor, 0, 0, ".x.job.kate-swp", {},
            "open in kate: close it there, or remove incoming/.x.job.kate-swp if nobody edits it");
        row(Kind::editor, 0, 0, ".#x\x1b.job", {},
            "open in emacs: close it there, or remove incoming/.#x\\x1B.job if nobody edits it");
        row(Kind::paused, 0, 0, "dinner", {},
            "the queue is paused (dinner): go on with gpuspool resume");
        row(Kind::paused, 0, 0, "", {}, "the queue is paused: go on with gpuspool resume");
        row(Kind::gpus, 2, 0, "", {"0 held by job 41 (x)"},
            "waiting for 2 GPUs: 0 held by job 41 (x); 0 free");
        row(Kind::gpus, 1, 0, " of type a100", {"0 held by job 1 (a)", "1 drained: a bad fan"},
            "waiting for 1 GPU of type a100: 0 held by job 1 (a); 1 drained: a bad fan; 0 free");
        row(Kind::gpus, 9, 1, "", {"a", "b", "c", "d", "e", "f"},
            "waiting for 9 GPUs: a; b; c; d; 2 more; 1 free");
        row(Kind::gpus_unknown, 1, 0, "", {}, "the GPUs of this machine are being looked at");
        row(Kind::gpus_unknown, 1, 0, "Driver Not Loaded", {},
            "what GPUs this machine has is not known: Driver Not Loaded; a job that needs none "
            "starts with #SPOOL --gpus=0, all do with \"gpus\": [] in config.json");
        row(Kind::max_gpus, 1, 2, "", {},
            "waiting for 1 GPU: \"max_gpus\" allows this spool 2 at once");
        row(Kind::machine_drained, 0, 0, "new driver at noon", {},
            "the administrator of this machine lets nothing start: new driver at noon "
            "(/run/gpuspool/drain)");
        row(Kind::never_gpus, 2, 1, " of type h100", {},
            "asks for 2 GPUs of type h100; this machine's pool has 1 at most: lower --gpus or add "
            "GPUs to the pool");
        row(Kind::never_gpus, 1, 0, " of type h100", {},
            "asks for 1 GPU of type h100; this machine's pool has none such: gpuspool gpus shows "
            "what there is");
        row(Kind::gpus, 3, 2, "", {}, "waiting for 3 GPUs: 2 free");
        row(Kind::cpu_slots, 1, 0, "", {}, "waiting for 1 CPU slot: 0 free");
        row(Kind::never_gpus, 4, 3, "", {},
            "asks for 4 GPUs; this machine's pool has 3 at most: lower --gpus or add GPUs to the "
            "pool");
        row(Kind::never_gpus, 1, 0, "", {},
            "asks for 1 GPU; this machine's pool has none: add GPUs to the pool, or use --gpus=0");
        row(Kind::profile, 0, 0, "foo", {}, "there is no profile 'foo'; known: local, auto");
        row(Kind::previous_run, 0, 0, "41 (x)", {}, "its earlier run 41 (x) has not ended yet");
        row(Kind::trouble, 0, 0, "the disk is full", {},
            "nothing can be started: the disk is full");
        row(Kind::daemon_down, 0, 0, "", {}, "the daemon is not running: start it with spoold");
    }
    void sentences() {
        QFETCH(int, kind);
        QFETCH(int, wanted);
        QFETCH(int, free);
        QFETCH(QByteArray, detail);
        QFETCH(QStringList, obstacles);
        WaitReason reason{Kind(kind), wanted, free, detail.toStdString(), {}};
        for (const QString& holder : obstacles)
            reason.obstacles.push_back(holder.toStdString());
        QTEST(QByteArray::fromStdString(spool::wait_sentence(reason)), "expected");
    }

    void every_kind_reads_back_and_has_its_own_sentence() {
        std::set<std::string> sentences;
        for (int kind = int(Kind::next); kind <= int(Kind::daemon_down); ++kind) {
            SpoolState state;
            state.waiting = {waiting(1)};
            state.waiting_count = 1;
            state.waiting[0].reason.kind = Kind(kind);
            const auto read = spool::read_state(spool::write_state(state), "s");
            QVERIFY(read && *read == state);
            QVERIFY(sentences.insert(spool::wait_sentence(state.waiting[0].reason)).second);
        }
    }
};

QTEST_GUILESS_MAIN(UnitState)
#include "unit_state.moc"
