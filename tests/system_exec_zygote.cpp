// spool-exec: the zygote, races for one record, cgroups, and what a supervisor costs and survives.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/support/cgroups.h"
#include "tests/support/exec_process.h"
#include "tests/support/record_builder.h"

using spool::test::cgroup_mount;
using spool::test::Job;
using spool::test::own_cgroup;
using spool::test::processes_of;
using spool::test::read_text;
using spool::test::RecordBuilder;
using spool::test::script_job;
using spool::test::wait_until;
using spool::test::write_text;
using spool::test::Zygote;
namespace record = spool::record;
namespace fs = std::filesystem;

namespace {

bool over(const RecordBuilder& builder) {
    return wait_until([&] { return builder.complete() && !builder.locked(); });
}

/// A cgroup below the test's own, with the daemon's two directories in it.
struct ScratchCgroup {
    std::string path;
    ScratchCgroup() {
        if (cgroup_mount().empty()) return;
        const std::string wanted = own_cgroup() + "/gpuspool-test-" + std::to_string(getpid());
        if (mkdir(wanted.c_str(), 0755) != 0) return;
        path = wanted;
        mkdir(jobs().c_str(), 0755);
        mkdir(supervisors().c_str(), 0755);
    }
    ~ScratchCgroup() {
        if (path.empty()) return;
        wait_until([&] { return rmdir(supervisors().c_str()) == 0 || errno == ENOENT; });
        rmdir(jobs().c_str());
        rmdir(path.c_str());
    }
    ScratchCgroup(const ScratchCgroup&) = delete;
    ScratchCgroup& operator=(const ScratchCgroup&) = delete;
    std::string jobs() const { return path + "/jobs"; }
    std::string supervisors() const { return path + "/sup"; }
    std::vector<std::string> options() const {
        return {"--cgroup", jobs(), "--sup-cgroup", supervisors()};
    }
};

}  // namespace

class SystemExecZygote : public QObject {
    Q_OBJECT

private slots:
    void init();
    void runs_jobs();
    void request_overrides();
    void a_bad_request_is_answered();
    void jobs_outlive_the_zygote();
    void a_signal_does_not_end_the_zygote();
    void descriptors_stay_with_the_supervisor();
    void two_supervisors_execute_once();
    void many_at_once();
    void a_full_disk_leaves_the_true_outcome();
    void a_waiting_supervisor_is_small();
    void cgroup_holds_the_job();
    void cgroup_cancel_reaches_all();
    void cgroup_that_refuses();
    void limits_are_written_before_the_job_begins_data();
    void limits_are_written_before_the_job_begins();

private:
    std::unique_ptr<QTemporaryDir> directory_;
    std::string spool_;
};

void SystemExecZygote::init() {
    directory_ = std::make_unique<QTemporaryDir>();
    spool_ = directory_->path().toStdString() + "/spool";
    // Before any zygote: it ends at once where there is no spool directory to open.
    fs::create_directory(spool_);
}

void SystemExecZygote::runs_jobs() {
    RecordBuilder builder(spool_, 7);
    Zygote zygote(SPOOL_EXEC, spool_);
    for (int code : {0, 3}) {
        builder.write(script_job("exit " + std::to_string(code) + "\n"));
        const auto reply = zygote.start(builder);
        QCOMPARE(reply.error, 0);
        QCOMPARE(reply.record, 7u);
        QCOMPARE(reply.token, builder.token());
        QVERIFY(over(builder));
        QCOMPARE(builder.run()->supervisor_pid, reply.pid);
        QCOMPARE(WEXITSTATUS(builder.complete()->wait_status), code);
        QVERIFY2(wait_until([&] { return kill(reply.pid, 0) != 0; }), "the supervisor is a zombie");
    }
    QCOMPARE(zygote.close(), 0);
}

void SystemExecZygote::request_overrides() {
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_);
    Job job = script_job("echo $CUDA_VISIBLE_DEVICES,$A,${PWD}\n");
    job.environment.push_back("CUDA_VISIBLE_DEVICES=9");
    job.environment.push_back("A=b");
    builder.write(job);
    zygote.start(builder, "[\"GPU-2\"]", {"CUDA_VISIBLE_DEVICES=2", "A"});
    QVERIFY(over(builder));
    QCOMPARE(read_text(builder.log()), "2,,/\n");
    const auto run = builder.run();
    QCOMPARE(std::string(run->gpus, run->gpus_length), "[\"GPU-2\"]");
}

void SystemExecZygote::a_bad_request_is_answered() {
    RecordBuilder builder(spool_);
    builder.write(script_job("true\n"));
    Zygote zygote(SPOOL_EXEC, spool_);
    record::StartRequest request{};
    request.magic = record::StartRequest::magic_value;
    request.environment_length = 100;
    QVERIFY(::send(zygote.socket(), &request, offsetof(record::StartRequest, payload) + 10, 0) > 0);
    QCOMPARE(zygote.receive().error, EBADMSG);
    QVERIFY(::send(zygote.socket(), "x", 1, 0) > 0);
    QCOMPARE(zygote.receive().error, EBADMSG);
    zygote.start(builder);
    QVERIFY(over(builder));
}

void SystemExecZygote::jobs_outlive_the_zygote() {
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_);
    builder.write(script_job("echo ready; until test -e \"$0.go\"; do sleep 0.01; done; exit 6\n"));
    const auto reply = zygote.start(builder);
    QVERIFY(wait_until([&] { return read_text(builder.log()) == "ready\n"; }));
    QCOMPARE(zygote.close(), 0);
    QVERIFY(builder.locked());
    QCOMPARE(builder.run()->supervisor_pid, reply.pid);
    write_text(spool_ + "/.spool/scripts/x.job.go", "");
    QVERIFY(over(builder));
    QCOMPARE(WEXITSTATUS(builder.complete()->wait_status), 6);
}

void SystemExecZygote::a_signal_does_not_end_the_zygote() {
    RecordBuilder builder(spool_);
    builder.write(script_job("true\n"));
    Zygote zygote(SPOOL_EXEC, spool_);
    zygote.start(builder);
    QVERIFY(over(builder));
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGRTMIN, SIGCHLD})
        kill(zygote.pid(), number);
    builder.write(script_job("exit 4\n"));
    zygote.start(builder);
    QVERIFY(over(builder));
    QCOMPARE(WEXITSTATUS(builder.complete()->wait_status), 4);
}

void SystemExecZygote::descriptors_stay_with_the_supervisor() {
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_);
    // The write end goes to the supervisor alone: end of file here means that it, and the job, have
    // let go of it.
    int ends[2];
    QCOMPARE(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    builder.write(
        script_job("python3 -c 'import os; print(len(os.listdir(\"/proc/self/fd\")))'\nsetsid "
                   "sleep 1000 & sleep 1000\n"));
    zygote.send(builder, {}, {}, ends[1]);
    zygote.receive();
    close(ends[1]);
    QVERIFY(wait_until([&] { return read_text(builder.log()).ends_with('\n'); }));
    // Three of its own, and that of the listing.
    QCOMPARE(read_text(builder.log()), "4\n");
    char byte;
    QVERIFY2(read(ends[0], &byte, 1) < 0 && errno == EAGAIN,
             "the supervisor did not keep the descriptor");
    const auto run = builder.run();
    builder.write_cancel();
    kill(run->supervisor_pid, SIGRTMIN);
    QVERIFY(over(builder));
    QVERIFY(wait_until([&] { return read(ends[0], &byte, 1) == 0; }));
    close(ends[0]);
}

void SystemExecZygote::two_supervisors_execute_once() {
    RecordBuilder builder(spool_);
    Zygote one(SPOOL_EXEC, spool_), two(SPOOL_EXEC, spool_);
    const std::string counter = spool_ + "/counter";
    Job job;
    job.arguments = {"/bin/sh", "-c", "echo x >> " + counter};
    for (std::size_t i = 1; i <= 1000; ++i) {
        builder.write(job);
        one.send(builder);
        two.send(builder);
        const pid_t first = one.receive().pid, second = two.receive().pid;
        QVERIFY(over(builder));
        QVERIFY(wait_until([&] { return kill(first, 0) != 0 && kill(second, 0) != 0; }));
        const auto length = fs::file_size(counter);
        QVERIFY2(length == 2 * i,
                 qPrintable(QString("round %1: executed %2 times in all").arg(i).arg(length / 2)));
    }
}

void SystemExecZygote::many_at_once() {
    Zygote zygote(SPOOL_EXEC, spool_);
    std::vector<RecordBuilder> builders;
    for (std::uint32_t i = 0; i < 40; ++i) {
        builders.emplace_back(spool_, i);
        Job job = script_job("exit " + std::to_string(i) + "\n");
        job.name = "job" + std::to_string(i);
        builders.back().write(job);
        zygote.send(builders.back());
    }
    for (std::uint32_t i = 0; i < 40; ++i)
        QCOMPARE(zygote.receive().record, i);
    for (std::uint32_t i = 0; i < 40; ++i) {
        QVERIFY(over(builders[i]));
        QCOMPARE(WEXITSTATUS(builders[i].complete()->wait_status), static_cast<int>(i));
    }
}

void SystemExecZygote::a_full_disk_leaves_the_true_outcome() {
    const std::string disk = directory_->path().toStdString() + "/disk";
    mkdir(disk.c_str(), 0700);
    if (mount("none", disk.c_str(), "tmpfs", 0, "size=256k,mode=700") != 0)
        QSKIP("needs the right to mount a small tmpfs");
    const auto unmount = qScopeGuard([&] { umount2(disk.c_str(), MNT_DETACH); });
    RecordBuilder builder(disk);
    Job job = script_job("head -c 1000000 /dev/zero || true\nexit 9\n");
    builder.write(job);
    QCOMPARE(spool::test::wait_for_program(spool::test::start_supervisor(SPOOL_EXEC, builder)), 0);
    const auto page = builder.complete();
    QVERIFY(page);
    QCOMPARE(WEXITSTATUS(page->wait_status), 9);
    QVERIFY(fs::file_size(builder.log()) < 256 * 1024);
    QVERIFY2(fs::space(disk).free < 8192, "the disk was not full");
    // Full before the start: the step says so, and nothing is executed by halves.
    job.script = "echo " + std::string(9000, 'x') + "\n";
    builder.write(job);
    QCOMPARE(spool::test::wait_for_program(spool::test::start_supervisor(SPOOL_EXEC, builder)), 0);
    QCOMPARE(builder.complete()->failed_step, record::Step::script);
    QCOMPARE(builder.complete()->error, ENOSPC);
}

void SystemExecZygote::a_waiting_supervisor_is_small() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    QSKIP("a sanitizer's memory is not that of the program");
#endif
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_);
    builder.write(script_job("echo ready; until test -e \"$0.go\"; do sleep 0.01; done\n#" +
                             std::string(500'000, 'x')));
    const pid_t pid = zygote.start(builder).pid;
    QVERIFY(wait_until([&] { return read_text(builder.log()) == "ready\n"; }));
    const auto resident = [](pid_t process) {
        const std::string status = read_text("/proc/" + std::to_string(process) + "/status");
        return std::stol(status.substr(status.find("VmRSS:") + 6));
    };
    qInfo("resident: supervisor %ld kB, zygote %ld kB", resident(pid), resident(zygote.pid()));
    QVERIFY(resident(pid) <= 1024);
    QVERIFY(resident(zygote.pid()) <= 1024);
    write_text(spool_ + "/.spool/scripts/x.job.go", "");
    QVERIFY(over(builder));
}

void SystemExecZygote::cgroup_holds_the_job() {
    const ScratchCgroup cgroup;
    if (cgroup.path.empty()) QSKIP("needs a writable cgroup v2 hierarchy");
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_, cgroup.options());
    builder.write(script_job("grep ^0:: /proc/self/cgroup; grep ^0:: /proc/$PPID/cgroup\n"));
    zygote.start(builder);
    QVERIFY(over(builder));
    const auto run = builder.run();
    const std::string expected = cgroup.jobs() + "/job-42.1";
    QCOMPARE(std::string(run->cgroup, run->cgroup_length), expected);
    const QStringList lines = QString::fromStdString(read_text(builder.log())).split('\n');
    QVERIFY2(lines.at(0).endsWith("/jobs/job-42.1"), qPrintable(lines.at(0)));
    QVERIFY2(lines.at(1).endsWith("/sup"), qPrintable(lines.at(1)));
    QVERIFY2(!fs::exists(expected), "the job's cgroup was not removed");
}

void SystemExecZygote::cgroup_cancel_reaches_all() {
    const ScratchCgroup cgroup;
    if (cgroup.path.empty()) QSKIP("needs a writable cgroup v2 hierarchy");
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_, cgroup.options());
    // One that ignores TERM and escaped, and one in a cgroup below, made by the job itself.
    const std::string below = cgroup.jobs() + "/job-42.1/below";
    Job job =
        script_job("trap '' TERM; mkdir " + below + "; setsid bash -c 'echo $$ > " + below +
                   "/cgroup.procs; echo ready; sleep 1000; sleep 1000' & sleep 1000; sleep 1000\n");
    job.grace = 200;
    builder.write(job);
    zygote.start(builder);
    QVERIFY(wait_until([&] { return read_text(builder.log()) == "ready\n"; }));
    builder.write_cancel();
    kill(builder.run()->supervisor_pid, SIGRTMIN);
    QVERIFY(over(builder));
    QCOMPARE(builder.complete()->flags, static_cast<std::uint32_t>(record::cancelled));
    QVERIFY(processes_of(builder).empty());
    QVERIFY2(!fs::exists(cgroup.jobs() + "/job-42.1"), "the job's cgroup was not removed");
}

void SystemExecZygote::cgroup_that_refuses() {
    // Not a cgroup at all: the job runs without, and the run page says so.
    const std::string fake = directory_->path().toStdString() + "/fake";
    mkdir(fake.c_str(), 0700);
    RecordBuilder builder(spool_);
    Zygote zygote(SPOOL_EXEC, spool_, {"--cgroup", fake, "--sup-cgroup", fake});
    Job job = script_job("setsid sleep 1000 & exit 2\n");
    job.leftover_grace = 0;
    builder.write(job);
    zygote.start(builder);
    QVERIFY(over(builder));
    QCOMPARE(builder.run()->cgroup_length, 0);
    QCOMPARE(WEXITSTATUS(builder.complete()->wait_status), 2);
    QVERIFY(processes_of(builder).empty());
    QVERIFY(fs::is_empty(fake));
}

void SystemExecZygote::limits_are_written_before_the_job_begins_data() {
    QTest::addColumn<QStringList>("files");  // that the job's cgroup has
    QTest::addColumn<QStringList>("written");
    const QStringList memory{"memory.max", "memory.oom.group", "memory.swap.max"};
    QTest::newRow("all") << memory + QStringList{"cpu.max"}
                         << QStringList{"67108864", "1", "0", "300000 100000"};
    QTest::newRow("no swap accounting") << QStringList{"memory.max", "memory.oom.group", "cpu.max"}
                                        << QStringList{"67108864", "1", "300000 100000"};
    QTest::newRow("memory alone") << memory << QStringList{"67108864", "1", "0"};
    QTest::newRow("processors alone") << QStringList{"cpu.max"} << QStringList{"300000 100000"};
    // Without its limit, nothing of it.
    QTest::newRow("no memory.max")
        << QStringList{"memory.oom.group", "memory.swap.max"} << QStringList{"", ""};
    QTest::newRow("no controllers") << QStringList{} << QStringList{};
}

/// Files in a directory, which is no cgroup: the job runs without one, and the run page says that
/// nothing is enforced.
void SystemExecZygote::limits_are_written_before_the_job_begins() {
    QFETCH(QStringList, files);
    QFETCH(QStringList, written);
    const std::string fake = directory_->path().toStdString() + "/fake";
    const std::string of_job = fake + "/job-42.1/";
    fs::create_directories(of_job);
    for (const QString& file : files)
        write_text(of_job + file.toStdString(), "");
    RecordBuilder builder(spool_);
    // The job has a look for itself.
    builder.write(script_job(
        "cd " + of_job + "; for f in *; do if [ -e $f ]; then cat $f; echo \" $f\"; fi; done\n"));
    const int code = spool::test::wait_for_program(spool::test::start_supervisor(
        SPOOL_EXEC, builder, {"--cgroup", fake, "--mem", "67108864", "--cpus", "3"}));
    QCOMPARE(code, 0);
    QCOMPARE(builder.complete()->wait_status, 0);
    const QString seen = QString::fromStdString(read_text(builder.log()));
    for (qsizetype i = 0; i < files.size(); ++i)
        QVERIFY2(("\n" + seen).contains("\n" + written[i] + " " + files[i] + "\n"),
                 qPrintable(seen));
    QCOMPARE(builder.run()->limits, 0U);
    QCOMPARE(builder.run()->cgroup_length, 0);
}

QTEST_GUILESS_MAIN(SystemExecZygote)
#include "system_exec_zygote.moc"
