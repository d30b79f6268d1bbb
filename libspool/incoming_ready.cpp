// What a file that has settled is: a job that is ready, one that is not yet, or none at all
// (docs/protocol.md §6). A part of `Incoming`.
#include <unistd.h>

#include <cerrno>

#include "libspool/incoming.h"
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

}  // namespace

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

    const auto spec = read_new_job_file(*bytes, "incoming/" + printable(job.file_name));
    if (!spec) return reject(job, spec.error());
    job.command = command_line(*spec, *bytes).substr(0, 500);
    job.bare = needs_login_environment(*spec);
    if (spec->submit && spec->submit->spool == spool_.identity) {
        submitted_numbers_[job.file_name] = spec->submit->number;
        if (const auto at = parse_time(spec->submit->submitted_at)) job.submitted_at = *at;
    }
    job.terms = terms_of(*spec, job.submitted_at);
    job.after = spec->after;
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

}  // namespace spool
