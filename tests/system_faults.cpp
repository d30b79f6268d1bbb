// The machine's own faults: no space, no events, too many events. The daemon says why, keeps what
// runs, and goes on when it is over.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QProcess>
#include <QtTest>

#include "tests/support/look.h"

using namespace std::chrono_literals;

namespace {

/// A small file system of its own, gone with the object.
class SmallDisk {
public:
    explicit SmallDisk(const char* options) {
        mounted_ = directory_.isValid() &&
                   mount("tmpfs", path().constData(), "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
    }
    ~SmallDisk() {
        if (mounted_) umount2(path().constData(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    [[nodiscard]] bool is_mounted() const { return mounted_; }
    [[nodiscard]] QByteArray path() const { return directory_.path().toUtf8(); }

private:
    QTemporaryDir directory_;
    bool mounted_ = false;
};

int results_in(const TestSpool& spool) {
    const auto names = names_in(spool, "done");
    return static_cast<int>(std::count_if(
        names.begin(), names.end(), [](const QByteArray& name) { return name.endsWith(".json"); }));
}

bool stop_process(const TestSpool& spool) {
    return kill(static_cast<pid_t>(spool.pid()), SIGSTOP) == 0;
}

bool continue_process(const TestSpool& spool) {
    return kill(static_cast<pid_t>(spool.pid()), SIGCONT) == 0;
}

/// A user id that nobody has.
int fresh_user() {
    return 200'000 + getpid() % 100'000;
}

}  // namespace

class FaultsTest : public QObject {
    Q_OBJECT

private slots:
    void a_full_disk_costs_no_exit_code();
    void jobs_dropped_on_a_full_disk_run_later();
    void no_inodes_left();
    void an_overflow_of_events_loses_nothing();
    void many_jobs_at_once_are_all_run_once();
    void without_inotify_the_spool_is_polled();
};

void FaultsTest::a_full_disk_costs_no_exit_code() {
    const SmallDisk disk("size=4m");
    if (!disk.is_mounted()) QSKIP("a file system cannot be mounted here");
    TestSpool spool(disk.path());
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("x.job",
                       "echo started\nuntil [ -e ~/go ]; do sleep 0.05; done\n"
                       "cat /dev/zero > ~/fill 2> /dev/null || true\nexit 7\n"));
    QVERIFY(spool.drop("y.job",
                       "echo started\nuntil [ -s ~/fill ]; do sleep 0.05; done\nsleep 1\n"
                       "head -c 100000 /dev/zero || true\nkill -9 $$\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(wait_for_log(spool, "y", "started"));
    QVERIFY(write_home_file(spool, "go", {}));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, ".job") == 0; }, "both to end"));
    QVERIFY(!spool.exists("done/x.json") || spool.result("x")["exit_code"].toInt() == 7);
    // The daemon may be killed meanwhile.
    spool.kill9();
    QVERIFY(QFile::remove(spool.scratch("fill")));
    QVERIFY(spool.start({"--gpus", "0,1"}));
    const QJsonObject x = spool.wait_for_result("x");
    QCOMPARE(x["state"].toString(), "failed");
    QCOMPARE(x["exit_code"].toInt(), 7);
    const QJsonObject y = spool.wait_for_result("y");
    QCOMPARE(y["state"].toString(), "failed");
    QCOMPARE(y["signal"].toInt(), SIGKILL);
}

void FaultsTest::jobs_dropped_on_a_full_disk_run_later() {
    const SmallDisk disk("size=4m");
    if (!disk.is_mounted()) QSKIP("a file system cannot be mounted here");
    // What is executed is noted where there is room, with whether there was room here.
    QTemporaryDir beside;
    const QByteArray ran = beside.filePath("ran").toUtf8();
    const auto job = [&](const QByteArray& name) {
        return "if [ -e ~/fill ]; then echo " + name + " full; else echo " + name + "; fi >> " +
               ran + "\n";
    };
    TestSpool spool(disk.path());
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(spool.drop("first.job",
                       "echo started\nuntil [ -e /proc/self ] && [ ! -e ~/fill ]; do "
                       "sleep 0.05; done\nexit 5\n"));
    QVERIFY(write_home_file(spool, "next", job("next")));
    QVERIFY(write_home_file(spool, "last", job("last")));
    spool.run("/bin/sh", {"-c", "cat /dev/zero > fill"});
    for (int i = 0; i < 3; ++i)  // the last free pages, by those who need little
        spool.run("/bin/sh", {"-c", "cat /dev/zero >> fill"});
    QVERIFY(shell(spool, "mv next $I/next.job; mv last $I/last.job"));
    const auto executed = [&] {
        QFile file(ran);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    };
    QVERIFY(spool.wait_for(
        [&] {
            return spool.daemon_log().contains("No space left") ||
                   problems_of(spool).contains("No space left") ||
                   executed() == "next full\nlast full\n";
        },
        "a word about it, or both to be executed all the same"));
    QVERIFY(spool.is_running());
    QVERIFY(QFile::remove(spool.scratch("fill")));
    for (const char* name : {"next", "last"}) {
        const QJsonObject result = spool.wait_for_result(name);
        QCOMPARE(result["state"].toString(), "succeeded");
        QVERIFY(!spool.exists(QString("done/%1~2.json").arg(name)));
        QCOMPARE(executed().count(name), 1);
    }
    QCOMPARE(spool.wait_for_result("first")["exit_code"].toInt(), 5);
    QVERIFY(spool.wait_for([&] { return problems_of(spool).isEmpty(); }, "no problem any more"));
}

void FaultsTest::no_inodes_left() {
    const SmallDisk disk("size=64m,nr_inodes=200");
    if (!disk.is_mounted()) QSKIP("a file system cannot be mounted here");
    TestSpool spool(disk.path());
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("x.job", "echo started\nuntil [ -e ~/go ]; do sleep 0.05; done\nexit 7\n"));
    QVERIFY(wait_for_log(spool, "x", "started"));
    QVERIFY(write_home_file(spool, "go.tmp", {}));
    QVERIFY(write_home_file(spool, "next", "true\n"));
    spool.run("/bin/bash", {"-c", "mkdir many; i=0; while : > many/$((i++)); do :; done 2>&-"});
    QVERIFY(shell(spool, "mv go.tmp go; mv next $I/next.job"));
    QVERIFY(spool.wait_for([&] { return processes_with(spool, "x.job") == 0; }, "x to end"));
    QVERIFY(spool.is_running());
    QVERIFY(shell(spool, "rm -rf many"));
    QCOMPARE(spool.wait_for_result("x")["exit_code"].toInt(), 7);
    QCOMPARE(spool.wait_for_result("next")["state"].toString(), "succeeded");
}

void FaultsTest::an_overflow_of_events_loses_nothing() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0"}));
    QVERIFY(spool.drop("before.job", "true\n"));
    QVERIFY(!spool.wait_for_result("before").isEmpty());
    QVERIFY(stop_process(spool));
    QVERIFY(shell(spool,
                  "mkdir -p t; python3 -c 'import os,sys\n"
                  "for i in range(20000): os.close(os.open(f\"{sys.argv[1]}/.t{i}\", "
                  "os.O_CREAT | os.O_WRONLY))' $I"));
    QVERIFY(spool.drop("x.job", "echo one >> ~/ran\n"));
    QVERIFY(spool.write_in_place("y.job", "echo one >> ~/ran\n"));
    QElapsedTimer since;
    since.start();
    QVERIFY(continue_process(spool));
    QCOMPARE(spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(spool.wait_for_result("y")["state"].toString(), "succeeded");
    // Sooner than the slow rescan would have found them.
    QVERIFY2(since.elapsed() < 25'000, qPrintable(QString::number(since.elapsed())));
    QCOMPARE(home_file(spool, "ran"), "one\none\n");
    QCOMPARE(names_in(spool, "incoming").size(), 20'000);
    QVERIFY(spool.drop("z.job", "true\n"));
    QCOMPARE(spool.wait_for_result("z")["state"].toString(), "succeeded");
}

void FaultsTest::many_jobs_at_once_are_all_run_once() {
    constexpr int count = 1000;
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    QVERIFY(stop_process(spool));
    QVERIFY(shell(spool, QString("python3 -c 'import sys\n"
                                 "for i in range(%1):\n"
                                 "    with open(f\"{sys.argv[1]}/j{i}.job\", \"w\") as f:\n"
                                 "        f.write(f\"#!/bin/sh\\necho {i} >> ~/ran\\n\")' $I")
                             .arg(count)));
    QVERIFY(continue_process(spool));
    QVERIFY(spool.wait_for([&] { return results_in(spool) >= count / 4; }, "a quarter", 120s));
    spool.kill9();
    QVERIFY(spool.start({"--cpu-slots", "4"}));
    QVERIFY(spool.wait_for([&] { return results_in(spool) >= count; }, "all to end", 240s));
    const QByteArrayList ran = home_file(spool, "ran").trimmed().split('\n');
    QCOMPARE(ran.size(), count);
    QCOMPARE(QSet<QByteArray>(ran.begin(), ran.end()).size(), count);
    QSet<int> numbers;
    for (int i = 0; i < count; ++i) {
        const QJsonObject result = spool.result(QString("j%1").arg(i));
        QCOMPARE(result["state"].toString(), "succeeded");
        numbers.insert(result["id"].toInt());
    }
    QCOMPARE(numbers.size(), count);
    QCOMPARE(names_in(spool, "incoming"), QList<QByteArray>());
    QVERIFY(spool.wait_for([&] { return names_in(spool, "running").isEmpty(); }, "running/"));
}

void FaultsTest::without_inotify_the_spool_is_polled() {
    if (geteuid() != 0) QSKIP("only root can run the daemon as a fresh user");
    if (QStandardPaths::findExecutable("setpriv").isEmpty()) QSKIP("setpriv is not installed");
    TestSpool spool;
    const QString user = QString::number(fresh_user());
    const QStringList as_user = {"--reuid", user, "--regid", user, "--clear-groups", "--"};
    QVERIFY(QFile::copy(SPOOLD, spool.scratch("spoold")));
    QVERIFY(QFile::copy(SPOOL_EXEC, spool.scratch("spool-exec")));
    QVERIFY(shell(spool, "chown -R " + user + ":" + user + " ~/.."));
    spool.environment.insert("GPUSPOOL_EXEC", spool.scratch("spool-exec"));

    QProcess hog;  // uses up what the user may have
    hog.setProcessEnvironment(spool.environment);
    hog.start("setpriv", as_user + QStringList{"/usr/bin/python3", "-c",
                                               "import ctypes, time\n"
                                               "c = ctypes.CDLL(None)\n"
                                               "while c.inotify_init() >= 0: pass\n"
                                               "print('full', flush=True)\n"
                                               "time.sleep(1000)\n"});
    QVERIFY2(hog.waitForReadyRead(), hog.readAllStandardError());
    QProcess daemon;
    daemon.setProcessEnvironment(spool.environment);
    daemon.setProcessChannelMode(QProcess::ForwardedChannels);
    daemon.start("setpriv",
                 as_user + QStringList{spool.scratch("spoold"), "--foreground", "--gpus", "0"});
    const bool told = wait_for_problem(spool, "max_user_instances");
    const bool dropped =
        shell(spool, "echo 'echo one' > x.job; chown " + user + " x.job; mv x.job $I/");
    const QJsonObject result = spool.wait_for_result("x");
    daemon.terminate();
    hog.kill();
    QVERIFY(daemon.waitForFinished() && hog.waitForFinished());
    QVERIFY(told && dropped);
    QCOMPARE(result["state"].toString(), "succeeded");
    QCOMPARE(spool.read("done/x.log"), "one\n");
}

QTEST_GUILESS_MAIN(FaultsTest)
#include "system_faults.moc"
