#include "libspool/submit.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <unordered_set>

#include "libspool/claim.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/values.h"

namespace spool {
namespace {

/// A name that may stand in the spool: no slash, no NUL, not hidden, not empty.
std::string safe_stem(std::string stem) {
    for (char& c : stem)
        if (c == '/' || c == '\0') c = '_';
    if (stem.empty()) stem = "job";
    if (stem.front() == '.' || stem.front() == '#') stem.front() = '_';
    return stem;
}

/// Which names are taken among waiting, running and ended jobs. The first few candidates are looked
/// up one by one; only a name that is very popular is worth reading whole directories.
class TakenNames {
public:
    explicit TakenNames(Spool& spool) : spool_(spool) {}

    bool operator()(const std::string& name) {
        if (refused_.contains(name)) return true;
        if (++asked_ <= look_ups) return exists(name);
        if (!listed_) list_all();
        return stems_.contains(name);
    }
    /// Somebody took `name` in the meantime.
    void refuse(const std::string& name) { refused_.insert(name); }

private:
    static constexpr int look_ups = 8;

    bool exists(const std::string& name) {
        for (const OpenFile* directory : {&spool_.incoming, &spool_.running, &spool_.done}) {
            for (const std::string_view extension : job_extensions)
                if (has(*directory, name, extension)) return true;
            if (directory == &spool_.incoming) continue;
            for (const std::string_view extension : {".log", ".json", ".tasks"})
                if (has(*directory, name, extension)) return true;
        }
        return false;
    }
    bool has(const OpenFile& directory, const std::string& name, std::string_view extension) {
        return spool_.files->stat_at(directory.get(), name + std::string(extension)).has_value();
    }
    void list_all() {
        listed_ = true;
        for (const OpenFile* directory : {&spool_.incoming, &spool_.running, &spool_.done}) {
            const auto entries = spool_.files->list(directory->get());
            if (!entries) continue;  // then the exclusive rename decides
            for (const DirectoryEntry& entry : *entries)
                stems_.insert(entry.name.substr(0, entry.name.rfind('.')));
        }
    }

    Spool& spool_;
    int asked_ = 0;
    bool listed_ = false;
    std::unordered_set<std::string> stems_, refused_;
};

/// Writes `bytes` to a new file in tmp/, synced; returns its name. It is locked while it is
/// written, so that nobody cleans it away, and closed before it is moved: a file that is open for
/// writing is not ready.
Result<std::string> prepare(Spool& spool, const std::string& bytes) {
    std::string name = "submit." + random_hex();
    auto file = open_file(*spool.files, spool.temporary.get(), name, OpenMode::create_exclusive);
    if (!file) return tl::unexpected(file.error());
    auto written = spool.files->lock(file->get())
                       .and_then([&](bool) { return spool.files->write(file->get(), 0, bytes); })
                       .and_then([&] { return spool.files->sync(file->get(), true); });
    if (written) return name;
    (void)spool.files->remove(spool.temporary.get(), name);
    return tl::unexpected(written.error());
}

/// Moves the prepared file into incoming/ under the first free name; returns that name.
Result<std::string> commit(Spool& spool, const std::string& prepared,
                           const Submission& submission) {
    const std::string stem = safe_stem(submission.stem);
    TakenNames taken(spool);
    while (true) {
        const std::string name = unique_name(stem, std::ref(taken));
        std::string file_name = name + submission.extension;
        const auto renamed = name_new_file(spool, prepared, spool.incoming.get(), file_name);
        if (renamed) return file_name;
        if (renamed.error().code != EEXIST) return tl::unexpected(renamed.error());
        taken.refuse(name);
    }
}

Result<std::string> put(Spool& spool, const std::string& bytes, const Submission& submission) {
    Result<std::string> file_name;
    for (int attempt = 0; attempt < 3; ++attempt) {
        Result<std::string> prepared = prepare(spool, bytes);
        if (!prepared) return prepared;
        file_name = commit(spool, *prepared, submission);
        if (file_name) return file_name;
        (void)spool.files->remove(spool.temporary.get(), *prepared);
        if (file_name.error().code != ENOENT)
            return file_name;  // else a starting daemon tidied tmp/
    }
    return file_name;
}

Result<void> check(const Submission& submission) {
    const std::string file = submission.stem + submission.extension;
    if (submission.bytes.size() > max_job_file_size)
        return content_error(file, std::nullopt, "a job file has at most 4 MiB");
    const Result<JobSpec> spec = read_new_job_file(submission.bytes, file);
    if (!spec) return tl::unexpected(spec.error());
    if (!has_command(submission.bytes))
        return content_error(file, std::nullopt, "there is no command in it");
    if (classify_name(safe_stem(submission.stem) + submission.extension) != NameClass::job)
        return content_error(file, std::nullopt,
                             "such a name is left alone in a spool; choose another with --name");
    return {};
}

}  // namespace

Result<Submitted> submit(Spool& spool, Submission submission, const Clock& clock) {
    if (const auto good = check(submission); !good) return tl::unexpected(good.error());
    const Result<std::uint64_t> number = take_numbers(spool, 1, true);
    if (!number) return tl::unexpected(number.error());
    submission.info.spool = spool.identity;
    submission.info.number = *number;
    submission.info.submitted_at = format_time(clock.wall());
    const Result<std::string> bytes = with_submit_info(submission.bytes, submission.info);
    if (!bytes) return tl::unexpected(bytes.error());
    if (bytes->size() > max_job_file_size)
        return content_error(submission.stem, std::nullopt, "a job file has at most 4 MiB");

    Result<std::string> file_name = put(spool, *bytes, submission);
    if (!file_name) return tl::unexpected(file_name.error());
    if (const auto synced = spool.files->sync(spool.incoming.get(), true); !synced)
        return tl::unexpected(synced.error());
    return Submitted{*number, std::move(*file_name)};
}

}  // namespace spool
