// What root says to all spools of a machine: read, trusted only as root's, and remembered.
#include <sys/stat.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>

#include "libspool/machine_rules.h"

using spool::MachineFiles;
using spool::MachineState;

namespace {

class Machine {
public:
    QTemporaryDir directory;
    MachineFiles files;

    Machine() {
        files.config = directory.filePath("config.json").toStdString();
        files.drain = directory.filePath("drain").toStdString();
        files.owner = geteuid();
    }
    static void write(const std::string& path, const QByteArray& bytes) {
        QFile file(QString::fromStdString(path));
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size())
            qFatal("cannot write %s", path.c_str());
        file.close();
        chmod(path.c_str(), 0644);
    }
    static void remove(const std::string& path) { ::unlink(path.c_str()); }
};

QString problems(const MachineState& state) {
    QStringList all;
    for (const std::string& problem : state.problems())
        all << QString::fromStdString(problem);
    return all.join('\n');
}

}  // namespace

class unit_machine_rules : public QObject {
    Q_OBJECT

private slots:
    void good_rules();
    void wrong_rules_data();
    void wrong_rules();
    void broken_rules_leave_the_last_good();
    void a_removed_file_lifts_the_rules();
    void only_roots_file_is_obeyed();
    void a_fifo_does_not_hang();
    void drain_text_data();
    void drain_text();
    void drain_comes_and_goes();
    void only_root_drains();
    void the_real_files_have_one_root();
};

void unit_machine_rules::good_rules() {
    const auto rules = spool::read_machine_rules(R"({
        // for all
        "max_gpus": 2,
        "users": {"ada": 4, "guest": 0},
        "gpus": [0, "GPU-1", "0000:81:00.0"],
        "max_gpu": 3,
    })",
                                                 "config.json");
    QVERIFY2(rules, rules ? "" : rules.error().text().c_str());
    QCOMPARE(rules->limit_of("bob"), std::optional(2));
    QCOMPARE(rules->limit_of("ada"), std::optional(4));
    QCOMPARE(rules->limit_of("guest"), std::optional(0));
    QCOMPARE(*rules->gpus, (std::vector<std::string>{"0", "GPU-1", "0000:81:00.0"}));
    QCOMPARE(rules->warnings.size(), 1u);
    QVERIFY(rules->warnings[0].find("config.json:6: unknown key 'max_gpu' (did you mean") == 0);
    const auto none = spool::read_machine_rules("{}", "config.json");
    QVERIFY(none && !none->limit_of("ada") && !none->gpus);
}

void unit_machine_rules::wrong_rules_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QString>("error");
    QTest::newRow("no object") << QByteArray("[1]") << "the rules are one object";
    QTest::newRow("negative") << QByteArray("{\n\"max_gpus\": -1}") << "c.json:2: 'max_gpus'";
    QTest::newRow("text") << QByteArray("{\"max_gpus\": \"2\"}") << "c.json:1: 'max_gpus'";
    QTest::newRow("huge") << QByteArray("{\"max_gpus\": 18446744073709551616}") << "'max_gpus'";
    QTest::newRow("a user's") << QByteArray("{\"users\": {\"ada\": null}}") << "'users' is wrong";
    QTest::newRow("users a list") << QByteArray("{\"users\": []}") << "'users' is wrong";
    QTest::newRow("gpus") << QByteArray("{\"gpus\": [0.5]}") << "'gpus' is wrong";
    QTest::newRow("no JSON") << QByteArray("{\"gpus\":\n") << "c.json:1: this is no valid JSON";
}

void unit_machine_rules::wrong_rules() {
    QFETCH(QByteArray, text);
    QFETCH(QString, error);
    const auto rules = spool::read_machine_rules(text.toStdString(), "c.json");
    QVERIFY(!rules);
    const QString found = QString::fromStdString(rules.error().text());
    QVERIFY2(found.contains(error), qPrintable(found));
}

void unit_machine_rules::broken_rules_leave_the_last_good() {
    Machine machine;
    MachineState state(machine.files);
    Machine::write(machine.files.config, "{\"max_gpus\": oops}");
    state.look();
    QVERIFY(!state.rules().max_gpus);
    QVERIFY(problems(state).contains("config.json:1"));
    Machine::write(machine.files.config, "{\"max_gpus\": 3}");
    state.look();
    QCOMPARE(state.rules().max_gpus, std::optional(3));
    QCOMPARE(problems(state), QString());
    Machine::write(machine.files.config, "{\"max_gpus\": \"two\"}");
    for (int i = 0; i < 2; ++i) {
        state.look();
        QCOMPARE(state.rules().max_gpus, std::optional(3));
        QVERIFY2(problems(state).contains("stay in force"), qPrintable(problems(state)));
    }
}

void unit_machine_rules::a_removed_file_lifts_the_rules() {
    Machine machine;
    MachineState state(machine.files);
    state.look();
    QVERIFY(!state.rules().max_gpus);
    QCOMPARE(problems(state), QString());
    Machine::write(machine.files.config, "{\"max_gpus\": 3, \"gpus\": [0]}");
    state.look();
    QVERIFY(state.rules().max_gpus && state.rules().gpus);
    Machine::remove(machine.files.config);
    state.look();
    QVERIFY(!state.rules().max_gpus && !state.rules().gpus);
}

void unit_machine_rules::only_roots_file_is_obeyed() {
    Machine machine;
    Machine::write(machine.files.config, "{\"max_gpus\": 3}");
    MachineFiles of_another = machine.files;
    of_another.owner = geteuid() + 1;
    MachineState stranger(of_another);
    stranger.look();
    QVERIFY(!stranger.rules().max_gpus);
    QVERIFY(problems(stranger).contains("does not belong to root"));
    chmod(machine.files.config.c_str(), 0664);
    MachineState open(machine.files);
    open.look();
    QVERIFY(!open.rules().max_gpus);
    QVERIFY(problems(open).contains("chmod go-w"));
    chmod(machine.files.config.c_str(), 0644);
    open.look();
    QCOMPARE(open.rules().max_gpus, std::optional(3));
}

void unit_machine_rules::a_fifo_does_not_hang() {
    Machine machine;
    QCOMPARE(mkfifo(machine.files.config.c_str(), 0644), 0);
    QCOMPARE(mkfifo(machine.files.drain.c_str(), 0644), 0);
    MachineState state(machine.files);
    state.look();
    QVERIFY(problems(state).contains("no regular file"));
    QVERIFY(state.drain());
}

void unit_machine_rules::drain_text_data() {
    QTest::addColumn<QByteArray>("written");
    QTest::addColumn<QString>("reason");
    QTest::newRow("a sentence") << QByteArray("  driver update until 18:00 \nmore\n")
                                << "driver update until 18:00";
    QTest::newRow("empty") << QByteArray() << "the administrator has stopped all starts (";
    QTest::newRow("blank line") << QByteArray(" \r\nx") << "the administrator has stopped all";
    QTest::newRow("control") << QByteArray("a\x1b[31mb\xff") << "a\\x1B[31mb\\xFF";
    QTest::newRow("long") << QByteArray(100'000, 'x') << QString(197, 'x') + "…";
}

void unit_machine_rules::drain_text() {
    QFETCH(QByteArray, written);
    QFETCH(QString, reason);
    Machine machine;
    Machine::write(machine.files.drain, written);
    MachineState state(machine.files);
    state.look();
    QVERIFY(state.drain());
    const QString found = QString::fromStdString(*state.drain());
    QVERIFY2(found.startsWith(reason), qPrintable(found));
    QVERIFY(found.toUtf8().size() <= 200 || found.contains("drain"));
}

void unit_machine_rules::drain_comes_and_goes() {
    Machine machine;
    MachineState state(machine.files);
    state.look();
    QVERIFY(!state.drain());
    Machine::write(machine.files.drain, "one");
    state.look();
    QCOMPARE(state.drain(), std::optional<std::string>("one"));
    Machine::write(machine.files.drain, "three");
    state.look();
    QCOMPARE(state.drain(), std::optional<std::string>("three"));
    Machine::remove(machine.files.drain);
    state.look();
    QVERIFY(!state.drain());
    QCOMPARE(problems(state), QString());
}

void unit_machine_rules::only_root_drains() {
    Machine machine;
    Machine::write(machine.files.drain, "mine");
    MachineFiles of_another = machine.files;
    of_another.owner = geteuid() + 1;
    MachineState state(of_another);
    state.look();
    QVERIFY(!state.drain());
    QVERIFY(problems(state).contains("does not belong to root"));
    // Root's own, with a text that anybody may have written.
    chmod(machine.files.drain.c_str(), 0666);
    MachineState open(machine.files);
    open.look();
    QVERIFY(open.drain() && open.drain()->find("administrator") != std::string::npos);
}

void unit_machine_rules::the_real_files_have_one_root() {
    qunsetenv("GPUSPOOL_MACHINE_ROOT");
    QCOMPARE(spool::default_machine_files().config, std::string("/etc/gpuspool/config.json"));
    qputenv("GPUSPOOL_MACHINE_ROOT", "/scratch");
    QCOMPARE(spool::default_machine_files().drain, std::string("/scratch/run/gpuspool/drain"));
    QCOMPARE(spool::default_machine_files().owner, 0u);
    qunsetenv("GPUSPOOL_MACHINE_ROOT");
}

QTEST_GUILESS_MAIN(unit_machine_rules)
#include "unit_machine_rules.moc"
