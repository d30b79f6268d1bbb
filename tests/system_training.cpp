// Three real trainings on three slots, with the daemon killed in the middle: what a researcher
// does, end to end.
#include <QFile>
#include <QJsonArray>
#include <QRegularExpression>
#include <QSet>
#include <QtTest>

#include "tests/support/daemon.h"

using namespace std::chrono_literals;

namespace {

const QString modules = QStringLiteral(SOURCE_DIR "/build/sklearn/usr/lib/python3/dist-packages");

struct Training {
    QString name, options;
};

const QList<Training> trainings = {
    {"small", "--hidden 8 --rate 0.003"},
    {"medium", "--hidden 32 --rate 0.001"},
    {"large", "--hidden 64 --rate 0.0005 --epochs 40"},
};

double accuracy_in(const QByteArray& log) {
    static const QRegularExpression line("^accuracy ([0-9.]+) after",
                                         QRegularExpression::MultilineOption);
    return line.match(QString::fromUtf8(log)).captured(1).toDouble();
}

}  // namespace

class TrainingTest : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void three_trainings_survive_the_death_of_the_daemon();

private:
    static QString gate_of(const TestSpool& spool, const Training& training) {
        return spool.scratch("gate-" + training.name);
    }
    static bool drop(TestSpool& spool, const Training& training);
    static bool open_gate(const TestSpool& spool, const Training& training) {
        return QFile(gate_of(spool, training)).open(QIODevice::WriteOnly);
    }
    static bool all_are_training(const TestSpool& spool);
    static void check(const TestSpool& spool, const Training& training);
};

void TrainingTest::initTestCase() {
    QProcess python;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    environment.insert("PYTHONPATH", modules);
    python.setProcessEnvironment(environment);
    python.start("/usr/bin/python3", {"-c", "import sklearn"});
    if (python.waitForFinished(60'000) && python.exitCode() == 0) return;
    const char* missing =
        "NOT TESTED: scikit-learn is not there; tests/get-sklearn build/sklearn gets it";
    if (qEnvironmentVariableIsSet("GPUSPOOL_NO_SKIP")) QFAIL(missing);
    QSKIP(missing);
}

bool TrainingTest::drop(TestSpool& spool, const Training& training) {
    const QString command =
        QString(
            "export OMP_NUM_THREADS=1 PYTHONPATH='%1'\n"
            "/usr/bin/python3 '%2/tests/data/train_digits.py' %3 --gate '%4'\n")
            .arg(modules, SOURCE_DIR, training.options, gate_of(spool, training));
    return spool.write_in_place(training.name + ".job", command.toUtf8());
}

bool TrainingTest::all_are_training(const TestSpool& spool) {
    return std::all_of(trainings.begin(), trainings.end(), [&](const Training& training) {
        return spool.read("running/" + training.name + ".log").contains("epoch 2 ");
    });
}

void TrainingTest::check(const TestSpool& spool, const Training& training) {
    const QJsonObject result = spool.wait_for_result(training.name);
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(result["exit_code"].toInt(-1), 0);
    QCOMPARE(result["file"].toString(), training.name + ".job");
    QVERIFY(result["id"].toInt() > 0);
    QVERIFY(!result["started_at"].toString().isEmpty());
    QVERIFY(result["ended_at"].toString() > result["started_at"].toString());
    QVERIFY(result["cpu_seconds"].toDouble() > 0);
    QVERIFY(spool.exists("done/" + training.name + ".job"));
    QVERIFY(!spool.exists("running/" + training.name + ".job"));

    const QByteArray log = spool.read("done/" + training.name + ".log");
    QVERIFY2(accuracy_in(log) > 0.8, log.right(500));
    QCOMPARE(log.count("device "), 1);  // one execution
    const QString device = result["gpus"].toArray().first().toString();
    QVERIFY2(log.contains("device " + device.toUtf8() + '\n'), log.left(200));
}

void TrainingTest::three_trainings_survive_the_death_of_the_daemon() {
    TestSpool spool;
    const QStringList slots_of_daemon = {"--gpus", "0,1,2"};
    QVERIFY(spool.start(slots_of_daemon));
    for (const Training& training : trainings)
        QVERIFY(drop(spool, training));
    QVERIFY(spool.wait_for([&] { return all_are_training(spool); }, "all three to train at once",
                           120s));

    spool.kill9();
    // The first ends while no daemon is there to see it, the others after they were adopted.
    QVERIFY(open_gate(spool, trainings[0]));
    QVERIFY(spool.wait_for([&] { return accuracy_in(spool.read("running/small.log")) > 0; },
                           "small to end"));
    QVERIFY(spool.start(slots_of_daemon));
    QVERIFY(!spool.wait_for_result(trainings[0].name).isEmpty());
    QVERIFY(!spool.exists("done/medium.json") && !spool.exists("done/large.json"));
    QVERIFY(open_gate(spool, trainings[1]));
    QVERIFY(open_gate(spool, trainings[2]));

    QSet<QString> devices;
    for (const Training& training : trainings) {
        check(spool, training);
        if (QTest::currentTestFailed()) return;
        devices.insert(spool.result(training.name)["gpus"].toArray().first().toString());
    }
    QCOMPARE(devices, QSet<QString>({"0", "1", "2"}));
    QVERIFY(spool.stop());
}

QTEST_GUILESS_MAIN(TrainingTest)
#include "system_training.moc"
