#include "tests/support/crash_run.h"

#include <QFile>
#include <atomic>
#include <mutex>
#include <thread>

#include "tests/support/strace.h"

using namespace std::chrono_literals;

namespace {

constexpr int at_once = 4;  ///< runs wait most of their time

bool prepare(TestSpool& spool) {
    const Finished made = spool.gpuspool({"pause"});
    QFile settings(spool.path("config.json"));
    return made.exit_code == 0 && settings.open(QIODevice::WriteOnly) &&
           settings.write("{\"settle_ms\": 30, \"grace\": \"500ms\"}\n") > 0 &&
           spool.gpuspool({"resume"}).exit_code == 0;
}

/// Lets the first daemon work until it is dead, or done, or its time is over; then it is killed,
/// as a power switch would.
void let_it_break(CrashJobs& jobs, const CrashRun& run) {
    TestSpool& spool = jobs.spool();
    const auto end = std::chrono::steady_clock::now() + run.patience;
    while (spool.is_running() && !jobs.settle() && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(5ms);
    spool.kill9();
}

void recover_and_break_again(CrashJobs& jobs, const CrashRun& run) {
    TestSpool& spool = jobs.spool();
    spool.wrapper = run.second_daemon;
    (void)spool.start(crash_run_arguments());
    let_it_break(jobs, run);
}

QStringList check(CrashJobs& jobs, const CrashRun& run) {
    TestSpool& spool = jobs.spool();
    QStringList wrong;
    if (!spool.start(crash_run_arguments())) return {"a clean daemon does not start"};
    if (!spool.wait_for([&] { return jobs.settle(); }, "all jobs to be settled", 90s))
        wrong << "not settled";
    // Supervisors of the first daemon may have been killed until now.
    const Excuse killed = excuse_kills(strace::kills(strace::exec_trace(spool)));
    const auto permitted = [&](const CrashJob& job, const QJsonObject& result) {
        return (run.excuse && run.excuse(job, result)) || killed(job, result);
    };
    return wrong << findings(jobs, permitted) << changes_by_restarts(spool, crash_run_arguments());
}

}  // namespace

QStringList crash_run_arguments() {
    return {"--gpus", "0,1", "--cpu-slots", "2"};
}

bool drop_first_jobs(CrashJobs& jobs) {
    return jobs.drop("plain") && jobs.drop_failing("failing") && jobs.drop_invalid("invalid") &&
           jobs.submit("submitted") && jobs.drop_retried("again") &&
           jobs.drop_withdrawn("withdrawn") && jobs.drop("long", "sleep 1.1") &&
           jobs.drop_cancelled("cancelled");
}

bool drop_later_jobs(CrashJobs& jobs) {
    return jobs.write_in_place("written") && jobs.drop_with_output("output") &&
           jobs.drop_array("array") &&
           jobs.drop("leaving", "(setsid sleep 0.4 &) >/dev/null 2>&1") && jobs.drop("last") &&
           jobs.drop_invalid("wrong");
}

QStringList carry_out(const CrashRun& run) {
    TestSpool spool(run.scratch_parent);
    for (auto it = run.environment.cbegin(); it != run.environment.cend(); ++it)
        spool.environment.insert(it.key(), it.value());
    CrashJobs jobs(spool);
    if (!prepare(spool) || !drop_first_jobs(jobs)) return {run.title + ": cannot be set up"};
    QStringList arguments = crash_run_arguments();
    if (!run.supervisor.isEmpty())
        arguments << "--exec" << strace::exec_wrapper(spool, run.supervisor);
    spool.wrapper = run.daemon;
    (void)spool.start(arguments);
    if (!drop_later_jobs(jobs)) return {run.title + ": jobs cannot be dropped"};
    let_it_break(jobs, run);
    if (!run.second_daemon.isEmpty()) recover_and_break_again(jobs, run);
    spool.wrapper.clear();
    QStringList wrong;
    for (const QString& found : check(jobs, run))
        wrong << run.title + ": " + found;
    if (!wrong.isEmpty()) qWarning("%s\n%s", qPrintable(run.title), spool.daemon_log().constData());
    return wrong;
}

QStringList carry_out(const std::vector<CrashRun>& runs) {
    std::atomic<std::size_t> next{0};
    std::mutex guard;
    QStringList wrong;
    const auto work = [&] {
        for (std::size_t mine; (mine = next++) < runs.size();) {
            const QStringList found = carry_out(runs[mine]);
            const std::lock_guard lock(guard);
            wrong << found;
        }
    };
    std::vector<std::thread> workers;
    for (int i = 0; i < at_once; ++i)
        workers.emplace_back(work);
    for (std::thread& worker : workers)
        worker.join();
    return wrong;
}
