#include "libspool/recover_files.h"

#include "libspool/array_spec.h"
#include "libspool/claim.h"
#include "libspool/names.h"
#include "libspool/recover_attempts.h"

namespace spool {
namespace {

/// Whether a file was taken when the records were others, so that what became of it is not known.
bool is_older_than_records(Spool& spool, const std::string& name) {
    const auto taken = spool.files->stat_at(spool.running.get(), name);
    const auto format = spool.files->stat_at(spool.internal.get(), "format");
    return taken && format && taken->changed < format->modified;
}

/// Nothing writes into the log of a job that was not started.
bool has_output(Spool& spool, const std::string& stem) {
    const auto log = spool.files->stat_at(spool.running.get(), stem + ".log");
    return log && log->kind == FileKind::regular && log->size > 0;
}

/// Arrays have records of their own: one of which only this is left has been executed.
bool has_task_directory(Spool& spool, const std::string& stem) {
    const std::string name = stem + std::string(task_directory_ending);
    return is_there(spool, spool.running.get(), name).value_or(true) ||
           is_there(spool, spool.done.get(), name).value_or(true);
}

/// Why a file without a record may have been executed; empty: it was not.
std::string may_have_run(Spool& spool, const std::string& name, const std::string& stem) {
    if (has_attempt_logs(spool, stem).value_or(true))
        return " has no record, but logs of attempts: what became of it is not known";
    if (has_task_directory(spool, stem))
        return " has no record, but a directory of tasks: what became of it is not known";
    if (has_output(spool, stem))
        return " has no record, but a log that is not empty: what became of it is not known";
    if (is_older_than_records(spool, name))
        return " was taken before .spool/records was made anew: what became of it is not known";
    return {};
}

}  // namespace

Result<void> return_unclaimed(Spool& spool, std::set<std::string>& named, Recovery& recovery) {
    auto entries = spool.files->list(spool.running.get());
    if (!entries) return tl::unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        const auto split = split_job_name(entry.name);
        if (!split || named.contains(split->stem)) continue;
        if (const std::string why = may_have_run(spool, entry.name, split->stem); !why.empty()) {
            recovery.problems.push_back("running/" + printable(entry.name) + why +
                                        "; left alone. Move it to incoming/ to run it (again), "
                                        "or remove it");
            named.insert(split->stem);
            continue;
        }
        const auto returned =
            return_to_incoming(spool, spool.running.get(), entry.name, entry.name);
        if (!returned) return tl::unexpected(returned.error());
        if (!returned->empty()) recovery.requeued.push_back(entry.name);
    }
    return {};
}

void remove_empty_task_directories(Spool& spool, const std::set<std::string>& named) {
    for (const OpenFile* place : {&spool.running, &spool.scripts}) {
        const auto entries = spool.files->list(place->get());
        if (!entries) continue;
        for (const DirectoryEntry& entry : *entries) {
            if (!entry.name.ends_with(task_directory_ending)) continue;
            const auto stem =
                entry.name.substr(0, entry.name.size() - task_directory_ending.size());
            if (!named.contains(stem))  // one that is not empty stays
                (void)spool.files->remove_directory(place->get(), entry.name);
        }
    }
}

void settle_logs(Spool& spool, const std::set<std::string>& named) {
    Files& files = *spool.files;
    const auto entries = files.list(spool.running.get());
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
        if (!entry.name.ends_with(".log")) continue;
        const std::string stem = entry.name.substr(0, entry.name.size() - 4);
        if (named.contains(stem) || named.contains(job_of_attempt_log(entry.name))) continue;
        const auto stat = files.stat_at(spool.running.get(), entry.name);
        const bool is_link = stat && stat->kind == FileKind::symlink;
        if (is_link || (stat && stat->kind == FileKind::regular && stat->size == 0))
            (void)files.remove(spool.running.get(), entry.name);
        else
            (void)files.rename(spool.running.get(), entry.name, spool.done.get(), entry.name);
    }
}

void remove_unnamed_scripts(Spool& spool, const std::set<std::string>& kept) {
    const auto entries = spool.files->list(spool.scripts.get());
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries)
        if (!kept.contains(entry.name)) (void)spool.files->remove(spool.scripts.get(), entry.name);
}

void remove_old_temporaries(Spool& spool, std::int64_t now) {
    constexpr std::int64_t hour = 3'600'000'000'000;
    const auto entries = spool.files->list(spool.temporary.get());
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
        const auto stat = spool.files->stat_at(spool.temporary.get(), entry.name);
        if (stat && now - stat->modified > hour)
            (void)spool.files->remove(spool.temporary.get(), entry.name);
    }
}

}  // namespace spool
