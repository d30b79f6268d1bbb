// The service unit under a real systemd user manager, one of the test's own: jobs live on when it
// is stopped, restarted, replaced and killed.
#include "tests/install_bench.h"

namespace {

const QString manager_script = QStringLiteral(SOURCE_DIR "/tests/support/user-manager");

/// A systemd user manager for a bench. Its units are in the scratch home.
class UserManager {
public:
    explicit UserManager(InstallBench& bench)
        : bench_(bench), name_("gpuspool-test-" + QString::number(::getpid())) {
        QProcessEnvironment& environment = bench.spool.environment;
        shell(bench.spool, "mkdir -m 700 runtime; mkdir -p machine/run/systemd/system");
        environment.insert("XDG_RUNTIME_DIR", bench.spool.scratch("runtime"));
        for (const char* tool : {"systemctl", "kill"})
            QFile::link(QStandardPaths::findExecutable(tool), bench.spool.scratch("tools/") + tool);
        bench.stand_in("loginctl",
                       "#!/bin/bash\necho \"loginctl $*\" >>\"$CALLS\"\n"
                       "mkdir -p \"$HOME/machine/var/lib/systemd/linger\"\n"
                       "touch \"$HOME/machine/var/lib/systemd/linger/$(id -un)\"\n");
        // What the daemon is told of its spool is in the unit.
        QProcessEnvironment of_manager = environment;
        of_manager.remove("GPUSPOOL_DIR");
        of_manager.insert("PATH", qEnvironmentVariable("PATH"));
        process_.setProcessEnvironment(of_manager);
        process_.setProcessChannelMode(QProcess::ForwardedErrorChannel);
        process_.start("unshare", {"-m", manager_script, name_});
        QByteArray said;
        is_there =
            bench.spool.wait_for(
                [&] {
                    process_.waitForReadyRead(10);
                    said += process_.readAllStandardOutput();
                    return said.contains("ready") || process_.state() == QProcess::NotRunning;
                },
                "a user manager") &&
            said.contains("ready");
    }
    ~UserManager() {
        process_.closeWriteChannel();
        process_.waitForFinished();
        QProcess::execute(manager_script, {"--clean", name_});
    }
    UserManager(const UserManager&) = delete;
    UserManager& operator=(const UserManager&) = delete;

    /// A program where the manager can be reached: as a user who is logged in.
    [[nodiscard]] Finished run(const QStringList& command) const {
        const QString pid = QString::number(process_.processId());
        return bench_.spool.run("/usr/bin/nsenter", QStringList{"-t", pid, "-m"} + command,
                                std::chrono::minutes(2));
    }
    [[nodiscard]] Finished script(const QString& name, const QStringList& arguments = {}) const {
        return run(QStringList{bench_.spool.scratch("clone/packaging/" + name)} + arguments);
    }
    [[nodiscard]] bool systemctl(const QStringList& arguments) const {
        const Finished done = run(QStringList{"systemctl", "--user"} + arguments);
        if (done.exit_code != 0) qWarning("systemctl: %s", (done.out + done.err).constData());
        return done.exit_code == 0;
    }
    /// A property of the unit.
    [[nodiscard]] QByteArray property(const QString& name) const {
        return run({"systemctl", "--user", "show", "--value", "--property=" + name,
                    "gpuspool.service"})
            .out.trimmed();
    }
    bool is_there = false;

private:
    const InstallBench& bench_;
    QString name_;
    QProcess process_;
};

/// The number of the process that executes a job that is running.
qint64 process_of(const TestSpool& spool, const QString& job) {
    return running_job(spool, job)["pid"].toInteger();
}

bool write_config(const TestSpool& spool, const QByteArray& text) {
    QFile file(spool.path("config.json"));
    return file.open(QIODevice::WriteOnly) && file.write(text) == text.size();
}

}  // namespace

class SystemService : public QObject {
    Q_OBJECT
private slots:
    void jobs_outlive_the_service_data();
    void jobs_outlive_the_service();
    void quickstart_and_uninstall();

private:
    static bool set_up(InstallBench& bench, const UserManager& manager,
                       const QStringList& options = {}) {
        const Finished done = manager.script("quickstart", QStringList{"--no-packages"} + options);
        if (done.exit_code != 0) qWarning("%s", (done.out + done.err).constData());
        return done.exit_code == 0 && bench.spool.wait_for_result("hello")["state"] == "succeeded";
    }
};

void SystemService::jobs_outlive_the_service_data() {
    QTest::addColumn<QStringList>("first");
    QTest::addColumn<QStringList>("then");
    QTest::newRow("restart") << QStringList{"restart", "gpuspool"} << QStringList{};
    QTest::newRow("stop and start")
        << QStringList{"stop", "gpuspool"} << QStringList{"start", "gpuspool"};
    QTest::newRow("kill -9") << QStringList{"kill", "--kill-who=main", "-s", "KILL", "gpuspool"}
                             << QStringList{};
}

void SystemService::jobs_outlive_the_service() {
    QFETCH(QStringList, first);
    QFETCH(QStringList, then);
    InstallBench bench;
    const UserManager manager(bench);
    if (!manager.is_there) QSKIP("no systemd user manager can be had: that needs root and systemd");
    QVERIFY(set_up(bench, manager));
    QVERIFY(bench.spool.drop("x.job", gated("x", "echo over\n")));
    QVERIFY(wait_for_log(bench.spool, "x", "started\n"));
    QVERIFY(bench.spool.wait_for([&] { return process_of(bench.spool, "x") > 0; }, "its process"));
    const qint64 job = process_of(bench.spool, "x");
    const QByteArray daemon = manager.property("MainPID");

    QVERIFY(manager.systemctl(first));
    if (!then.isEmpty()) {
        QCOMPARE(manager.property("ActiveState"), QByteArray("inactive"));
        QVERIFY(QFile::exists("/proc/" + QString::number(job)));
        QVERIFY(manager.systemctl(then));
    }
    QVERIFY(bench.spool.wait_for(
        [&] {
            const QByteArray pid = manager.property("MainPID");
            return pid != "0" && pid != daemon && manager.property("ActiveState") == "active";
        },
        "another daemon"));
    QVERIFY(bench.spool.wait_for([&] { return process_of(bench.spool, "x") == job; },
                                 "the job to be adopted"));
    QVERIFY(open_gate(bench.spool, "x"));
    QCOMPARE(bench.spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(bench.spool, "ran"), "x\n");
    QCOMPARE(bench.spool.read("done/x.log"), "started\nover\n");
}

void SystemService::quickstart_and_uninstall() {
    InstallBench bench;
    const UserManager manager(bench);
    if (!manager.is_there) QSKIP("no systemd user manager can be had: that needs root and systemd");
    // What has a meaning in unit files, and in sed. (systemd takes no program with a quote or a
    // backslash.)
    const QStringList place = {"--prefix", bench.spool.scratch("100% a&b c")};
    const Finished done = manager.script("quickstart", QStringList{"--no-packages"} + place);
    QVERIFY2(done.exit_code == 0, done.out + done.err);
    QVERIFY2(done.out.contains("lingering enabled") && done.out.contains("started by systemd") &&
                 done.out.contains("Hello from "),
             done.out);
    QVERIFY2(!bench.spool.exists("config.json"), done.out);
    QCOMPARE(manager.property("Type"), QByteArray("notify"));
    QCOMPARE(manager.property("UnitFileState"), QByteArray("enabled"));
    const Finished status = bench.spool.gpuspool({"status", "--json"});
    QVERIFY2(status.out.contains("\"pid\": " + manager.property("MainPID")), status.out);

    // Reading its settings again is no restart.
    const QByteArray daemon = manager.property("MainPID");
    QVERIFY(manager.systemctl({"reload", "gpuspool"}));
    QCOMPARE(manager.property("MainPID"), daemon);

    // Again, with a job that runs, and leaves a slot for the first job.
    QVERIFY(write_config(bench.spool, R"({"cpu_slots": 2})"));
    QVERIFY(bench.spool.drop("x.job", gated("x")));
    QVERIFY(wait_for_log(bench.spool, "x", "started\n"));
    QCOMPARE(manager.script("quickstart", QStringList{"--no-packages"} + place).exit_code, 0);
    QVERIFY(manager.property("MainPID") != daemon);
    QCOMPARE(bench.calls().count("loginctl enable-linger\n"), 1);
    QVERIFY(bench.spool.exists("running/x.job"));

    const Finished removed = manager.script("uninstall", place);
    QVERIFY2(removed.exit_code == 0, removed.out + removed.err);
    QCOMPARE(manager.property("LoadState"), QByteArray("not-found"));
    QVERIFY(!QFile::exists(bench.spool.scratch(".config/systemd/user/gpuspool.service")));
    QVERIFY(!QFile::exists(place[1] + "/bin/spoold"));
    QCOMPARE(processes_with(bench.spool, "/bin/spoold"), 0);
    QVERIFY(open_gate(bench.spool, "x"));
    QVERIFY(bench.spool.wait_for([&] { return processes_with(bench.spool, "x.job") == 0; },
                                 "the job to end"));
    // What it has left is what the next daemon finds.
    QVERIFY(bench.spool.start());
    QCOMPARE(bench.spool.wait_for_result("x")["state"].toString(), "succeeded");
    QCOMPARE(home_file(bench.spool, "ran"), "x\n");
}

QTEST_GUILESS_MAIN(SystemService)
#include "system_service.moc"
