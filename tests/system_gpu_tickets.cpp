// Tickets between the daemons of different users: each leaves one that the others can read, and one
// that is not taken up holds nobody back. Made-up users: needs root.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QDateTime>
#include <QDir>
#include <QTest>
#include <csignal>

#include "libspool/gpu_lock.h"
#include "tests/support/gpu_users.h"
#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

constexpr uid_t sleeper = 61'301;

/// A process of another user that has left a ticket and does nothing more.
class Sleeper {
public:
    explicit Sleeper(const std::string& directory) : pid_(fork()) {
        if (pid_ != 0) return;
        if (setresgid(sleeper, sleeper, sleeper) != 0 || setresuid(sleeper, sleeper, sleeper) != 0)
            _exit(1);
        // After the change of user, which undoes it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        umask(022);
        auto locks =
            spool::GpuLocks::open(directory, "0123456789abcdef", "/home/sleeper/.gpuspool");
        const auto ticket = locks ? locks->make_ticket({}) : tl::unexpected(locks.error());
        while (ticket)
            pause();
        _exit(1);
    }
    ~Sleeper() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

private:
    pid_t pid_;
};

QStringList tickets_of(const Machine& machine, uid_t uid) {
    return QDir(machine.path("locks")).entryList({QString("gpuspool-ticket.%1.*").arg(uid)});
}

qint64 milliseconds(const QJsonObject& object, const char* key) {
    return QDateTime::fromString(object[key].toString(), Qt::ISODateWithMs).toMSecsSinceEpoch();
}

}  // namespace

class SystemGpuTickets : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() {
        if (::geteuid() != 0) QSKIP("makes processes of other users: needs root");
    }
    void one_that_is_not_taken_up_is_skipped();
    void a_daemons_ticket_can_be_read_by_others();
};

/// Its turn comes first, since it waits for longer. A daemon that is stopped is like that.
void SystemGpuTickets::one_that_is_not_taken_up_is_skipped() {
    const Machine machine;
    User ada(machine, 0);
    ada.gpus.set_gpus({FakeGpus::a100(0)});
    const Sleeper other(machine.path("locks").toStdString());
    QVERIFY(ada.spool.wait_for([&] { return tickets_of(machine, sleeper).size() == 1; },
                               "another user's ticket"));
    QVERIFY(ada.spool.start());
    ada.drop("a.job", "true");
    const QString told = "left to a spool of user 61301, whose turn it is";
    QVERIFY(ada.spool.wait_for([&] { return ada.gpuspool({"status"}).contains(told.toUtf8()); },
                               "the reason of a"));
    const QJsonObject result = ada.spool.wait_for_result("a");
    const qint64 waited = milliseconds(result, "started_at") - milliseconds(result, "submitted_at");
    qInfo("started after %lld ms", waited);
    QVERIFY2(waited >= 4'500, qPrintable(QString::number(waited)));
    QVERIFY2(waited <= 15'000, qPrintable(QString::number(waited)));
    // It is not asked for its wish again, for a while.
    ada.drop("b.job", "true");
    const QJsonObject next = ada.spool.wait_for_result("b");
    QVERIFY(milliseconds(next, "started_at") - milliseconds(next, "submitted_at") < 4'500);
    QCOMPARE(tickets_of(machine, sleeper).size(), 1);
}

void SystemGpuTickets::a_daemons_ticket_can_be_read_by_others() {
    const Machine machine;
    User ada(machine, 0), bob(machine, 1);
    QVERIFY(ada.spool.start() && bob.spool.start());
    ada.drop("a.job", "#SPOOL --gpus=4\n" + gated("a"));
    QVERIFY(ada.spool.wait_for([&] { return ada.spool.exists("running/a.log"); }, "a to run"));
    const qint64 before = QDateTime::currentMSecsSinceEpoch();
    bob.drop("b.job", "#SPOOL --gpus=2 --gpu-avoid=0\ntrue");
    QVERIFY(bob.spool.wait_for([&] { return tickets_of(machine, first_uid + 1).size() == 1; },
                               "bob's ticket"));
    const QString path = machine.path("locks/" + tickets_of(machine, first_uid + 1).value(0));
    struct stat status {};
    QCOMPARE(::stat(qPrintable(path), &status), 0);
    QCOMPARE(status.st_uid, uid_t{first_uid + 1});
    QCOMPARE(status.st_mode & 07777, mode_t{01644});
    const QByteArray text = ada.run({"cat", path}).out;
    const QJsonObject ticket = QJsonDocument::fromJson(text).object();
    QCOMPARE(ticket["wants"].toInt(), 2);
    QCOMPARE(ticket["gpus"].toArray(),
             (QJsonArray{"GPU-00000001", "GPU-00000002", "GPU-00000003"}));
    QCOMPARE(ticket["spool"].toString(), bob.spool.path());
    QCOMPARE(ticket["pid"].toInteger(), bob.spool.pid());
    const qint64 since = milliseconds(ticket, "since");
    QVERIFY2(since >= before - 1'000 && since <= QDateTime::currentMSecsSinceEpoch(), text);
    // Nobody else may write there, or wait any more in his place.
    QVERIFY(ada.run({"sh", "-c", "echo x >> " + path}).exit_code != 0);
    QVERIFY(open_gate(ada.spool, "a"));
    QCOMPARE(bob.spool.wait_for_result("b")["gpus"].toArray().size(), 2);
    QVERIFY(bob.spool.wait_for([&] { return tickets_of(machine, first_uid + 1).isEmpty(); },
                               "no ticket of bob's"));
}

QTEST_GUILESS_MAIN(SystemGpuTickets)
#include "system_gpu_tickets.moc"
