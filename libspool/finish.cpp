#include "libspool/finish.h"

#include <cerrno>

#include "libspool/done.h"
#include "libspool/names.h"
#include "libspool/system.h"

namespace spool {
namespace {

struct Names {
    std::string stem, job, log, json;
};

Names names_of(const std::string& name, const std::string& extension) {
    return {name, name + extension, name + ".log", name + ".json"};
}

/// Moves a file; one that is not there was moved before, or removed by the user.
Result<void> move_if_there(Spool& spool, Handle from, const std::string& name,
                           const std::string& new_name) {
    auto moved = move_file(spool, from, name, spool.done.get(), new_name);
    if (!moved && moved.error().code == ENOENT) return {};
    return moved;
}

Result<OpenFile> write_new(Spool& spool, const std::string& temporary, std::string_view bytes) {
    Files& files = *spool.files;
    auto file = open_file(files, spool.temporary.get(), temporary, OpenMode::create_exclusive);
    if (!file) return file;
    if (auto written = files.write(file->get(), 0, bytes); !written) {
        (void)files.remove(spool.temporary.get(), temporary);
        return tl::unexpected(written.error());
    }
    return file;
}

/// Writes `bytes` as a new file unless something of that name is there.
Result<OpenFile> create_in(Spool& spool, Handle directory, const std::string& name,
                           std::string_view bytes, bool durable = false) {
    const std::string temporary = "done." + random_hex();
    auto file = write_new(spool, temporary, bytes);
    if (!file) file.error().path = name;
    if (!file) return file;
    Result<void> renamed;
    if (durable) renamed = spool.files->sync(file->get(), true);
    if (renamed) renamed = name_new_file(spool, temporary, directory, name);
    if (!renamed) {
        (void)spool.files->remove(spool.temporary.get(), temporary);
        renamed.error().path = name;
        return tl::unexpected(renamed.error());
    }
    return file;
}

/// `job_file`: its content, if the record does not have it.
Result<void> move_job_file(Spool& spool, const ActiveJob& job, const Names& names,
                           const std::string* job_file) {
    auto moved = move_file(spool, spool.running.get(), job.job_file(), spool.done.get(), names.job);
    if (moved || moved.error().code != ENOENT) return moved;
    const auto there = is_there(spool, spool.done.get(), names.job);
    if (!there) return tl::unexpected(there.error());
    if (*there) return {};
    if (job_file != nullptr)
        return create_in(spool, spool.done.get(), names.job, *job_file).map([](const OpenFile&) {});
    return restore_job_file(spool, job, spool.done.get(), names.job);
}

/// A result whose content a loss of power has taken: empty, or with pages of zeros. The record
/// keeps the truth until x.json is on the disk, so such a file says nothing that could be lost.
bool is_torn(Spool& spool, const std::string& json) {
    const auto bytes = read_whole(*spool.files, spool.done.get(), json, 1 << 20);
    return bytes && (bytes->empty() || bytes->find('\0') != std::string::npos);
}

/// Whether a log of an earlier attempt cannot have its name in done/.
Result<bool> logs_occupied(Spool& spool, const ActiveJob& job, const std::string& name) {
    for (const std::uint32_t attempt : attempts_with_logs(job)) {
        if (attempt_log(name, attempt).size() > longest_name) continue;
        const auto log = spool.files->stat_at(spool.running.get(), attempt_log(job.name, attempt));
        if (!log && log.error().code != ENOENT) return tl::unexpected(log.error());
        if (!log) continue;
        const auto there = spool.files->stat_at(spool.done.get(), attempt_log(name, attempt));
        if (!there && there.error().code != ENOENT) return tl::unexpected(there.error());
        if (there && !there->same_file(*log)) return true;
    }
    return false;
}

/// Whether done/ has something that is not of this job under these names. Its own job file may be
/// there already.
Result<bool> occupied(Spool& spool, const ActiveJob& job, const Names& names) {
    if (auto json = is_there(spool, spool.done.get(), names.json); !json || *json) return json;
    const auto moved = spool.files->stat_at(spool.done.get(), names.job);
    if (!moved && moved.error().code != ENOENT) return tl::unexpected(moved.error());
    const auto waits = spool.files->stat_at(spool.running.get(), job.job_file());
    if (!waits && waits.error().code != ENOENT) return tl::unexpected(waits.error());
    if (moved && waits && !moved->same_file(*waits)) return true;
    return logs_occupied(spool, job, names.stem);
}

/// The logs of the attempts before the last one. One whose name would be too long stays, for the
/// next daemon to put it away.
Result<void> move_earlier_logs(Spool& spool, const ActiveJob& job, const std::string& name) {
    for (const std::uint32_t attempt : attempts_with_logs(job)) {
        const std::string target = attempt_log(name, attempt);
        if (target.size() > longest_name) continue;
        const auto moved =
            move_if_there(spool, spool.running.get(), attempt_log(job.name, attempt), target);
        if (!moved) return moved;
    }
    return {};
}

/// The first name, from `job.name` on, under which everything can be put into done/.
Result<Published> publish_as(Spool& spool, const ActiveJob& job, JobResult& result,
                             const std::string& name, const std::string* job_file) {
    const Names names = names_of(name, job.extension);
    if (is_torn(spool, names.json)) (void)spool.files->remove(spool.done.get(), names.json);
    // Looked at before anything moves, so that the three files stay together.
    const auto taken = occupied(spool, job, names);
    if (!taken) return tl::unexpected(taken.error());
    if (*taken) return system_error("publish", names.json, EEXIST);
    if (auto moved = move_earlier_logs(spool, job, name); !moved)
        return tl::unexpected(moved.error());
    if (auto moved = move_if_there(spool, spool.running.get(), job.log_file(), names.log); !moved)
        return tl::unexpected(moved.error());
    if (!job.is_task())
        if (auto moved = move_job_file(spool, job, names, job_file); !moved)
            return tl::unexpected(moved.error());
    result.name = name;
    for (PastAttempt& past : result.attempts) {
        if (!past.log.empty())
            past.log = attempt_log(name, static_cast<std::uint32_t>(past.attempt));
        if (past.log.size() > longest_name) past.log.clear();
    }
    auto json = create_in(spool, spool.done.get(), names.json, write_result(result));
    if (!json) return tl::unexpected(json.error());
    return Published{name, std::move(*json)};
}

/// As `publish`, wherever the names lie.
Result<Published> publish_job(Spool& spool, const ActiveJob& job, JobResult& result,
                              const std::string* job_file = nullptr) {
    for (int n = 1;; ++n) {
        const std::string name = n == 1 ? job.name : candidate_name(job.name, n);
        auto published = publish_as(spool, job, result, name, job_file);
        if (published || published.error().code != EEXIST) return published;
        if (is_published(spool, name, job.token)) {
            auto json = open_file(*spool.files, spool.done.get(), name + ".json", OpenMode::read);
            if (!json) return tl::unexpected(json.error());
            result.name = name;
            return Published{name, std::move(*json)};
        }
    }
}

/// Whether somebody has saved the file anew, or mended its mode, since it was judged.
bool is_another(Spool& spool, const std::string& name, const FileStat& judged) {
    const auto stat = spool.files->stat_at(spool.incoming.get(), name);
    return stat && !stat->unchanged(judged);
}

/// Whether a move to done/ was begun and not completed (link and unlink).
bool is_half_moved(Spool& spool, const std::string& name, const std::string& target) {
    const auto waits = spool.files->stat_at(spool.incoming.get(), name),
               moved = spool.files->stat_at(spool.done.get(), target);
    return waits && moved && moved->same_file(*waits);
}

/// Moves a file that never ran to done/. One that was put in its place while the result was synced
/// goes back.
Result<void> move_unstarted(Spool& spool, const std::string& name, const std::string& target,
                            const std::optional<FileStat>& judged) {
    auto moved = move_if_there(spool, spool.incoming.get(), name, target);
    if (!moved || !judged) return moved;
    const auto stat = spool.files->stat_at(spool.done.get(), target);
    // The move itself has changed the ctime.
    if (!stat || (stat->same_file(*judged) && stat->size == judged->size &&
                  stat->modified == judged->modified))
        return {};
    if (auto back = return_to_incoming(spool, spool.done.get(), target, name); !back)
        return tl::unexpected(back.error());
    return system_error("publish", name, ESTALE);
}

}  // namespace

Result<void> restore_job_file(Spool& spool, const ActiveJob& job, Handle directory,
                              const std::string& target) {
    auto record = read_record(*spool.files, job.record);
    if (!record) return tl::unexpected(record.error());
    auto body = read_body(*spool.files, job.record, record->claim);
    // A damaged body must not keep the result from being published.
    if (!body) return {};
    return create_in(spool, directory, target, body->job_file).map([](const OpenFile&) {});
}

Result<Published> publish(Spool& spool, const ActiveJob& job, JobResult& result) {
    if (!job.is_task()) return publish_job(spool, job, result);
    auto directory = task_results(spool, job.name.substr(0, job.name.rfind('/')));
    if (!directory) return tl::unexpected(directory.error());
    return publish_job(spool, job, result).map([&](Published published) {
        published.tasks = std::move(*directory);
        return published;
    });
}

Result<Published> publish_whole_array(Spool& spool, const ActiveJob& job, JobResult& result,
                                      const std::string& job_file) {
    return publish_job(spool, job, result, &job_file);
}

Result<OpenFile> task_results(Spool& spool, const std::string& directory) {
    if (auto made = spool.files->make_directory(spool.done.get(), directory);
        !made && made.error().code != EEXIST)
        return tl::unexpected(made.error());
    return open_file(*spool.files, spool.done.get(), directory, OpenMode::directory);
}

Result<Published> publish_unstarted(Spool& spool, JobResult& result, const UnstartedFile& file,
                                    const std::function<bool(const std::string&)>& name_taken) {
    const auto split = split_job_name(result.file);
    if (!split) return content_error(result.file, {}, "is not the name of a job file");
    if (file.judged && is_another(spool, result.file, *file.judged))
        return system_error("publish", result.file, ESTALE);
    for (int n = 1;; ++n) {
        const std::string name = candidate_name(split->stem, n);
        if (name_taken(name)) continue;
        const auto in_use = name_in_use(spool, name);
        if (!in_use) return tl::unexpected(in_use.error());
        const std::string target = name + split->extension;
        if (*in_use && !(file.is_there && is_half_moved(spool, result.file, target))) continue;
        result.name = name;
        auto json = create_in(spool, spool.done.get(), name + ".json", write_result(result), true);
        if (!json && json.error().code == EEXIST) continue;
        if (!json) return tl::unexpected(json.error());
        // No record keeps the truth of such a job: its result is on the disk before the file moves.
        auto moved = spool.files->sync(spool.done.get(), true);
        if (moved && file.is_there) moved = move_unstarted(spool, result.file, target, file.judged);
        if (moved) return Published{name, std::move(*json)};
        (void)spool.files->remove(spool.done.get(), name + ".json");
        return tl::unexpected(moved.error());
    }
}

void add_publish_barrier(const Spool& spool, const Published& published, SyncSet& barrier) {
    barrier.add(published.json.get(), true);
    if (published.tasks) barrier.add_directory(published.tasks.get());
    barrier.add_directory(spool.done.get());
    barrier.add_directory(spool.running.get());
}

Result<void> release(Spool& spool, const ActiveJob& job) {
    record::Claim page{};
    page.token = job.token;
    page.job = job.number;
    page.state = record::ClaimState::free;
    return write_page(*spool.files, job.record, record::claim_page, page);
}

bool is_published(Spool& spool, const std::string& name, const record::Token& token) {
    const auto result = read_done(spool, name);
    return result && result->token == to_hex(token);
}

}  // namespace spool
