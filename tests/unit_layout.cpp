// The spool directory itself: what is made, what is refused, and who is seen to hold the
// lock.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QtTest>
#include <atomic>
#include <set>
#include <thread>

#include "libspool/job_file.h"
#include "libspool/journal.h"
#include "libspool/layout.h"
#include "libspool/record_store.h"
#include "libspool/system.h"
#include "tests/failing_files.h"
#include "tests/scratch_spool.h"

using spool::DaemonPresence;
using spool::IfMissing;

namespace {

struct Directory {
    QTemporaryDir directory;
    spool::PosixFiles files;
    std::string path = (directory.path() + "/spool").toStdString();

    spool::Result<spool::Spool> open(IfMissing if_missing = IfMissing::create) {
        return spool::open_spool(files, path, if_missing);
    }
    [[nodiscard]] mode_t mode(const std::string& below = "") const {
        struct stat raw {};
        return ::stat((path + below).c_str(), &raw) == 0 ? raw.st_mode & 07777 : 0;
    }
};

constexpr const char* directories[] = {"/incoming",       "/running",    "/done",
                                       "/control",        "/.spool",     "/.spool/records",
                                       "/.spool/scripts", "/.spool/env", "/.spool/tmp"};

spool::Owner owner_of(const std::string& machine) {
    return {"host", machine, "boot", "2026-01-02T03:04:05Z", "0.1", 123, 0};
}

}  // namespace

Q_DECLARE_METATYPE(DaemonPresence)

class UnitLayout : public QObject {
    Q_OBJECT

private slots:
    void a_failed_write_names_its_file();
    void a_new_spool_is_closed_to_others() {
        Directory d;
        const mode_t mask = ::umask(0);
        const auto opened = d.open();
        ::umask(mask);
        QVERIFY(opened.has_value());
        QCOMPARE(d.mode(), mode_t(0700));
        for (const char* directory : directories)
            QCOMPARE(d.mode(directory), mode_t(0700));
        QCOMPARE(d.mode("/.spool/format"), mode_t(0600));
        QCOMPARE(opened->identity.size(), std::size_t(32));
        QCOMPARE(opened->path, d.path);
    }

    void a_spool_keeps_its_identity() {
        Directory d;
        const std::string identity = d.open()->identity;
        QCOMPARE(d.open()->identity, identity);
        QCOMPARE(d.open(IfMissing::fail)->identity, identity);
        Directory other;
        QVERIFY(other.open()->identity != identity);
    }

    void what_is_missing_is_made_only_when_asked_for() {
        Directory d;
        QVERIFY(!d.open(IfMissing::fail).has_value());
        QCOMPARE(d.mode(), mode_t(0));
        QVERIFY(d.open().has_value());
        QCOMPARE(::rmdir((d.path + "/done").c_str()), 0);
        const auto refused = d.open(IfMissing::fail);
        QVERIFY(!refused.has_value());
        QCOMPARE(refused.error().path, d.path + "/done");
        QCOMPARE(refused.error().code, ENOENT);
        QVERIFY(d.open().has_value());
        QCOMPARE(d.mode("/done"), mode_t(0700));
    }

    void what_is_open_to_others_is_refused_data() {
        QTest::addColumn<QString>("below");
        QTest::addColumn<int>("mode");
        for (const int mode : {0701, 0710, 0750, 0755, 0777}) {
            QTest::addRow("spool %o", mode) << "" << mode;
            for (const char* directory : directories)
                QTest::addRow("%s %o", directory, mode) << directory << mode;
        }
    }
    /// The spool itself closes what is below it: `rsync -a` and `tar` change the mode of incoming/.
    void what_is_open_to_others_is_refused() {
        QFETCH(QString, below);
        QFETCH(int, mode);
        Directory d;
        QVERIFY(d.open().has_value());
        const std::string path = d.path + below.toStdString();
        QCOMPARE(::chmod(path.c_str(), static_cast<mode_t>(mode)), 0);
        const auto refused = d.open();
        QCOMPARE(refused.has_value(), !below.isEmpty());
        if (refused) return;
        QCOMPARE(refused.error().path, path);
        QVERIFY(refused.error().message.find("chmod 700 '" + path + "'") != std::string::npos);
        QCOMPARE(d.mode(below.toStdString()), mode_t(mode));  // not repaired
    }

    void an_ancestor_open_to_others_is_refused_data() {
        QTest::addColumn<int>("mode");
        QTest::addColumn<bool>("accepted");
        QTest::newRow("private") << 0700 << true;
        QTest::newRow("readable") << 0755 << true;
        QTest::newRow("group writes") << 0770 << false;
        QTest::newRow("all write") << 0777 << false;
        QTest::newRow("all write, sticky") << 01777 << true;
        QTest::newRow("group writes, sticky") << 01770 << true;
    }
    void an_ancestor_open_to_others_is_refused() {
        QFETCH(int, mode);
        QFETCH(bool, accepted);
        Directory d;
        const std::string ancestor = (d.directory.path() + "/a").toStdString();
        QCOMPARE(::mkdir(ancestor.c_str(), 0700), 0);
        QCOMPARE(::mkdir((ancestor + "/b").c_str(), 0700), 0);
        QCOMPARE(::chmod(ancestor.c_str(), static_cast<mode_t>(mode)), 0);
        d.path = ancestor + "/b/spool";
        const auto opened = d.open();
        QCOMPARE(opened.has_value(), accepted);
        if (!accepted) {
            QCOMPARE(opened.error().path, ancestor);
            QVERIFY(opened.error().message.find("chmod go-w") != std::string::npos);
            QCOMPARE(d.mode(), mode_t(0));
        }
    }

    void a_format_that_is_not_understood_is_refused_data() {
        QTest::addColumn<QByteArray>("format");
        QTest::addColumn<QString>("message");
        QTest::newRow("newer") << QByteArray(R"({"format":2,"spool":"x"})") << "newer";
        QTest::newRow("much newer") << QByteArray(R"({"format":1000})") << "newer";
        QTest::newRow("a text") << QByteArray(R"({"format":"1"})") << "cannot be understood";
        QTest::newRow("none") << QByteArray("{}") << "cannot be understood";
        QTest::newRow("empty") << QByteArray() << "cannot be understood";
        QTest::newRow("torn") << QByteArray("{\"format\":1,\"spo") << "cannot be understood";
        QTest::newRow("identity a number")
            << QByteArray(R"({"format":1,"spool":7})") << "cannot be understood";
        QTest::newRow("format beyond all numbers")
            << QByteArray(R"({"format":18446744073709551615,"spool":"x"})") << "newer";
    }
    void a_format_that_is_not_understood_is_refused() {
        QFETCH(QByteArray, format);
        QFETCH(QString, message);
        Directory d;
        {
            auto spool = d.open();
            QVERIFY(spool::write_atomically(*spool, spool->internal.get(), "format",
                                            format.toStdString(), false));
        }
        const auto refused = d.open();
        QVERIFY(!refused.has_value());
        QVERIFY2(QString::fromStdString(refused.error().text()).contains(message),
                 refused.error().text().c_str());
        QFile file(QString::fromStdString(d.path + "/.spool/format"));
        QVERIFY(file.open(QIODevice::ReadOnly));
        QCOMPARE(file.readAll(), format);
    }

    void many_that_make_one_spool_agree_on_its_identity() {
        Directory d;
        std::vector<std::string> identities(8);
        std::vector<std::thread> threads;
        for (std::string& identity : identities)
            threads.emplace_back([&] {
                spool::PosixFiles files;
                if (const auto opened = spool::open_spool(files, d.path, IfMissing::create))
                    identity = opened->identity;
            });
        for (std::thread& thread : threads)
            thread.join();
        QCOMPARE(std::set<std::string>(identities.begin(), identities.end()).size(),
                 std::size_t(1));
        QCOMPARE(identities[0].size(), std::size_t(32));
    }

    void a_file_is_replaced_whole_or_not_at_all() {
        for (const bool durable : {false, true})
            for (int call = 1;; ++call) {
                ScratchSpoolOn<FailingFiles> s;
                s.put(s.spool.internal, "owner", "old");
                s.files.arm(call, ENOSPC);
                const auto written = spool::write_atomically(s.spool, s.spool.internal.get(),
                                                             "owner", "new", durable);
                const bool reached = s.files.failed();
                s.files.disarm();
                const std::string content = s.get(s.spool.internal, "owner");
                QVERIFY(content == "new" || (!written && content == "old"));
                QCOMPARE(s.count(s.spool.temporary), std::size_t(0));
                if (!reached) {
                    QVERIFY(written.has_value());
                    break;
                }
                QVERIFY(!written.has_value());
            }
    }

    void a_file_that_is_too_large_or_no_file_is_not_read() {
        ScratchSpool s;
        s.put(s.spool.internal, "file", "12345");
        QCOMPARE(spool::read_whole(s.files, s.spool.internal.get(), "file", 5).value_or(""),
                 std::string("12345"));
        QVERIFY(!spool::read_whole(s.files, s.spool.internal.get(), "file", 4));
        QVERIFY(!spool::read_whole(s.files, s.spool.internal.get(), "env"));
        QCOMPARE(::mkfifo((s.spool.path + "/fifo").c_str(), 0600), 0);
        QVERIFY(!spool::read_whole(s.files, s.spool.root.get(), "fifo"));  // and does not hang
        QVERIFY(s.files.make_symlink(s.spool.root.get(), "link", ".spool/file").has_value());
        QVERIFY(!spool::read_whole(s.files, s.spool.root.get(), "link"));
    }

    void the_lock_says_whether_a_daemon_runs() {
        ScratchSpool s;
        const auto presence = [&] { return spool::daemon_presence(s.spool, s.clock).value(); };
        QVERIFY(presence() == DaemonPresence::stopped);
        auto lock =
            spool::open_file(s.files, s.spool.internal.get(), "lock", spool::OpenMode::create);
        QVERIFY(presence() == DaemonPresence::stopped);
        QVERIFY(s.files.lock(lock->get()).value_or(false));
        QVERIFY(presence() == DaemonPresence::running);
        // Asking does not take it, nor let go of it.
        auto second =
            spool::open_file(s.files, s.spool.internal.get(), "lock", spool::OpenMode::create);
        QVERIFY(!s.files.lock(second->get()).value_or(true));
        second->reset();
        QVERIFY(presence() == DaemonPresence::running);
        lock->reset();
        QVERIFY(presence() == DaemonPresence::stopped);
    }

    void another_host_is_judged_by_its_heartbeat_data() {
        QTest::addColumn<bool>("this_machine");
        QTest::addColumn<int>("seconds");
        QTest::addColumn<DaemonPresence>("presence");
        QTest::newRow("now") << false << 0 << DaemonPresence::other_host_running;
        QTest::newRow("119 s ago") << false << 119 << DaemonPresence::other_host_running;
        QTest::newRow("121 s ago") << false << 121 << DaemonPresence::other_host_silent;
        QTest::newRow("this machine") << true << 0 << DaemonPresence::stopped;
    }
    void another_host_is_judged_by_its_heartbeat() {
        QFETCH(bool, this_machine);
        QFETCH(int, seconds);
        QFETCH(DaemonPresence, presence);
        ScratchSpool s;
        const auto owner = owner_of(this_machine ? *spool::machine_id() : "another");
        QVERIFY(spool::write_owner(s.spool, owner).has_value());
        const auto read = spool::read_owner(s.spool);
        QVERIFY(read && read->machine_id == owner.machine_id && read->pid == 123);
        s.clock.now = read->heartbeat + seconds * 1'000'000'000LL;
        QVERIFY(spool::daemon_presence(s.spool, s.clock).value() == presence);
    }
};

void UnitLayout::a_failed_write_names_its_file() {
    spool::PosixFiles files;
    const auto directory = spool::PosixFiles::open_root("/dev");
    QVERIFY(directory.has_value());
    const spool::OpenFile held(files, *directory);
    const auto file = spool::open_file(files, held.get(), "full", spool::OpenMode::append);
    QVERIFY(file.has_value());
    const auto written = files.write(file->get(), 0, "x");
    QVERIFY(!written.has_value());
    QCOMPARE(written.error().text(), std::string("/dev/full: write: No space left on device"));
}

QTEST_GUILESS_MAIN(UnitLayout)
#include "unit_layout.moc"
