#include "libspool/recover.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "libspool/array_steps.h"
#include "libspool/claim.h"
#include "libspool/done.h"
#include "libspool/finish.h"
#include "libspool/names.h"
#include "libspool/recover_attempts.h"
#include "libspool/recover_facts.h"
#include "libspool/recover_files.h"
#include "libspool/system.h"

namespace spool {
namespace {

/// A published job whose files reached done/ and did not leave running/.
void complete_publication(Spool& spool, const ActiveJob& job) {
    std::vector<std::string> names{job.log_file(), job.job_file()};
    for (const std::uint32_t attempt : attempts_with_logs(job))
        names.push_back(attempt_log(job.name, attempt));
    for (const std::string& name : names)
        (void)move_file(spool, spool.running.get(), name, spool.done.get(), name);
}

std::string left_alone(const std::string& record, const std::string& why) {
    return ".spool/records/" + record + " " + why +
           ": left alone; if its job is still in running/, move that to incoming/ to run it again";
}

bool has_newer_page(const RecordContent& content) {
    using enum record::Validity;
    return content.run_validity == newer || content.exit_validity == newer ||
           content.cancel_validity == newer;
}

/// A claimed job whose file is nowhere was deleted after the claim: that is how one cancels by
/// hand.
void note_deletion(RecordContent& content, const RecoveryFacts& facts) {
    if (facts.started || facts.cancelled || facts.in_running || !facts.same_boot) return;
    static constexpr std::string_view reason =
        "its file was removed from running/ before it started";
    content.cancel_validity = record::Validity::valid;
    content.cancel.reason_length =
        static_cast<std::uint32_t>(reason.copy(content.cancel.reason, reason.size()));
}

/// Sorts one record after the other, then the files that they name or do not name.
class Sorter {
public:
    Sorter(Spool& spool, RecordPool& pool, const record::BootId& boot,
           const std::function<bool(const RecordContent&)>& tree_alive,
           const std::function<bool(std::uint64_t)>& in_history)
        : spool_(spool),
          pool_(pool),
          boot_(boot),
          tree_alive_(tree_alive),
          in_history_(in_history) {}

    Result<void> take_arrays() {
        std::vector<std::string> unreadable;
        auto arrays = recover_arrays(spool_, unreadable);
        if (!arrays) return tl::unexpected(arrays.error());
        for (std::string& problem : unreadable)
            leave_array(std::move(problem));
        recovery_.arrays = std::move(*arrays);
        for (const ArrayRecord& array : recovery_.arrays)
            named_.insert(array.name);
        return {};
    }

    /// After the records: what they say of tasks counts.
    Result<void> undo_void_arrays() {
        for (auto array = recovery_.arrays.begin(); array != recovery_.arrays.end();) {
            const auto has_job = [&](const Recovered& recovered) {
                return array->has(recovered.job.number);
            };
            const bool has_tasks =
                std::any_of(recovery_.jobs.begin(), recovery_.jobs.end(), has_job);
            const auto nothing = is_void(spool_, *array, has_tasks);
            if (!nothing) return tl::unexpected(nothing.error());
            if (!*nothing) {
                ++array;
                continue;
            }
            if (auto closed = close_untouched(spool_, *array); !closed) return closed;
            recovery_.undone.push_back({array->number, array->device, array->inode,
                                        array->file_name, array->submitted_at, array->wishes});
            named_.erase(array->name);
            array = recovery_.arrays.erase(array);
        }
        return {};
    }

    Result<void> sort(RecordFile record) {
        auto content = read_record(*spool_.files, record);
        if (!content) return tl::unexpected(content.error());
        const auto facts = examine(spool_, record, *content, boot_, tree_alive_);
        if (!facts) return tl::unexpected(facts.error());
        const RecoveryAction action = decide_recovery(*facts);
        if (action == RecoveryAction::pool) {
            // Pages that a newer gpuspool left would be taken for those of the record's next job.
            has_newer_page(*content) ? pool_.discard(std::move(record))
                                     : pool_.give_back(std::move(record));
        } else if (action == RecoveryAction::leave) {
            leave(std::to_string(record.index), content->claim_validity == record::Validity::newer
                                                    ? "was written by a newer gpuspool"
                                                    : "is damaged");
        } else {
            return take_job(action, std::move(record), *content, *facts);
        }
        return {};
    }

    void leave(const std::string& record, const std::string& why) {
        recovery_.problems.push_back(left_alone(record, why));
        // What it names is not known, so nothing of running/ may be taken for unclaimed.
        all_named_ = false;
    }

    Result<void> settle_files() {
        if (all_named_) {
            if (auto returned = return_unclaimed(spool_, named_, recovery_); !returned)
                return returned;
            settle_logs(spool_, named_);
            remove_empty_task_directories(spool_, named_);
        }
        remove_unnamed_scripts(spool_, scripts_);
        return {};
    }

    Result<void> settle_attempts() {
        return spool::settle_attempts(spool_, pool_, boot_, broken_, recovery_.jobs);
    }

    Recovery take() { return std::move(recovery_); }

private:
    Result<void> take_job(RecoveryAction action, RecordFile record, RecordContent& content,
                          const RecoveryFacts& facts) {
        const auto body = read_body(*spool_.files, record, content.claim);
        if (!body) recovery_.problems.push_back(body.error().text());
        ActiveJob job = active_job(std::move(record), content, body.value_or(RecordBody{}));
        if (job.is_task()) {
            const ArrayRecord* array = array_of(job.number);
            if (array == nullptr && has_ended(job, facts)) {
                (void)release(spool_, job);
                pool_.give_back(std::move(job.record));
                return {};
            }
            if (array == nullptr) {
                leave(std::to_string(job.record.index),
                      "has a task of an array (" + printable(job.name) + ") that has no record");
                return {};
            }
            job.facts.array = array->number;
            job.facts.task = array->tasks[array->place_of_number(job.number)];
            if (action == RecoveryAction::start && job.attempt == 1) action = RecoveryAction::undo;
        }
        // Without a sound body there is nothing to execute; the file itself is still there.
        if (!body && action == RecoveryAction::start)
            action = job.attempt == 1 ? RecoveryAction::undo : RecoveryAction::finish;
        if (!body) broken_.insert(job.record.index);
        if (action == RecoveryAction::undo) {
            const auto undone = undo(job);
            if (!undone) return tl::unexpected(undone.error());
            if (*undone) return {};
            action = RecoveryAction::adopt;
        }
        if (action == RecoveryAction::release) complete_publication(spool_, job);
        note_deletion(content, facts);
        named_.insert(job.name);
        scripts_.insert(job.job_file());
        recovery_.jobs.push_back({action, std::move(job), content});
        return {};
    }

    /// Whether its array has ended, or done/ has the result of a task by this attempt or by a later
    /// one: its free mark did not reach the disk, the end of its array did.
    [[nodiscard]] bool has_ended(const ActiveJob& job, const RecoveryFacts& facts) const {
        if (facts.lock_held || facts.tree_alive) return false;
        if (facts.published || in_history_(job.number)) return true;
        const auto result = read_done(spool_, job.name);
        return result && result->task && result->id == job.facts.array &&
               result->attempt > static_cast<int>(job.attempt);
    }

    [[nodiscard]] const ArrayRecord* array_of(std::uint64_t task) const {
        const auto found = std::find_if(recovery_.arrays.begin(), recovery_.arrays.end(),
                                        [&](const ArrayRecord& array) { return array.has(task); });
        return found == recovery_.arrays.end() ? nullptr : &*found;
    }

    void leave_array(std::string problem) {
        recovery_.problems.push_back(std::move(problem));
        all_named_ = false;
    }

    /// False: a supervisor was on its way, and has it now.
    Result<bool> undo(ActiveJob& job) {
        const auto undone = unclaim(spool_, job);
        if (!undone && undone.error().code == EBUSY) return false;
        if (!undone) return tl::unexpected(undone.error());
        if (!job.is_task()) recovery_.undone.push_back(waiting_entry(job));
        *undone ? pool_.give_back(std::move(job.record)) : pool_.discard(std::move(job.record));
        return true;
    }

    Spool& spool_;
    RecordPool& pool_;
    const record::BootId& boot_;
    const std::function<bool(const RecordContent&)>& tree_alive_;
    const std::function<bool(std::uint64_t)>& in_history_;
    Recovery recovery_;
    std::set<std::string> named_, scripts_;
    std::set<std::uint32_t> broken_;  ///< records whose body is not whole
    bool all_named_ = true;
};

}  // namespace

WaitingEntry waiting_entry(const ActiveJob& job) {
    return {job.number,      job.device, job.inode, job.file_name, job.facts.submitted_at,
            job.facts.wishes};
}

bool is_superseded(const ActiveJob& job, const HistoryEntry& end) {
    if (static_cast<int>(job.attempt) != std::max(end.attempt, 1)) return true;
    return !end.token.empty() && end.token != to_hex(job.token);
}

/// A directory of tasks, and with `results` the results in it.
static Result<void> sync_task_directory(Spool& spool, Handle place, const std::string& name,
                                        bool results) {
    Files& files = *spool.files;
    const auto directory = open_file(files, place, name, OpenMode::directory);
    if (!directory) return {};  // there is none
    const auto entries = files.list(directory->get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (!results || !entry.name.ends_with(".json")) continue;
        const auto file = open_file(files, directory->get(), entry.name, OpenMode::read);
        if (!file) continue;  // somebody has removed it
        if (auto synced = files.sync(file->get(), true); !synced) return synced;
    }
    return files.sync(directory->get(), true);
}

static Result<void> sync_tasks(Spool& spool) {
    const auto entries = spool.files->list(spool.running.get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (!entry.name.ends_with(task_directory_ending)) continue;
        auto synced = sync_task_directory(spool, spool.done.get(), entry.name, true);
        if (synced) synced = sync_task_directory(spool, spool.running.get(), entry.name, false);
        if (!synced) return synced;
    }
    return {};
}

/// What a daemon that was killed has moved is where it is, but perhaps not on the disk. Later a
/// sync of one directory alone would take a file from its old place before it is at its new one.
static Result<void> sync_moves(Spool& spool) {
    if (auto synced = sync_tasks(spool); !synced) return synced;
    for (const OpenFile* directory : {&spool.done, &spool.running, &spool.incoming})
        if (auto synced = spool.files->sync(directory->get(), true); !synced) return synced;
    return {};
}

Result<Recovery> recover(Spool& spool, RecordPool& pool, const Clock& clock,
                         const record::BootId& boot,
                         const std::function<bool(const RecordContent&)>& tree_alive,
                         const std::function<bool(std::uint64_t)>& has_ended) {
    if (auto synced = sync_moves(spool); !synced) return tl::unexpected(synced.error());
    std::vector<std::string> no_records;
    auto records = pool.open_all(no_records);
    if (!records) return tl::unexpected(records.error());
    Sorter sorter(spool, pool, boot, tree_alive, has_ended);
    if (auto taken = sorter.take_arrays(); !taken) return tl::unexpected(taken.error());
    for (const std::string& name : no_records)
        sorter.leave(name, "is no file that can be read and written");
    for (RecordFile& record : *records)
        if (auto sorted = sorter.sort(std::move(record)); !sorted)
            return tl::unexpected(sorted.error());
    if (auto undone = sorter.undo_void_arrays(); !undone) return tl::unexpected(undone.error());
    if (auto settled = sorter.settle_files(); !settled) return tl::unexpected(settled.error());
    if (auto settled = sorter.settle_attempts(); !settled) return tl::unexpected(settled.error());
    remove_old_temporaries(spool, clock.wall());
    return sorter.take();
}

}  // namespace spool
