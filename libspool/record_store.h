// Reading and writing record files, and the pool of them (docs/protocol.md §4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libspool/layout.h"
#include "libspool/record.h"

namespace spool {

/// The blocks of a record's body, by what they hold (`record::Claim`).
struct RecordBody {
    std::string job_file;           ///< the bytes of the job file
    std::size_t script_length = 0;  ///< how many of them, from the start, are executed as a script
    std::vector<std::string> arguments;  ///< what is executed
    std::string directory;
    std::string environment_file;
    std::vector<std::string> environment;  ///< "KEY=VALUE", or "KEY" to unset
    std::string output, error_output;
    std::string result;  ///< JSON
};

/// N of .spool/records/N; none if no record has such a name.
[[nodiscard]] std::optional<std::uint32_t> record_index(const std::string& name);

/// One record file, open for reading and writing.
struct RecordFile {
    std::uint32_t index = 0;  ///< N of .spool/records/N
    OpenFile file;
    std::uint64_t size = 0;
    bool fresh =
        false;  ///< its name may not be on the disk yet: sync it with metadata, and the directory
};

/// What is in a record. Pages whose token is not the claim's are reported as absent.
struct RecordContent {
    record::Validity claim_validity = record::Validity::absent;
    record::Claim claim{};
    record::Validity run_validity = record::Validity::absent;
    record::Run run{};
    record::Validity exit_validity = record::Validity::absent;
    record::Exit exit{};
    record::Validity cancel_validity = record::Validity::absent;
    record::Cancel cancel{};
    record::Validity wish_validity = record::Validity::absent;
    record::Wish wish{};

    [[nodiscard]] bool claimed() const {
        return claim_validity == record::Validity::valid &&
               claim.state == record::ClaimState::claimed;
    }
    /// A run page of this attempt that is damaged says nothing but that it was started.
    [[nodiscard]] bool started() const { return run_validity != record::Validity::absent; }
    /// Whether what the run page says can be believed.
    [[nodiscard]] bool run_known() const { return run_validity == record::Validity::valid; }
    [[nodiscard]] bool ended() const { return exit_validity == record::Validity::valid; }
    [[nodiscard]] bool cancelled() const { return cancel_validity == record::Validity::valid; }
    [[nodiscard]] bool has_wish() const { return wish_validity == record::Validity::valid; }
    [[nodiscard]] bool suspended() const { return has_wish() && wish.suspended != 0; }
    [[nodiscard]] std::string name() const { return {claim.name, claim.name_length}; }
    [[nodiscard]] std::string file_name() const {
        return {claim.file_name, claim.file_name_length};
    }
};

Result<RecordContent> read_record(Files& files, const RecordFile& record);
/// The pages that the supervisor and the daemon wrote for `token`, whatever became of the claim
/// page.
Result<RecordContent> read_pages_of(Files& files, const RecordFile& record,
                                    const record::Token& token);
/// The body, checked against the claim page's checksum.
Result<RecordBody> read_body(Files& files, const RecordFile& record, const record::Claim& claim);

/// Lays `body` out behind the claim page: fills in the claim's spans, length and checksum, seals it
/// and writes both, the body first. Nothing is synced.
Result<void> write_claim(Files& files, RecordFile& record, record::Claim& claim,
                         const RecordBody& body);

template <typename Page>
Result<void> write_page(Files& files, const RecordFile& record, std::size_t page_number,
                        Page page) {
    record::seal(page);
    return files.write(record.file.get(), page_number * record::page_size,
                       {reinterpret_cast<const char*>(&page), sizeof page});
}

/// Notes whether the job is to stand still. Nothing is synced.
Result<void> write_wish(Files& files, const RecordFile& record, record::Wish wish);

/// The record files that no job uses.
class RecordPool {
public:
    explicit RecordPool(Spool& spool) : spool_(&spool) {}

    /// Opens every file in .spool/records/ whose name is a number, for recovery to sort out. What
    /// can never be a record (symbolic link, directory, unreadable) is named in `left_alone`.
    Result<std::vector<RecordFile>> open_all(std::vector<std::string>& left_alone);
    /// A free record; makes a new one (zeroed, not synced: `fresh`) if there is none.
    Result<RecordFile> take();
    /// Gives a record back. One that has grown large is removed.
    void give_back(RecordFile record);
    /// Drops a record whose sync failed: it is closed and never used again.
    void discard(RecordFile record);

private:
    Result<RecordFile> make();

    Spool* spool_;
    std::vector<RecordFile> free_;
    std::uint32_t next_index_ = 0;
};

/// Whether what was opened is not a record, whoever asks, and however often; anything else is
/// trouble of the machine.
[[nodiscard]] bool is_no_record(const Error& error);

}  // namespace spool
