// The record of an open array: .spool/records/array-42 (docs/protocol.md §14).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libspool/array_spec.h"
#include "libspool/journal.h"
#include "libspool/record.h"
#include "libspool/result.h"

namespace spool {

/// Page 0.
struct ArrayHead {
    static constexpr std::uint32_t magic = 0x31414c47;  // "GLA1"
    record::Header header;
    record::Token token;
    std::uint64_t number, first, count;
    std::uint64_t device, inode;  ///< of the job file
    std::int64_t submitted_at, opened_at;
    std::uint32_t body_length, body_checksum;
    std::uint16_t name_length, file_name_length;
    char name[256], file_name[256], extension[16];
};

/// Page 1.
struct ArrayWishes {
    static constexpr std::uint32_t magic = 0x31574c47;  // "GLW1"
    record::Header header;
    record::Token token;
    std::int32_t priority;
    std::uint32_t flags;  ///< 1: it has a priority; 2: it says whether it is held; 4: it is
};

/// Page 3, of an array whose tasks follow those of others: their numbers, when it was opened.
struct ArrayLeaders {
    static constexpr std::uint32_t magic = 0x31464c47;  // "GLF1"
    static constexpr std::size_t most = 500;
    record::Header header;
    record::Token token;
    std::uint64_t count;  ///< more than `most`: they are looked up again
    std::uint64_t numbers[most];
};

static_assert(record::is_page<ArrayHead> && record::is_page<ArrayWishes> &&
              record::is_page<ArrayLeaders>);

/// An open array as its record has it.
struct ArrayRecord {
    std::uint64_t number = 0;
    std::uint64_t first = 0;  ///< number of the first task; the others follow
    std::string name;         ///< unique name
    std::string extension, file_name;
    record::Token token{};
    std::uint64_t device = 0, inode = 0;
    std::int64_t submitted_at = 0, opened_at = 0;  ///< nanoseconds of the wall clock
    std::string job_file;                          ///< its bytes
    TaskList tasks;
    std::vector<std::optional<Outcome>> outcomes;  ///< of the tasks, by place; nothing: not ended
    std::map<Outcome, std::uint64_t> counts;       ///< of them
    QueueWishes wishes;
    std::optional<std::string> cancelled;  ///< why it is to end
    OpenFile file;
    /// Arrays whose tasks its tasks follow; nothing: the record does not say.
    std::optional<std::vector<std::uint64_t>> leaders{};

    [[nodiscard]] std::string job_file_name() const { return name + extension; }
    [[nodiscard]] std::string directory() const {
        return name + std::string(task_directory_ending);
    }
    [[nodiscard]] bool has(std::uint64_t task_number) const {
        return task_number >= first && task_number - first < tasks.size();
    }
    [[nodiscard]] std::uint64_t number_of(std::size_t place) const { return first + place; }
    [[nodiscard]] std::size_t place_of_number(std::uint64_t number_of_task) const {
        return static_cast<std::size_t>(number_of_task - first);
    }
    [[nodiscard]] std::string name_of(std::size_t place) const {
        return task_name(name, tasks[place]);
    }
    [[nodiscard]] std::uint64_t ended() const;  ///< how many of its tasks have
    [[nodiscard]] bool has_ended() const { return ended() == tasks.size(); }
};

/// ".spool/records/array-42"
[[nodiscard]] std::string array_record_name(std::uint64_t number);
[[nodiscard]] std::optional<std::uint64_t> array_record_number(const std::string& name);

/// Writes the record of a new array, durably; `file` is set.
Result<void> make_array_record(Spool& spool, ArrayRecord& array);
/// Reads one; `mode` is that of `file`. An error without a code: it is damaged, or of a newer
/// format.
Result<ArrayRecord> load_array(Spool& spool, const std::string& record_name, OpenMode mode);
/// Names of all records of arrays, whether or not they can be read.
Result<std::vector<std::string>> array_record_names(Spool& spool);

// What has changed, written and not synced. What it says is in `array` once it is written.
Result<void> note_outcome(Files& files, ArrayRecord& array, std::size_t place, Outcome outcome);
/// Of all that have not ended but those that `spared` names by place.
Result<void> note_rest(Files& files, ArrayRecord& array, Outcome outcome,
                       const std::vector<std::size_t>& spared);
Result<void> note_wishes(Files& files, ArrayRecord& array, const QueueWishes& wishes);
Result<void> note_cancelled(Files& files, ArrayRecord& array, const std::string& reason,
                            std::int64_t now);

/// The result of the array when all have ended.
[[nodiscard]] TaskResults task_results(const ArrayRecord& array);
/// The worst of its tasks.
[[nodiscard]] Outcome worst_outcome(const ArrayRecord& array);

}  // namespace spool
