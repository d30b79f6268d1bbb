#include "libspool/array_record.h"

#include <algorithm>
#include <cerrno>

#include "libspool/job_file.h"
#include "libspool/record_store.h"

namespace spool {
namespace {

constexpr std::string_view prefix = "array-";
constexpr std::size_t wishes_page = 1, cancel_page = 2, leaders_page = 3;
constexpr std::uint64_t outcomes_offset = 4 * record::page_size;
enum WishFlag : std::uint32_t { has_priority = 1, has_held = 2, is_held = 4 };

/// Bytes of the file, in order; part of the format.
constexpr Outcome outcome_bytes[] = {Outcome::succeeded, Outcome::failed, Outcome::cancelled,
                                     Outcome::timeout,   Outcome::lost,   Outcome::interrupted};
/// From bad to good.
constexpr Outcome by_badness[] = {Outcome::lost,    Outcome::interrupted, Outcome::failed,
                                  Outcome::timeout, Outcome::cancelled,   Outcome::succeeded};

char byte_of(Outcome outcome) {
    const auto found = std::find(std::begin(outcome_bytes), std::end(outcome_bytes), outcome);
    return static_cast<char>(1 + (found - std::begin(outcome_bytes)));
}

std::uint64_t body_offset(std::uint64_t count) {
    constexpr std::uint64_t page = record::page_size;
    return outcomes_offset + (count + page - 1) / page * page;
}

template <std::size_t size>
std::uint16_t copy_name(char (&target)[size], const std::string& name) {
    return static_cast<std::uint16_t>(name.copy(target, size));
}

ArrayHead head_of(const ArrayRecord& array) {
    ArrayHead head{};
    head.token = array.token;
    head.number = array.number;
    head.first = array.first;
    head.count = array.tasks.size();
    head.device = array.device;
    head.inode = array.inode;
    head.submitted_at = array.submitted_at;
    head.opened_at = array.opened_at;
    head.body_length = static_cast<std::uint32_t>(array.job_file.size());
    head.body_checksum = record::crc32(array.job_file.data(), array.job_file.size());
    head.name_length = copy_name(head.name, array.name);
    head.file_name_length = copy_name(head.file_name, array.file_name);
    array.extension.copy(head.extension, sizeof head.extension - 1);
    return head;
}

ArrayWishes wishes_of(const ArrayRecord& array, const QueueWishes& wishes) {
    ArrayWishes page{};
    page.token = array.token;
    page.priority = wishes.priority.value_or(0);
    page.flags = (wishes.priority ? has_priority : 0U) | (wishes.held ? has_held : 0U) |
                 (wishes.held.value_or(false) ? is_held : 0U);
    return page;
}

ArrayLeaders leaders_of(const ArrayRecord& array) {
    ArrayLeaders page{};
    page.token = array.token;
    page.count = array.leaders->size();
    std::copy_n(array.leaders->begin(), std::min(array.leaders->size(), ArrayLeaders::most),
                page.numbers);
    return page;
}

template <typename Page>
Result<void> write_sealed(Files& files, const ArrayRecord& array, std::size_t number, Page page) {
    record::seal(page);
    return files.write(array.file.get(), number * record::page_size,
                       {reinterpret_cast<const char*>(&page), sizeof page});
}

/// A page of this array that is whole.
template <typename Page>
std::optional<Page> page_in(const std::string& bytes, std::size_t number,
                            const record::Token& token) {
    Page page{};
    if (bytes.size() < number * record::page_size + sizeof page) return std::nullopt;
    std::memcpy(&page, bytes.data() + number * record::page_size, sizeof page);
    if (record::check(page) != record::Validity::valid || page.token != token) return std::nullopt;
    return page;
}

Error unfit(const std::string& name, const std::string& why) {
    return Error{{}, ".spool/records/" + name, why, 0, std::nullopt};
}

Result<ArrayHead> head_in(const std::string& bytes, const std::string& name) {
    ArrayHead head{};
    if (bytes.size() < outcomes_offset) return tl::unexpected(unfit(name, "is damaged"));
    std::memcpy(&head, bytes.data(), sizeof head);
    const record::Validity validity = record::check(head);
    if (validity == record::Validity::newer)
        return tl::unexpected(unfit(name, "was written by a newer gpuspool"));
    if (validity != record::Validity::valid || head.name_length > sizeof head.name ||
        head.file_name_length > sizeof head.file_name || head.count > most_tasks ||
        array_record_name(head.number) != name)
        return tl::unexpected(unfit(name, "is damaged"));
    head.extension[sizeof head.extension - 1] = '\0';
    return head;
}

void take_head(const ArrayHead& head, ArrayRecord& array) {
    array.number = head.number;
    array.first = head.first;
    array.name.assign(head.name, head.name_length);
    array.file_name.assign(head.file_name, head.file_name_length);
    array.extension = head.extension;
    array.token = head.token;
    array.device = head.device;
    array.inode = head.inode;
    array.submitted_at = head.submitted_at;
    array.opened_at = head.opened_at;
}

void take_pages(const std::string& bytes, ArrayRecord& array) {
    if (const auto wishes = page_in<ArrayWishes>(bytes, wishes_page, array.token)) {
        if (wishes->flags & has_priority) array.wishes.priority = wishes->priority;
        if (wishes->flags & has_held) array.wishes.held = (wishes->flags & is_held) != 0;
    }
    if (const auto cancel = page_in<record::Cancel>(bytes, cancel_page, array.token))
        array.cancelled = std::string(
            cancel->reason, std::min<std::size_t>(cancel->reason_length, sizeof cancel->reason));
}

void take_leaders(const std::string& bytes, ArrayRecord& array) {
    const auto page = page_in<ArrayLeaders>(bytes, leaders_page, array.token);
    if (!page || page->count > ArrayLeaders::most) return;
    array.leaders.emplace(page->numbers, page->numbers + page->count);
}

/// False if a byte means nothing.
bool take_outcomes(std::string_view bytes, ArrayRecord& array) {
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        if (value > std::size(outcome_bytes)) return false;
        array.outcomes.push_back(value == 0 ? std::nullopt
                                            : std::optional(outcome_bytes[value - 1]));
        if (value != 0) ++array.counts[outcome_bytes[value - 1]];
    }
    return true;
}

Result<void> take_all(const std::string& bytes, const std::string& name, ArrayRecord& array) {
    const auto head = head_in(bytes, name);
    if (!head) return tl::unexpected(head.error());
    take_head(*head, array);
    take_pages(bytes, array);
    take_leaders(bytes, array);
    const std::uint64_t body = body_offset(head->count);
    if (bytes.size() < body + head->body_length ||
        record::crc32(bytes.data() + body, head->body_length) != head->body_checksum)
        return tl::unexpected(unfit(name, "is damaged"));
    array.job_file = bytes.substr(body, head->body_length);
    const auto spec = read_job_file(array.job_file, array.file_name);
    const auto tasks = spec ? parse_tasks(spec->array.tasks) : std::nullopt;
    if (!tasks || tasks->size() != head->count ||
        !take_outcomes(std::string_view(bytes).substr(outcomes_offset, head->count), array))
        return tl::unexpected(unfit(name, "cannot be understood"));
    array.tasks = *tasks;
    return {};
}

}  // namespace

std::uint64_t ArrayRecord::ended() const {
    std::uint64_t sum = 0;
    for (const auto& [outcome, count] : counts)
        sum += count;
    return sum;
}

std::string array_record_name(std::uint64_t number) {
    return std::string(prefix) + std::to_string(number);
}

std::optional<std::uint64_t> array_record_number(const std::string& name) {
    if (!name.starts_with(prefix) || name.size() > prefix.size() + 18) return std::nullopt;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos)
        return std::nullopt;
    const std::uint64_t number = std::stoull(digits);
    return array_record_name(number) == name ? std::optional(number) : std::nullopt;
}

Result<void> make_array_record(Spool& spool, ArrayRecord& array) {
    ArrayHead head = head_of(array);
    record::seal(head);
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes.resize(body_offset(array.tasks.size()), '\0');
    if (array.leaders) {
        ArrayLeaders leaders = leaders_of(array);
        record::seal(leaders);
        bytes.replace(leaders_page * record::page_size, sizeof leaders,
                      reinterpret_cast<const char*>(&leaders), sizeof leaders);
    }
    bytes += array.job_file;
    const std::string name = array_record_name(array.number);
    if (auto written = write_atomically(spool, spool.records.get(), name, bytes, true); !written)
        return written;
    auto file = open_file(*spool.files, spool.records.get(), name, OpenMode::read_write);
    if (!file) return tl::unexpected(file.error());
    array.file = std::move(*file);
    array.outcomes.assign(array.tasks.size(), std::nullopt);
    if (!array.wishes.priority && !array.wishes.held) return {};
    const QueueWishes wishes = array.wishes;
    return note_wishes(*spool.files, array, wishes).and_then([&] {
        return spool.files->sync(array.file.get(), false);
    });
}

Result<ArrayRecord> load_array(Spool& spool, const std::string& record_name, OpenMode mode) {
    ArrayRecord array;
    auto file = open_file(*spool.files, spool.records.get(), record_name, mode);
    if (!file) return tl::unexpected(file.error());
    array.file = std::move(*file);
    const auto stat = spool.files->stat(array.file.get());
    if (!stat) return tl::unexpected(stat.error());
    if (stat->kind != FileKind::regular)
        return tl::unexpected(unfit(record_name, "is no regular file"));
    const auto bytes = spool.files->read(array.file.get(), 0, static_cast<std::size_t>(stat->size));
    if (!bytes) return tl::unexpected(bytes.error());
    if (auto taken = take_all(*bytes, record_name, array); !taken)
        return tl::unexpected(taken.error());
    return array;
}

Result<std::vector<std::string>> array_record_names(Spool& spool) {
    const auto entries = spool.files->list(spool.records.get());
    if (!entries) return tl::unexpected(entries.error());
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : *entries)
        if (array_record_number(entry.name)) names.push_back(entry.name);
    return names;
}

Result<void> note_outcome(Files& files, ArrayRecord& array, std::size_t place, Outcome outcome) {
    const char byte = byte_of(outcome);
    return files.write(array.file.get(), outcomes_offset + place, {&byte, 1}).map([&] {
        auto& known = array.outcomes[place];
        if (known && --array.counts[*known] == 0) array.counts.erase(*known);
        known = outcome;
        ++array.counts[outcome];
    });
}

Result<void> note_rest(Files& files, ArrayRecord& array, Outcome outcome,
                       const std::vector<std::size_t>& spared) {
    auto outcomes = array.outcomes;
    for (auto& known : outcomes)
        if (!known) known = outcome;
    for (const std::size_t place : spared)
        outcomes[place] = array.outcomes[place];
    std::string bytes;
    for (const auto& known : outcomes)
        bytes += known ? byte_of(*known) : '\0';
    return files.write(array.file.get(), outcomes_offset, bytes).map([&] {
        array.outcomes = std::move(outcomes);
        array.counts.clear();
        for (const auto& known : array.outcomes)
            if (known) ++array.counts[*known];
    });
}

Result<void> note_wishes(Files& files, ArrayRecord& array, const QueueWishes& wishes) {
    return write_sealed(files, array, wishes_page, wishes_of(array, wishes)).map([&] {
        array.wishes = wishes;
    });
}

Result<void> note_cancelled(Files& files, ArrayRecord& array, const std::string& reason,
                            std::int64_t now) {
    record::Cancel page{};
    page.token = array.token;
    page.at = now;
    page.reason_length = static_cast<std::uint32_t>(reason.copy(page.reason, sizeof page.reason));
    return write_sealed(files, array, cancel_page, page).map([&] { array.cancelled = reason; });
}

TaskResults task_results(const ArrayRecord& array) {
    std::map<Outcome, TaskList> lists;
    for (std::size_t place = 0; place < array.tasks.size(); ++place)
        if (array.outcomes[place]) lists[*array.outcomes[place]].push_back(array.tasks[place]);
    TaskResults out;
    out.count = array.tasks.size();
    out.first_number = array.first;
    for (const auto& [outcome, list] : lists)
        out.by_outcome[outcome] = tasks_text(list);
    return out;
}

Outcome worst_outcome(const ArrayRecord& array) {
    for (const Outcome outcome : by_badness)
        if (array.counts.contains(outcome)) return outcome;
    return Outcome::lost;
}

}  // namespace spool
