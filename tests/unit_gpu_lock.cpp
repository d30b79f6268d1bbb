// Locks of GPUs and tickets, within one user: order of steps, all or none, and how releases are
// noticed. (Their names: unit_gpu_lock_name; many of them: unit_gpu_lock_piles; between users:
// system_gpu_lock.)
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>
#include <csignal>

#include "tests/support/gpu_locks.h"

using spool::GpuHolder;
using spool::GpuLock;
using spool::GpuLocks;
using spool::GpuWanted;
using spool::GpuWish;
using spool::LockDirectory;
using spool::LockFileName;
using test::gpus;
using test::Locks;
using test::take;
using Making = LockDirectory::Making;

namespace {

bool is_write_locked(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct flock range {};
    range.l_type = F_RDLCK;
    range.l_len = 1;
    fcntl(fd, F_OFD_GETLK, &range);
    close(fd);
    return range.l_type != F_UNLCK;
}

}  // namespace

class unit_gpu_lock : public QObject {
    Q_OBJECT

private slots:
    void one_spool_at_a_time_data();
    void one_spool_at_a_time();
    void all_or_none();
    void parts_and_their_whole();
    void one_gpu_under_two_names();
    void no_gpu_needs_no_lock();
    void the_holder_is_described();
    void what_is_left_behind_is_no_lock_and_goes();
    void the_lock_lives_as_long_as_any_copy();
    void files_can_be_read_by_all();
    void read_locks_are_nobodys();
    void a_link_to_another_lock_is_none();
    void what_is_not_understood_stays();
    void tickets();
    void directories_that_will_not_do();
    void delays();
};

void unit_gpu_lock::one_spool_at_a_time_data() {
    QTest::addColumn<Making>("making");
    QTest::newRow("unnamed") << Making::unnamed;
    QTest::newRow("hidden name") << Making::hidden_name;
}

void unit_gpu_lock::one_spool_at_a_time() {
    QFETCH(Making, making);
    Locks locks;
    GpuLocks a = locks.of("a", making), b = locks.of("b", making);
    auto first = take(a, gpus({"0"}));
    QVERIFY(first);
    QCOMPARE(locks.files().size(), 1);
    QVERIFY(!take(b, gpus({"0"})));
    QCOMPARE(locks.files().size(), 1);
    QVERIFY(take(b, gpus({"1"})));
    // Jobs of one spool share it, each with a lock of its own.
    auto second = take(a, gpus({"0"}));
    QVERIFY(second);
    first->remove();
    QVERIFY(!take(b, gpus({"0"})));
    second->remove();
    QVERIFY(take(b, gpus({"0"})));
}

void unit_gpu_lock::all_or_none() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    auto held = take(a, gpus({"1"}));
    QVERIFY(!take(b, gpus({"0", "1", "2"})));
    QCOMPARE(locks.files().size(), 1);
    held->remove();
    auto three = take(b, gpus({"0", "1", "2", "0"}));
    QVERIFY(three);
    QCOMPARE(locks.files().size(), 3);
    for (const char* id : {"0", "1", "2"})
        QVERIFY(!take(a, gpus({id})));
    three->remove();
    QVERIFY(locks.files().isEmpty());
}

void unit_gpu_lock::parts_and_their_whole() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    const std::vector<GpuWanted> part{{"MIG-1", {"GPU-1"}}}, other{{"MIG-2", {"GPU-1"}}},
        whole{{"GPU-1", {"MIG-1", "MIG-2"}}};
    auto first = take(a, part);
    auto second = take(b, other);
    QVERIFY(first && second);
    QVERIFY(!take(b, whole));
    first->remove();
    auto all = take(b, whole);
    QVERIFY(all);
    QVERIFY(!take(a, part));
}

/// A spool without a driver knows what a list by hand calls it, and no more.
void unit_gpu_lock::one_gpu_under_two_names() {
    Locks locks;
    GpuLocks knows = locks.of("a"), by_hand = locks.of("b"), other = locks.of("c");
    const std::vector<GpuWanted> known{{"GPU-8f6d", {}, {"GPU-8f6d", "1", "0000:81:00.0"}, false}};
    const auto named = [](const char* name) {
        return std::vector<GpuWanted>{{name, {}, {}, true}};
    };
    for (const char* name : {"1", "81:00.0"}) {
        auto lock = take(by_hand, named(name));
        QVERIFY(lock);
        QVERIFY2(!take(knows, known), name);
        QVERIFY2(!take(other, named(name)), name);
        lock->remove();
    }
    auto elsewhere = take(by_hand, named("0"));
    QVERIFY(elsewhere);
    auto lock = take(knows, known);
    QVERIFY2(lock, "another index is another GPU for those who know theirs");
    // It may be any of them for those who do not.
    elsewhere->remove();
    QVERIFY(!take(by_hand, named("0")));
    lock->remove();
    QVERIFY(take(by_hand, named("0")));
}

void unit_gpu_lock::no_gpu_needs_no_lock() {
    Locks locks;
    GpuLocks a = locks.of("a");
    auto none = take(a, gpus({""}));
    QVERIFY(none && none->fd() == -1);
    none->remove();
    QVERIFY(take(a, {}));
    QVERIFY(locks.files().isEmpty());
}

void unit_gpu_lock::the_holder_is_described() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    auto held = take(a, gpus({"GPU-1"}));
    auto answer = b.take(gpus({"GPU-0", "GPU-1"}), 8);
    const auto* holder = std::get_if<GpuHolder>(&*answer);
    QVERIFY(holder);
    QCOMPARE(holder->gpu, std::string("GPU-1"));
    QCOMPARE(holder->uid, geteuid());
    QCOMPARE(holder->file, locks.path() + "/" + held->names()[0]);
    QCOMPARE(holder->text->job, 7u);
    QCOMPARE(holder->text->pid, getpid());
    QVERIFY(std::abs(holder->text->since / 1'000'000'000 - QDateTime::currentSecsSinceEpoch()) <
            60);
    const QString sentence = QString::fromStdString(holder_sentence(*holder));
    QVERIFY2(sentence.startsWith("GPU-1 is held by "), qPrintable(sentence));
    QVERIFY2(sentence.contains(": job 7 of /home/a, since 20"), qPrintable(sentence));
    QVERIFY2(sentence.contains("/gpuspool.GPU-1."), qPrintable(sentence));
}

/// What a daemon leaves that was killed between the lock and the claim.
void unit_gpu_lock::what_is_left_behind_is_no_lock_and_goes() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    take(a, gpus({"0", "1"}));
    (void)a.make_ticket({});
    QFile making(locks.directory.filePath(QString(".gpuspool-new.%1.a.n0").arg(geteuid())));
    QVERIFY(making.open(QIODevice::WriteOnly));
    making.close();
    QCOMPARE(locks.files().size(), 4);
    QVERIFY(b.look()->held.empty());
    // Of another spool's, what is being made is left to that.
    QCOMPARE(locks.files(), QStringList(QFileInfo(making).fileName()));
    QVERIFY(a.look()->tickets.empty());
    QVERIFY(locks.files().isEmpty());
    take(a, gpus({"0"}));
    QCOMPARE(locks.files().size(), 1);
    auto lock = take(b, gpus({"0"}));
    QVERIFY(lock);
    QCOMPARE(locks.files().size(), 1);
}

/// The supervisor's copy holds it without the daemon's; its death is seen by the directory's
/// events, also under the name that the file was made without.
void unit_gpu_lock::the_lock_lives_as_long_as_any_copy() {
    for (const Making making : {Making::unnamed, Making::hidden_name}) {
        Locks locks;
        GpuLocks a = locks.of("a", making), b = locks.of("b");
        pid_t supervisor = 0;
        {
            auto lock = take(a, gpus({"0"}));
            supervisor = fork();
            if (supervisor == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                    pause();
            }
        }
        QVERIFY(!take(b, gpus({"0"})));
        const auto scene = a.look();
        QCOMPARE(scene->held.size(), 1u);
        QCOMPARE(scene->held[0].gpu, std::string("0"));
        QCOMPARE(scene->held[0].uid, geteuid());
        const int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        QVERIFY(inotify_add_watch(events, locks.path().c_str(), IN_CLOSE_WRITE) >= 0);
        kill(supervisor, SIGKILL);
        pollfd ready{events, POLLIN, 0};
        QVERIFY2(poll(&ready, 1, 10'000) == 1, "no event on the directory within 10 s");
        close(events);
        QCOMPARE(waitpid(supervisor, nullptr, 0), supervisor);
        // The event comes before the lock is gone, so a look right after it may be too early.
        QTRY_VERIFY(take(b, gpus({"0"})));
    }
}

void unit_gpu_lock::files_can_be_read_by_all() {
    for (const Making making : {Making::unnamed, Making::hidden_name}) {
        Locks locks;
        const mode_t before = umask(0077);
        GpuLocks a = locks.of("a", making);
        auto lock = take(a, gpus({"0"}));
        umask(before);
        struct stat status {};
        QCOMPARE(stat((locks.path() + "/" + lock->names()[0]).c_str(), &status), 0);
        QCOMPARE(status.st_mode & 07777u, 01644u);
        QVERIFY(fcntl(lock->fd(), F_GETFD) & FD_CLOEXEC);
    }
}

/// Anybody may take a read lock on a file that he can read.
void unit_gpu_lock::read_locks_are_nobodys() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    std::string file;
    {
        auto lock = take(a, gpus({"0"}));
        file = locks.path() + "/" + lock->names()[0];
    }
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct flock range {};
    range.l_type = F_RDLCK;
    QCOMPARE(fcntl(fd, F_OFD_SETLK, &range), 0);
    QVERIFY(take(b, gpus({"0"})));
    close(fd);
}

void unit_gpu_lock::a_link_to_another_lock_is_none() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    auto lock = take(a, gpus({"0"}));
    const std::string link = locks.path() + "/gpuspool.1.5.x.y";
    QCOMPARE(::link((locks.path() + "/" + lock->names()[0]).c_str(), link.c_str()), 0);
    QVERIFY(is_write_locked(link));
    QVERIFY(take(b, gpus({"1"})));
    QVERIFY(!take(b, gpus({"0"})));
    QCOMPARE(b.look()->held.size(), 1u);
}

void unit_gpu_lock::what_is_not_understood_stays() {
    Locks locks;
    GpuLocks a = locks.of("a");
    const QString uid = QString::number(geteuid());
    const QStringList names{"gpuspool-ticket." + uid + ".a.m", "gpuspool-two.0",
                            "gpuspool.0." + uid + ".a.n", "other"};
    for (const QString& name : names) {
        QFile file(locks.directory.filePath(name));
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("{\"format\":2}\n");
    }
    QVERIFY(a.look());
    QVERIFY(take(a, gpus({"0"})));
    for (const QString& name : names)
        QVERIFY2(locks.files().contains(name), qPrintable(name));
}

void unit_gpu_lock::tickets() {
    Locks locks;
    GpuLocks a = locks.of("a"), b = locks.of("b");
    auto ticket = a.make_ticket({2, {"GPU-1", "GPU-2"}});
    QVERIFY(ticket);
    auto scene = b.look();
    QCOMPARE(scene->tickets.size(), 1u);
    const spool::GpuTicketSeen seen = scene->tickets[0];
    QCOMPARE(seen.uid, geteuid());
    QCOMPARE(seen.spool, std::string("a"));
    QCOMPARE(seen.wish, (GpuWish{2, {"GPU-1", "GPU-2"}}));
    // Another wish: the same ticket, as old as before.
    QVERIFY(ticket->update({1, {}}));
    scene = b.look();
    QCOMPARE(scene->tickets.size(), 1u);
    QCOMPARE(scene->tickets[0].wish, (GpuWish{1, {}}));
    QCOMPARE(scene->tickets[0].nonce, seen.nonce);
    QCOMPARE(scene->tickets[0].born, seen.born);
    ticket->remove();
    QVERIFY(b.look()->tickets.empty());
    QVERIFY(locks.files().isEmpty());
}

void unit_gpu_lock::directories_that_will_not_do() {
    Locks locks;
    QVERIFY(!GpuLocks::open(locks.path() + "/none", "a", "/a"));
    QCOMPARE(chmod(locks.path().c_str(), 0777), 0);
    const auto open_to_all = GpuLocks::open(locks.path(), "a", "/a");
    QVERIFY(!open_to_all);
    QVERIFY(open_to_all.error().text().find("chmod +t") != std::string::npos);
    QCOMPARE(chmod(locks.path().c_str(), 01777), 0);
    QVERIFY(GpuLocks::open(locks.path(), "a", "/a"));
    qputenv("GPUSPOOL_GPU_LOCKS", "/scratch");
    QCOMPARE(spool::default_gpu_lock_directory(), std::string("/scratch"));
    qunsetenv("GPUSPOOL_GPU_LOCKS");
    const std::string usual = spool::default_gpu_lock_directory();
    QVERIFY(usual == "/run/lock" || usual == "/tmp");
}

void unit_gpu_lock::delays() {
    using std::chrono::milliseconds;
    QCOMPARE(spool::gpu_retry_delay(1, 0).count(), 5);
    QCOMPARE(spool::gpu_retry_delay(1, 1).count(), 15);
    QCOMPARE(spool::gpu_retry_delay(3, 0.5).count(), 40);
    QCOMPARE(spool::gpu_retry_delay(1'000'000, 1).count(), 1500);
    QCOMPARE(spool::gpu_retry_delay(-5, -1).count(), 5);
}
QTEST_GUILESS_MAIN(unit_gpu_lock)
#include "unit_gpu_lock.moc"
