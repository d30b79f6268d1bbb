#include "libspool/current_state.h"

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <unordered_set>

#include "libspool/array_record.h"
#include "libspool/control.h"
#include "libspool/job_file.h"
#include "libspool/job_numbers.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace spool {
namespace {

/// One look at the directories, in the order in which jobs move: one that moves on meanwhile is
/// seen again, not missed.
struct Listing {
    std::vector<std::string> incoming, running;  ///< names of job files
    std::vector<IgnoredState> ignored;
};

std::vector<std::string> job_files(Spool& spool, const OpenFile& directory,
                                   std::vector<IgnoredState>* ignored) {
    std::vector<std::string> out;
    auto entries = spool.files->list(directory.get());
    if (!entries) return out;
    for (DirectoryEntry& entry : *entries) {
        const NameClass kind = classify_name(entry.name);
        if (kind == NameClass::job)
            out.push_back(std::move(entry.name));
        else if (kind == NameClass::other && ignored != nullptr)
            ignored->push_back({"incoming/" + entry.name, why_ignored(entry.name)});
    }
    return out;
}

Listing list_jobs(Spool& spool) {
    Listing out;
    out.incoming = job_files(spool, spool.incoming, &out.ignored);
    out.running = job_files(spool, spool.running, nullptr);
    return out;
}

struct JobFile {
    FileStat stat;
    std::string bytes;
    std::optional<JobSpec> spec;  ///< nothing if it cannot be understood
};

std::optional<JobFile> read_job(Spool& spool, const OpenFile& directory,
                                const std::string& file_name) {
    const auto stat = spool.files->stat_at(directory.get(), file_name);
    if (!stat || stat->kind != FileKind::regular) return std::nullopt;
    JobFile out{*stat, {}, std::nullopt};
    auto bytes = read_whole(*spool.files, directory.get(), file_name, max_job_file_size);
    if (!bytes) return bytes.error().code == ENOENT ? std::nullopt : std::optional(std::move(out));
    out.bytes = std::move(*bytes);
    if (auto spec = read_job_file(out.bytes, file_name)) out.spec = std::move(*spec);
    return out;
}

std::optional<SubmitInfo> submit_info(const JobFile& file) {
    return file.spec ? file.spec->submit : std::nullopt;
}

std::int64_t submission_time(const JobFile& file) {
    const auto submit = submit_info(file);
    const auto time = submit ? parse_time(submit->submitted_at) : std::nullopt;
    return time.value_or(file.stat.changed);
}

std::string stem_of(const std::string& file_name) {
    const auto name = split_job_name(file_name);
    return name ? name->stem : file_name;
}

WaitingState waiting_from(const std::string& file_name, const JobFile& file, JobNumbers& numbers,
                          bool daemon) {
    WaitingState out;
    out.id = numbers.of(file_name, file.stat, submit_info(file));
    out.name = stem_of(file_name);
    out.file = file_name;
    out.submitted_at = submission_time(file);
    if (file.spec) {
        out.command = command_line(*file.spec, file.bytes);
        out.priority = file.spec->priority;
    }
    if (file.spec)
        if (const auto tasks = parse_tasks(file.spec->array.tasks)) out.tasks = tasks->size();
    out.reason.kind = daemon ? WaitReason::Kind::next : WaitReason::Kind::daemon_down;
    if (!file.bytes.empty() || file.stat.size == 0)
        if (!has_command(file.bytes)) out.reason.kind = WaitReason::Kind::no_command;
    return out;
}

RunningState running_from(const std::string& file_name, const JobFile& file, JobNumbers& numbers) {
    RunningState out;
    out.id = numbers.of(file_name, file.stat, submit_info(file));
    out.name = stem_of(file_name);
    out.phase = "claimed";
    out.submitted_at = submission_time(file);
    if (file.spec) out.command = command_line(*file.spec, file.bytes);
    return out;
}

/// In the order in which they will start; jobs without a number yet come last.
void sort_waiting(std::vector<WaitingState>& waiting) {
    std::sort(waiting.begin(), waiting.end(), [](const WaitingState& a, const WaitingState& b) {
        const auto key = [](const WaitingState& job) {
            return std::tuple<int, std::uint64_t, std::int64_t, const std::string&>(
                -job.priority, job.id - 1, job.submitted_at, job.name);
        };
        return key(a) < key(b);
    });
}

/// Brings a published state up to date with what the directories say now.
class Update {
public:
    Update(Spool& spool, SpoolState& state, const Listing& listing)
        : spool_(spool), state_(state), listing_(listing) {}

    void running() {
        const std::unordered_set<std::string> there = stems(listing_.running);
        arrays(there);
        std::erase_if(state_.running, [&](const RunningState& job) {
            const auto task = split_task_name(job.name);
            const bool missing = !there.contains(task ? task->array : job.name);
            const bool gone =
                (missing && !state_.daemon.running) || ((missing || task) && has_ended(job.name));
            if (gone) ended_.insert(job.id);
            return gone;
        });
        clear_gpus();
        std::unordered_set<std::string> known;
        std::unordered_set<std::uint64_t> claimed_ahead;
        for (const RunningState& job : state_.running)
            known.insert(job.name);
        for (const ArrayState& array : state_.arrays)
            known.insert(array.name);
        for (const WaitingState& job : state_.waiting)
            claimed_ahead.insert(job.id);
        for (const std::string& file_name : listing_.running) {
            if (known.contains(stem_of(file_name))) continue;
            const auto file = read_job(spool_, spool_.running, file_name);
            if (!file) continue;
            RunningState job = running_from(file_name, *file, numbers());
            if (state_.daemon.running && job.id != 0 && claimed_ahead.contains(job.id))
                in_running_.insert(job.id);
            else
                state_.running.push_back(std::move(job));
        }
    }

    void waiting(bool everything) {
        const std::unordered_set<std::string> there(listing_.incoming.begin(),
                                                    listing_.incoming.end());
        const bool cut = state_.waiting_count > state_.waiting.size();
        std::erase_if(state_.waiting, [&](const WaitingState& job) {
            return !there.contains(job.file) && !in_running_.contains(job.id);
        });
        std::unordered_set<std::string> known;
        for (const WaitingState& job : state_.waiting)
            known.insert(job.file);
        state_.waiting_count = listing_.incoming.size() + in_running_.size();
        if (cut && !everything) return;
        bool added = false;
        for (const std::string& file_name : listing_.incoming) {
            if (known.contains(file_name)) continue;
            const auto file = read_job(spool_, spool_.incoming, file_name);
            if (!file) continue;
            state_.waiting.push_back(
                waiting_from(file_name, *file, numbers(), state_.daemon.running));
            added = true;
        }
        if (added) sort_waiting(state_.waiting);
        if (!everything && state_.waiting.size() > SpoolState::max_waiting)
            state_.waiting.resize(SpoolState::max_waiting);
    }

private:
    static std::unordered_set<std::string> stems(const std::vector<std::string>& file_names) {
        std::unordered_set<std::string> out;
        for (const std::string& name : file_names)
            out.insert(stem_of(name));
        return out;
    }
    /// What the records of open arrays say is newer than what was published.
    void arrays(const std::unordered_set<std::string>& there) {
        std::erase_if(state_.arrays, [&](const ArrayState& array) {
            return !there.contains(array.name) && (!state_.daemon.running || has_ended(array.name));
        });
        const auto names = array_record_names(spool_);
        if (!names) return;
        for (const std::string& name : *names)
            if (const auto record = load_array(spool_, name, OpenMode::read))
                if (there.contains(record->name) && !has_ended(record->name)) update(*record);
    }
    void update(const ArrayRecord& record) {
        const auto known =
            std::find_if(state_.arrays.begin(), state_.arrays.end(),
                         [&](const ArrayState& array) { return array.id == record.number; });
        ArrayState& array =
            known == state_.arrays.end() ? state_.arrays.emplace_back(array_state(record)) : *known;
        array.ended = record.counts;
        array.running = static_cast<std::uint64_t>(std::count_if(
            state_.running.begin(), state_.running.end(), [&](const RunningState& job) {
                return job.task && job.id == array.id && !has_ended(job.name);
            }));
        const std::uint64_t busy = record.ended() + array.running;
        array.waiting = array.count > busy ? array.count - busy : 0;
        if (!state_.daemon.running) array.reason = {WaitReason::Kind::daemon_down, 0, 0, {}, {}};
    }
    static ArrayState array_state(const ArrayRecord& record) {
        ArrayState out;
        out.id = record.number;
        out.name = record.name;
        out.file = record.file_name;
        out.submitted_at = record.submitted_at;
        out.started_at = record.opened_at;
        out.count = record.tasks.size();
        if (const auto spec = read_job_file(record.job_file, record.file_name)) {
            out.command = command_line(*spec, record.job_file);
            out.priority = record.wishes.priority.value_or(spec->priority);
        }
        return out;
    }
    bool has_ended(const std::string& name) {
        return spool_.files->stat_at(spool_.done.get(), name + ".json").has_value();
    }
    /// A job that has ended holds no GPU any more.
    void clear_gpus() {
        const auto let_go = [&](std::vector<std::uint64_t>& jobs, std::string& status) {
            std::erase_if(jobs, [&](std::uint64_t job) { return ended_.contains(job); });
            if (jobs.empty() && status == "held") status = "free";
        };
        for (GpuState& gpu : state_.gpus) {
            let_go(gpu.jobs, gpu.status);
            if (gpu.job && ended_.contains(*gpu.job)) hand_on(gpu);
        }
        for (DeviceState& device : state_.devices)
            let_go(device.jobs, device.status);
    }
    /// To the first of the other jobs that share it.
    void hand_on(GpuState& gpu) {
        gpu.job = gpu.jobs.empty() ? std::nullopt : std::optional(gpu.jobs.front());
        gpu.name.clear();
        for (const RunningState& job : state_.running)
            if (job.id == gpu.job) gpu.name = job.name;
    }
    JobNumbers& numbers() {
        if (!numbers_) numbers_.emplace(spool_);
        return *numbers_;
    }

    Spool& spool_;
    SpoolState& state_;
    const Listing& listing_;
    std::optional<JobNumbers> numbers_;
    std::unordered_set<std::uint64_t> in_running_;  ///< shown as waiting, claimed already
    std::unordered_set<std::uint64_t> ended_;       ///< shown as running, not there any more
};

/// The published state with what is known of the daemon itself. Without a daemon, what it said of
/// the moment is dropped.
Result<SpoolState> published_state(Spool& spool, const Clock& clock) {
    const Result<DaemonPresence> presence = daemon_presence(spool, clock);
    if (!presence) return tl::unexpected(presence.error());
    const bool daemon =
        *presence == DaemonPresence::running || *presence == DaemonPresence::other_host_running;
    SpoolState out;
    const auto bytes = read_whole(*spool.files, spool.internal.get(), "state.json");
    auto state = bytes.and_then([&](const std::string& text) {
        return read_state(text, spool.path + "/.spool/state.json");
    });
    if (state) out = std::move(*state);
    if (!daemon) {
        out.waiting.clear();
        out.waiting_count = 0;
        out.daemon.problems.clear();
        out.daemon.draining = false;
        out.daemon.pid = 0;
    }
    if (bytes && !state) out.daemon.problems.push_back(state.error().text());
    out.daemon.running = daemon;
    const auto owner = read_owner(spool);
    if (owner && (out.daemon.host.empty() || !daemon)) out.daemon.host = owner->host;
    // What it cannot write it cannot publish either.
    if (owner && daemon && clock.wall() - owner->heartbeat > silent_after)
        out.daemon.problems.push_back(
            "spoold runs, but has written nothing since " + format_time(owner->heartbeat) +
            ": what is shown may be old; see whether the file system of " + spool.path +
            " is full or read-only");
    const auto paused = pause_reason(spool);
    if (paused) {
        out.daemon.paused = paused->has_value();
        out.daemon.pause_reason = paused->value_or("");
    }
    return out;
}

}  // namespace

Result<SpoolState> current_state(Spool& spool, const Clock& clock, bool everything) {
    Result<SpoolState> state = published_state(spool, clock);
    if (!state) return state;
    Listing listing = list_jobs(spool);
    Update update(spool, *state, listing);
    update.running();
    update.waiting(everything);
    if (!state->daemon.running) state->ignored = std::move(listing.ignored);
    return state;
}

}  // namespace spool
