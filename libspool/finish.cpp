#include "libspool/finish.h"

#include <cerrno>

#include "libspool/names.h"
#include "libspool/system.h"

namespace spool {
namespace {

struct Names {
    std::string job, log, json;
};

Names names_of(const std::string& name, const std::string& extension) {
    return {name + extension, name + ".log", name + ".json"};
}

/// Moves a file; one that is not there was moved before, or removed by the user.
Result<void> move_if_there(Spool& spool, Handle from, const std::string& name,
                           const std::string& new_name) {
    auto moved = spool.files->rename(from, name, spool.done.get(), new_name);
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
                           std::string_view bytes) {
    const std::string temporary = "done." + random_hex();
    auto file = write_new(spool, temporary, bytes);
    if (!file) return file;
    auto renamed = spool.files->rename(spool.temporary.get(), temporary, directory, name);
    if (!renamed) {
        (void)spool.files->remove(spool.temporary.get(), temporary);
        return tl::unexpected(renamed.error());
    }
    return file;
}

bool missing(Spool& spool, Handle directory, const std::string& name) {
    const auto stat = spool.files->stat_at(directory, name);
    return !stat && stat.error().code == ENOENT;
}

Result<void> move_job_file(Spool& spool, const ActiveJob& job, const Names& names) {
    auto moved =
        spool.files->rename(spool.running.get(), job.job_file(), spool.done.get(), names.job);
    if (moved || moved.error().code != ENOENT) return moved;
    auto restored = restore_job_file(spool, job, spool.done.get(), names.job);
    if (!restored && restored.error().code == EEXIST) return {};  // moved before
    return restored;
}

/// Whether done/<name>.json is the result of this job that never ran: its file may not have been
/// moved yet.
bool has_result_of(Spool& spool, const std::string& name, const JobResult& result) {
    const auto bytes = read_whole(*spool.files, spool.done.get(), name + ".json", 1 << 20);
    if (!bytes) return false;
    const auto found = read_result(*bytes, name + ".json");
    return found && found->id == result.id && found->state == result.state &&
           found->file == result.file && found->token.empty();
}

/// The first name, from `job.name` on, under which everything can be put into done/.
Result<Published> publish_as(Spool& spool, const ActiveJob& job, JobResult& result,
                             const std::string& name) {
    const Names names = names_of(name, job.extension);
    // Looked at before anything moves, so that the three files stay together.
    if (!missing(spool, spool.done.get(), names.json) ||
        (!missing(spool, spool.done.get(), names.job) &&
         !missing(spool, spool.running.get(), job.job_file())))
        return system_error("publish", names.json, EEXIST);
    if (auto moved = move_if_there(spool, spool.running.get(), job.log_file(), names.log); !moved)
        return tl::unexpected(moved.error());
    if (auto moved = move_job_file(spool, job, names); !moved) return tl::unexpected(moved.error());
    result.name = name;
    auto json = create_in(spool, spool.done.get(), names.json, write_result(result));
    if (!json) return tl::unexpected(json.error());
    return Published{name, std::move(*json)};
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
    for (int n = 1;; ++n) {
        const std::string name = n == 1 ? job.name : candidate_name(job.name, n);
        auto published = publish_as(spool, job, result, name);
        if (published || published.error().code != EEXIST) return published;
        if (is_published(spool, name, job.token)) {
            auto json = open_file(*spool.files, spool.done.get(), name + ".json", OpenMode::read);
            if (!json) return tl::unexpected(json.error());
            result.name = name;
            return Published{name, std::move(*json)};
        }
    }
}

Result<Published> publish_unstarted(Spool& spool, const std::string& file_name, JobResult& result,
                                    const std::function<bool(const std::string&)>& name_taken) {
    const auto split = split_job_name(file_name);
    const std::string stem = split ? split->stem : file_name;
    for (int n = 1;; ++n) {
        const std::string name = candidate_name(stem, n);
        const bool written = has_result_of(spool, name, result);
        if (!written && (name_taken(name) || name_in_use(spool, name))) continue;
        result.name = name;
        auto json = written
                        ? open_file(*spool.files, spool.done.get(), name + ".json", OpenMode::read)
                        : create_in(spool, spool.done.get(), name + ".json", write_result(result));
        if (!json && json.error().code == EEXIST) continue;
        if (!json) return tl::unexpected(json.error());
        if (split)
            if (auto moved =
                    move_if_there(spool, spool.incoming.get(), file_name, name + split->extension);
                !moved)
                return tl::unexpected(moved.error());
        return Published{name, std::move(*json)};
    }
}

void add_publish_barrier(const Spool& spool, const Published& published, SyncSet& barrier) {
    barrier.add(published.json.get(), true);
    barrier.add(spool.done.get(), true);
    barrier.add(spool.running.get(), true);
}

Result<void> release(Spool& spool, const ActiveJob& job) {
    record::Claim page{};
    page.token = job.token;
    page.job = job.number;
    page.state = record::ClaimState::free;
    return write_page(*spool.files, job.record, record::claim_page, page);
}

bool is_published(Spool& spool, const std::string& name, const record::Token& token) {
    const auto bytes = read_whole(*spool.files, spool.done.get(), name + ".json", 1 << 20);
    if (!bytes) return false;
    const auto result = read_result(*bytes, name + ".json");
    return result && result->token == to_hex(token);
}

}  // namespace spool
