// A name is bytes: whatever it is, the job runs, is told its own name, and ends under it.
#include <fcntl.h>
#include <unistd.h>

#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

bool write_bytes(const QByteArray& path, const QByteArray& text) {
    const int file = open(path.constData(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return false;
    const bool written = write(file, text.constData(), static_cast<size_t>(text.size())) ==
                         static_cast<ssize_t>(text.size());
    return close(file) == 0 && written;
}

QByteArray read_bytes(const QByteArray& path) {
    const int file = open(path.constData(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    QByteArray text(1 << 16, '\0');
    const ssize_t size = read(file, text.data(), static_cast<size_t>(text.size()));
    close(file);
    return text.left(size < 0 ? 0 : size);
}

bool is_there(const QByteArray& path) {
    return access(path.constData(), F_OK) == 0;
}

/// Bytes that a terminal would obey or that break a line.
bool has_control_bytes(const QByteArray& line) {
    return std::any_of(line.begin(), line.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
    });
}

}  // namespace

class NamesTest : public QObject {
    Q_OBJECT

private slots:
    void a_name_is_bytes_data();
    void a_name_is_bytes();
    void the_longest_name_is_cut();
    void two_long_names_stay_apart();
    void a_name_with_a_number_is_only_a_name();
};

void NamesTest::a_name_is_bytes_data() {
    QTest::addColumn<QByteArray>("stem");
    QTest::addColumn<QString>("shown");  // in x.json
    const auto row = [](const char* title, const QByteArray& stem, const QString& shown) {
        QTest::newRow(title) << stem << shown;
    };
    row("blank", "my job", "my job");
    row("line feed", "a\nb", "a\nb");
    row("escape sequence", "\x1b[31mred", "\x1b[31mred");
    row("invalid UTF-8", "caf\xe9", "caf\\xE9");
    row("umlaut", "\xc3\xbc", QString::fromUtf8("\xc3\xbc"));
    row("leading dash", "-rf", "-rf");
    row("option", "--help", "--help");
    row("substitution", "$(touch pwned)`touch pwned`", "$(touch pwned)`touch pwned`");
    row("quotes", "it's \"x\"", "it's \"x\"");
    row("backslash", "a\\b", "a\\\\b");
    row("markup", "<b>&amp;<img src=x>", "<b>&amp;<img src=x>");
    row("semicolon", "x; touch pwned", "x; touch pwned");
    row("star", "*", "*");
    row("percent", "%j%s%n", "%j%s%n");
    row("dots", "a..b", "a..b");
    row("right to left", "\xe2\x80\xaegpj", QString::fromUtf8("\xe2\x80\xaegpj"));
    row("extension inside", "x.job", "x.job");
}

void NamesTest::a_name_is_bytes() {
    QFETCH(QByteArray, stem);
    QFETCH(QString, shown);
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray root = spool.path().toUtf8();
    const QByteArray text = "echo run >> ~/ran\nprintf %s \"$GPUSPOOL_JOB_NAME\" | od -An -tx1\n";
    QVERIFY(write_bytes(root + "/incoming/" + stem + ".job", text));
    const QByteArray done = root + "/done/" + stem;
    QVERIFY(spool.wait_for([&] { return is_there(done + ".json"); }, "the result"));
    const auto result = QJsonDocument::fromJson(read_bytes(done + ".json")).object();
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["name"].toString(), shown);
    QCOMPARE(result["file"].toString(), shown + ".job");
    QCOMPARE(read_bytes(done + ".job"), text);
    QByteArray told = read_bytes(done + ".log");
    QCOMPARE(QByteArray::fromHex(told.replace('\n', "")), stem);
    QCOMPARE(home_file(spool, "ran"), "run\n");
    QCOMPARE(names_in(spool, "incoming"), {});
    QVERIFY(!QFile::exists(spool.scratch("pwned")));

    QVERIFY2(!has_control_bytes(spool.daemon_log()), spool.daemon_log());
    const Finished status = spool.gpuspool({"status"});
    QVERIFY2(!has_control_bytes(status.out), status.out);
    // By its number it can be asked for whatever its name is.
    const Finished log = spool.gpuspool({"log", QString::number(result["id"].toInt())});
    QCOMPARE(log.exit_code, 0);
}

void NamesTest::the_longest_name_is_cut() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    const QByteArray stem(251, 'x');
    QVERIFY(spool.write_in_place(stem + ".job", "echo $GPUSPOOL_JOB_NAME\n"));
    QVERIFY(spool.wait_for([&] { return names_in(spool, "done").size() == 3; }, "three files"));
    const QByteArray name = names_in(spool, "done").first().chopped(4);
    QVERIFY(name.size() > 200 && stem.startsWith(name));
    QCOMPARE(names_in(spool, "done"),
             (QList<QByteArray>{name + ".job", name + ".json", name + ".log"}));
    QVERIFY(!spool.wait_for_result(name).isEmpty());
    QCOMPARE(spool.read("done/" + name + ".log"), name + '\n');
    QCOMPARE(spool.result(name)["state"].toString(), "succeeded");
}

void NamesTest::two_long_names_stay_apart() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    // Equal after the cut, which is inside of a character of three bytes.
    const QByteArray stem = QByteArray("\xe2\x82\xac").repeated(83);
    QVERIFY(spool.write_in_place(stem + "1.job", "echo one\n"));
    QVERIFY(spool.write_in_place(stem + "2.job", "echo two\n"));
    QVERIFY(spool.wait_for(
        [&] {
            const auto names = names_in(spool, "done");
            return std::count_if(names.begin(), names.end(), [](const QByteArray& name) {
                       return name.endsWith(".json");
                   }) == 2;
        },
        "two results"));
    QSet<QByteArray> logs;
    for (const QByteArray& name : names_in(spool, "done")) {
        QVERIFY(QString::fromUtf8(name).toUtf8() == name);  // no half character
        if (name.endsWith(".log")) logs.insert(spool.read("done/" + name));
    }
    QCOMPARE(logs, (QSet<QByteArray>{"one\n", "two\n"}));
}

void NamesTest::a_name_with_a_number_is_only_a_name() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    // The names that the daemon would choose for second runs are taken already.
    for (const char* file : {"x~2.job", "x.job", "x.sh"}) {
        const auto before = names_in(spool, "done").size();
        QVERIFY(spool.drop(file, QByteArray("echo ") + file + '\n'));
        QVERIFY(spool.wait_for([&] { return names_in(spool, "done").size() == before + 3; }, file));
    }
    QCOMPARE(spool.read("done/x~2.log"), "x~2.job\n");
    QCOMPARE(spool.read("done/x.log"), "x.job\n");
    QCOMPARE(spool.read("done/x~3.log"), "x.sh\n");
}

QTEST_GUILESS_MAIN(NamesTest)
#include "system_names.moc"
