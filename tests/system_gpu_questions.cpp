// When the GPUs' drivers are asked: often enough while jobs wait for GPUs that others have, and not
// at all while none do. A program between the daemon and its probe notes each question.
#include <QDateTime>
#include <QTest>
#include <algorithm>
#include <functional>
#include <memory>

#include "tests/support/fake_gpus.h"
#include "tests/support/fake_sysfs.h"
#include "tests/support/gpu_jobs.h"

using namespace std::chrono_literals;

namespace {

/// Puts itself between the daemons that are started from now on and spool-probe.
void listen_to_questions(TestSpool& spool) {
    const QString path = spool.scratch("listening-probe");
    const QByteArray home = spool.scratch().toUtf8();
    QByteArray script = R"(#!/bin/bash
coproc probe { exec PROBE; }
while read -r question; do
    echo "${EPOCHREALTIME/[.,]/}" >> HOME/questions
    echo "$question" >&"${probe[1]}"
    read -r answer <&"${probe[0]}"
    echo "$answer"
done
echo ended >> HOME/ends
)";
    script.replace("PROBE", SPOOL_PROBE).replace("HOME", home);
    QFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(script) != script.size() ||
        !file.setPermissions(QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner))
        qFatal("cannot write a probe");
    spool.environment.insert("GPUSPOOL_PROBE", path);
}

/// When the drivers were asked, in milliseconds.
QList<qint64> questions(const TestSpool& spool) {
    QList<qint64> out;
    for (const QByteArray& line : spool.read("../home/questions").split('\n'))
        if (!line.isEmpty()) out << line.toLongLong() / 1000;
    return out;
}

QList<qint64> gaps(const QList<qint64>& moments) {
    QList<qint64> out;
    for (qsizetype i = 1; i < moments.size(); ++i)
        out << moments[i] - moments[i - 1];
    return out;
}

qint64 median(QList<qint64> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return numbers[numbers.size() / 2];
}

/// How often all threads of a process have gone to sleep.
int sleeps_of(qint64 pid) {
    int sum = 0;
    const QString tasks = QString("/proc/%1/task").arg(pid);
    for (const QString& task : QDir(tasks).entryList(QDir::Dirs | QDir::NoDotAndDotDot)) {
        QFile file(tasks + '/' + task + "/status");
        if (!file.open(QIODevice::ReadOnly)) continue;
        for (const QByteArray& line : file.readAll().split('\n'))
            if (line.startsWith("voluntary_ctxt_switches:")) sum += line.mid(24).trimmed().toInt();
    }
    return sum;
}

/// One GPU, and a stranger on it: the test.
class Machine {
public:
    explicit Machine(const QString& vendor) {
        if (vendor == "amd") {
            sysfs_ = std::make_unique<FakeSysfs>(spool.scratch("sys"));
            sysfs_->add_amd(0);
        } else {
            nvidia_ = std::make_unique<FakeGpus>(spool, QJsonArray{FakeGpus::a100(0)});
        }
        listen_to_questions(spool);
        stranger_comes();
    }
    void stranger_comes() { stranger_has(600); }
    void stranger_goes() { stranger_has(0); }

    TestSpool spool;

private:
    void stranger_has(int memory) {
        if (sysfs_) return sysfs_->set_amd_process(0, getpid(), memory);
        nvidia_->set_processes(0, memory == 0 ? QList<FakeGpus::Process>{}
                                              : QList{FakeGpus::Process{getpid(), memory}});
    }

    std::unique_ptr<FakeSysfs> sysfs_;
    std::unique_ptr<FakeGpus> nvidia_;
};

}  // namespace

class SystemGpuQuestions : public QObject {
    Q_OBJECT

private slots:
    void every_two_seconds_while_a_job_waits_data();
    void every_two_seconds_while_a_job_waits();
    void none_while_nobody_waits();
    void none_while_the_queue_is_paused();
};

void SystemGpuQuestions::every_two_seconds_while_a_job_waits_data() {
    QTest::addColumn<QString>("vendor");
    QTest::newRow("NVIDIA's") << "nvidia";
    QTest::newRow("AMD's") << "amd";
}

/// A busy machine asks and starts later, never earlier: the quickest of several tells how long is
/// waited, and half of them must be in time.
void SystemGpuQuestions::every_two_seconds_while_a_job_waits() {
    QFETCH(QString, vendor);
    Machine machine(vendor);
    TestSpool& spool = machine.spool;
    QVERIFY(spool.start());
    spool.drop("first.job", "true");
    QVERIFY(waits_with(spool, "first", "used by"));
    const qsizetype before = questions(spool).size();
    QVERIFY(spool.wait_for([&] { return questions(spool).size() >= before + 5; }, "questions"));
    const QList<qint64> between = gaps(questions(spool).mid(before));
    QVERIFY(*std::min_element(between.begin(), between.end()) <= 2000);
    QVERIFY(median(between) <= 3000);
    // Nor is it asked all the time.
    QVERIFY(median(between) >= 1000);

    QList<qint64> noticed;  // after so many milliseconds
    for (int round = 0; round < 5; ++round) {
        const QString name = round == 0 ? QString("first") : QString("x%1").arg(round);
        if (round > 0) machine.stranger_comes();
        if (round > 0) spool.drop(name + ".job", "true");
        QVERIFY(waits_with(spool, name, "used by"));
        const auto now = [] { return QDateTime::currentMSecsSinceEpoch(); };
        const auto is_time = [&] { return now() >= questions(spool).last() + 400 * round; };
        QVERIFY(spool.wait_for(is_time, "another moment between two questions"));
        const qint64 gone = now();
        machine.stranger_goes();
        const QJsonObject result = spool.wait_for_result(name);
        QCOMPARE(result["state"].toString(), "succeeded");
        const QString started = result["started_at"].toString();
        noticed << QDateTime::fromString(started, Qt::ISODateWithMs).toMSecsSinceEpoch() - gone;
    }
    qInfo("noticed after %lld to %lld ms", *std::min_element(noticed.begin(), noticed.end()),
          *std::max_element(noticed.begin(), noticed.end()));
    QVERIFY(median(noticed) <= 2000);
}

/// One question when the daemon starts; after a while its probe ends too.
void SystemGpuQuestions::none_while_nobody_waits() {
    Machine machine("nvidia");
    TestSpool& spool = machine.spool;
    QVERIFY(spool.start());
    QVERIFY(gpu_says(spool, "GPU-00000000", "status", "busy"));
    const qsizetype asked = questions(spool).size();
    QVERIFY(asked >= 1);
    const int before = sleeps_of(spool.pid());
    const auto ended = [&] { return !spool.read("../home/ends").isEmpty(); };
    QVERIFY(spool.wait_for(ended, "the probe to end"));
    QCOMPARE(questions(spool).size(), asked);
    const int wake_ups = sleeps_of(spool.pid()) - before;
    QVERIFY2(wake_ups < 20, qPrintable(QString("%1 wake-ups in 30 s").arg(wake_ups)));
    // It is there again when somebody wants to know.
    machine.stranger_goes();
    spool.drop("x.job", "true");
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QVERIFY(questions(spool).size() > asked);
}

void SystemGpuQuestions::none_while_the_queue_is_paused() {
    Machine machine("nvidia");
    TestSpool& spool = machine.spool;
    QVERIFY(spool.start());
    QCOMPARE(spool.gpuspool({"pause"}).exit_code, 0);
    spool.drop("x.job", "true");
    QVERIFY(waits_with(spool, "x", "the queue is paused"));
    const qsizetype asked = questions(spool).size();
    const auto asks = [&] { return questions(spool).size() > asked; };
    QVERIFY(!spool.wait_for(asks, "a question that nobody asks (expected)", 5s));
    QCOMPARE(spool.gpuspool({"resume"}).exit_code, 0);
    QVERIFY(spool.wait_for(asks, "a question"));
    QVERIFY(waits_with(spool, "x", "used by"));
}

QTEST_GUILESS_MAIN(SystemGpuQuestions)
#include "system_gpu_questions.moc"
