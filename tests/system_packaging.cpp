// Setting up and taking away: packages, installation, a daemon in the background, a first job.
// (With systemd: system_service.)
#include "tests/install_bench.h"

namespace {

const QByteArray dpkg_query = R"SH(#!/bin/bash
grep -qxF -- "${!#}" "$HOME/calls/installed" 2>/dev/null && echo -n installed
)SH";

/// ~/calls/stale: packages are found after `update` only; ~/calls/broken: they do not go together.
const QByteArray apt_get = R"SH(#!/bin/bash
echo "apt-get $*" >>"$CALLS"
case " $* " in
*" --simulate "*) [ ! -e "$HOME/calls/stale" ] && [ ! -e "$HOME/calls/broken" ] ;;
*" update "*) rm -f "$HOME/calls/stale" ;;
*) for word; do case $word in -* | *=* | install) ;; *) echo "$word" >>"$HOME/calls/installed" ;; esac; done ;;
esac
)SH";

const QByteArray sudo_that_works = R"SH(#!/bin/bash
echo "sudo $*" >>"$CALLS"
[ "$1" != -n ] || shift
exec "$@"
)SH";

const QByteArray sudo_that_refuses = R"SH(#!/bin/bash
echo "sudo: a password is required" >&2
exit 1
)SH";

/// A system manager that runs; what ~/calls/refuses-… names fails.
const QByteArray systemctl = R"SH(#!/bin/bash
echo "systemctl $*" >>"$CALLS"
[ ! -e "$HOME/calls/refuses-user" ] || { echo "Failed to connect to bus" >&2; exit 1; }
case $2 in restart) [ ! -e "$HOME/calls/refuses-restart" ] || exit 1 ;; esac
)SH";
const QByteArray loginctl = R"SH(#!/bin/bash
echo "loginctl $*" >>"$CALLS"
[ ! -e "$HOME/calls/refuses-lingering" ] || { echo "Access denied" >&2; exit 1; }
)SH";

/// Instead of half a minute: until the daemon has said why a job waits.
const QByteArray impatient = R"SH(#!/bin/bash
until grep -q 'waiting":\[{\|problems":\[.[a-zA-Z]' "$GPUSPOOL_DIR/.spool/state.json" 2>/dev/null; do sleep 0.02; done
exit 124
)SH";

const QByteArray until_go =
    "echo gpus=$CUDA_VISIBLE_DEVICES\nuntil [ -e ~/go ]; do sleep 0.02; done\necho over\n";

QByteArray all_files_below(const InstallBench& bench, const QString& directory) {
    return bench.spool.run("/usr/bin/find", {bench.spool.scratch(directory), "!", "-type", "d"})
        .out;
}

}  // namespace

class SystemPackaging : public QObject {
    Q_OBJECT
private slots:
    void packages_without_root_data();
    void packages_without_root();
    void packages_by_sudo();
    void packages_by_root();
    void packages_that_do_not_go_together();
    void another_system_than_debian();
    void a_missing_package_stops_the_set_up();
    void what_is_installed_is_taken_away();
    void a_first_job_in_the_background_data();
    void a_first_job_in_the_background();
    void a_repetition_leaves_jobs_alone();
    void a_paused_queue_is_told_from_a_failure();
    void a_job_that_waits_its_turn_is_no_failure();
    void a_job_that_cannot_start_is_a_failure();
    void a_daemon_from_elsewhere_is_named();
    void where_systemd_refuses_data();
    void where_systemd_refuses();
    void lingering_by_sudo();

private:
    /// A bench with stand-ins for Debian's tools.
    static void put_debian(const InstallBench& bench) {
        bench.stand_in("dpkg-query", dpkg_query);
        bench.stand_in("apt-get", apt_get);
        QVERIFY(shell(bench.spool, "chmod 755 .. .; touch calls/log; chmod 666 calls/log"));
    }
    static Finished as_user(const InstallBench& bench, const QStringList& command) {
        const QStringList all = InstallBench::as_a_user() + command;
        return bench.spool.run(all.first(), all.mid(1));
    }
    static QString packages_script(const InstallBench& bench) {
        return bench.spool.scratch("clone/packaging/install-packages");
    }
};

void SystemPackaging::packages_without_root_data() {
    QTest::addColumn<QByteArray>("sudo");
    QTest::newRow("no sudo") << QByteArray();
    QTest::newRow("sudo asks for a password") << sudo_that_refuses;
}

void SystemPackaging::packages_without_root() {
    QFETCH(QByteArray, sudo);
    const InstallBench bench;
    put_debian(bench);
    if (!sudo.isEmpty()) bench.stand_in("sudo", sudo);
    QVERIFY(write_home_file(bench.spool, "calls/installed", "cmake\npkg-config\n"));
    const Finished done = as_user(bench, {packages_script(bench), "build"});
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.out.contains("missing: g++ ninja-build libboost1.81-dev"), done.out);
    QVERIFY2(done.err.contains("Nothing was installed") &&
                 done.err.contains("    apt-get install --no-install-recommends g++ ninja-build "),
             done.err);
    QCOMPARE(bench.calls(), QByteArray());
}

void SystemPackaging::packages_by_sudo() {
    const InstallBench bench;
    put_debian(bench);
    bench.stand_in("sudo", sudo_that_works);
    QVERIFY(write_home_file(bench.spool, "calls/installed", "cmake\n"));
    QVERIFY(write_home_file(bench.spool, "calls/stale", {}));
    QVERIFY(shell(bench.spool, "chmod 666 calls/installed"));
    const Finished check = as_user(bench, {packages_script(bench), "--check", "build", "bench"});
    QCOMPARE(check.exit_code, 1);
    QVERIFY2(check.out.contains("missing: g++ ninja-build") && check.out.contains("task-spooler"),
             check.out);
    QCOMPARE(bench.calls(), QByteArray());

    const Finished done = as_user(bench, {packages_script(bench), "build", "bench"});
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    const QByteArray calls = bench.calls();
    QVERIFY2(calls.contains("sudo apt-get -q update\n"), calls);
    const QList<QByteArray> lines = calls.trimmed().split('\n');
    QVERIFY2(lines.last().startsWith("apt-get -q -y ") &&
                 lines.last().contains(" --no-install-recommends g++ ninja-build ") &&
                 !lines.last().contains(" cmake "),
             lines.last());
    // Once more: there is nothing to do.
    const Finished again = as_user(bench, {packages_script(bench), "build", "bench"});
    QCOMPARE(again.exit_code, 0);
    QVERIFY2(again.out.contains("all packages to build bench are there"), again.out);
    QCOMPARE(bench.calls(), calls);
}

void SystemPackaging::packages_by_root() {
    if (::geteuid() != 0) QSKIP("needs root");
    const InstallBench bench;
    put_debian(bench);
    bench.stand_in("sudo", sudo_that_works);
    QCOMPARE(bench.script("install-packages", {"bench"}).exit_code, 0);
    QVERIFY2(!bench.calls().contains("sudo"), bench.calls());
    QCOMPARE(home_file(bench.spool, "calls/installed"), "task-spooler\nnq\nfindutils\n");
}

void SystemPackaging::packages_that_do_not_go_together() {
    const InstallBench bench;
    put_debian(bench);
    bench.stand_in("sudo", sudo_that_works);
    QVERIFY(write_home_file(bench.spool, "calls/broken", {}));
    const Finished done = as_user(bench, {packages_script(bench), "build"});
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("Nothing was installed"), done.err);
    QVERIFY2(!bench.calls().contains("apt-get -q -y"), bench.calls());
    QCOMPARE(home_file(bench.spool, "calls/installed"), QByteArray());
}

void SystemPackaging::another_system_than_debian() {
    const InstallBench bench;
    const Finished done = bench.script("install-packages", {"build"});
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("no Debian system") && done.err.contains("g++ cmake"), done.err);
}

/// Nothing by halves: no build, no installation, no daemon.
void SystemPackaging::a_missing_package_stops_the_set_up() {
    const InstallBench bench;
    put_debian(bench);
    const Finished done = as_user(bench, {bench.spool.scratch("clone/packaging/quickstart")});
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("Nothing was installed"), done.err);
    QCOMPARE(bench.calls(), QByteArray());
    QVERIFY(!QFile::exists(bench.installed("bin")));
    QVERIFY(!QFile::exists(bench.spool.path()));
}

void SystemPackaging::what_is_installed_is_taken_away() {
    const InstallBench bench;
    QVERIFY(write_home_file(bench.spool, "really-install", {}));
    QVERIFY(shell(bench.spool, "mkdir -p .local/bin; echo mine > .local/bin/other"));
    const Finished done = bench.script("quickstart", {"--no-packages", "--no-start"});
    QVERIFY2(done.exit_code == 0, done.err);
    for (const char* name :
         {"bin/spoold", "bin/gpuspool", "libexec/gpuspool/spool-exec",
          "libexec/gpuspool/spool-probe", "share/bash-completion/completions/gpuspool"})
        QVERIFY2(QFile::exists(bench.installed(name)), name);
    QVERIFY2(bench.gpuspool({"--version"}).out.startsWith("gpuspool "), "--version");
    QVERIFY2(done.out.contains("is not on your PATH yet"), done.out);
    QVERIFY(!QFile::exists(bench.spool.path()));

    QCOMPARE(bench.script("uninstall", {}).exit_code, 0);
    QCOMPARE(all_files_below(bench, ".local"), bench.installed("bin/other").toUtf8() + '\n');
    const Finished again = bench.script("uninstall", {});
    QCOMPARE(again.exit_code, 1);
    QVERIFY2(again.err.contains("nothing was installed"), again.err);
}

void SystemPackaging::a_first_job_in_the_background_data() {
    QTest::addColumn<QString>("prefix");
    QTest::newRow("usual") << "";
    QTest::newRow("elsewhere") << "other place/100% & more";
}

void SystemPackaging::a_first_job_in_the_background() {
    QFETCH(QString, prefix);
    const InstallBench bench;
    QStringList place;
    if (!prefix.isEmpty()) place << "--prefix" << bench.spool.scratch(prefix);
    const Finished done = bench.script("quickstart", QStringList{"--no-packages"} + place);
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    QVERIFY2(done.out.contains("systemd does not run here") &&
                 done.out.contains("started in the background"),
             done.out);
    QVERIFY2(done.out.contains("Hello from ") && done.out.contains(", job 1\n"), done.out);
    QCOMPARE(bench.spool.result("hello")["state"].toString(), "succeeded");
    QVERIFY(!bench.spool.exists("config.json"));
    QCOMPARE(QFile::exists(bench.installed("bin")), prefix.isEmpty());

    QCOMPARE(bench.script("uninstall", place).exit_code, 0);
    QVERIFY(bench.spool.wait_for([&] { return processes_with(bench.spool, "spoold") == 0; },
                                 "no daemon"));
    QVERIFY(bench.spool.exists("done/hello.log"));
    QVERIFY(!QFile::exists(
        bench.spool.scratch(prefix.isEmpty() ? ".local/bin/spoold" : prefix + "/bin/spoold")));
}

/// All GPUs are in use, too: the first job needs none.
void SystemPackaging::a_repetition_leaves_jobs_alone() {
    InstallBench bench;
    const QByteArray settings = "{ \"gpus\": [\"0\"] } // mine\n";
    QVERIFY(shell(bench.spool, "mkdir -m 700 $GPUSPOOL_DIR"));
    QFile config(bench.spool.path("config.json"));
    QVERIFY(config.open(QIODevice::WriteOnly) && config.write(settings) > 0);
    config.close();
    QVERIFY(bench.script("quickstart", {"--no-packages"}).exit_code == 0);
    const qint64 first = bench.daemon_pid();
    QVERIFY(first > 0);
    QVERIFY(bench.spool.drop("long.job", until_go));
    QVERIFY(wait_for_log(bench.spool, "long", "gpus=0\n"));

    const Finished again = bench.script("quickstart", {"--no-packages"});
    QVERIFY2(again.exit_code == 0, again.out + again.err);
    QVERIFY2(again.out.contains(", job 3\n") && again.out.contains("left as it is"), again.out);
    QCOMPARE(bench.spool.read("config.json"), settings);
    QVERIFY(bench.daemon_pid() > 0 && bench.daemon_pid() != first);
    QVERIFY(bench.spool.exists("running/long.job"));

    QCOMPARE(bench.script("uninstall", {}).exit_code, 0);
    QVERIFY(write_home_file(bench.spool, "go", {}));
    QVERIFY(wait_for_log(bench.spool, "long", "over\n"));
    QVERIFY(bench.script("quickstart", {"--no-packages"}).exit_code == 0);
    QCOMPARE(bench.spool.wait_for_result("long")["state"].toString(), "succeeded");
    QCOMPARE(bench.spool.read("done/long.log"), "gpus=0\nover\n");
}

void SystemPackaging::a_paused_queue_is_told_from_a_failure() {
    const InstallBench bench;
    QVERIFY(shell(
        bench.spool,
        "mkdir -m 700 $GPUSPOOL_DIR $GPUSPOOL_DIR/control; touch $GPUSPOOL_DIR/control/pause"));
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    QVERIFY2(done.out.contains("the queue is paused; the job starts after: gpuspool resume"),
             done.out);
    QCOMPARE(bench.gpuspool({"resume"}).exit_code, 0);
    QCOMPARE(bench.spool.wait_for_result("hello")["state"].toString(), "succeeded");
}

void SystemPackaging::a_job_that_waits_its_turn_is_no_failure() {
    const InstallBench bench;
    QVERIFY(
        shell(bench.spool,
              "mkdir -m 700 $GPUSPOOL_DIR; echo '{\"cpu_slots\":0}' > $GPUSPOOL_DIR/config.json"));
    bench.stand_in("timeout", impatient);
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    QVERIFY2(done.out.contains("waits for its turn") && done.out.contains("CPU slot"),
             done.out.right(600));
}

void SystemPackaging::a_job_that_cannot_start_is_a_failure() {
    InstallBench bench;
    bench.stand_in("timeout", impatient);
    bench.spool.environment.insert("GPUSPOOL_EXEC", bench.spool.scratch("nothing"));
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QCOMPARE(done.exit_code, 1);
    QVERIFY2(done.err.contains("gpuspool doctor") && done.out.contains("jobs cannot be started"),
             done.out + done.err);
}

void SystemPackaging::a_daemon_from_elsewhere_is_named() {
    InstallBench bench;
    QVERIFY(bench.spool.start({"--gpus", "0"}));
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QCOMPARE(done.exit_code, 1);
    const QByteArray pid = QByteArray::number(bench.spool.pid());
    QVERIFY2(done.err.contains(SPOOLD ", process " + pid) && done.err.contains("`kill " + pid),
             done.err);
    QVERIFY(bench.spool.is_running());
}

void SystemPackaging::where_systemd_refuses_data() {
    QTest::addColumn<QString>("what");
    QTest::addColumn<QString>("said");
    QTest::newRow("lingering") << "lingering"
                               << "lingering is refused here";
    QTest::newRow("to answer") << "user"
                               << "systemd answers no user here";
    QTest::newRow("to start it") << "restart"
                                 << "systemd could not start it";
}

/// Then the daemon starts in the background, and there is no unit that would start a second one.
void SystemPackaging::where_systemd_refuses() {
    QFETCH(QString, what);
    QFETCH(QString, said);
    const InstallBench bench;
    bench.stand_in("systemctl", systemctl);
    bench.stand_in("loginctl", loginctl);
    QVERIFY(shell(bench.spool, "mkdir -p machine/run/systemd/system; touch calls/refuses-" + what));
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    QVERIFY2(done.out.contains(said.toUtf8()) && done.out.contains("started in the background") &&
                 done.out.contains("Hello from "),
             done.out);
    QVERIFY2(bench.calls().contains("loginctl enable-linger\n"), bench.calls());
    const bool started = bench.calls().contains("systemctl --user restart gpuspool.service\n");
    QCOMPARE(started, what == "restart");
    QCOMPARE(bench.calls().contains("systemctl --user disable --now --quiet gpuspool.service\n"),
             started);
}

/// A small installation of Debian has no polkit: then a user needs root for it.
void SystemPackaging::lingering_by_sudo() {
    const InstallBench bench;
    bench.stand_in("systemctl", systemctl);
    bench.stand_in("sudo", sudo_that_works);
    bench.stand_in("loginctl", "#!/bin/bash\necho \"loginctl $*\" >>\"$CALLS\"\n[ $# = 2 ]\n");
    QVERIFY(shell(bench.spool, "mkdir -p machine/run/systemd/system; touch calls/refuses-user"));
    const Finished done = bench.script("quickstart", {"--no-packages"});
    QVERIFY2(done.out.contains("lingering enabled"), done.out + done.err);
    QVERIFY2(bench.calls().contains("loginctl enable-linger\nsudo -n true\nsudo loginctl "),
             bench.calls());
}

QTEST_GUILESS_MAIN(SystemPackaging)
#include "system_packaging.moc"
