// Setting the daemon up: the lock, the owner, recovery, the watches; and opening again what was
// moved away.
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "cgroup.h"
#include "daemon.h"
#include "libspool/done.h"
#include "libspool/file_system.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/orphans.h"
#include "libspool/own_files.h"
#include "libspool/posix_files.h"
#include "libspool/system.h"
#include "libspool/values.h"
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
    if (auto locked = take_lock(); !locked) return locked;
    if (auto owned = check_owner(); !owned) return owned;
    log_notice("spoold " GPUSPOOL_VERSION " takes care of " + spool_.path);

    if (auto made = make_parts(); !made) return made;
    load_config();
    load_groups();
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
                   arrays_.has_inode(stat.device, stat.inode);
        });
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

/// The directory itself is locked too: a lock file that somebody removes would let a second daemon
/// in.
spool::Result<bool> Daemon::lock_spool(spool::Handle file) {
    return files_.lock(file).map([this](bool taken) {
        return taken && (::flock(static_cast<int>(spool_.internal.get()), LOCK_EX | LOCK_NB) == 0 ||
                         errno != EWOULDBLOCK);
    });
}

bool Daemon::owner_is_dead() {
    const auto owner = spool::read_owner(spool_);
    return owner && owner->machine_id == machine_id_ && !spool::process_start(owner->pid);
}

spool::Result<void> Daemon::take_lock() {
    auto lock = spool::open_file(files_, spool_.internal.get(), "lock", spool::OpenMode::create);
    if (!lock) return tl::unexpected(lock.error());
    auto taken = lock_spool(lock->get());
    // A process that a killed daemon was just starting has its descriptors until it executes.
    for (int tries = 0; taken && !*taken && tries < 50 && owner_is_dead(); ++tries) {
        std::this_thread::sleep_for(20ms);
        taken = lock_spool(lock->get());
    }
    if (!taken) return tl::unexpected(taken.error());
    if (*taken) {
        lock_ = std::move(*lock);
        return {};
    }
    const auto owner = spool::read_owner(spool_);
    return spool::content_error(
        spool_.path, {},
        "another spoold" +
            (owner ? " (pid " + std::to_string(owner->pid) + " on " + owner->host + ")" : "") +
            " has this spool already; there is nothing to do");
}

/// A spool belongs to one host: a home directory may be shared, GPUs are not.
spool::Result<void> Daemon::check_owner() {
    const auto owner = spool::read_owner(spool_);
    if (!owner && owner.error().code != ENOENT) log_warning(owner.error().text());
    if (!owner || owner->machine_id == machine_id_ || options_.take_over) return {};
    return spool::content_error(
        spool_.path, {},
        "belongs to spoold on host " + owner->host + ", last heard of at " +
            spool::format_time(owner->heartbeat) +
            ". For a spool of this host set GPUSPOOL_DIR; if that host is gone for good: spoold "
            "--take-over");
}

spool::Result<void> Daemon::recover() {
    auto history = spool::load_history(spool_, history_);
    if (!history) return tl::unexpected(history.error());
    std::uint64_t highest = 0;
    for (const spool::HistoryEntry& entry : *history) {
        index_.note(entry.number, entry.name, spool::standing_of(entry.state));
        highest = std::max(highest, entry.number);
        // Longer ones are no array's: the line is damaged.
        if (entry.last_task < entry.first_task ||
            entry.last_task - entry.first_task >= spool::most_tasks)
            continue;
        highest = std::max(highest, entry.last_task);
        for (std::uint64_t task = entry.first_task; task != 0 && task <= entry.last_task; ++task)
            index_.note_used(task);
    }
    auto recovery = spool::recover(spool_, *pool_, clock_, boot_, [](const auto& content) {
        return spool::attempt_is_alive(content.claim.token, content);
    });
    if (!recovery) return tl::unexpected(recovery.error());
    for (const std::string& problem : recovery->problems)
        troubles_.set(problem, problem);
    for (const std::string& name : recovery->requeued)
        log_warning("running/" + name +
                    " has no record: it was never executed and goes back to the queue");

    active_ = std::make_unique<ActiveJobs>(spool_, clock_, boot_, *pool_, *history_, *syncs_,
                                           *executor_, listener());
    recover_arrays(std::move(recovery->arrays));
    highest = std::max(highest, index_.highest());
    for (spool::Recovered& recovered : recovery->jobs) {
        highest = std::max(highest, recovered.job.number);
        if (!drop_superseded(*history, recovered)) take_up(std::move(recovered));
    }
    resume_arrays();
    auto ends = spool::recover_unstarted(
        spool_, [this](std::uint64_t number) { return index_.used(number); });
    if (!ends) return tl::unexpected(ends.error());
    for (spool::UnstartedEnd& end : *ends)
        finish_unstarted(end.result, std::move(end.published));
    if (auto loaded = incoming_->load(); !loaded) return loaded;
    for (const auto& [name, job] : incoming_->jobs()) {
        highest = std::max(highest, job.number);
        index_.note(job.number, spool::stem_of(name), spool::Standing::waiting);
    }
    if (auto raised = spool::raise_counter(spool_, highest); !raised) return raised;
    for (const spool::WaitingEntry& entry : recovery->undone)
        incoming_->expect(entry);
    return {};
}

/// Whether the outcome of this task is noted already.
bool Daemon::task_has_ended(std::uint64_t task) const {
    const OpenArray* array = arrays_.of_task(task);
    return array != nullptr && array->record.outcomes[array->record.place_of_number(task)];
}

/// Whether a task has ended with another attempt than this one: its free mark did not reach the
/// disk.
bool Daemon::is_superseded_task(const spool::ActiveJob& job) const {
    if (!task_has_ended(job.number)) return false;
    const auto result = spool::read_done(spool_, job.name);
    return result && result->task && result->token != spool::to_hex(job.token) &&
           result->id == arrays_.of_task(job.number)->record.number;
}

/// The truth about its job is in the history and in done/.
bool Daemon::drop_superseded(const std::vector<spool::HistoryEntry>& history,
                             spool::Recovered& recovered) {
    using enum spool::RecoveryAction;
    if (recovered.action == adopt || recovered.action == await_tree) return false;
    const bool superseded =
        is_superseded_task(recovered.job) ||
        std::any_of(history.begin(), history.end(), [&](const spool::HistoryEntry& end) {
            return end.number == recovered.job.number && spool::is_superseded(recovered.job, end);
        });
    if (!superseded) return false;
    (void)spool::release(spool_, recovered.job);
    pool_->give_back(std::move(recovered.job.record));
    return true;
}

/// A job of an earlier daemon: one that was never started waits for its turn once more.
void Daemon::take_up(spool::Recovered recovered) {
    const std::uint64_t number = recovered.job.number;
    recovered.has_ended = recovered.job.is_task() ? task_has_ended(number) : index_.used(number);
    if (recovered.job.is_task() && recovered.has_ended &&
        recovered.action == spool::RecoveryAction::start)
        recovered.action = spool::RecoveryAction::finish;
    const bool runs = recovered.content.started();
    if (recovered.job.is_task())
        note_task_found(number, runs);
    else
        index_.note(number, recovered.job.name,
                    runs ? spool::Standing::running : spool::Standing::waiting);
    index_.note_used(number);
    const bool starts = recovered.action == spool::RecoveryAction::start;
    const bool holds = recovered.action == spool::RecoveryAction::adopt ||
                       recovered.action == spool::RecoveryAction::await_tree;
    const bool first = starts && recovered.job.attempt == 1;  // further ones ask for slots
    const auto terms = terms_of(recovered.job, recovered.content.claim);
    // What cannot be read any more goes back, and is judged anew.
    if (first && !terms) recovered.action = spool::RecoveryAction::undo;
    active_->adopt(std::move(recovered));
    if (first && terms) queue_again(number, *terms);
    if (holds) adopt_binding(active_->jobs().at(number));
}

/// What a running job of an earlier daemon holds, as its run page says.
void Daemon::adopt_binding(const Active& active) {
    if (!active.content.run_known()) return;
    auto gpus = spool::run_gpus(active.content.run);
    std::vector<std::string> locked;
    if (gpus.devices.empty() && !gpus.texts.empty()) {  // their ids were too long for the run page
        locked = shared_->locked_by(active.job.number);
        std::size_t count = 0;
        for (const std::string& text : gpus.texts)
            count += spool::make_gpu_slot(text).devices.size();
        if (locked.size() == count) gpus.devices = locked;
    }
    const auto read = terms_of(active.job, active.content.claim);
    if (!read)
        log_warning(title(active.job) + ": what it asked for is not known: " + read.error().text());
    const spool::Terms terms = read.value_or(spool::Terms());
    const auto ran_for = std::chrono::nanoseconds(clock_.wall() - active.content.run.started_at);
    spool::Tenure tenure{clock_.monotonic() - ran_for};
    if (terms.time_limit) tenure.until = tenure.since + *terms.time_limit;
    policy_.adopt(active.job.number, terms.group, gpus,
                  {gpus.texts.empty() ? 1 : 0, terms.need.cpus, terms.need.memory}, tenure);
    if (const OpenArray* array = arrays_.of_task(active.job.number))
        policy_.adopt_task(array->record.number, active.job.number);
    if (locked.empty()) locked = policy_.book().gpus(active.job.number).devices;
    // Its supervisor holds the lock; from now on so do we.
    const auto taken = shared_->take(active.job.number, locked);
    if (!taken || *taken)
        log_warning(title(active.job) + " still runs on a GPU that cannot be locked for it: " +
                    (taken ? **taken : taken.error().text()));
    log_info(title(active.job) + " still runs: adopted");
}

void Daemon::watch() {
    if (!watcher_) watcher_.emplace(io_, [this](const EventBatch& batch) { on_events(batch); });
    const auto watching = watcher_->watch(spool_);
    events_work_ = watching.has_value();
    troubles_.set("inotify",
                  watching ? ""
                           : "no notice of new files, the spool is looked at every 2 s (" +
                                 watching.error().text() +
                                 "); raise fs.inotify.max_user_instances or max_user_watches");
    rescan_ = files_changed_ = true;
}

/// Whether .spool and its records are still those that were opened. They are not made anew: without
/// them nobody would know which jobs have been executed.
spool::Result<bool> Daemon::holds_records() {
    const auto root = spool::PosixFiles::open_root(spool_.path);
    if (!root) return tl::unexpected(root.error());
    const spool::OpenFile held(files_, *root);
    const auto internal = files_.stat_at(held.get(), ".spool"),
               records = files_.stat_at(spool_.internal.get(), "records"),
               own_internal = files_.stat(spool_.internal.get()),
               own_records = files_.stat(spool_.records.get());
    for (const auto* stat : {&internal, &records, &own_internal, &own_records})
        if (!*stat) return tl::unexpected(stat->error());
    return internal->same_file(*own_internal) && records->same_file(*own_records);
}

/// What somebody has removed of the daemon's own files is written anew, from what it knows.
void Daemon::heal_files() {
    const auto note = [this](const std::string& name) {
        log_warning(".spool/" + name + " was removed or damaged: made anew");
    };
    const auto identity = spool::keep_identity(spool_);
    if (identity && *identity) note("format");
    const auto lists = incoming_->keep_files(index_.highest());
    for (const std::string& name : lists.value_or(std::vector<std::string>()))
        note(name);
    const auto history = spool::keep_history(spool_, *history_);
    if (history && *history) note("history");
    const spool::Error* failed = !identity  ? &identity.error()
                                 : !lists   ? &lists.error()
                                 : !history ? &history.error()
                                            : nullptr;
    troubles_.set("own files",
                  failed == nullptr ? "" : "the files in .spool cannot be kept: " + failed->text());
    if (!files_.stat_at(spool_.internal.get(), "owner")) rescan_ = true;
}

/// A directory of the spool that was moved or removed is opened, or made, again under its name.
void Daemon::heal_directories() {
    if (!std::exchange(directories_lost_, false)) return;
    const auto holds = holds_records();
    if (holds && !*holds) {
        log_error(spool_.path +
                  "/.spool or its records/ is another one now: this spoold ends; running jobs go "
                  "on, start spoold again");
        ending_ = true;
        return;
    }
    if (holds) heal_files();
    auto again =
        holds ? spool::open_spool(files_, spool_.path, spool::IfMissing::create)
              : spool::Result<spool::Spool>(spool::content_error(
                    spool_.path, {},
                    holds.error().text() +
                        ": move it back; if it is gone for good, end spoold and start it again"));
    troubles_.set("spool", again ? "" : "the spool cannot be opened: " + again.error().text());
    if (!again) {
        no_claims_before_ = clock_.monotonic() + 2s;
        next_rescan_ = std::min(next_rescan_, no_claims_before_);
        directories_lost_ = true;
        return;
    }
    if (!files_.stat_at(spool_.internal.get(), "lock")) (void)take_lock();
    bool same = true;
    for (spool::OpenFile spool::Spool::*member :
         {&spool::Spool::root, &spool::Spool::incoming, &spool::Spool::running, &spool::Spool::done,
          &spool::Spool::control, &spool::Spool::internal, &spool::Spool::records,
          &spool::Spool::scripts, &spool::Spool::environments, &spool::Spool::temporary}) {
        const auto before = files_.stat((spool_.*member).get()),
                   after = files_.stat(((*again).*member).get());
        if (before && after && before->same_file(*after)) continue;
        same = false;
        if (member == &spool::Spool::running) {
            active_->restore_files();
            restoring_arrays_ = true;
        }
        if (member == &spool::Spool::environments) capture_environment();
        // A sync may be under way on the old descriptor: it is replaced, and closed with the
        // daemon.
        retired_.push_back(std::exchange(spool_.*member, std::move((*again).*member)));
        if (member == &spool::Spool::incoming) incoming_->was_moved(retired_.back().get());
    }
    if (same) return;
    log_warning("a directory of the spool was moved or removed: opened again");
    watch();
    // What went before the new watches were there is found by one more look.
    directories_lost_ = true;
    ask_for_pass();
}

}  // namespace spoold
