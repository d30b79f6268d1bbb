// Starting up: what the daemon consists of, and what these parts tell it. A part of `Daemon`.
#include <sys/vfs.h>
#include <unistd.h>

#include <csignal>
#include <system_error>

#include "cgroup.h"
#include "daemon.h"
#include "libspool/file_system.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

/// Whether other machines may change the directory without this kernel's notice.
bool is_on_network(const spool::OpenFile& directory) {
    struct statfs system {};
    return fstatfs(static_cast<int>(directory.get()), &system) == 0 &&
           !spool::network_file_system(static_cast<std::uint32_t>(system.f_type)).empty();
}

}  // namespace

spool::Result<void> Daemon::open() {
    started_at_ = clock_.wall();
    // Without knowing the boot or the machine for certain, a running job would be taken for an
    // interrupted one, and this spool for another host's.
    const auto boot = spool::boot_id();
    if (!boot) return tl::unexpected(boot.error());
    const auto machine = spool::machine_id();
    if (!machine) return tl::unexpected(machine.error());
    boot_ = *boot;
    machine_id_ = *machine;
    // A lease that somebody breaks is announced by SIGIO, whose default would end the daemon.
    std::signal(SIGIO, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    auto opened = spool::open_spool(files_, options_.spool_path, spool::IfMissing::create);
    if (!opened) return tl::unexpected(opened.error());
    spool_ = std::move(*opened);
    on_network_ = is_on_network(spool_.root);
    user_ = spool::user_name(geteuid());
    if (auto locked = lock_.take(); !locked) return locked;
    if (auto owned = lock_.check_owner(); !owned && !options_.take_over) return owned;
    log_notice("spoold " GPUSPOOL_VERSION " takes care of " + spool_.path);

    if (auto made = make_parts(); !made) return made;
    load_config();
    groups_.load();
    watch();
    if (auto recovered = recover(); !recovered) return recovered;
    capture_environment();
    return {};
}

/// What the daemon consists of. The active jobs come with the recovery.
spool::Result<void> Daemon::make_parts() {
    try {
        syncs_ = std::make_unique<SyncThread>(io_, files_);
    } catch (const std::system_error& error) {
        return spool::system_error("start a thread", spool_.path, error.code().value());
    }
    hooks_ = std::make_unique<Hooks>(
        io_, spool_,
        [this](const std::string& problem) {
            if (!troubles_.set("hooks", problem)) return;
            if (!problem.empty()) log_warning(problem);
            state_changed_ = true;
            ask_for_pass();
        },
        [this] { ask_for_pass(); });
    inhibitor_ = std::make_unique<SleepInhibitor>(io_, [](const std::string& problem) {
        log_notice("the machine may go to sleep while jobs run: " + problem);
    });
    pool_ = std::make_unique<spool::RecordPool>(spool_);
    launcher_ = std::make_unique<JobLauncher>(spool_);
    if (auto prepared = launcher_->prepare(); !prepared) return prepared;
    job_cgroup_ = prepare_job_cgroup(spool_.identity);
    LocalExecutorOptions executor{options_.spool_exec, spool_.path, job_cgroup_, {}};
    executor_ = std::make_unique<LocalExecutor>(io_, files_, std::move(executor),
                                                [this](std::uint32_t record, int code) {
                                                    active_->fork_failed(record, code);
                                                    ask_for_pass();
                                                });
    incoming_ = std::make_unique<spool::Incoming>(
        spool_, clock_, [this](std::uint64_t number) { return index_.used(number); },
        [this](const spool::FileStat& stat) {
            return active_->has_inode(stat.device, stat.inode) ||
                   arrays_->has_inode(stat.device, stat.inode);
        });
    make_requests();
    GpuWatchOptions gpu_watch;
    gpu_watch.program = options_.spool_probe;
    gpus_ = std::make_unique<MachineGpus>(io_, spool_, clock_, std::move(gpu_watch), [this] {
        gpus_changed_ = state_changed_ = true;
        ask_for_pass();
    });
    shared_ = std::make_unique<SharedGpus>(io_, spool_, clock_, [this] { ask_for_pass(); });
    if (auto loaded = gpus_->load(); !loaded)
        troubles_.set("gpu notes", "what was noted of GPUs is lost: " + loaded.error().text());
    return {};
}

void Daemon::make_requests() {
    RequestsListener listener;
    listener.carry_out = [this](const spool::Request& request, const RequestReply& reply) {
        carry_out(request, reply);
    };
    listener.knows = [this](std::uint64_t job) { return knows(job); };
    listener.scan = [this] {
        rescan_ = true;
        ask_for_pass();
    };
    listener.changed = [this] { state_changed_ = true; };
    requests_ = std::make_unique<Requests>(spool_, *incoming_, index_, scans_, troubles_,
                                           std::move(listener));
}

void Daemon::make_arrays() {
    ArraysListener listener;
    listener.changed = [this] { state_changed_ = true; };
    listener.has_work = [this] { ask_for_pass(); };
    listener.claims_fail = [this] { no_claims_before_ = clock_.monotonic() + 1s; };
    listener.standing = [this](std::uint64_t number, const std::string& name,
                               spool::Standing standing) { note_standing(number, name, standing); };
    listener.ended = [this](const spool::JobResult& result) { note_ended(result); };
    listener.opened = [this](std::uint64_t array) { forget_start(array); };
    listener.judge_again = [this](std::uint64_t job) { enqueue(job); };
    listener.why_waits = [this](std::uint64_t array, const spool::Need& need) {
        return why_waits(array, need);
    };
    arrays_ = std::make_unique<Arrays>(
        ArrayParts{spool_, clock_, boot_, *pool_, *history_, index_, *incoming_, policy_, *active_,
                   *launcher_, *syncs_, troubles_},
        std::move(listener));
}

ActiveJobsListener Daemon::listener() {
    ActiveJobsListener listener;
    listener.freed = [this](std::uint64_t number) {
        if (!policy_.book().gpus(number).texts.empty()) gpus_->released();
        forget_start(number);
        policy_.remove(number);
        state_changed_ = true;
        ask_for_pass();
    };
    listener.unbound = [this](std::uint64_t number) {
        shared_->release(number);
        policy_.take_back(number);
        state_changed_ = true;
        ask_for_pass();
    };
    listener.not_started = [this](const spool::ActiveJob& job) {
        if (!paused_ && !draining_) no_claims_before_ = clock_.monotonic() + 1s;
        if (job.is_task())
            arrays_->claim_undone(job.number);
        else
            incoming_->expect(spool::waiting_entry(job));
        ask_for_pass();
    };
    listener.started = [this](const spool::ActiveJob& job) { note_started(job); };
    listener.adopted = [this](const Active& active) { adopt_binding(active); };
    listener.secrets = [this](const spool::ActiveJob& job) {
        return launcher_->secrets(job.facts.secrets);
    };
    listener.attempt_ended = [this](const spool::JobResult& verdict) { note_failures(verdict); };
    listener.wants_slots = [this](const Active& active) { return wants_slots(active); };
    listener.ended = [this](const spool::JobResult& result) { note_ended(result); };
    listener.changed = [this] {
        state_changed_ = true;
        ask_for_pass();
    };
    listener.sync_with = [this](const spool::ActiveJob& job, spool::SyncSet& barrier) {
        return arrays_->sync_with(job, barrier);
    };
    listener.not_synced = [this](const spool::ActiveJob& job) { arrays_->task_not_synced(job); };
    listener.trouble = [this](const std::string& what, const std::string& problem) {
        if (troubles_.set(what, problem)) state_changed_ = true;
    };
    return listener;
}

}  // namespace spoold
