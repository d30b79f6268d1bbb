#include "libspool/array_steps.h"

#include <algorithm>
#include <cerrno>

#include "libspool/job_file.h"
#include "libspool/launch_spec.h"
#include "libspool/lease.h"
#include "libspool/names.h"
#include "libspool/system.h"

namespace spool {
namespace {

/// The name of a task is this with ".tasks/4000000": a record has room for 256 bytes.
constexpr std::size_t longest_name = 220;

std::string shortened(std::string stem) {
    if (stem.size() <= longest_name) return stem;
    std::size_t end = longest_name;
    while (end > 0 && (static_cast<unsigned char>(stem[end]) & 0xC0) == 0x80)
        --end;
    return stem.substr(0, end);
}

/// The first name that is free everywhere: running/<name>.tasks is made, and is the reservation.
Result<std::string> reserve_array_name(Spool& spool, const std::string& stem,
                                       const OpenRequest& request) {
    for (int n = 1;; ++n) {
        const std::string name = candidate_name(shortened(stem), n);
        if (request.name_taken(name)) continue;
        auto in_use = name_in_use(spool, name);
        if (in_use && !*in_use) in_use = has_running_file(spool, name);
        if (in_use && !*in_use) in_use = is_there(spool, spool.running.get(), name + ".log");
        if (!in_use) return tl::unexpected(in_use.error());
        if (*in_use) continue;
        const auto made = spool.files->make_directory(spool.running.get(),
                                                      name + std::string(task_directory_ending));
        if (made) return name;
        if (made.error().code != EEXIST) return tl::unexpected(made.error());
    }
}

/// The array that a file is, as it was when it was judged.
Result<std::variant<ArrayRecord, NotClaimed>> read_array(Spool& spool, const Clock& clock,
                                                         const OpenFile& file,
                                                         const OpenRequest& request) {
    Files& files = *spool.files;
    const auto stat = files.stat(file.get());
    if (!stat) return tl::unexpected(stat.error());
    if (!stat->unchanged(request.seen)) return NotClaimed::changed;
    auto bytes = files.read(file.get(), 0, static_cast<std::size_t>(stat->size));
    if (!bytes) return tl::unexpected(bytes.error());
    const auto spec = read_job_file(*bytes, request.file_name);
    const auto tasks = spec ? parse_tasks(spec->array.tasks) : std::nullopt;
    const auto split = split_job_name(request.file_name);
    if (!tasks || !split) return NotClaimed::changed;
    ArrayRecord array;
    array.number = request.number;
    array.extension = split->extension;
    array.file_name = request.file_name;
    array.token = random_token();
    array.device = stat->device;
    array.inode = stat->inode;
    array.submitted_at = request.submitted_at;
    array.opened_at = clock.wall();
    array.job_file = std::move(*bytes);
    array.tasks = *tasks;
    array.wishes = request.wishes;
    array.leaders = request.leaders;
    return array;
}

/// The record is on the disk before the lease is taken: nobody has to wait for a sync.
Result<std::variant<ArrayRecord, NotClaimed>> move_to_running(Spool& spool, const OpenFile& file,
                                                              const OpenRequest& request,
                                                              ArrayRecord array) {
    Files& files = *spool.files;
    const Lease lease(files, file.get());
    if (lease.refused()) return NotClaimed::open_for_writing;
    const auto stat = files.stat(file.get());
    if (!stat) return tl::unexpected(stat.error());
    if (!stat->unchanged(request.seen)) return NotClaimed::changed;
    const std::string target = array.job_file_name();
    const auto moved =
        move_file(spool, spool.incoming.get(), request.file_name, spool.running.get(), target);
    if (!moved && (moved.error().code == ENOENT || moved.error().code == EEXIST))
        return NotClaimed::changed;
    if (!moved) return tl::unexpected(moved.error());
    const auto there = files.stat_at(spool.running.get(), target);
    if (there && there->same_file(*stat)) return array;
    // Somebody has put another file under the name meanwhile: that one goes back.
    auto back = return_to_incoming(spool, spool.running.get(), target, request.file_name);
    if (!back) return tl::unexpected(back.error());
    return NotClaimed::changed;
}

/// An array without a record of its own; what a publication needs of it.
ActiveJob as_job(const ArrayRecord& array) {
    ActiveJob job;
    job.number = array.number;
    job.name = array.name;
    job.extension = array.extension;
    job.file_name = array.file_name;
    job.token = array.token;
    job.device = array.device;
    job.inode = array.inode;
    return job;
}

void empty_directory(Spool& spool, const OpenFile& place, const std::string& name) {
    Files& files = *spool.files;
    const auto directory = open_file(files, place.get(), name, OpenMode::directory);
    if (!directory) return;
    const auto entries = files.list(directory->get());
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries)
        (void)files.remove(directory->get(), entry.name);
}

/// A loss of power may have given the log of an ended task its former name back, or left it there.
void complete_moves_of_logs(Spool& spool, const std::string& name) {
    Files& files = *spool.files;
    const auto running = open_file(files, spool.running.get(), name, OpenMode::directory);
    if (!running) return;
    const auto entries = files.list(running->get());
    if (!entries || entries->empty()) return;
    const auto done = task_results(spool, name);
    if (!done) return;
    for (const DirectoryEntry& entry : *entries)
        (void)move_file(spool, running->get(), entry.name, done->get(), entry.name);
}

std::string count_text(const ArrayRecord& array) {
    std::string out;
    for (const auto& [outcome, count] : array.counts)
        out += (out.empty() ? "" : ", ") + std::to_string(count) + " " +
               std::string(outcome_name(outcome));
    return out;
}

}  // namespace

Result<std::variant<ArrayRecord, NotClaimed>> open_array(Spool& spool, const Clock& clock,
                                                         const OpenRequest& request) {
    Files& files = *spool.files;
    auto file = open_file(files, spool.incoming.get(), request.file_name, OpenMode::read);
    if (!file && (file.error().code == ENOENT || file.error().code == ELOOP))
        return NotClaimed::gone;
    if (!file) return tl::unexpected(file.error());
    auto read = read_array(spool, clock, *file, request);
    if (!read || std::holds_alternative<NotClaimed>(*read)) return read;
    ArrayRecord array = std::move(std::get<ArrayRecord>(*read));
    // Durably, before a record has them: else a command could give them once more after a loss of
    // power, before a daemon has read that.
    const auto first = take_numbers(spool, array.tasks.size(), true);
    if (!first) return tl::unexpected(first.error());
    array.first = *first;
    const auto name = reserve_array_name(spool, stem_of(request.file_name), request);
    if (!name) return tl::unexpected(name.error());
    array.name = *name;
    const std::string record = array_record_name(array.number), directory = array.directory();
    auto made = make_array_record(spool, array);
    auto moved = made ? move_to_running(spool, *file, request, std::move(array))
                      : Result<std::variant<ArrayRecord, NotClaimed>>(tl::unexpected(made.error()));
    if (moved && std::holds_alternative<ArrayRecord>(*moved)) return moved;
    (void)files.remove(spool.records.get(), record);
    (void)files.remove_directory(spool.running.get(), directory);
    return moved;
}

void add_open_barrier(const Spool& spool, SyncSet& barrier) {
    barrier.add_directory(spool.done.get());
    barrier.add_directory(spool.running.get());
    barrier.add_directory(spool.incoming.get());
}

Result<void> close_untouched(Spool& spool, ArrayRecord& array) {
    // First: a file in running/ with a directory of tasks and no record may have been executed.
    remove_task_directories(spool, array);
    auto gone = remove_array_record(spool, array);
    if (!gone && gone.error().code != ENOENT) return gone;
    // On the disk before the file can be taken again: two records of one file would be two arrays.
    if (auto synced = spool.files->sync(spool.records.get(), true); !synced) return synced;
    return return_to_incoming(spool, spool.running.get(), array.job_file_name(), array.file_name)
        .map([&](const std::string& name) {
            if (!name.empty()) array.file_name = name;
        });
}

Result<void> make_task_directories(Spool& spool, const std::string& task) {
    const std::string directory = task.substr(0, task.rfind('/'));
    for (const OpenFile* place : {&spool.running, &spool.scripts})
        if (auto made = spool.files->make_directory(place->get(), directory);
            !made && made.error().code != EEXIST)
            return made;
    return {};
}

void remove_task_directories(Spool& spool, const ArrayRecord& array) {
    complete_moves_of_logs(spool, array.directory());
    empty_directory(spool, spool.scripts, array.directory());
    (void)spool.files->remove_directory(spool.scripts.get(), array.directory());
    (void)spool.files->remove_directory(spool.running.get(), array.directory());
}

Result<void> restore_array_file(Spool& spool, const ArrayRecord& array) {
    const auto there = is_there(spool, spool.running.get(), array.job_file_name());
    if (!there) return tl::unexpected(there.error());
    if (*there) return {};
    const std::string temporary = "array." + random_hex();
    auto file =
        open_file(*spool.files, spool.temporary.get(), temporary, OpenMode::create_exclusive);
    if (!file) return tl::unexpected(file.error());
    auto restored = spool.files->write(file->get(), 0, array.job_file).and_then([&] {
        return name_new_file(spool, temporary, spool.running.get(), array.job_file_name());
    });
    if (!restored) (void)spool.files->remove(spool.temporary.get(), temporary);
    return restored;
}

JobResult array_result(const ArrayRecord& array, std::int64_t now) {
    JobResult result;
    result.id = array.number;
    result.name = array.name;
    result.file = array.file_name;
    result.state = worst_outcome(array);
    result.submitted_at = array.submitted_at;
    result.started_at = array.opened_at;
    result.ended_at = now;
    result.token = to_hex(array.token);
    result.tasks = task_results(array);
    if (result.state != Outcome::succeeded) result.reason = "tasks: " + count_text(array);
    if (array.cancelled && result.state == Outcome::cancelled)
        result.reason = *array.cancelled + " (" + count_text(array) + ")";
    if (const auto spec = read_job_file(array.job_file, array.file_name)) {
        result.command = command_line(*spec, array.job_file);
        result.profile = spec->profile.empty() ? "local" : spec->profile;
        result.notes = spec->notes;
        if (spec->submit) result.retry_of = spec->submit->retry_of;
    }
    return result;
}

Result<Published> publish_array(Spool& spool, const ArrayRecord& array, JobResult& result) {
    const ActiveJob job = as_job(array);
    if (is_published(spool, array.name, array.token)) {
        (void)move_file(spool, spool.running.get(), job.job_file(), spool.done.get(),
                        job.job_file());
        result.name = array.name;
        return open_file(*spool.files, spool.done.get(), job.json_file(), OpenMode::read)
            .map([&](OpenFile json) {
                return Published{array.name, std::move(json)};
            });
    }
    // Where the file is missing it is never written to running/: without the record it would be
    // taken for one that was not executed.
    return publish_whole_array(spool, job, result, array.job_file);
}

Result<void> remove_array_record(Spool& spool, const ArrayRecord& array) {
    return spool.files->remove(spool.records.get(), array_record_name(array.number));
}

}  // namespace spool
