// Several users' daemons on one machine: no GPU is ever given twice, and nobody gets less than the
// others. Made-up users: needs root.
#include <sys/stat.h>
#include <unistd.h>

#include <QJsonArray>
#include <QTest>
#include <filesystem>

#include "libspool/values.h"
#include "tests/support/fake_gpus.h"
#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

constexpr int machine_gpus = 4;
constexpr uid_t first_uid = 61'201;

/// What the users have in common: the programs, the driver, the locks, and the oracle.
class Machine {
public:
    Machine() : directory_(QDir::tempPath() + "/gpuspool-machine-XXXXXX") {
        make("", 0755);
        make("locks", 01777);
        make("oracle", 01777);
        for (const char* program : {SPOOLD, SPOOL_EXEC, SPOOL_PROBE, GPUSPOOL, FAKE_NVML_NEW})
            if (!QFile::copy(program, path(QFileInfo(program).fileName())))
                qFatal("cannot copy %s", program);
    }
    [[nodiscard]] QString path(const QString& inside) const { return directory_.filePath(inside); }

private:
    void make(const QString& inside, mode_t mode) const {
        QDir().mkpath(path(inside));
        if (::chmod(qPrintable(path(inside)), mode) != 0) qFatal("cannot chmod a directory");
    }

    QTemporaryDir directory_;
};

/// A user with a spool and a daemon.
class User {
public:
    User(const Machine& machine, int number)
        : uid_(first_uid + static_cast<uid_t>(number)), gpus_(spool, all_gpus()) {
        spool.environment.insert("GPUSPOOL_GPU_LOCKS", machine.path("locks"));
        spool.environment.insert("GPUSPOOL_NVML",
                                 machine.path(QFileInfo(FAKE_NVML_NEW).fileName()));
        spool.environment.insert("GPUSPOOL_EXEC", machine.path("spool-exec"));
        spool.environment.insert("GPUSPOOL_PROBE", machine.path("spool-probe"));
        const QString id = QString::number(uid_);
        as_user_ = {"--reuid=" + id, "--regid=" + id, "--clear-groups"};
        gpuspool_ = machine.path("gpuspool");
        const QStringList daemon = {"sh", "-c", "shift; exec \"$0\" \"$@\"",
                                    machine.path("spoold")};
        spool.wrapper = QStringList{"setpriv"} + as_user_ + daemon;
        QDir().mkpath(spool.path("incoming"));
        give_away(QFileInfo(spool.path()).path());
        give_away(spool.scratch());
        give_away(spool.scratch("gpus.json"));
        give_away(spool.path());
        give_away(spool.path("incoming"));
        for (const QString& made : {spool.path(), spool.path("incoming")})
            if (::chmod(qPrintable(made), 0700) != 0) qFatal("cannot chmod the spool");
    }

    void drop(const QString& name, const QByteArray& text) const {
        const QString staged = spool.scratch("dropping-" + name);
        QFile file(staged);
        if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size())
            qFatal("cannot write a job");
        file.close();
        give_away(staged);
        if (::rename(qPrintable(staged), qPrintable(spool.path("incoming/" + name))) != 0)
            qFatal("cannot drop a job");
    }
    [[nodiscard]] QByteArray gpuspool(const QStringList& arguments) const {
        return spool.run("setpriv", as_user_ + QStringList{gpuspool_} + arguments).out;
    }
    [[nodiscard]] QStringList results() const {
        return QDir(spool.path("done")).entryList({"*.json"}, QDir::Files);
    }

    TestSpool spool;

private:
    static QJsonArray all_gpus() {
        QJsonArray gpus;
        for (int gpu = 0; gpu < machine_gpus; ++gpu)
            gpus.append(FakeGpus::a100(gpu));
        return gpus;
    }
    void give_away(const QString& path) const {
        if (::chown(qPrintable(path), uid_, uid_) != 0) qFatal("cannot chown %s", qPrintable(path));
    }

    uid_t uid_;
    FakeGpus gpus_;
    QStringList as_user_;
    QString gpuspool_;
};

struct Interval {
    std::int64_t from = 0, to = 0;
};

std::int64_t time_of(const QJsonObject& result, const char* key) {
    return spool::parse_time(result[key].toString().toStdString()).value_or(0);
}

/// GPUs that a user has had on average between two moments.
double share(const QList<Interval>& runs, std::int64_t from, std::int64_t to) {
    std::int64_t sum = 0;
    for (const Interval& run : runs)
        sum += std::max<std::int64_t>(0, std::min(run.to, to) - std::max(run.from, from));
    return static_cast<double>(sum) / static_cast<double>(to - from);
}

}  // namespace

class SystemGpuUsers : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes processes of other users: needs root");
    }

    void a_gpu_of_another_user_is_waited_for();
    void no_gpu_is_given_twice_data();
    void no_gpu_is_given_twice();
    void who_wants_two_gets_them_beside_jobs_of_one();
    void who_waits_is_told_for_whom_a_gpu_is_reserved();
    void root_drains_the_machine();
    void root_limits_everybody();
};

void SystemGpuUsers::a_gpu_of_another_user_is_waited_for() {
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    const QString go = machine.path("oracle/go");
    ada.drop("a.job", "#SPOOL --gpus=4\nuntil [[ -e " + go.toUtf8() + " ]]; do sleep 0.05; done\n");
    QVERIFY(ada.spool.wait_for([&] { return ada.spool.exists("running/a.log"); }, "a to run"));
    bob.drop("b.job", "echo $CUDA_VISIBLE_DEVICES");
    const auto reason = [&] {
        const auto state = QJsonDocument::fromJson(bob.gpuspool({"status", "--json"}));
        return state.object()["waiting"].toArray().at(0).toObject()["reason"].toString();
    };
    QVERIFY2(
        bob.spool.wait_for([&] { return reason().contains("0 used by a spool of user 61201"); },
                           "b's reason"),
        qPrintable(reason()));
    // The supervisor keeps the lock, whatever becomes of its daemon.
    ada.spool.kill9();
    QVERIFY(!bob.spool.exists("running/b.job"));
    QVERIFY(bob.spool.wait_for([&] { return reason().contains("used by a spool of user 61201"); },
                               "b's reason"));
    QFile file(go);
    QVERIFY(file.open(QIODevice::WriteOnly));
    QCOMPARE(bob.spool.wait_for_result("b")["state"].toString(), "succeeded");
    QVERIFY(ada.spool.start());
    QCOMPARE(ada.spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuUsers::no_gpu_is_given_twice_data() {
    QTest::addColumn<int>("users");
    QTest::newRow("two users") << 2;
    QTest::newRow("five users") << 5;
}

/// A job makes a directory that is named after its GPU: where another one is there too, it fails.
void SystemGpuUsers::no_gpu_is_given_twice() {
    QFETCH(int, users);
    constexpr int jobs = 1000;
    const Machine machine;
    std::vector<std::unique_ptr<User>> all;
    for (int number = 0; number < users; ++number)
        all.push_back(std::make_unique<User>(machine, number));
    const QByteArray oracle = machine.path("oracle").toUtf8();
    const QByteArray script = "mkdir " + oracle + "/gpu-$CUDA_VISIBLE_DEVICES\nsleep 0.1\nrmdir " +
                              oracle + "/gpu-$CUDA_VISIBLE_DEVICES\n";
    for (const auto& user : all)
        for (int job = 0; job < jobs / users; ++job)
            user->drop(QString("j%1.job").arg(job), script);
    for (const auto& user : all)
        QVERIFY(user->spool.start());
    QList<QList<Interval>> runs;
    std::int64_t from = 0, to = INT64_MAX;
    for (const auto& user : all) {
        QVERIFY(user->spool.wait_for([&] { return user->results().size() == jobs / users; },
                                     "all jobs of a user", 400s));
        QList<Interval> own;
        for (const QString& file : user->results()) {
            const QJsonObject result = user->spool.result(file.chopped(5));
            QVERIFY2(result["state"] == "succeeded", QJsonDocument(result).toJson());
            own << Interval{time_of(result, "started_at"), time_of(result, "ended_at")};
        }
        const auto earlier = [](const Interval& a, const Interval& b) { return a.from < b.from; };
        from = std::max(from, std::min_element(own.begin(), own.end(), earlier)->from);
        to = std::min(to, std::max_element(own.begin(), own.end(), earlier)->from);
        runs << own;
    }
    // While all of them had jobs to run, nobody had a GPU less than another.
    constexpr std::int64_t minute = 60'000'000'000;
    for (std::int64_t begin = from; begin == from || begin + minute <= to; begin += minute / 6) {
        double least = machine_gpus, most = 0;
        for (const auto& own : runs) {
            const double had = share(own, begin, std::min(begin + minute, to));
            least = std::min(least, had);
            most = std::max(most, had);
        }
        QVERIFY2(most - least <= 1, qPrintable(QString("from %1 to %2 GPUs, %3 s after the start")
                                                   .arg(least)
                                                   .arg(most)
                                                   .arg((begin - from) / 1'000'000'000)));
        qInfo("shares of %d users: %.2f to %.2f GPUs", users, least, most);
    }
}

void SystemGpuUsers::who_wants_two_gets_them_beside_jobs_of_one() {
    constexpr int jobs = 100, most_ends = 15;
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    for (int job = 0; job < jobs; ++job)
        ada.drop(QString("j%1.job").arg(job), "sleep 0.$((RANDOM % 6 + 4))");
    QVERIFY(ada.spool.wait_for([&] { return ada.results().size() > 4; }, "ada's jobs to run"));
    bob.drop("two.job", "#SPOOL --gpus=2\necho $CUDA_VISIBLE_DEVICES");
    const QJsonObject two = bob.spool.wait_for_result("two");
    QCOMPARE(two["gpus"].toArray().size(), 2);
    QVERIFY(ada.spool.wait_for([&] { return ada.results().size() == jobs; }, "ada's jobs", 60s));
    int ends = 0;
    for (const QString& file : ada.results()) {
        const auto at = time_of(ada.spool.result(file.chopped(5)), "ended_at");
        if (at > time_of(two, "submitted_at") && at < time_of(two, "started_at")) ++ends;
    }
    qInfo("%d jobs of one GPU ended while one of two waited", ends);
    QVERIFY(ends <= most_ends);
}

/// One of ada's four jobs has ended, and its GPU waits for bob's second.
void SystemGpuUsers::who_waits_is_told_for_whom_a_gpu_is_reserved() {
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    for (const char* job : {"a", "b", "c", "d", "e"})
        ada.drop(QString(job) + ".job",
                 QByteArray("until [ -e ~/") + job + ".go ]; do sleep 0.05; done");
    QVERIFY(ada.spool.wait_for(
        [&] { return state_of(ada.spool)["running"].toArray().size() == machine_gpus; },
        "ada's jobs to run"));
    bob.drop("two.job", "#SPOOL --gpus=2\ntrue");
    QVERIFY(wait_for_reason(bob.spool, "two", "gpus"));
    QVERIFY(open_gate(ada.spool, "a"));
    QVERIFY(bob.spool.wait_for(
        [&] { return ada.gpuspool({"status"}).contains("which waits for 2 GPUs"); },
        "ada to be told for whom a GPU is reserved"));
    QVERIFY(open_gate(ada.spool, "b"));
    QCOMPARE(bob.spool.wait_for_result("two")["gpus"].toArray().size(), 2);
    for (const char* job : {"c", "d", "e"})
        QVERIFY(open_gate(ada.spool, job));
    QVERIFY(!ada.spool.wait_for_result("e").isEmpty());
}

void SystemGpuUsers::root_drains_the_machine() {
    const Machine machine;
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", machine.path("root"));
    const QString drain = machine.path("root/run/gpuspool/drain");
    QDir().mkpath(QFileInfo(drain).path());
    QFile file(drain);
    QVERIFY(file.open(QIODevice::WriteOnly) && file.write("new driver at noon\n") > 0);
    file.close();
    QVERIFY(ada.spool.start());
    ada.drop("a.job", "#SPOOL --gpus=0\ntrue");
    QVERIFY(ada.spool.wait_for(
        [&] { return ada.gpuspool({"status"}).contains("lets nothing start: new driver at noon"); },
        "the reason"));
    QVERIFY(file.remove());
    QCOMPARE(ada.spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuUsers::root_limits_everybody() {
    const Machine machine;
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", machine.path("root"));
    const QString config = machine.path("root/etc/gpuspool/config.json");
    QDir().mkpath(QFileInfo(config).path());
    QFile file(config);
    QVERIFY(file.open(QIODevice::WriteOnly) &&
            file.write(R"({"max_gpus": 1, "gpus": [2, 3]})") > 0);
    file.close();
    QVERIFY(ada.spool.start());
    const QByteArray go = machine.path("oracle/go").toUtf8();
    for (const char* name : {"a", "b"})
        ada.drop(QString(name) + ".job",
                 "echo $CUDA_VISIBLE_DEVICES\nuntil [[ -e " + go + " ]]; do sleep 0.05; done\n");
    QVERIFY(ada.spool.wait_for([&] { return ada.spool.read("running/a.log") == "2\n"; },
                               "a on the first that is allowed"));
    QVERIFY(ada.spool.wait_for(
        [&] {
            return ada.gpuspool({"status"}).contains("\"max_gpus\" allows this spool 1 at once");
        },
        "the reason of b"));
    QFile done(machine.path("oracle/go"));
    QVERIFY(done.open(QIODevice::WriteOnly));
    QCOMPARE(ada.spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"2"});
}

QTEST_GUILESS_MAIN(SystemGpuUsers)
#include "system_gpu_users.moc"
