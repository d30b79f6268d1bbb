// gpuspool doctor in made-up set-ups: what it finds, the command that mends it, and its exit code.
#include <unistd.h>

#include <QtTest>

#include "tests/support/look.h"

namespace {

enum class Daemon { none, runs };

const QString hal =
    "sed -i -E 's/\"machine_id\":\"[^\"]*\"/\"machine_id\":\"0123456789abcdef\"/; "
    "s/\"host\":\"[^\"]*\"/\"host\":\"hal9000\"/' $GPUSPOOL_DIR/.spool/owner; ";

/// A program that finds itself in another world: what comes before it there.
QStringList in_namespace(const QStringList& unshare, const QString& changes) {
    return QStringList{"/usr/bin/unshare"} + unshare +
           QStringList{"/bin/bash", "-euc", changes + "\nexec \"$@\"", "bash"};
}

bool works(const TestSpool& spool, const QStringList& wrapper) {
    const QStringList command = wrapper + QStringList{"/bin/true"};
    return spool.run(command.first(), command.mid(1)).exit_code == 0;
}

Finished doctor(const TestSpool& spool, const QStringList& wrapper = {}) {
    const QStringList command = wrapper + QStringList{GPUSPOOL, "doctor"};
    return spool.run(command.first(), command.mid(1));
}

}  // namespace

class SystemDoctor : public QObject {
    Q_OBJECT
private slots:
    void a_good_set_up_has_nothing_bad();
    void findings_data();
    void findings();
    void in_other_worlds_data();
    void in_other_worlds();
    void lingering_data();
    void lingering();
};

void SystemDoctor::a_good_set_up_has_nothing_bad() {
    TestSpool spool;
    QVERIFY(spool.start({"--gpus", "0,1"}));
    QVERIFY(shell(spool, "echo '{}' > $GPUSPOOL_DIR/config.json"));
    const Finished done = doctor(spool);
    QVERIFY2(done.exit_code == 0, done.out);
    QVERIFY2(!done.out.contains("BAD"), done.out);
    for (const QByteArray& line :
         {"ok    spool " + spool.path().toUtf8() + ": there, yours, closed to others",
          "ok    spoold runs, process " + QByteArray::number(spool.pid()),
          QByteArray("/config.json is well formed"), QByteArray("ok    2 GPU slots in the pool"),
          QByteArray("ok    inotify can be had"), QByteArray("ok    supervisor " SPOOL_EXEC)})
        QVERIFY2(done.out.contains(line), line + " is not in\n" + done.out);
}

void SystemDoctor::findings_data() {
    QTest::addColumn<Daemon>("daemon");
    QTest::addColumn<QString>("set_up");
    QTest::addColumn<int>("code");
    QTest::addColumn<QByteArray>("finding");
    QTest::addColumn<QByteArray>("remedy");
    const auto row = [](const char* name, Daemon daemon, const QString& set_up, int code,
                        const char* finding, const char* remedy) {
        QTest::newRow(name) << daemon << set_up << code << QByteArray(finding)
                            << QByteArray(remedy);
    };
    row("no daemon", Daemon::none, "", 1, "BAD   no daemon runs: jobs wait", "→ spoold\n");
    row("no spool", Daemon::none, "rm -r $GPUSPOOL_DIR", 1, "BAD ", "start spoold");
    row("open to others", Daemon::none, "chmod 755 $GPUSPOOL_DIR", 1, "BAD ", "chmod 700 ");
    row("newer format", Daemon::none,
        "sed -i 's/\"format\":1/\"format\":2/' $GPUSPOOL_DIR/.spool/format", 1, "BAD ",
        "newer gpuspool");
    row("unknown setting", Daemon::runs,
        "printf '{\\n \"gpu\": [0]\\n}\\n' > $GPUSPOOL_DIR/config.json", 1, "config.json:2",
        "gpus");
    row("broken settings", Daemon::runs, "printf '{\\n oops' > $GPUSPOOL_DIR/config.json", 1,
        "config.json:2", "→ mend that line");
    row("paused", Daemon::runs, "echo until noon > $GPUSPOOL_DIR/control/pause", 0,
        "note  the queue is paused: until noon", "→ gpuspool resume\n");
    row("a file that is no job", Daemon::runs, "touch $I/notes.txt", 0,
        "note  incoming/notes.txt: ", "");
    row("two clocks", Daemon::none, "touch -d '+2 hours' $GPUSPOOL_DIR/.spool", 1,
        "note  the spool's files are dated in the future", "→ timedatectl set-ntp true");
    row("another host's", Daemon::none, hal + "touch $GPUSPOOL_DIR/.spool/owner", 0,
        "ok    the daemon on hal9000 has this spool (heard of just now)", "");
    row("a silent host's", Daemon::none, hal + "touch -d '-1 hour' $GPUSPOOL_DIR/.spool/owner", 1,
        "BAD   this spool is in the hands of hal9000, whose daemon was last heard of 1 h ago",
        "spoold --take-over");
}

void SystemDoctor::findings() {
    QFETCH(Daemon, daemon);
    QFETCH(QString, set_up);
    QFETCH(int, code);
    QFETCH(QByteArray, finding);
    QFETCH(QByteArray, remedy);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    if (daemon == Daemon::none) QVERIFY(spool.stop());
    QVERIFY(shell(spool, set_up));
    Finished done;
    QVERIFY2(spool.wait_for(
                 [&] {
                     done = doctor(spool);
                     return done.exit_code == code && done.out.contains(finding);
                 },
                 finding),
             done.out);
    QVERIFY2(done.out.contains(remedy), done.out);
    QCOMPARE(done.out.contains("BAD "), code != 0);
}

void SystemDoctor::in_other_worlds_data() {
    QTest::addColumn<QStringList>("world");
    QTest::addColumn<int>("code");
    QTest::addColumn<QByteArray>("finding");
    QTest::addColumn<QByteArray>("remedy");
    QTest::newRow("no inotify") << in_namespace({"-U", "-r"},
                                                "echo 0 > /proc/sys/user/max_inotify_instances")
                                << 0 << QByteArray("note  no inotify instance is left")
                                << QByteArray("→ sudo sysctl fs.inotify.max_user_instances=");
    QTest::newRow("no supervisor")
        << QStringList{"/usr/bin/env", "GPUSPOOL_EXEC=/nowhere/spool-exec"} << 1
        << QByteArray("BAD   the supervisor of jobs, /nowhere/spool-exec, cannot be executed")
        << QByteArray("→ install gpuspool again: packaging/quickstart");
    QTest::newRow("read-only") << in_namespace({"-m"},
                                               "mount --bind \"$GPUSPOOL_DIR\" \"$GPUSPOOL_DIR\"\n"
                                               "mount -o remount,bind,ro \"$GPUSPOOL_DIR\"")
                               << 1
                               << QByteArray(
                                      "BAD   the file system of the spool is mounted read-only")
                               << QByteArray("→ mount it read-write");
    QTest::newRow("a small disk, in memory")
        << in_namespace({"-m"},
                        "cp -a \"$GPUSPOOL_DIR\" ~/copy\n"
                        "mount -t tmpfs -o size=8m,mode=700 none \"$GPUSPOOL_DIR\"\n"
                        "cp -a ~/copy/. \"$GPUSPOOL_DIR\"")
        << 1 << QByteArray(" free where the spool is\n      → make room: old logs are in ")
        << QByteArray("note  the spool is in memory (tmpfs)");
}

/// What a daemon that runs here would not see: only doctor is in that world.
void SystemDoctor::in_other_worlds() {
    QFETCH(QStringList, world);
    QFETCH(int, code);
    QFETCH(QByteArray, finding);
    QFETCH(QByteArray, remedy);
    TestSpool spool;
    QVERIFY(spool.start({"--cpu-slots", "1"}));
    if (world.first().endsWith("unshare") && !works(spool, world))
        QSKIP("such a namespace cannot be had here: that needs root");
    QVERIFY(shell(spool, "rm -rf ~/copy"));
    const Finished done = doctor(spool, world);
    QVERIFY2(done.exit_code == code, done.out + done.err);
    QVERIFY2(done.out.contains(finding) && done.out.contains(remedy), done.out);
}

void SystemDoctor::lingering_data() {
    QTest::addColumn<bool>("on");
    QTest::addColumn<QByteArray>("finding");
    QTest::newRow("on") << true << QByteArray("ok    lingering is on");
    QTest::newRow("off") << false
                         << QByteArray(
                                "note  lingering is off: systemd may end the daemon and its jobs "
                                "when you log out\n      → loginctl enable-linger\n");
}

/// It is a user's affair, not root's.
void SystemDoctor::lingering() {
    QFETCH(bool, on);
    QFETCH(QByteArray, finding);
    const TestSpool spool;
    QStringList user;
    if (::geteuid() == 0)
        user = {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    if (!works(spool, user + QStringList{"/usr/bin/test", "-x", GPUSPOOL, "-a"}))
        QSKIP("another user cannot execute the programs of this build");
    QVERIFY(shell(spool,
                  "mkdir -p machine/run/systemd/system machine/var/lib/systemd/linger; "
                  "chmod 755 .. ."));
    if (on) {
        const QStringList who = user + QStringList{"/usr/bin/id", "-un"};
        const QString name = spool.run(who.first(), who.mid(1)).out.trimmed();
        QVERIFY(write_home_file(spool, "machine/var/lib/systemd/linger/" + name, {}));
    }
    const Finished done = doctor(spool, user);
    QVERIFY2(done.out.contains(finding), done.out + done.err);
}

QTEST_GUILESS_MAIN(SystemDoctor)
#include "system_doctor.moc"
