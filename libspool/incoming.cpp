#include "libspool/incoming.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libspool/claim.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace spool {
namespace {

Error rejection(const WaitingJob& job, std::string message) {
    return Error{{}, "incoming/" + printable(job.file_name), std::move(message), 0, std::nullopt};
}

/// Why a file of this kind can never be a job.
std::optional<std::string> unfit(const FileStat& stat) {
    switch (stat.kind) {
        case FileKind::symlink:
            return "is a symbolic link: use cp or ln to put the file itself here";
        case FileKind::directory:
            return "is a directory: drop a job file";
        case FileKind::other:
            return "is not a regular file (a FIFO, socket or device)";
        case FileKind::regular:
            break;
    }
    if (stat.owner != geteuid()) return "belongs to another user: copy it to a file of your own";
    if (stat.size > max_job_file_size)
        return "has " + std::to_string(stat.size) + " bytes; a job file has at most " +
               std::to_string(max_job_file_size) +
               ": put the data beside the job and name it there";
    return std::nullopt;
}

/// Writing sets both times of a file to the same value; making a link to it, or removing one, only
/// its ctime.
bool came_whole(const FileStat& stat, Hint hint) {
    const bool was_linked = stat.links > 1 || stat.changed != stat.modified;
    return stat.size > 0 && (hint == Hint::renamed || (hint == Hint::linked && was_linked));
}

}  // namespace

Incoming::Incoming(Spool& spool, const Clock& clock, std::function<bool(std::uint64_t)> number_used,
                   std::function<bool(const FileStat&)> is_active)
    : spool_(spool),
      clock_(clock),
      number_used_(std::move(number_used)),
      is_active_(std::move(is_active)) {}

Result<void> Incoming::load() {
    auto sequence = open_file(*spool_.files, spool_.internal.get(), "seq", OpenMode::create);
    if (!sequence) return tl::unexpected(sequence.error());
    sequence_ = std::move(*sequence);
    std::vector<std::string> lines;
    auto journal = Journal::open(spool_, "waiting", lines);
    if (!journal) return tl::unexpected(journal.error());
    journal_ = std::move(*journal);
    std::uint64_t highest = 0;
    for (const std::string& line : lines) {
        const auto binding = read_binding(line);
        if (!binding) continue;
        highest = std::max(highest, binding->number);
        if (!number_used_(binding->number)) remember(*binding);
    }
    // After a loss of power the counter may be older than the numbers that were taken from it.
    if (auto raised = raise_counter(spool_, highest); !raised) return raised;
    std::string kept;
    for (const auto& [name, job] : jobs_)
        kept += write_line(
            Binding{job.number, job.stat.device, job.stat.inode, name, job.submitted_at});
    return journal_->rewrite(kept);
}

/// An entry for a file that was there: gone until a look finds it. A later binding of the same
/// number, or of the same name, is the truth.
void Incoming::remember(const Binding& binding) {
    if (const auto known = by_number_.find(binding.number); known != by_number_.end())
        erase(std::string(known->second));
    erase(binding.file_name);
    WaitingJob& job = jobs_[binding.file_name];
    job.file_name = binding.file_name;
    job.stat.device = binding.device;
    job.stat.inode = binding.inode;
    job.number = binding.number;
    job.submitted_at = binding.submitted_at;
    job.phase = WaitingJob::Phase::vanished;
    by_number_[job.number] = job.file_name;
    by_inode_[binding.inode] = job.file_name;
    set_deadline(job, clock_.monotonic() + settings_.vanish);
}

void Incoming::expect(const Binding& binding) {
    remember(binding);
    const auto entries = spool_.files->list(spool_.incoming.get());
    if (!entries) return;  // the next scan finds it
    for (const DirectoryEntry& entry : *entries)
        if (entry.inode == binding.inode) look(entry.name, Hint::none);
}

void Incoming::look(const std::string& file_name, Hint hint) {
    note_mark(file_name);
    switch (classify_name(file_name)) {
        case NameClass::temporary:
            return;
        case NameClass::job:
            return look_at_job(file_name, hint);
        case NameClass::other:
            break;
    }
    if (spool_.files->stat_at(spool_.incoming.get(), file_name))
        ignored_.insert(file_name);
    else
        ignored_.erase(file_name);
}

/// An editor's mark that came or went changes whether its job is held.
void Incoming::note_mark(const std::string& file_name) {
    if (file_name.empty() || file_name[0] != '.') return;
    const bool there = spool_.files->stat_at(spool_.incoming.get(), file_name).has_value();
    const bool changed = there ? marks_.insert(file_name).second : marks_.erase(file_name) > 0;
    if (!changed) return;
    for (auto& [name, job] : jobs_) {
        const auto marks = editor_marks(name);
        if (std::find(marks.begin(), marks.end(), file_name) == marks.end()) continue;
        if (job.phase == WaitingJob::Phase::ready || job.phase == WaitingJob::Phase::unready)
            restart_settling(job, Hint::none);
    }
}

std::optional<std::string> Incoming::editor_mark(const std::string& file_name) const {
    if (marks_.empty()) return std::nullopt;
    for (const std::string& mark : editor_marks(file_name))
        if (marks_.contains(mark)) return mark;
    return std::nullopt;
}

void Incoming::look_at_job(const std::string& file_name, Hint hint) {
    const auto stat = spool_.files->stat_at(spool_.incoming.get(), file_name);
    const auto known = jobs_.find(file_name);
    if (!stat) {
        // Only a name that is certainly absent is gone: what cannot be examined keeps its state.
        if (stat.error().code == ENOENT && known != jobs_.end()) vanish(known->second);
        return;
    }
    WaitingJob& job = job_for(file_name, *stat);
    if (job.phase == WaitingJob::Phase::rejected) return;
    const bool fresh = job.phase == WaitingJob::Phase::vanished || !job.stat.unchanged(*stat);
    if (fresh) {
        job.stat = *stat;
        by_inode_[stat->inode] = file_name;
        restart_settling(job, hint);
    } else if (hint != Hint::none && job.phase == WaitingJob::Phase::settling) {
        restart_settling(job, hint);
    }
}

/// The entry for a file that is there: the one of its name, the one that was renamed to it, or a
/// new one.
WaitingJob& Incoming::job_for(const std::string& file_name, const FileStat& stat) {
    if (const auto known = jobs_.find(file_name); known != jobs_.end()) return known->second;
    if (WaitingJob* moved = adopt_moved(file_name, stat)) return *moved;
    WaitingJob& job = jobs_[file_name];
    job.file_name = file_name;
    job.stat = stat;
    job.stat.size = ~stat.size;  // differs from what is there: not looked at yet
    job.submitted_at = clock_.wall();
    return job;
}

/// A waiting job is its inode or its name: after `mv` inside incoming/ it keeps its number.
WaitingJob* Incoming::adopt_moved(const std::string& file_name, const FileStat& stat) {
    const auto named = by_inode_.find(stat.inode);
    if (named == by_inode_.end()) return nullptr;
    const auto old = jobs_.find(named->second);
    if (old == jobs_.end() || !old->second.stat.same_file(stat)) return nullptr;
    const auto still = spool_.files->stat_at(spool_.incoming.get(), old->first);
    if (still || still.error().code != ENOENT)
        return nullptr;  // a second link to it: a job of its own
    vanish(old->second);
    set_deadline(old->second, std::nullopt);
    auto node = jobs_.extract(old);
    node.key() = file_name;
    node.mapped().file_name = file_name;
    WaitingJob& job = jobs_.insert(std::move(node)).position->second;
    if (job.number != 0) {
        by_number_[job.number] = file_name;
        (void)journal_->append(
            write_line(Binding{job.number, stat.device, stat.inode, file_name, job.submitted_at}));
        changes_.numbered = true;
    }
    return &job;
}

void Incoming::restart_settling(WaitingJob& job, Hint hint) {
    leave_ready(job);
    job.phase = WaitingJob::Phase::settling;
    job.reason = {WaitReason::Kind::settling, 0, 0, {}, {}};
    job.whole = came_whole(job.stat, hint);
    const bool short_wait = job.whole && job.stat.kind == FileKind::regular;
    set_deadline(job, clock_.monotonic() + (short_wait ? settings_.arrival : settings_.settle));
}

void Incoming::vanish(WaitingJob& job) {
    if (job.phase == WaitingJob::Phase::vanished) return;
    leave_ready(job);
    job.phase = WaitingJob::Phase::vanished;
    set_deadline(job, clock_.monotonic() + settings_.vanish);
}

void Incoming::advance() {
    const Now now = clock_.monotonic();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const std::string name = deadlines_.begin()->second;
        WaitingJob& job = jobs_.at(name);
        set_deadline(job, std::nullopt);
        if (job.phase == WaitingJob::Phase::settling) {
            look_at_job(name, Hint::none);  // starts again if it has changed since
            const auto still = jobs_.find(name);
            if (still != jobs_.end() && still->second.phase == WaitingJob::Phase::settling &&
                !still->second.deadline)
                settled(still->second);
        } else if (job.phase == WaitingJob::Phase::vanished) {
            // One with a number stays until its end is written down.
            if (job.number != 0)
                changes_.withdrawn.push_back({name, job.number});
            else
                erase(name);
        } else if (job.phase == WaitingJob::Phase::unready) {
            const WaitReason reason = job.reason;
            restart_settling(job, Hint::none);
            job.reason = reason;  // still the truth until the next look
        }
    }
}

std::optional<std::chrono::nanoseconds> Incoming::next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
}

void Incoming::settled(WaitingJob& job) {
    if (const auto why = unfit(job.stat)) return reject(job, rejection(job, *why));
    if (is_active_(job.stat)) {
        unready(job, WaitReason::Kind::previous_run);
        return set_deadline(job, clock_.monotonic() + settings_.vanish);
    }
    if (job.stat.size == 0) return unready(job, WaitReason::Kind::no_command);
    if (const auto mark = editor_mark(job.file_name))
        return unready(job, WaitReason::Kind::editor, *mark);
    read(job);
}

void Incoming::read(WaitingJob& job) {
    auto bytes = read_whole(*spool_.files, spool_.incoming.get(), job.file_name, max_job_file_size);
    if (!bytes && bytes.error().code == ENOENT) return vanish(job);
    if (!bytes && bytes.error().code == EACCES)
        return reject(job, rejection(job, "cannot be read: chmod u+r before dropping it"));
    if (!bytes) {  // trouble of the machine, not of the file
        unready(job, WaitReason::Kind::trouble, bytes.error().text());
        return set_deadline(job, clock_.monotonic() + settings_.vanish);
    }
    if (!has_command(*bytes)) return unready(job, WaitReason::Kind::no_command);
    const bool unfinished = bytes->back() != '\n' && settings_.unfinished_line > settings_.settle;
    if (unfinished && clock_.wall() - job.stat.modified < settings_.unfinished_line.count())
        return set_deadline(job, clock_.monotonic() + settings_.unfinished_line);

    const auto spec = read_job_file(*bytes, "incoming/" + printable(job.file_name));
    if (!spec) return reject(job, spec.error());
    job.priority = spec->priority;
    job.need = Need{spec->gpus};
    job.command = command_line(*spec, *bytes).substr(0, 500);
    job.bare = !spec->submit || spec->submit->environment.empty();
    if (spec->submit && spec->submit->spool == spool_.identity) {
        submitted_numbers_[job.file_name] = spec->submit->number;
        if (const auto at = parse_time(spec->submit->submitted_at)) job.submitted_at = *at;
    }
    if (job.number == 0) unnumbered_.insert(job.file_name);
    if (!settings_.profiles.contains(spec->profile))
        return unready(job, WaitReason::Kind::profile, spec->profile);
    job.phase = WaitingJob::Phase::ready;
    set_deadline(job, std::nullopt);
    if (job.number != 0) changes_.ready.push_back(job.number);
}

/// Whether a program has the file open for writing: what is in it is not its last word yet.
bool Incoming::is_being_written(const WaitingJob& job) const {
    if (job.stat.kind != FileKind::regular) return false;
    Files& files = *spool_.files;
    const auto file = open_file(files, spool_.incoming.get(), job.file_name, OpenMode::read);
    if (!file) return false;
    const LeaseAnswer answer = files.lease(file->get());
    if (answer == LeaseAnswer::granted) files.release_lease(file->get());
    return answer == LeaseAnswer::refused;
}

void Incoming::reject(WaitingJob& job, Error error) {
    if (is_being_written(job)) {
        unready(job, WaitReason::Kind::open);
        return set_deadline(job, clock_.monotonic() + settings_.settle);
    }
    leave_ready(job);
    job.phase = WaitingJob::Phase::rejected;
    set_deadline(job, std::nullopt);
    if (job.number == 0) unnumbered_.insert(job.file_name);
    rejections_.emplace_back(job.file_name, std::move(error));
}

void Incoming::unready(WaitingJob& job, WaitReason::Kind kind, std::string detail) {
    leave_ready(job);
    job.phase = WaitingJob::Phase::unready;
    job.reason = {kind, 0, 0, std::move(detail), {}};
    set_deadline(job, std::nullopt);
    if (job.number == 0) unnumbered_.insert(job.file_name);
}

void Incoming::leave_ready(WaitingJob& job) {
    if (job.phase == WaitingJob::Phase::ready && job.number != 0)
        changes_.unready.push_back(job.number);
}

void Incoming::settle_again(std::uint64_t number, WaitReason::Kind why) {
    const auto named = by_number_.find(number);
    if (named == by_number_.end()) return;
    WaitingJob& job = jobs_.at(named->second);
    restart_settling(job, Hint::none);
    job.reason.kind = why;
}

void Incoming::set_deadline(WaitingJob& job, std::optional<Now> deadline) {
    if (job.deadline) deadlines_.erase({*job.deadline, job.file_name});
    job.deadline = deadline;
    if (deadline) deadlines_.insert({*deadline, job.file_name});
}

const WaitingJob* Incoming::find(std::uint64_t number) const {
    const auto named = by_number_.find(number);
    return named == by_number_.end() ? nullptr : &jobs_.at(named->second);
}

void Incoming::forget(std::uint64_t number) {
    if (const auto named = by_number_.find(number); named != by_number_.end())
        erase(std::string(named->second));
}

void Incoming::erase(const std::string& file_name) {
    const auto found = jobs_.find(file_name);
    if (found == jobs_.end()) return;
    WaitingJob& job = found->second;
    set_deadline(job, std::nullopt);
    if (job.number != 0) by_number_.erase(job.number);
    if (const auto named = by_inode_.find(job.stat.inode);
        named != by_inode_.end() && named->second == file_name)
        by_inode_.erase(named);
    unnumbered_.erase(file_name);
    submitted_numbers_.erase(file_name);
    jobs_.erase(found);
}

}  // namespace spool
