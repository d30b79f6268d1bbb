// GPU locks between real users: processes of several uids race for a few GPUs, and one of them
// does what he can to disturb. Needs root, to become them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>
#include <atomic>
#include <csignal>
#include <functional>
#include <random>

#include "libspool/gpu_lock.h"

using spool::GpuHolder;
using spool::GpuLock;
using spool::GpuLocks;
using spool::GpuWanted;

namespace {

constexpr uid_t first_user = 61001, victim = 61001, mallory = 61002;

/// A directory like /run/lock, not below one that only root may enter.
class SharedDirectory {
public:
    QTemporaryDir scratch{QDir::tempPath() + "/gpuspool-locks-XXXXXX"};
    std::string path = scratch.path().toStdString();
    SharedDirectory() { chmod(path.c_str(), 01777); }
    ~SharedDirectory() { chmod(path.c_str(), 0700); }
    [[nodiscard]] QStringList files() const {
        return QDir(scratch.path())
            .entryList(QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot);
    }
    SharedDirectory(const SharedDirectory&) = delete;
    SharedDirectory& operator=(const SharedDirectory&) = delete;
};

/// A process of that user, in the directory. Killed at the end.
class Process {
public:
    Process(uid_t user, const std::string& directory, const std::function<void()>& run) {
        pid_ = fork();
        if (pid_ != 0) return;
        alarm(240);
        if (chdir(directory.c_str()) != 0 || setresgid(user, user, user) != 0 ||
            setresuid(user, user, user) != 0)
            _exit(120);
        // After the change of user, which undoes it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        umask(022);
        run();
        _exit(0);
    }
    ~Process() {
        if (pid_ > 0) kill9();
    }
    Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Process& operator=(Process&&) = delete;

    /// Its exit code; a signal as 128 and its number.
    int wait() {
        int status = 0;
        while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    void kill9() {
        kill(pid_, SIGKILL);
        wait();
    }

private:
    pid_t pid_ = -1;
};

/// Memory that all processes share.
template <typename T>
class Shared {
public:
    Shared()
        : memory_(
              mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) qFatal("mmap");
        new (memory_) T();
    }
    ~Shared() { munmap(memory_, sizeof(T)); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    T* operator->() const { return static_cast<T*>(memory_); }

private:
    void* memory_;
};

GpuLocks open_locks(const std::string& mark) {
    auto locks = GpuLocks::open(".", mark, "/home/" + mark);
    if (!locks) qFatal("%s", locks.error().text().c_str());
    return std::move(*locks);
}

std::vector<GpuWanted> gpus(const std::vector<std::string>& ids) {
    std::vector<GpuWanted> all;
    for (const std::string& id : ids)
        all.push_back({id, {}});
    return all;
}

// ---- The race ------------------------------------------------------------------------------

constexpr int race_gpus = 4;

/// Who has which GPU by the racers' own account, independent of lock files.
struct Account {
    std::atomic<int> holder[race_gpus]{};
    std::atomic<int> twice{0}, grants{0}, refusals{0}, errors{0};
    std::atomic<bool> go{false};

    void enter(int gpu, int who) {
        int nobody = 0;
        if (!holder[gpu].compare_exchange_strong(nobody, who)) ++twice;
    }
    void leave(int gpu, int who) {
        int expected = who;
        if (!holder[gpu].compare_exchange_strong(expected, 0)) ++twice;
    }
};

void race(Account& account, int who, int rounds) {
    GpuLocks locks = open_locks("s" + std::to_string(who));
    std::mt19937 random(static_cast<unsigned>(who));
    while (!account.go) {
    }
    for (int round = 0; round < rounds; ++round) {
        const int one = static_cast<int>(random() % race_gpus);
        std::vector<int> wanted{one};
        if (random() % 4 == 0) wanted.push_back((one + 1) % race_gpus);
        std::vector<std::string> ids;
        for (const int gpu : wanted)
            ids.push_back(std::to_string(gpu));
        auto answer = locks.take(gpus(ids), 1);
        if (!answer) {
            ++account.errors;
            continue;
        }
        auto* lock = std::get_if<GpuLock>(&*answer);
        ++(lock ? account.grants : account.refusals);
        if (!lock) continue;
        for (const int gpu : wanted)
            account.enter(gpu, who);
        if (random() % 8 == 0) sched_yield();
        for (const int gpu : wanted)
            account.leave(gpu, who);
        lock->remove();
    }
}

// ---- Mischief ------------------------------------------------------------------------------

const std::string lock_name = "gpuspool.0.61002.m.n0";

int make_file(const std::string& name, mode_t mode = 0644) {
    const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, mode);
    if (fd < 0) qFatal("cannot make %s", name.c_str());
    return fd;
}

void lock_file(int fd, short type = F_WRLCK) {
    struct flock range {};
    range.l_type = type;
    range.l_len = 1;
    if (fcntl(fd, F_OFD_SETLK, &range) != 0) qFatal("cannot lock");
}

void make_locked(const std::string& name, const std::string& text = {}) {
    const int fd = make_file(name);
    if (write(fd, text.data(), text.size()) < 0) qFatal("write");
    lock_file(fd);
}

void make_many(int count, bool locked) {
    for (int i = 0; i < count; ++i) {
        const int fd = make_file("gpuspool.0.61002.m.n" + std::to_string(i));
        if (locked && i == count - 1)
            lock_file(fd);
        else
            close(fd);
    }
}

void make_socket() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, lock_name.c_str(), sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) qFatal("bind");
}

void hold_lease() {
    signal(SIGIO, SIG_IGN);
    if (fcntl(make_file(lock_name), F_SETLEASE, F_WRLCK) != 0) qFatal("lease");
}

void must(int result) {
    if (result != 0) qFatal("%s", strerror(errno));
}

struct Mischief {
    std::function<void()> make;
};

/// What the victim finds when he wants GPU 0: "free", or the sentence why not.
void try_to_take(int answer_fd, const std::vector<GpuWanted>& wanted) {
    alarm(20);
    GpuLocks locks = open_locks("v");
    std::string text = "free";
    auto answer = locks.take(wanted, 1);
    if (!answer)
        text = "error: " + answer.error().text();
    else if (const auto* holder = std::get_if<GpuHolder>(&*answer))
        text = holder_sentence(*holder);
    else
        std::get<GpuLock>(*answer).remove();
    if (!locks.look()) text += ", and look() fails";
    if (write(answer_fd, text.data(), text.size()) < 0) _exit(1);
}

QString what_is_found(const SharedDirectory& directory, uid_t user = victim,
                      const std::vector<GpuWanted>& wanted = gpus({"0"})) {
    int ends[2];
    if (pipe(ends) != 0) qFatal("pipe");
    Process process(user, directory.path, [&] { try_to_take(ends[1], wanted); });
    const int code = process.wait();
    close(ends[1]);
    char buffer[4096];
    const ssize_t size = read(ends[0], buffer, sizeof buffer);
    close(ends[0]);
    if (code != 0) return QString("ended with %1").arg(code);
    return QString::fromUtf8(buffer, size);
}

/// A process that does that, and then goes on to hold what it has.
Process doing(uid_t user, const SharedDirectory& directory, const std::function<void()>& make) {
    int ends[2];
    if (pipe(ends) != 0) qFatal("pipe");
    Process process(user, directory.path, [&] {
        make();
        if (write(ends[1], "x", 1) != 1) _exit(1);
        close(ends[1]);
        for (;;)
            pause();
    });
    close(ends[1]);
    char ready = 0;
    if (read(ends[0], &ready, 1) != 1) qFatal("the other user's process has failed");
    close(ends[0]);
    return process;
}

}  // namespace

Q_DECLARE_METATYPE(Mischief)

class system_gpu_lock : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void nobody_has_a_gpu_twice_data();
    void nobody_has_a_gpu_twice();
    void mischief_data();
    void mischief();
    void a_read_lock_on_a_dead_mans_file();
    void a_killed_holder_frees_it();
    void others_files_are_left_alone();
};

void system_gpu_lock::initTestCase() {
    if (geteuid() != 0) QSKIP("only root can become several users");
}

void system_gpu_lock::nobody_has_a_gpu_twice_data() {
    QTest::addColumn<int>("users");
    QTest::addColumn<int>("rounds");
    QTest::newRow("two") << 2 << 8000;
    QTest::newRow("five") << 5 << 4000;
}

void system_gpu_lock::nobody_has_a_gpu_twice() {
    QFETCH(int, users);
    QFETCH(int, rounds);
    SharedDirectory directory;
    Shared<Account> account;
    std::vector<Process> racers;
    for (int i = 1; i <= users; ++i)
        racers.emplace_back(first_user + static_cast<uid_t>(i), directory.path,
                            [&, i] { race(*account.operator->(), i, rounds); });
    account->go = true;
    for (Process& racer : racers)
        QCOMPARE(racer.wait(), 0);
    QCOMPARE(account->twice.load(), 0);
    QCOMPARE(account->errors.load(), 0);
    // They did meet, and did get on.
    QVERIFY2(account->refusals > rounds / 100, qPrintable(QString::number(account->refusals)));
    QVERIFY2(account->grants > rounds / 10, qPrintable(QString::number(account->grants)));
    QCOMPARE(directory.files(), QStringList());
}

void system_gpu_lock::mischief_data() {
    QTest::addColumn<Mischief>("mischief");
    QTest::addColumn<QString>("found");  // in what the victim is told
    const auto row = [](const char* name, const std::function<void()>& make, const char* found) {
        QTest::newRow(name) << Mischief{make} << found;
    };
    const char* const held = "0 is held by user 61002: it does not say for what";
    const char* const unknown = "0 counts as held by user 61002, whose";
    row(
        "nothing", [] {}, "free");
    row(
        "a lock", [] { make_locked(lock_name); }, held);
    row(
        "no lock", [] { close(make_file(lock_name)); }, "free");
    row(
        "another uid in the name", [] { make_locked("gpuspool.0.61003.m.n"); }, held);
    row(
        "the victim's uid and spool", [] { make_locked("gpuspool.0.61001.v.n"); }, held);
    row(
        "a name that is none", [] { make_locked("gpuspool.0.x.m.n"); }, "free");
    row(
        "a fifo", [] { must(mkfifo(lock_name.c_str(), 0644)); }, "free");
    row(
        "a directory", [] { must(mkdir(lock_name.c_str(), 0755)); }, "free");
    row("a socket", make_socket, "free");
    row(
        "a link to nothing", [] { must(symlink("none", lock_name.c_str())); }, "free");
    row(
        "a link to itself", [] { must(symlink(lock_name.c_str(), lock_name.c_str())); }, "free");
    row(
        "a link to a terminal", [] { must(symlink("/dev/tty", lock_name.c_str())); }, "free");
    row(
        "a link to endless zeros", [] { must(symlink("/dev/zero", lock_name.c_str())); }, "free");
    row(
        "a link to a lock",
        [] {
            make_locked("elsewhere");
            must(symlink("elsewhere", lock_name.c_str()));
        },
        "free");
    row(
        "a huge file", [] { must(ftruncate(make_file(lock_name), 1LL << 40)); }, "free");
    row(
        "a huge lock",
        [] {
            const int fd = make_file(lock_name);
            must(ftruncate(fd, 1LL << 40));
            lock_file(fd);
        },
        held);
    row(
        "nobody may read it", [] { close(make_file(lock_name, 0)); }, unknown);
    row("a lease", hold_lease, unknown);
    row(
        "a read lock", [] { lock_file(make_file(lock_name), F_RDLCK); }, "free");
    row(
        "deep JSON", [] { make_locked(lock_name, std::string(100'000, '[')); }, held);
    row(
        "control characters",
        [] {
            make_locked(lock_name,
                        R"({"nonce":"n0","gpus":["0"],"spool":"\u001b[31m\u202e","job":1})");
        },
        "of \\x1B[31m");
    row(
        "a lie about its name",
        [] { make_locked(lock_name, R"({"nonce":"n0","gpus":["1"],"spool":"/home/v","job":1})"); },
        "free");
    row(
        "some hundred files", [] { make_many(250, false); }, "free");
    row(
        "some hundred files, one locked", [] { make_many(250, true); }, held);
    row(
        "a flood", [] { make_many(20'000, false); }, "are too many to be examined, most of them");
    row(
        "tickets without sense",
        [] {
            make_locked("gpuspool-ticket.61002.m.n", R"({"nonce":"n","wants":-3,"gpus":["x"]})");
            make_locked("gpuspool-ticket.61002.m.o", "nonsense");
            must(mkfifo("gpuspool-ticket.61002.m.p", 0644));
        },
        "free");
}

void system_gpu_lock::mischief() {
    QFETCH(Mischief, mischief);
    QFETCH(QString, found);
    SharedDirectory directory;
    const Process process = doing(mallory, directory, mischief.make);
    const QString told = what_is_found(directory);
    QVERIFY2(found == "free" ? told == found : told.contains(found), qPrintable(told));
    // Other GPUs are not concerned.
    QCOMPARE(what_is_found(directory, victim, gpus({"1"})), QString("free"));
}

/// The victim's own file, which its supervisor has left, is not held by somebody who reads it.
void system_gpu_lock::a_read_lock_on_a_dead_mans_file() {
    SharedDirectory directory;
    doing(victim, directory, [] { (void)open_locks("v").take(gpus({"0"}), 1); }).kill9();
    const QStringList files = directory.files();
    QCOMPARE(files.size(), 1);
    const std::string file = files[0].toStdString();
    const Process process = doing(mallory, directory, [&] {
        const int fd = open(file.c_str(), O_RDONLY);
        lock_file(fd, F_RDLCK);
        if (open(file.c_str(), O_RDWR) >= 0) qFatal("another user may write it");
        if (unlink(file.c_str()) == 0) qFatal("another user may remove it");
    });
    QCOMPARE(what_is_found(directory, first_user + 5), QString("free"));
    QCOMPARE(what_is_found(directory), QString("free"));
    QCOMPARE(directory.files(), QStringList());
}

void system_gpu_lock::a_killed_holder_frees_it() {
    SharedDirectory directory;
    Process holder = doing(mallory, directory, [] {
        static auto kept = open_locks("m").take(gpus({"0", "1"}), 42);
        if (!kept || !std::get_if<GpuLock>(&*kept)) qFatal("not taken");
    });
    const QString told = what_is_found(directory);
    QVERIFY2(told.startsWith("0 is held by user 61002: job 42 of /home/m, since 20"),
             qPrintable(told));
    // Shared within a spool of one user only.
    QVERIFY(what_is_found(directory, first_user + 5, gpus({"1"})).contains("job 42"));
    holder.kill9();
    QCOMPARE(what_is_found(directory), QString("free"));
}

void system_gpu_lock::others_files_are_left_alone() {
    SharedDirectory directory;
    doing(mallory, directory, [] { (void)open_locks("m").take(gpus({"0"}), 1); }).kill9();
    const QStringList files = directory.files();
    QCOMPARE(files.size(), 1);
    for (const uid_t user : {uid_t{0}, victim}) {
        QCOMPARE(what_is_found(directory, user), QString("free"));
        QCOMPARE(directory.files(), files);
    }
}

QTEST_GUILESS_MAIN(system_gpu_lock)
#include "system_gpu_lock.moc"
