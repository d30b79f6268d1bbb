#include "libspool/record_store.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

namespace spool {
namespace {

template <typename Page>
record::Validity load_at(const std::string& bytes, std::size_t offset, Page& page) {
    if (bytes.size() < offset + sizeof(Page)) {
        // Cut off by somebody: what began as a page was one. The rest of a new file is zeros.
        const bool blank =
            bytes.size() <= offset || bytes.find_first_not_of('\0', offset) == std::string::npos;
        return blank ? record::Validity::absent : record::Validity::damaged;
    }
    std::memcpy(&page, bytes.data() + offset, sizeof(Page));
    return record::check(page);
}

template <typename Page>
record::Validity load_page(const std::string& bytes, std::size_t number, Page& page) {
    return load_at(bytes, number * record::page_size, page);
}

/// A page of another attempt is as good as none.
template <typename Page>
record::Validity own(record::Validity validity, const Page& page, const record::Token& token) {
    const bool ours = validity == record::Validity::newer || page.token == token;
    return ours ? validity : record::Validity::absent;
}

template <typename Page>
record::Validity load_own_page(const std::string& bytes, std::size_t number, Page& page,
                               const record::Token& token) {
    return own(load_page(bytes, number, page), page, token);
}

void load_attempt(const std::string& bytes, const record::Token& token, RecordContent& content) {
    content.run_validity = load_own_page(bytes, record::run_page, content.run, token);
    content.exit_validity = load_own_page(bytes, record::exit_page, content.exit, token);
    content.cancel_validity = load_own_page(bytes, record::cancel_page, content.cancel, token);
    content.wish_validity =
        own(load_at(bytes, record::wish_offset, content.wish), content.wish, token);
}

/// Whether there was a start: the pages of supervisors are not all zeros.
bool has_been_started(const std::string& bytes) {
    constexpr std::size_t begin = record::run_page * record::page_size;
    const std::size_t found = bytes.find_first_not_of('\0', begin);
    return found < record::cancel_page * record::page_size;
}

/// Builds the body and notes where each block is.
class BodyWriter {
public:
    record::Span bytes(std::string_view block) {
        const record::Span span{static_cast<std::uint32_t>(out_.size()),
                                static_cast<std::uint32_t>(block.size())};
        out_ += block;
        return span;
    }
    record::Span text(const std::string& block) {
        return bytes(std::string_view(block.c_str(), block.size() + 1));
    }
    record::Span list(const std::vector<std::string>& items) {
        std::string block;
        for (const std::string& item : items)
            block.append(item.c_str(), item.size() + 1);
        return bytes(block);
    }
    [[nodiscard]] const std::string& content() const { return out_; }

private:
    std::string out_;
};

class BodyReader {
public:
    explicit BodyReader(const std::string& body) : body_(body) {}

    [[nodiscard]] bool ok() const { return ok_; }
    std::string bytes(record::Span span) {
        if (span.offset > body_.size() || span.length > body_.size() - span.offset) {
            ok_ = false;
            return {};
        }
        return body_.substr(span.offset, span.length);
    }
    std::string text(record::Span span) { return bytes(span).c_str(); }
    std::vector<std::string> list(record::Span span) {
        const std::string block = bytes(span);
        std::vector<std::string> items;
        for (std::size_t at = 0; at < block.size(); at += items.back().size() + 1)
            items.emplace_back(block.c_str() + at);
        return items;
    }

private:
    const std::string& body_;
    bool ok_ = true;
};

}  // namespace

bool is_no_record(const Error& error) {
    return error.code == ELOOP || error.code == EISDIR || error.code == ENXIO ||
           error.code == EACCES || error.code == EPERM;
}

std::optional<std::uint32_t> record_index(const std::string& name) {
    std::uint32_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error != std::errc{} || end != name.data() + name.size() || std::to_string(index) != name)
        return std::nullopt;
    return index;
}

Result<RecordContent> read_record(Files& files, const RecordFile& record) {
    auto bytes = files.read(record.file.get(), 0, record::body_offset);
    if (!bytes) return tl::unexpected(bytes.error());
    RecordContent content;
    content.claim_validity = load_page(*bytes, record::claim_page, content.claim);
    // A claim is on the disk before its start: without it somebody has damaged the file.
    if (content.claim_validity == record::Validity::absent && has_been_started(*bytes))
        content.claim_validity = record::Validity::damaged;
    if (content.claim_validity != record::Validity::valid) return content;
    // Lengths come from the disk: they are bounded before anything uses them.
    content.claim.name_length =
        std::min<std::uint16_t>(content.claim.name_length, sizeof content.claim.name);
    content.claim.file_name_length =
        std::min<std::uint16_t>(content.claim.file_name_length, sizeof content.claim.file_name);
    content.claim.extension[sizeof content.claim.extension - 1] = '\0';
    load_attempt(*bytes, content.claim.token, content);
    return content;
}

Result<RecordContent> read_pages_of(Files& files, const RecordFile& record,
                                    const record::Token& token) {
    auto bytes = files.read(record.file.get(), 0, record::body_offset);
    if (!bytes) return tl::unexpected(bytes.error());
    RecordContent content;
    content.claim_validity = record::Validity::damaged;
    load_attempt(*bytes, token, content);
    return content;
}

Result<void> write_wish(Files& files, const RecordFile& record, record::Wish wish) {
    record::seal(wish);
    return files.write(record.file.get(), record::wish_offset,
                       {reinterpret_cast<const char*>(&wish), sizeof wish});
}

Result<RecordBody> read_body(Files& files, const RecordFile& record, const record::Claim& claim) {
    const std::string path = ".spool/records/" + std::to_string(record.index);
    if (record.size < record::body_offset + std::uint64_t{claim.body_length})
        return content_error(path, {},
                             "its body is damaged: the file is shorter than it should be");
    auto bytes = files.read(record.file.get(), record::body_offset, claim.body_length);
    if (!bytes) return tl::unexpected(bytes.error());
    if (bytes->size() != claim.body_length ||
        record::crc32(bytes->data(), bytes->size()) != claim.body_checksum)
        return content_error(path, {},
                             "its body is damaged: the job's text and settings are not known");
    BodyReader reader(*bytes);
    RecordBody body{reader.bytes(claim.job_file),        claim.script.length,
                    reader.list(claim.arguments),        reader.text(claim.directory),
                    reader.text(claim.environment_file), reader.list(claim.environment),
                    reader.text(claim.output),           reader.text(claim.error_output),
                    reader.bytes(claim.result)};
    if (!reader.ok())
        return content_error(path, {}, "its body is damaged: a block lies outside of it");
    return body;
}

Result<void> write_claim(Files& files, RecordFile& record, record::Claim& claim,
                         const RecordBody& body) {
    BodyWriter writer;
    claim.job_file = writer.bytes(body.job_file);
    claim.script = {claim.job_file.offset, static_cast<std::uint32_t>(body.script_length)};
    claim.arguments = writer.list(body.arguments);
    claim.directory = writer.text(body.directory);
    claim.environment_file = writer.text(body.environment_file);
    claim.environment = writer.list(body.environment);
    claim.output = writer.text(body.output);
    claim.error_output = writer.text(body.error_output);
    claim.result = writer.bytes(body.result);
    claim.body_length = static_cast<std::uint32_t>(writer.content().size());
    claim.body_checksum = record::crc32(writer.content().data(), writer.content().size());
    record.size = std::max<std::uint64_t>(record.size, record::body_offset + claim.body_length);
    return files.write(record.file.get(), record::body_offset, writer.content()).and_then([&] {
        return write_page(files, record, record::claim_page, claim);
    });
}

Result<std::vector<RecordFile>> RecordPool::open_all(std::vector<std::string>& left_alone) {
    auto entries = spool_->files->list(spool_->records.get());
    if (!entries) return tl::unexpected(entries.error());
    std::vector<RecordFile> records;
    for (const DirectoryEntry& entry : *entries) {
        const auto index = record_index(entry.name);
        if (!index) continue;
        next_index_ = std::max(next_index_, *index + 1);
        auto file =
            open_file(*spool_->files, spool_->records.get(), entry.name, OpenMode::read_write);
        if (!file && !is_no_record(file.error())) return tl::unexpected(file.error());
        const auto stat = file ? spool_->files->stat(file->get()) : Result<FileStat>(FileStat{});
        if (!stat) return tl::unexpected(stat.error());
        if (stat->kind != FileKind::regular) {
            left_alone.push_back(entry.name);
            continue;
        }
        // An earlier daemon may have died between making it and syncing it.
        records.push_back({*index, std::move(*file), stat->size, true});
    }
    std::sort(records.begin(), records.end(),
              [](const auto& a, const auto& b) { return a.index < b.index; });
    return records;
}

Result<RecordFile> RecordPool::take() {
    // The supervisor of its last job may not be quite gone: it keeps the lock to its end.
    const auto unlocked = [&](const RecordFile& record) {
        const auto locked = spool_->files->is_locked(record.file.get());
        return locked && !*locked;
    };
    const auto found = std::find_if(free_.begin(), free_.end(), unlocked);
    if (found == free_.end()) return make();
    RecordFile record = std::move(*found);
    free_.erase(found);
    return record;
}

Result<RecordFile> RecordPool::make() {
    const auto create = [this](const std::string& name) {
        return open_file(*spool_->files, spool_->records.get(), name, OpenMode::create_exclusive);
    };
    std::string name = std::to_string(next_index_);
    auto file = create(name);
    // Something that came there by another hand must not keep all jobs from being claimed.
    for (; !file && file.error().code == EEXIST; file = create(name))
        name = std::to_string(++next_index_);
    if (!file) return tl::unexpected(file.error());
    // Written, not merely allocated: overwriting written blocks needs neither space nor a journal
    // commit.
    if (auto zeroed = spool_->files->write(file->get(), 0, std::string(record::pooled_size, '\0'));
        !zeroed) {
        (void)spool_->files->remove(spool_->records.get(), name);
        return tl::unexpected(zeroed.error());
    }
    return RecordFile{next_index_++, std::move(*file), record::pooled_size, true};
}

void RecordPool::give_back(RecordFile record) {
    if (record.size > record::reuse_limit) {
        (void)spool_->files->remove(spool_->records.get(), std::to_string(record.index));
        return;
    }
    free_.push_back(std::move(record));
}

void RecordPool::discard(RecordFile record) {
    record.file.reset();
}

}  // namespace spool
