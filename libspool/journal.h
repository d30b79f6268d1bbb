// The two append-only files of the daemon: which number each waiting file has, and which jobs have
// ended (docs/protocol.md §3, §11). One JSON line an entry; a torn or damaged line is dropped when
// read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libspool/layout.h"
#include "libspool/result.h"

namespace spool {

/// What somebody asked of a waiting job by request; it goes before what its file says.
struct QueueWishes {
    std::optional<int> priority;
    std::optional<bool> held;

    bool operator==(const QueueWishes&) const = default;
};

/// A line of .spool/waiting.
struct WaitingEntry {
    std::uint64_t number = 0, device = 0, inode = 0;
    std::string file_name;
    std::int64_t submitted_at = 0;
    QueueWishes wishes{};
};

/// A line of .spool/history.
struct HistoryEntry {
    std::uint64_t number = 0;
    std::string name;
    Outcome state = Outcome::lost;
    std::optional<int> exit_code;
    std::int64_t ended_at = 0;
    /// Of an array: the numbers of its tasks; 0: it is none.
    std::uint64_t first_task = 0, last_task = 0;
    int attempt = 0;      ///< the last one; 0: not noted
    std::string token{};  ///< of a further attempt, in hexadecimal digits
};

[[nodiscard]] HistoryEntry history_entry(const JobResult& result);

[[nodiscard]] std::string write_line(const WaitingEntry& entry);
[[nodiscard]] std::string write_line(const HistoryEntry& entry);
[[nodiscard]] std::optional<WaitingEntry> read_waiting_entry(std::string_view line);
[[nodiscard]] std::optional<HistoryEntry> read_history_entry(std::string_view line);

/// A file of lines that only grows, held open. The caller syncs `handle()`.
class Journal {
public:
    /// Reads the lines of .spool/<name> (whole ones only) and opens it for appending behind them.
    static Result<Journal> open(Spool& spool, const std::string& name,
                                std::vector<std::string>& lines);

    Result<void> append(std::string_view lines);
    /// Appends `lines` behind those that could not be appended before; what a full disk refuses is
    /// kept for the next call. An error means that something is left to be written.
    Result<void> append_or_keep(std::string_view lines);
    /// Replaces the content, durably, and goes on appending behind it.
    Result<void> rewrite(std::string_view lines);
    /// False if somebody has removed, replaced or cut the file.
    [[nodiscard]] Result<bool> in_place() const;
    /// All that was appended, if the file has it still, under its name or under none.
    [[nodiscard]] std::optional<std::string> content() const;
    [[nodiscard]] Handle handle() const { return file_.get(); }
    [[nodiscard]] std::uint64_t size() const { return size_; }

private:
    Journal(Spool& spool, std::string name) : spool_(&spool), name_(std::move(name)) {}
    Result<void> reopen();

    Spool* spool_;
    std::string name_;
    OpenFile file_, previous_;  ///< a sync of the one that was replaced may be under way
    std::uint64_t size_ = 0;
    std::string unwritten_;
};

/// Loads the history; if there is none, it is rebuilt from done/*.json and written.
Result<std::vector<HistoryEntry>> load_history(Spool& spool, std::optional<Journal>& journal);

/// Writes the history anew where it is not in place any more. True if it was.
Result<bool> keep_history(Spool& spool, Journal& journal);

}  // namespace spool
