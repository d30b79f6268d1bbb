#include "libspool/journal.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "libspool/done.h"
#include "libspool/names.h"

namespace spool {
namespace {

using nlohmann::json;

std::vector<std::string> whole_lines(const std::string& bytes) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0, end = 0; (end = bytes.find('\n', begin)) != std::string::npos;
         begin = end + 1)
        lines.push_back(bytes.substr(begin, end - begin));
    return lines;
}

/// Removed meanwhile, or not ours; anything else is trouble, and then it may be one.
bool is_no_result(const Error& error) {
    return error.code == 0 || error.code == ENOENT || error.code == ELOOP || error.code == EACCES ||
           error.code == ENXIO;
}

Result<std::vector<HistoryEntry>> entries_from_results(Spool& spool) {
    const auto names = result_names(spool);
    if (!names) return tl::unexpected(names.error());
    std::vector<HistoryEntry> entries;
    for (const std::string& name : *names) {
        const auto result = read_done(spool, name);
        if (!result && !is_no_result(result.error())) return tl::unexpected(result.error());
        if (result && result->id != 0) entries.push_back(history_entry(*result));
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.ended_at < b.ended_at; });
    return entries;
}

}  // namespace

HistoryEntry history_entry(const JobResult& result) {
    HistoryEntry entry{result.id, result.name, result.state, result.exit_code, result.ended_at};
    if (result.tasks && result.tasks->count != 0) {
        entry.first_task = result.tasks->first_number;
        entry.last_task = entry.first_task + result.tasks->count - 1;
    }
    entry.attempt = result.attempt;
    if (entry.attempt > 1) entry.token = result.token;
    return entry;
}

std::string write_line(const WaitingEntry& entry) {
    json line = {{"n", entry.number},
                 {"dev", entry.device},
                 {"ino", entry.inode},
                 {"name", to_json_text(entry.file_name)},
                 {"at", entry.submitted_at}};
    if (entry.wishes.priority) line["priority"] = *entry.wishes.priority;
    if (entry.wishes.held) line["held"] = *entry.wishes.held;
    return line.dump() + "\n";
}

std::string write_line(const HistoryEntry& entry) {
    json line = {{"n", entry.number},
                 {"name", to_json_text(entry.name)},
                 {"state", outcome_name(entry.state)},
                 {"ended_at", entry.ended_at}};
    line["exit_code"] = entry.exit_code ? json(*entry.exit_code) : json(nullptr);
    if (entry.first_task != 0) line["tasks"] = {entry.first_task, entry.last_task};
    if (entry.attempt > 1) {
        line["attempt"] = entry.attempt;
        line["token"] = entry.token;
    }
    return line.dump() + "\n";
}

std::optional<WaitingEntry> read_waiting_entry(std::string_view line) {
    const json document = json::parse(line, nullptr, false);
    if (!document.is_object()) return std::nullopt;
    try {
        WaitingEntry entry{document.at("n").get<std::uint64_t>(),
                           document.at("dev").get<std::uint64_t>(),
                           document.at("ino").get<std::uint64_t>(),
                           from_json_text(document.at("name").get<std::string>()),
                           document.at("at").get<std::int64_t>()};
        if (document.contains("priority")) entry.wishes.priority = document["priority"].get<int>();
        if (document.contains("held")) entry.wishes.held = document["held"].get<bool>();
        return entry;
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

std::optional<HistoryEntry> read_history_entry(std::string_view line) {
    const json document = json::parse(line, nullptr, false);
    if (!document.is_object()) return std::nullopt;
    try {
        HistoryEntry entry{document.at("n").get<std::uint64_t>(),
                           from_json_text(document.at("name").get<std::string>()), Outcome::lost,
                           std::nullopt, document.at("ended_at").get<std::int64_t>()};
        const auto state = outcome_from_name(document.at("state").get<std::string>());
        if (!state) return std::nullopt;
        entry.state = *state;
        if (document.at("exit_code").is_number_integer())
            entry.exit_code = document["exit_code"].get<int>();
        if (const auto tasks = document.find("tasks"); tasks != document.end()) {
            entry.first_task = tasks->at(0).get<std::uint64_t>();
            entry.last_task = tasks->at(1).get<std::uint64_t>();
        }
        entry.attempt = document.value("attempt", 0);
        entry.token = document.value("token", std::string());
        return entry;
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

Result<Journal> Journal::open(Spool& spool, const std::string& name,
                              std::vector<std::string>& lines) {
    Journal journal(spool, name);
    if (auto opened = journal.reopen(); !opened) return tl::unexpected(opened.error());
    auto bytes = spool.files->read(journal.file_.get(), 0, static_cast<std::size_t>(journal.size_));
    if (!bytes) return tl::unexpected(bytes.error());
    lines = whole_lines(*bytes);
    // A torn line at the end is overwritten by the next append.
    journal.size_ = bytes->rfind('\n') == std::string::npos ? 0 : bytes->rfind('\n') + 1;
    if (journal.size_ < bytes->size())
        if (auto cut = spool.files->truncate(journal.file_.get(), journal.size_); !cut)
            return tl::unexpected(cut.error());
    return journal;
}

Result<void> Journal::reopen() {
    auto file = open_file(*spool_->files, spool_->internal.get(), name_, OpenMode::create);
    if (!file) return tl::unexpected(file.error());
    const auto stat = spool_->files->stat(file->get());
    if (!stat) return tl::unexpected(stat.error());
    previous_ = std::exchange(file_, std::move(*file));
    size_ = stat->size;
    return {};
}

Result<void> Journal::append(std::string_view lines) {
    auto written = spool_->files->write(file_.get(), size_, lines);
    if (written) {
        size_ += lines.size();
        return {};
    }
    // Half a line must not stay in front of the next one.
    (void)spool_->files->truncate(file_.get(), size_);
    return written;
}

Result<void> Journal::append_or_keep(std::string_view lines) {
    unwritten_ += lines;
    if (unwritten_.empty()) return {};
    return append(unwritten_).map([this] { unwritten_.clear(); });
}

Result<void> Journal::rewrite(std::string_view lines) {
    return write_atomically(*spool_, spool_->internal.get(), name_, lines, true).and_then([&] {
        return reopen();
    });
}

Result<bool> Journal::in_place() const {
    Files& files = *spool_->files;
    const auto own = files.stat(file_.get()), named = files.stat_at(spool_->internal.get(), name_);
    if (!own) return tl::unexpected(own.error());
    if (!named && named.error().code != ENOENT) return tl::unexpected(named.error());
    return named && named->same_file(*own) && own->size >= size_;
}

std::optional<std::string> Journal::content() const {
    auto bytes = spool_->files->read(file_.get(), 0, static_cast<std::size_t>(size_));
    if (!bytes || bytes->size() < size_ || bytes->find('\0') != std::string::npos)
        return std::nullopt;
    return std::move(*bytes);
}

Result<bool> keep_history(Spool& spool, Journal& journal) {
    if (auto there = journal.in_place(); !there || *there)
        return there.map([](bool) { return false; });
    auto text = journal.content();
    if (!text) {
        const auto entries = entries_from_results(spool);
        if (!entries) return tl::unexpected(entries.error());
        text.emplace();
        for (const HistoryEntry& entry : *entries)
            *text += write_line(entry);
    }
    return journal.rewrite(*text).map([] { return true; });
}

Result<std::vector<HistoryEntry>> load_history(Spool& spool, std::optional<Journal>& journal) {
    const auto there = spool.files->stat_at(spool.internal.get(), "history");
    if (!there && there.error().code != ENOENT) return tl::unexpected(there.error());
    if (!there) {
        // Written whole before it is opened: an empty one would not be rebuilt the next time.
        auto rebuilt = entries_from_results(spool);
        if (!rebuilt) return rebuilt;
        std::string text;
        for (const HistoryEntry& entry : *rebuilt)
            text += write_line(entry);
        if (auto written = write_atomically(spool, spool.internal.get(), "history", text, true);
            !written)
            return tl::unexpected(written.error());
    }
    std::vector<std::string> lines;
    auto opened = Journal::open(spool, "history", lines);
    if (!opened) return tl::unexpected(opened.error());
    journal = std::move(*opened);
    std::vector<HistoryEntry> entries;
    for (const std::string& line : lines)
        if (auto entry = read_history_entry(line)) entries.push_back(std::move(*entry));
    return entries;
}

}  // namespace spool
