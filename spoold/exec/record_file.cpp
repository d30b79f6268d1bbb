#include "spoold/exec/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "spoold/exec/text.h"

namespace spool::exec {

using record::BootId;
using record::check;
using record::Claim;
using record::ClaimState;
using record::page_size;
using record::Token;
using record::Validity;

namespace {

constexpr std::size_t body_limit = 64 << 20;

ssize_t read_at(int file, void* buffer, std::size_t size, std::size_t offset) {
    ssize_t count;
    do
        count = pread(file, buffer, size, static_cast<off_t>(offset));
    while (count < 0 && errno == EINTR);
    return count;
}

template <typename Page>
Page page_at(const char* pages, std::size_t number) {
    Page page;
    memcpy(&page, pages + number * page_size, sizeof page);
    return page;
}

/// Whether the attempt has left this page: a damaged one with its token counts, so does one of a
/// newer format.
template <typename Page>
bool stands(const Page& page, const Token& token) {
    const Validity validity = check(page);
    return validity == Validity::newer || (validity != Validity::absent && page.token == token);
}

}  // namespace

bool RecordFile::open(int spool, std::uint32_t number) {
    Text<64> path;
    path.add(".spool/records/").add_number(number);
    file_ = Fd(openat(spool, path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    return static_cast<bool>(file_);
}

ExitCode RecordFile::lock() {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_len = 1;
    if (fcntl(file_.get(), F_OFD_SETLK, &range) == 0) return done;
    return errno == EAGAIN || errno == EACCES ? busy : system_error;
}

ExitCode RecordFile::load(const Token& token, const BootId& boot, Arena& arena) {
    char* start = static_cast<char*>(arena.take(record::pooled_size));
    if (!start) return system_error;
    const ssize_t count = read_at(file_.get(), start, record::pooled_size, 0);
    if (count < 0) return no_record;
    claim_ = page_at<Claim>(start, record::claim_page);
    if (const ExitCode code = judge_claim(token, boot); code != done) return code;
    if (stands(page_at<record::Run>(start, record::run_page), token) ||
        stands(page_at<record::Exit>(start, record::exit_page), token))
        return already_executed;
    return load_body(start, static_cast<std::size_t>(count), arena);
}

/// The name of a job, or of a task: x.tasks/7.
static bool is_name(const char* name, std::size_t length) {
    static constexpr char ending[] = ".tasks";
    constexpr std::size_t ending_length = sizeof ending - 1;
    const auto* slash = static_cast<const char*>(memchr(name, '/', length));
    if (!slash) return true;
    const auto before = static_cast<std::size_t>(slash - name);
    if (before <= ending_length || before + 1 >= length) return false;
    if (memcmp(slash - ending_length, ending, ending_length) != 0) return false;
    for (const char* digit = slash + 1; digit != name + length; ++digit)
        if (*digit < '0' || *digit > '9') return false;
    return true;
}

ExitCode RecordFile::judge_claim(const Token& token, const BootId& boot) const {
    const bool ours = check(claim_) == Validity::valid && claim_.token == token &&
                      claim_.boot_id == boot && claim_.state == ClaimState::claimed;
    const bool sane = claim_.body_length <= body_limit && claim_.name_length > 0 &&
                      claim_.name_length < sizeof claim_.name &&
                      memchr(claim_.extension, 0, sizeof claim_.extension) &&
                      !memchr(claim_.extension, '/', sizeof claim_.extension) &&
                      is_name(claim_.name, claim_.name_length);
    return ours && sane ? done : not_ours;
}

ExitCode RecordFile::load_body(const char* start, std::size_t count, Arena& arena) {
    body_ = start + record::body_offset;
    if (record::body_offset + claim_.body_length > count) {
        char* whole = static_cast<char*>(arena.take(claim_.body_length));
        if (!whole) return system_error;
        const ssize_t length = read_at(file_.get(), whole, claim_.body_length, record::body_offset);
        if (length != static_cast<ssize_t>(claim_.body_length)) return not_ours;
        body_ = whole;
    }
    const bool intact = record::crc32(body_, claim_.body_length) == claim_.body_checksum;
    return intact && spans_fit() ? done : not_ours;
}

bool RecordFile::spans_fit() const {
    const auto fits = [&](record::Span span) {
        return span.offset <= claim_.body_length && span.length <= claim_.body_length - span.offset;
    };
    const auto ends = [&](record::Span span) {
        return fits(span) && (span.length == 0 || body_[span.offset + span.length - 1] == 0);
    };
    return fits(claim_.script) && ends(claim_.arguments) && claim_.arguments.length > 1 &&
           ends(claim_.directory) && ends(claim_.environment_file) && ends(claim_.environment) &&
           ends(claim_.output) && ends(claim_.error_output);
}

bool RecordFile::cancelled() const {
    record::Cancel page{};
    if (read_at(file_.get(), &page, sizeof page, record::cancel_page * page_size) < 0) return false;
    return check(page) == Validity::valid && page.token == claim_.token;
}

bool RecordFile::suspended() const {
    record::Wish wish{};
    if (read_at(file_.get(), &wish, sizeof wish, record::wish_offset) < 0) return false;
    return check(wish) == Validity::valid && wish.token == claim_.token && wish.suspended;
}

template <typename Page>
int RecordFile::write_page(Page& page, std::size_t number) const {
    seal(page);
    const ssize_t count =
        pwrite(file_.get(), &page, sizeof page, static_cast<off_t>(number * page_size));
    if (count == static_cast<ssize_t>(sizeof page)) return 0;
    return count < 0 ? errno : ENOSPC;
}

template int RecordFile::write_page(record::Run&, std::size_t) const;
template int RecordFile::write_page(record::Exit&, std::size_t) const;

void RecordFile::sync() const {
    // A failed sync is not repeated: the daemon syncs the record again before it publishes, and
    // judges.
    (void)fdatasync(file_.get());
}

}  // namespace spool::exec
