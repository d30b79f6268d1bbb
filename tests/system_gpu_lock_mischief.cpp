// GPU locks between real users, of whom one does what he can to disturb. Needs root, to become
// them.
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/support/lock_users.h"

using test::doing;
using test::first_user;
using test::gpus;
using test::mallory;
using test::open_locks;
using test::Process;
using test::SharedDirectory;
using test::victim;
using test::what_is_found;

namespace {

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

}  // namespace

Q_DECLARE_METATYPE(Mischief)

class system_gpu_lock_mischief : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void mischief_data();
    void mischief();
    void a_read_lock_on_a_dead_mans_file();
    void others_files_are_left_alone();
};

void system_gpu_lock_mischief::initTestCase() {
    if (geteuid() != 0) QSKIP("only root can become several users");
}

void system_gpu_lock_mischief::mischief_data() {
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

void system_gpu_lock_mischief::mischief() {
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
void system_gpu_lock_mischief::a_read_lock_on_a_dead_mans_file() {
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

void system_gpu_lock_mischief::others_files_are_left_alone() {
    SharedDirectory directory;
    doing(mallory, directory, [] { (void)open_locks("m").take(gpus({"0"}), 1); }).kill9();
    const QStringList files = directory.files();
    QCOMPARE(files.size(), 1);
    for (const uid_t user : {uid_t{0}, victim}) {
        QCOMPARE(what_is_found(directory, user), QString("free"));
        QCOMPARE(directory.files(), files);
    }
}

QTEST_GUILESS_MAIN(system_gpu_lock_mischief)
#include "system_gpu_lock_mischief.moc"
