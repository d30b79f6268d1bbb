#include "libspool/claim.h"

#include <algorithm>
#include <cerrno>

#include "libspool/array_steps.h"
#include "libspool/job_file.h"
#include "libspool/lease.h"
#include "libspool/names.h"
#include "libspool/system.h"

namespace spool {
namespace {

template <std::size_t size>
std::uint16_t copy_name(char (&target)[size], const std::string& name) {
    const std::size_t length = std::min(name.size(), size);
    std::memcpy(target, name.data(), length);
    return static_cast<std::uint16_t>(length);
}

record::Claim make_claim_page(const ClaimIdentity& identity, const ClaimRequest& request,
                              const Launch& launch, const record::BootId& boot,
                              const Clock& clock) {
    record::Claim page{};
    page.token = identity.token;
    page.boot_id = boot;
    page.state = record::ClaimState::claimed;
    page.attempt = identity.attempt;
    page.job = identity.number;
    page.device = request.seen.device;
    page.inode = request.seen.inode;
    page.claimed_at = clock.wall();
    page.time_limit = launch.time_limit;
    page.warn_before = launch.warn_before;
    page.warn_signal = launch.warn_signal;
    page.grace = launch.grace;
    page.leftover_grace = launch.leftover_grace;
    page.flags = launch.flags;
    page.name_length = copy_name(page.name, identity.name);
    page.file_name_length = copy_name(page.file_name, request.file_name);
    identity.extension.copy(page.extension, sizeof page.extension - 1);
    return page;
}

/// Creates running/<name>.log for the first candidate name that is free everywhere; the file is the
/// reservation.
Result<std::string> reserve_name(Spool& spool, const std::string& stem,
                                 const ClaimRequest& request) {
    Files& files = *spool.files;
    for (int n = 1;; ++n) {
        const std::string name = candidate_name(stem, n);
        if (request.name_taken(name)) continue;
        auto in_use = name_in_use(spool, name);
        if (in_use && !*in_use) in_use = has_running_file(spool, name, &request.seen);
        if (!in_use) return tl::unexpected(in_use.error());
        if (*in_use) continue;
        auto log = open_file(files, spool.running.get(), name + ".log", OpenMode::create_exclusive);
        if (log) return name;
        if (log.error().code != EEXIST) return tl::unexpected(log.error());
    }
}

/// Makes the log a link to the file that gets the output. A link that cannot be made costs nobody
/// the job: the log stays the empty file that it is.
void link_log(Spool& spool, const std::string& log, const std::string& output) {
    Files& files = *spool.files;
    const std::string temporary = "log." + random_hex();
    if (!files.make_symlink(spool.temporary.get(), temporary, output)) return;
    if (!files.replace(spool.temporary.get(), temporary, spool.running.get(), log))
        (void)files.remove(spool.temporary.get(), temporary);
}

/// Of a claim that was not completed.
void free_record(Spool& spool, RecordPool& pool, ActiveJob job) {
    record::Claim page{};
    page.token = job.token;
    page.state = record::ClaimState::free;
    (void)write_page(*spool.files, job.record, record::claim_page, page);
    pool.give_back(std::move(job.record));
}

Result<ActiveJob> write_record(Spool& spool, RecordPool& pool, const Clock& clock,
                               const record::BootId& boot, const ClaimRequest& request,
                               const ClaimIdentity& identity, const std::string& bytes) {
    const Launch launch = request.launch(identity, bytes);
    record::Claim page = make_claim_page(identity, request, launch, boot, clock);
    auto record = pool.take();
    if (!record) return tl::unexpected(record.error());
    const RecordBody body{bytes,
                          executed_script(bytes).size(),
                          launch.arguments,
                          launch.directory,
                          launch.environment_file,
                          launch.environment,
                          launch.output,
                          launch.error_output,
                          write_facts(launch.facts)};
    ActiveJob job{identity.number,   identity.attempt, identity.name,       identity.extension,
                  request.file_name, identity.token,   request.seen.device, request.seen.inode,
                  launch.directory,  launch.facts,     std::move(*record)};
    if (!launch.output.empty()) link_log(spool, job.log_file(), launch.output);
    if (auto written = write_claim(*spool.files, job.record, page, body); !written) {
        free_record(spool, pool, std::move(job));
        return tl::unexpected(written.error());
    }
    return job;
}

Result<ActiveJob> write_and_rename(Spool& spool, RecordPool& pool, const Clock& clock,
                                   const record::BootId& boot, const ClaimRequest& request,
                                   const ClaimIdentity& identity, const std::string& bytes) {
    auto job = write_record(spool, pool, clock, boot, request, identity, bytes);
    if (!job) return job;
    auto moved = move_file(spool, spool.incoming.get(), request.file_name, spool.running.get(),
                           job->job_file());
    if (moved) return job;
    free_record(spool, pool, std::move(*job));
    return tl::unexpected(moved.error());
}

/// `job.file_name` is where it is from then on.
Result<void> return_file(Spool& spool, ActiveJob& job) {
    if (job.is_task()) {
        (void)spool.files->remove(spool.running.get(), job.log_file());
        return {};
    }
    return return_to_incoming(spool, spool.running.get(), job.job_file(), job.file_name)
        .map([&](const std::string& name) {
            if (!name.empty()) job.file_name = name;
            (void)spool.files->remove(spool.running.get(), job.log_file());
        });
}

/// The name that this file has in incoming/; empty: none.
Result<std::string> name_in_incoming(Spool& spool, const FileStat& file) {
    const auto entries = spool.files->list(spool.incoming.get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (entry.inode != file.inode) continue;
        const auto stat = spool.files->stat_at(spool.incoming.get(), entry.name);
        if (stat && stat->same_file(file)) return entry.name;
        if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    }
    return std::string();
}

}  // namespace

void SyncSet::add(Handle file, bool metadata) {
    for (Item& item : items)
        if (item.file == file) {
            item.metadata = item.metadata || metadata;
            return;
        }
    items.push_back({file, metadata});
}

Result<void> move_file(Spool& spool, Handle from, const std::string& name, Handle to,
                       const std::string& new_name) {
    auto renamed = spool.files->rename(from, name, to, new_name);
    if (renamed || renamed.error().code != EEXIST) return renamed;
    const auto here = spool.files->stat_at(from, name), there = spool.files->stat_at(to, new_name);
    if (!here || !there || !here->same_file(*there)) return renamed;
    return spool.files->remove(from, name);
}

Result<void> name_new_file(Spool& spool, const std::string& temporary, Handle directory,
                           const std::string& name) {
    auto renamed = spool.files->rename(spool.temporary.get(), temporary, directory, name);
    if (renamed) return renamed;
    const auto here = spool.files->stat_at(spool.temporary.get(), temporary),
               there = spool.files->stat_at(directory, name);
    if (!here || !there || !here->same_file(*there)) return renamed;
    (void)spool.files->remove(spool.temporary.get(), temporary);
    return {};
}

Result<std::string> return_to_incoming(Spool& spool, Handle from, const std::string& name,
                                       const std::string& file_name) {
    Files& files = *spool.files;
    const auto stat = files.stat_at(from, name);
    if (!stat && stat.error().code == ENOENT) return std::string();
    if (!stat) return tl::unexpected(stat.error());
    const auto there = name_in_incoming(spool, *stat);
    if (!there) return tl::unexpected(there.error());
    // Whoever removes the file meanwhile withdraws the job.
    const auto unless_gone = [&](const Error& error) -> Result<std::string> {
        const auto still = is_there(spool, from, name);
        if (error.code == ENOENT && still && !*still) return *there;
        return tl::unexpected(error);
    };
    if (!there->empty()) {
        const auto removed = files.remove(from, name);
        return removed ? *there : unless_gone(removed.error());
    }
    const auto split = split_job_name(file_name);
    for (int n = 1;; ++n) {
        const std::string back =
            n == 1 ? file_name : candidate_name(split->stem, n) + split->extension;
        const auto moved = files.rename(from, name, spool.incoming.get(), back);
        // On the disk there before a sync of running/ can take it from here.
        if (moved) (void)files.sync(spool.incoming.get(), true);
        if (moved) return back;
        if (moved.error().code != EEXIST) return unless_gone(moved.error());
    }
}

Result<bool> is_there(Spool& spool, Handle directory, const std::string& name) {
    const auto stat = spool.files->stat_at(directory, name);
    if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
    return stat.has_value();
}

Result<bool> name_in_use(Spool& spool, const std::string& name) {
    const auto ended_as = [&](std::string_view extension) {
        return is_there(spool, spool.done.get(), name + std::string(extension));
    };
    for (const std::string_view extension : job_extensions)
        if (auto there = ended_as(extension); !there || *there) return there;
    for (const char* extension : {".json", ".log", ".tasks"})
        if (auto there = ended_as(extension); !there || *there) return there;
    return false;
}

Result<bool> has_running_file(Spool& spool, const std::string& name, const FileStat* own) {
    for (const std::string_view extension : job_extensions) {
        const auto stat = spool.files->stat_at(spool.running.get(), name + std::string(extension));
        if (!stat && stat.error().code != ENOENT) return tl::unexpected(stat.error());
        if (stat && (!own || !stat->same_file(*own))) return true;
    }
    return false;
}

Result<std::variant<ActiveJob, NotClaimed>> claim(Spool& spool, RecordPool& pool,
                                                  const Clock& clock, const record::BootId& boot,
                                                  const ClaimRequest& request) {
    Files& files = *spool.files;
    auto file = open_file(files, spool.incoming.get(), request.file_name, OpenMode::read);
    if (!file && (file.error().code == ENOENT || file.error().code == ELOOP))
        return NotClaimed::gone;
    if (!file) return tl::unexpected(file.error());

    const Lease lease(files, file->get());
    if (lease.refused()) return NotClaimed::open_for_writing;
    const auto stat = files.stat(file->get());
    if (!stat) return tl::unexpected(stat.error());
    if (!stat->unchanged(request.seen)) return NotClaimed::changed;
    auto bytes = files.read(file->get(), 0, static_cast<std::size_t>(stat->size));
    if (!bytes) return tl::unexpected(bytes.error());

    const auto split = split_job_name(request.file_name);
    if (!split) return NotClaimed::gone;
    auto name = reserve_name(spool, split->stem, request);
    if (!name) return tl::unexpected(name.error());
    const ClaimIdentity identity{request.number, 1, *name, split->extension, random_token()};
    auto job = write_and_rename(spool, pool, clock, boot, request, identity, *bytes);
    if (!job) {
        (void)files.remove(spool.running.get(), *name + ".log");
        if (job.error().code == ENOENT || job.error().code == EEXIST) return NotClaimed::changed;
        return tl::unexpected(job.error());
    }
    // Somebody may have put another file under the name between the look and the rename: that one
    // goes back.
    const auto moved = files.stat_at(spool.running.get(), job->job_file());
    if (moved && moved->same_file(*stat)) return std::move(*job);
    const auto undone = unclaim(spool, *job);
    if (!undone) return tl::unexpected(undone.error());
    *undone ? pool.give_back(std::move(job->record)) : pool.discard(std::move(job->record));
    return NotClaimed::changed;
}

void SyncSet::add_directory(Handle directory) {
    add(directory, true);
    for (Item& item : items)
        if (item.file == directory) item.directory = true;
}

Result<ActiveJob> claim_task(Spool& spool, RecordPool& pool, const Clock& clock,
                             const record::BootId& boot, const ClaimRequest& request,
                             const ClaimIdentity& identity, const std::string& bytes) {
    Files& files = *spool.files;
    if (auto made = make_task_directories(spool, identity.name); !made)
        return tl::unexpected(made.error());
    // What a claim of it that was undone has left: a task that waits has never been executed.
    const std::string log = identity.name + ".log";
    (void)files.remove(spool.running.get(), log);
    if (auto made = open_file(files, spool.running.get(), log, OpenMode::create_exclusive); !made)
        return tl::unexpected(made.error());
    auto job = write_record(spool, pool, clock, boot, request, identity, bytes);
    if (!job) (void)files.remove(spool.running.get(), log);
    return job;
}

void add_claim_barrier(const Spool& spool, const ActiveJob& job, SyncSet& barrier) {
    barrier.add(job.record.file.get(), job.record.fresh);
    if (job.record.fresh) barrier.add_directory(spool.records.get());
    if (job.is_task()) return;  // no file has moved
    // A group of barriers syncs each directory once: in this order no file is gone from its old
    // place before it is at its new one, be it claimed or published.
    barrier.add_directory(spool.done.get());
    barrier.add_directory(spool.running.get());
    barrier.add_directory(spool.incoming.get());
}

Result<bool> void_claim(Spool& spool, const ActiveJob& job) {
    // Locked by a descriptor of its own, as a supervisor does it: one that was asked for by a
    // daemon that is dead now may still be on its way.
    Files& files = *spool.files;
    const std::string index = std::to_string(job.record.index);
    auto guard = open_file(files, spool.records.get(), index, OpenMode::read_write);
    if (!guard && guard.error().code == ENOENT) return false;
    if (!guard) return tl::unexpected(guard.error());
    const auto locked = files.lock(guard->get());
    if (!locked) return tl::unexpected(locked.error());
    const auto content = read_record(files, job.record);
    if (!content) return tl::unexpected(content.error());
    if (!*locked || content->started()) return system_error("undo the claim of", job.name, EBUSY);
    record::Claim page{};
    page.token = job.token;
    page.state = record::ClaimState::free;
    const auto marked = write_page(files, job.record, record::claim_page, page).and_then([&] {
        return files.sync(job.record.file.get(), job.record.fresh);
    });
    if (marked) return true;
    return files.remove(spool.records.get(), index).map([] { return false; });
}

Result<bool> unclaim(Spool& spool, ActiveJob& job) {
    // The mark is on the disk before the file can be claimed again: two records of one file would
    // be two jobs.
    const auto voided = void_claim(spool, job);
    if (!voided) return voided;
    return return_file(spool, job).map([&] { return *voided; });
}

}  // namespace spool
