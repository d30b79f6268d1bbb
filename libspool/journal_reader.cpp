#include "libspool/journal_reader.h"

#include <algorithm>

#include "libspool/array_record.h"
#include "libspool/done.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/record_store.h"
#include "libspool/state.h"

namespace spool {
namespace {

/// Calls `use` with each complete line of `bytes`.
template <typename Use>
void for_each_line(std::string_view bytes, Use use) {
    for (auto end = bytes.find('\n'); end != bytes.npos; end = bytes.find('\n')) {
        use(bytes.substr(0, end));
        bytes.remove_prefix(end + 1);
    }
}

std::string whole(Spool& spool, std::string_view name) {
    return read_whole(*spool.files, spool.internal.get(), name, std::uint64_t(1) << 30)
        .value_or(std::string());
}

/// The end of the history: at least `limit` lines of usual length, from the start of a line.
std::string history_tail(Spool& spool, std::size_t limit) {
    constexpr std::uint64_t line_length = 512;
    const auto file = open_file(*spool.files, spool.internal.get(), "history", OpenMode::read);
    if (!file) return {};
    const auto stat = spool.files->stat(file->get());
    if (!stat) return {};
    const bool all = limit > stat->size / line_length;
    const std::uint64_t offset = all ? 0 : stat->size - limit * line_length;
    std::string bytes =
        spool.files->read(file->get(), offset, static_cast<std::size_t>(stat->size - offset))
            .value_or(std::string());
    if (!all) bytes.erase(0, std::min(bytes.find('\n'), bytes.size() - 1) + 1);
    return bytes;
}

std::uint64_t highest_in_records(Spool& spool) {
    std::uint64_t highest = 0;
    const auto entries = spool.files->list(spool.records.get());
    if (!entries) return 0;
    for (const DirectoryEntry& entry : *entries) {
        const auto index = record_index(entry.name);
        if (array_record_number(entry.name))
            if (const auto array = load_array(spool, entry.name, OpenMode::read))
                highest = std::max(highest, array->first + array->tasks.size() - 1);
        if (!index) continue;
        auto file = open_file(*spool.files, spool.records.get(), entry.name, OpenMode::read);
        if (!file) continue;
        const auto content = read_record(*spool.files, RecordFile{*index, std::move(*file)});
        if (content && content->claim_validity == record::Validity::valid)
            highest = std::max(highest, content->claim.job);
    }
    return highest;
}

/// Of submitted files that no daemon has seen yet.
std::uint64_t highest_submitted(Spool& spool) {
    std::uint64_t highest = 0;
    const auto entries = spool.files->list(spool.incoming.get());
    if (!entries) return 0;
    for (const DirectoryEntry& entry : *entries) {
        if (classify_name(entry.name) != NameClass::job) continue;
        const auto bytes =
            read_whole(*spool.files, spool.incoming.get(), entry.name, max_job_file_size);
        if (!bytes) continue;
        const auto spec = read_job_file(*bytes, entry.name);
        if (spec && spec->submit && spec->submit->spool == spool.identity)
            highest = std::max(highest, spec->submit->number);
    }
    return highest;
}

std::uint64_t highest_in_results(Spool& spool) {
    std::uint64_t highest = 0;
    for (const std::string& name : result_names(spool).value_or(std::vector<std::string>()))
        if (const auto result = read_done(spool, name)) {
            const HistoryEntry entry = history_entry(*result);
            highest = std::max({highest, entry.number, entry.last_task});
        }
    return highest;
}

/// Of jobs that a daemon has shown.
std::uint64_t highest_published(Spool& spool) {
    const auto state = read_state(whole(spool, "state.json"), "state.json");
    if (!state) return 0;
    std::uint64_t highest = 0;
    for (const WaitingState& job : state->waiting)
        highest = std::max(highest, job.id);
    for (const RunningState& job : state->running)
        highest = std::max(highest, job.id);
    for (const JobResult& job : state->recent)
        highest = std::max(highest, job.id);
    return highest;
}

}  // namespace

std::uint64_t highest_known_number(Spool& spool) {
    std::uint64_t highest =
        std::max({highest_in_records(spool), highest_submitted(spool), highest_published(spool)});
    if (!spool.files->stat_at(spool.internal.get(), "history"))
        highest = std::max(highest, highest_in_results(spool));
    for (const WaitingEntry& line : read_waiting_entries(spool))
        highest = std::max(highest, line.number);
    for_each_line(whole(spool, "history"), [&](std::string_view line) {
        if (const auto read = read_history_entry(line))
            highest = std::max({highest, read->number, read->last_task});
    });
    return highest;
}

std::vector<WaitingEntry> read_waiting_entries(Spool& spool) {
    std::vector<WaitingEntry> out;
    for_each_line(whole(spool, "waiting"), [&](std::string_view line) {
        if (auto read = read_waiting_entry(line)) out.push_back(std::move(*read));
    });
    return out;
}

std::vector<HistoryEntry> read_last_history(Spool& spool, std::size_t limit) {
    std::vector<HistoryEntry> out;
    for_each_line(history_tail(spool, limit), [&](std::string_view line) {
        if (auto read = read_history_entry(line)) out.push_back(std::move(*read));
    });
    std::reverse(out.begin(), out.end());
    if (out.size() > limit) out.resize(limit);
    return out;
}

std::optional<HistoryEntry> find_in_history(Spool& spool, std::uint64_t number) {
    std::optional<HistoryEntry> out;
    const std::string digits = std::to_string(number);
    for_each_line(whole(spool, "history"), [&](std::string_view line) {
        if (line.find(digits) == line.npos) return;  // spares parsing nearly all lines
        if (auto read = read_history_entry(line); read && read->number == number)
            out = std::move(read);
    });
    return out;
}

std::optional<HistoryEntry> newest_in_history(Spool& spool) {
    std::optional<HistoryEntry> out;
    for (HistoryEntry& line : read_last_history(spool, 4096))
        if (!out || line.number > out->number) out = std::move(line);
    return out;
}

}  // namespace spool
