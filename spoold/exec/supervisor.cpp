#include "spoold/exec/supervisor.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "spoold/exec/limits.h"
#include "spoold/exec/text.h"

namespace spool::exec {

using record::Claim;
using record::Step;

namespace {

constexpr std::int64_t note_delay = 20 * millisecond;

template <std::size_t Size>
std::uint16_t copy_bounded(char (&target)[Size], const char* source, std::size_t length) {
    if (length > Size) length = 0;
    memcpy(target, source, length);
    return static_cast<std::uint16_t>(length);
}

}  // namespace

ExitCode Supervisor::run(const Order& order) {
    if (const ExitCode code = take(order); code != done) return code;
    become_supervisor();
    Launch launch(setup_.spool.get(), record_, order.environment, arena_);
    if (record_.cancelled()) {
        exit_.flags |= record::cancelled;
        refuse({Step::fork, ECANCELED});
    } else {
        make_cgroup(order.limits);
        if (!commit(order)) return clean_up(), system_error;
        execute(launch);
    }
    watch();
    return done;
}

ExitCode Supervisor::take(const Order& order) {
    if (!record_.open(setup_.spool.get(), order.record)) return no_record;
    if (const ExitCode code = record_.lock(); code != done) return code;
    return record_.load(order.token, setup_.boot, arena_);
}

void Supervisor::become_supervisor() {
    (void)setsid();
    if (setup_.detached) (void)dup2(setup_.null.get(), STDERR_FILENO);
    (void)prctl(PR_SET_PDEATHSIG, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGCHLD, SIG_DFL);
    const Claim& claim = record_.claim();
    Text<32> name;
    name.add("spool-exec ").add_number(claim.job);
    (void)prctl(PR_SET_NAME, name.c_str());
    Text<320> title;
    title.add("spool-exec: job ").add_number(claim.job).add(" (");
    title.add_visible(claim.name, claim.name_length).add(")");
    setup_.title.set(title.c_str(), title.size());
}

void Supervisor::make_cgroup(const record::Limits& limits) {
    if (!setup_.cgroup) return;
    Text<64> name;
    name.add("job-").add_number(record_.claim().job).add(".").add_number(record_.claim().attempt);
    Text<1024> path;
    path.add(setup_.cgroup_path.c_str()).add("/").add(name.c_str());
    const int parent = setup_.cgroup.get();
    if (path.cut() || (mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST)) return;
    has_cgroup_ = true;
    Fd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!directory) return;
    run_.cgroup_length = copy_bounded(run_.cgroup, path.c_str(), path.size());
    run_.limits = set_limits(directory.get(), limits);
    tree_.use_cgroup(static_cast<Fd&&>(directory));
}

/// The run page: from here on the job counts as executed.
bool Supervisor::commit(const Order& order) {
    ProcessStat self;
    if (!read_stat(0, self)) return false;
    run_.token = order.token;
    run_.boot_id = setup_.boot;
    run_.supervisor_pid = self.pid;
    run_.supervisor_start = self.start;
    run_.gpus_length = copy_bounded(run_.gpus, order.gpus.data, order.gpus.size);
    run_.started_at = wall_time();
    started_ = boot_time();
    return record_.write(run_) == 0;
}

void Supervisor::execute(Launch& launch) {
    if (const Failure failure = launch.prepare()) return refuse(failure);
    int cgroup = tree_.cgroup();
    if (const Failure failure = launch.start(cgroup, main_)) return refuse(failure);
    launch_ = &launch;
    arena_.release();
    if (cgroup != tree_.cgroup()) {
        tree_.forget_cgroup();
        run_.cgroup_length = 0;
        run_.limits = 0;
        memset(run_.cgroup, 0, sizeof run_.cgroup);
        note_main();
    } else {
        note_at_ = boot_time() + note_delay;
    }
    const Claim& claim = record_.claim();
    if (claim.time_limit == 0) return;
    const auto limit = static_cast<std::int64_t>(claim.time_limit) * millisecond;
    const auto early = static_cast<std::int64_t>(claim.warn_before) * millisecond;
    limit_at_ = started_ + limit;
    if (claim.warn_signal) warn_at_ = started_ + (early < limit ? limit - early : 0);
}

/// The second writing of the run page. Who the job is helps the daemon; the job itself does not
/// depend on it, and of one that has ended nobody asks: so it is put off a little.
void Supervisor::note_main() {
    note_at_ = never;
    ProcessStat stat;
    run_.main_pid = main_;
    if (read_stat(main_, stat)) run_.main_start = stat.start;
    (void)record_.write(run_);
}

/// The job's own program does not run, and that is the outcome.
void Supervisor::refuse(Failure failure) {
    arena_.release();
    exit_.failed_step = failure.step;
    exit_.error = failure.error;
    exit_.ended_at = wall_time();
    ended_ = boot_time();
    main_ended_ = judged_ = tree_empty_ = true;
}

void Supervisor::clean_up() {
    char path[512];
    const Claim& claim = record_.claim();
    if ((claim.flags & record::writes_script) && script_path(claim, path, sizeof path))
        (void)unlinkat(setup_.spool.get(), path, 0);
    if (!has_cgroup_) return;
    Text<64> name;
    name.add("job-").add_number(claim.job).add(".").add_number(claim.attempt);
    remove_cgroup(setup_.cgroup.get(), name.c_str());
}

}  // namespace spool::exec
