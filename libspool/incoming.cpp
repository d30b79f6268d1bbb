#include "libspool/incoming.h"

#include <algorithm>
#include <cerrno>

#include "libspool/claim.h"
#include "libspool/names.h"
#include "libspool/own_files.h"

namespace spool {
namespace {

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
    for (const std::string& line : lines) {
        const auto entry = read_waiting_entry(line);
        if (entry && !number_used_(entry->number)) remember(*entry);
    }
    return journal_->rewrite(written_entries());
}

Result<std::vector<std::string>> Incoming::keep_files(std::uint64_t highest) {
    std::vector<std::string> made;
    auto counter = keep_counter(spool_, sequence_.get(), highest);
    if (!counter) return tl::unexpected(counter.error());
    if (*counter) {
        former_sequence_ = std::exchange(sequence_, std::move(**counter));
        made.emplace_back("seq");
    }
    const auto there = journal_->in_place();
    if (!there) return tl::unexpected(there.error());
    if (*there) return made;
    if (auto written = journal_->rewrite(written_entries()); !written)
        return tl::unexpected(written.error());
    made.emplace_back("waiting");
    return made;
}

/// All that is to stand in .spool/waiting.
std::string Incoming::written_entries() const {
    std::string lines;
    for (const auto& [name, job] : jobs_)
        if (job.number != 0) lines += write_line(job.entry());
    return lines;
}

/// An entry for a file that was there: gone until a look finds it. A later entry of the same
/// number, or of the same name, is the truth.
void Incoming::remember(const WaitingEntry& entry) {
    if (const auto known = by_number_.find(entry.number); known != by_number_.end())
        erase(std::string(known->second));
    erase(entry.file_name);
    WaitingJob& job = jobs_[entry.file_name];
    job.file_name = entry.file_name;
    job.stat.device = entry.device;
    job.stat.inode = entry.inode;
    job.number = entry.number;
    job.submitted_at = entry.submitted_at;
    job.wishes = entry.wishes;
    job.phase = WaitingJob::Phase::vanished;
    by_number_[job.number] = job.file_name;
    by_inode_[entry.inode] = job.file_name;
    set_deadline(job, clock_.monotonic() + settings_.vanish);
}

Result<void> Incoming::set_wishes(std::uint64_t number, const QueueWishes& wishes) {
    WaitingJob& job = jobs_.at(by_number_.at(number));
    WaitingEntry entry = job.entry();
    entry.wishes = wishes;
    return journal_->append(write_line(entry)).map([&] { job.wishes = wishes; });
}

void Incoming::expect(const WaitingEntry& entry) {
    remember(entry);
    const auto entries = spool_.files->list(spool_.incoming.get());
    if (!entries) return;  // the next scan finds it
    for (const DirectoryEntry& found : *entries)
        if (found.inode == entry.inode) look(found.name, Hint::none);
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
        (void)journal_->append_or_keep(write_line(job.entry()));
        changes_.numbered = true;
    }
    return &job;
}

void Incoming::restart_settling(WaitingJob& job, Hint hint) {
    leave_ready(job);
    job.phase = WaitingJob::Phase::settling;
    set_away(job, false);
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

/// What cannot be examined is not gone.
bool Incoming::is_certainly_gone(const std::string& file_name) const {
    const auto stat = spool_.files->stat_at(spool_.incoming.get(), file_name);
    return !stat && stat.error().code == ENOENT;
}

bool Incoming::is_away(const WaitingJob& job) const {
    return std::any_of(moved_.begin(), moved_.end(), [&](Handle directory) {
        const auto stat = spool_.files->stat_at(directory, job.file_name);
        return stat && stat->device == job.stat.device && stat->inode == job.stat.inode;
    });
}

void Incoming::set_away(WaitingJob& job, bool away) {
    if (job.away != away) away ? ++away_ : --away_;
    job.away = away;
}

/// Looks for the files of jobs that are to be withdrawn now: they may be back, or have another
/// name, and the event or the scan that tells of it may be yet to come. False if that cannot be
/// said.
bool Incoming::look_for_vanished(Now now) {
    std::unordered_map<std::uint64_t, std::string> by_inode;
    std::vector<std::string> names;
    for (const auto& [deadline, name] : deadlines_) {
        if (deadline > now) break;
        const WaitingJob& job = jobs_.at(name);
        if (job.phase != WaitingJob::Phase::vanished) continue;
        names.push_back(name);
        by_inode.emplace(job.stat.inode, name);
    }
    if (names.empty()) return true;
    const auto entries = spool_.files->list(spool_.incoming.get());
    if (!entries) return false;
    for (const std::string& name : names)
        look_at_job(name, Hint::none);
    for (const DirectoryEntry& entry : *entries)
        if (by_inode.contains(entry.inode)) look(entry.name, Hint::none);
    return true;
}

void Incoming::advance() {
    const Now now = clock_.monotonic();
    const bool looked = look_for_vanished(now);
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
            set_away(job, is_away(job));
            if (!looked || !is_certainly_gone(name) || job.away)
                set_deadline(job, now + settings_.vanish);
            else if (job.number != 0)
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

bool Incoming::is_unread(const std::string& file_name) const {
    const auto found = jobs_.find(file_name);
    return found != jobs_.end() && found->second.number == 0 &&
           found->second.phase != WaitingJob::Phase::vanished;
}

std::set<std::string> Incoming::unread() const {
    std::set<std::string> out;
    for (const auto& [name, job] : jobs_)
        if (is_unread(name)) out.insert(name);
    return out;
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
    set_away(job, false);
    if (job.number != 0) by_number_.erase(job.number);
    if (const auto named = by_inode_.find(job.stat.inode);
        named != by_inode_.end() && named->second == file_name)
        by_inode_.erase(named);
    unnumbered_.erase(file_name);
    submitted_numbers_.erase(file_name);
    jobs_.erase(found);
}

}  // namespace spool
