// Root's rules for all users, in /etc/gpuspool/config.json: written while daemons run, for all
// spools of a user together, for GPUs and their instances. Needs root.
#include <QTest>

#include "tests/support/gpu_users.h"
#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// /etc/gpuspool/config.json of a machine.
class Rules {
public:
    explicit Rules(const Machine& machine)
        : root(machine.path("root")), path_(root + "/etc/gpuspool/config.json") {
        QDir().mkpath(QFileInfo(path_).path());
    }
    void write(const QByteArray& text) const {
        QFile file(path_ + ".new");
        const bool written = file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
        file.close();
        if (!written || ::rename(qPrintable(path_ + ".new"), qPrintable(path_)) != 0)
            qFatal("cannot write the rules");
    }
    void remove() const {
        if (!QFile::remove(path_)) qFatal("cannot remove the rules");
    }

    const QString root;

private:
    QString path_;
};

bool waits_with(const User& user, const QByteArray& text) {
    return user.spool.wait_for([&] { return user.gpuspool({"status"}).contains(text); },
                               "the reason: " + text);
}

QByteArray held() {
    return "echo $CUDA_VISIBLE_DEVICES\nuntil [ -e ~/go ]; do sleep 0.05; done\n";
}

bool runs_on(const User& user, const QString& name, const QByteArray& gpu) {
    return user.spool.wait_for(
        [&] { return user.spool.read("running/" + name + ".log") == gpu + '\n'; },
        name + " on GPU " + gpu);
}

void let_go(const User& user) {
    QFile file(user.spool.scratch("go"));
    if (!file.open(QIODevice::WriteOnly)) qFatal("cannot let jobs go");
}

}  // namespace

class SystemGpuRules : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes processes of other users: needs root");
    }
    void all_spools_of_a_user_count();
    void spools_of_a_user_that_start_at_once();
    void they_are_written_while_a_daemon_runs();
    void an_allowed_gpu_allows_its_instances();
};

void SystemGpuRules::all_spools_of_a_user_count() {
    const Machine machine;
    const Rules rules(machine);
    rules.write(R"({"max_gpus": 2, "users": {"nobody": 4}})");
    User first(machine, 0), second(machine, 0), other(machine, 1);
    for (User* user : {&first, &second, &other}) {
        user->spool.environment.insert("GPUSPOOL_MACHINE_ROOT", rules.root);
        QVERIFY(user->spool.start());
    }
    first.drop("a.job", held());
    QVERIFY(runs_on(first, "a", "0"));
    second.drop("b.job", held());
    QVERIFY(runs_on(second, "b", "1"));
    second.drop("c.job", held());
    QVERIFY(waits_with(second, "\"max_gpus\" allows this spool 1 at once"));
    // Another user may have as many, and does not have to wait for them.
    other.drop("d.job", "#SPOOL --gpus=2\n" + held());
    QVERIFY(runs_on(other, "d", "2,3"));
    let_go(other);
    QCOMPARE(other.spool.wait_for_result("d")["state"].toString(), "succeeded");
    QVERIFY(!second.spool.exists("running/c.job"));
    let_go(first);
    QCOMPARE(first.spool.wait_for_result("a")["state"].toString(), "succeeded");
    QVERIFY(second.spool.wait_for([&] { return second.spool.exists("running/c.log"); },
                                  "c to run in a's place"));
    let_go(second);
    QCOMPARE(second.spool.wait_for_result("c")["state"].toString(), "succeeded");
}

/// One spool has the only GPU that the user may have, and three others wait for it, each with a GPU
/// in sight that is free.
void SystemGpuRules::spools_of_a_user_that_start_at_once() {
    const Machine machine;
    const Rules rules(machine);
    rules.write(R"({"max_gpus": 1})");
    User spools[machine_gpus] = {{machine, 0}, {machine, 0}, {machine, 0}, {machine, 0}};
    for (User& user : spools) {
        user.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", rules.root);
        QVERIFY(user.spool.start());
    }
    const User& holder = spools[0];
    const QByteArray only = machine.path("oracle/only").toUtf8();
    for (int round = 0; round < 8; ++round) {
        const QString name = QString("x%1").arg(round);
        holder.drop(name + ".job", "#SPOOL --gpu-ids=0\n" + gated(name.toUtf8()));
        QVERIFY(wait_for_log(holder.spool, name, "started"));
        for (int spool = 1; spool < machine_gpus; ++spool)
            spools[spool].drop(name + ".job", "#SPOOL --gpu-ids=" + QByteArray::number(spool) +
                                                  "\nmkdir " + only + "\nsleep 0.2\nrmdir " + only);
        for (int spool = 1; spool < machine_gpus; ++spool)
            QVERIFY(wait_for_reason(spools[spool].spool, name, "max_gpus"));
        QVERIFY(open_gate(holder.spool, name));
        for (const User& user : spools)
            QCOMPARE(user.spool.wait_for_result(name)["state"].toString(), "succeeded");
    }
}

void SystemGpuRules::they_are_written_while_a_daemon_runs() {
    const Machine machine;
    const Rules rules(machine);
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", rules.root);
    QVERIFY(ada.spool.start());
    ada.drop("a.job", held());
    ada.drop("b.job", held());
    QVERIFY(runs_on(ada, "a", "0") && runs_on(ada, "b", "1"));
    rules.write(R"({"max_gpus": 2})");
    ada.drop("c.job", held());
    QVERIFY(waits_with(ada, "\"max_gpus\" allows this spool 2 at once"));
    QVERIFY(ada.spool.exists("running/a.job") && ada.spool.exists("running/b.job"));
    rules.write(R"({"gpus": [1, 3]})");
    QVERIFY(runs_on(ada, "c", "3"));
    ada.drop("d.job", held());
    QVERIFY(waits_with(ada, "kept from jobs by /etc/gpuspool/config.json"));
    rules.remove();
    QVERIFY(runs_on(ada, "d", "2"));
    let_go(ada);
    QCOMPARE(ada.spool.wait_for_result("a")["state"].toString(), "succeeded");
}

void SystemGpuRules::an_allowed_gpu_allows_its_instances() {
    const Machine machine;
    const Rules rules(machine);
    rules.write(R"({"gpus": [0]})");
    User ada(machine, 0);
    ada.spool.environment.insert("GPUSPOOL_MACHINE_ROOT", rules.root);
    const auto divided = [](int index, const QString& id) {
        QJsonObject gpu = FakeGpus::a100(index);
        gpu["mig"] = QJsonArray{QJsonObject{{"uuid", id}, {"total", 20'000}, {"used", 5}}};
        return gpu;
    };
    ada.gpus.set_gpus({divided(0, "MIG-aaaaaaaa-1111"), divided(1, "MIG-bbbbbbbb-2222")});
    QVERIFY(ada.spool.start());
    ada.drop("a.job", held());
    QVERIFY(runs_on(ada, "a", "MIG-aaaaaaaa-1111"));
    ada.drop("b.job", "true");
    QVERIFY(waits_with(ada, "MIG-bbbbbbbb-2222 kept from jobs by /etc/gpuspool/config.json"));
    let_go(ada);
    QCOMPARE(ada.spool.wait_for_result("b")["gpus"].toArray(), QJsonArray{"MIG-aaaaaaaa-1111"});
}

QTEST_GUILESS_MAIN(SystemGpuRules)
#include "system_gpu_rules.moc"
