// The record file: one attempt of one job, on disk (docs/protocol.md §4).
//
// Shared by libspool and by the supervisor, which allocates nothing and links nothing: so plain
// structures of fixed size, little endian, and functions that work on bytes alone. A page is valid
// if its magic number, format and checksum are right *and* its token is that of the claim page.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace spool::record {

static_assert(std::endian::native == std::endian::little, "the record is little endian");

inline constexpr std::uint32_t format = 1;
inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t claim_page = 0, run_page = 1, exit_page = 2, cancel_page = 3;
inline constexpr std::size_t body_offset = 4 * page_size;
/// Size of a pooled record: four pages and a body that holds an ordinary job.
inline constexpr std::size_t pooled_size = 8 * page_size;
/// A record that grew beyond this is removed instead of being reused.
inline constexpr std::size_t reuse_limit = 1 << 20;

using Token = std::array<std::uint8_t, 16>;   ///< new and random for every attempt
using BootId = std::array<std::uint8_t, 16>;  ///< /proc/sys/kernel/random/boot_id

/// Stands first in every page.
struct Header {
    std::uint32_t magic;
    std::uint32_t format;
    std::uint32_t size;      ///< bytes of the structure that the checksum covers
    std::uint32_t checksum;  ///< CRC-32 of these bytes with this field zero
};

/// A stretch of the body: offset from the body's start, and length.
struct Span {
    std::uint32_t offset;
    std::uint32_t length;
};

enum class ClaimState : std::uint32_t { free = 0, claimed = 1 };

/// Page 0, written by the daemon: what is to be executed.
struct Claim {
    static constexpr std::uint32_t magic = 0x31434c47;  // "GLC1"
    Header header;
    Token token;
    BootId boot_id;
    ClaimState state;
    std::uint32_t attempt;        ///< 1 for the first
    std::uint64_t job;            ///< the job's number
    std::uint64_t device, inode;  ///< of the job file
    std::int64_t claimed_at;      ///< nanoseconds of the wall clock

    // Limits, in milliseconds; 0 = none (time_limit) or at once (graces).
    std::uint64_t time_limit, grace, leftover_grace;
    std::uint64_t warn_before;  ///< the warning signal is sent so long before the time limit
    std::uint32_t warn_signal;  ///< 0 = none
    std::uint32_t flags;        ///< of the Flag bits below

    std::uint32_t body_length;
    std::uint32_t body_checksum;  ///< CRC-32 of the body's body_length bytes

    Span job_file;   ///< the bytes of the job file, exactly
    Span script;     ///< the part of them that is executed (without the submit line)
    Span arguments;  ///< NUL-terminated strings: what is executed, the path of the script among
                     ///< them
    Span directory;  ///< NUL-terminated absolute path: where it runs
    Span
        environment_file;  ///< NUL-terminated name in .spool/env/: NUL-terminated KEY=VALUE strings
    Span environment;   ///< NUL-terminated KEY=VALUE strings that override that file; "KEY" alone
                        ///< unsets
    Span output;        ///< NUL-terminated path for stdout (and stderr); empty: running/<name>.log
    Span error_output;  ///< NUL-terminated path for stderr; empty: where stdout goes
    Span result;        ///< JSON for the daemon alone: what x.json needs to say about the job

    std::uint16_t name_length, file_name_length;
    char name[256];       ///< the unique name, without extension
    char file_name[256];  ///< the name that the file had in incoming/
    char extension[16];   ///< NUL-terminated, with the dot: the file is running/<name><extension>
};

/// Bits of Claim::flags.
enum Flag : std::uint32_t {
    wait_for_leftovers = 1,  ///< leftovers are waited for, not ended
    truncate_output = 2,     ///< `output` is truncated instead of appended to
    writes_script = 4,  ///< the script is to be written to .spool/scripts/<name><extension> first
    plain_command = 8,  ///< the last argument's words, divided at blanks, may be executed in place
                        ///< of `arguments`; where that fails, `arguments` are
};

/// Page 1, written by the supervisor: with it the job counts as executed.
struct Run {
    static constexpr std::uint32_t magic = 0x31524c47;  // "GLR1"
    Header header;
    Token token;
    BootId boot_id;
    std::int32_t supervisor_pid, main_pid;       ///< main_pid is 0 until the fork
    std::uint64_t supervisor_start, main_start;  ///< field 22 of /proc/<pid>/stat, clock ticks
    std::int64_t started_at;                     ///< nanoseconds of the wall clock
    std::uint16_t gpus_length, cgroup_length;
    char gpus[1024];       ///< JSON list, for the result
    char cgroup[1024];     ///< path of the job's cgroup; empty without one
    std::uint32_t limits;  ///< of the Limit bits below. (Earlier versions had padding there.)
};
static_assert(sizeof(Run) == 2136, "supervisors of earlier versions write pages of this size");

/// Bits of Run::limits: what the kernel keeps the job to.
enum Limit : std::uint32_t { memory_is_limited = 1, processors_are_limited = 2 };

/// How far a run has come when its exit page is written.
enum class Phase : std::uint32_t {
    leftovers = 1,  ///< the main process has ended, others of its tree have not
    complete = 2,   ///< nothing of the tree is left
};

/// Which step failed before the job's own program ran.
enum class Step : std::uint32_t {
    none = 0,
    script = 1,
    output = 2,
    fork = 3,
    directory = 4,
    exec = 5,
    environment = 6,
    error_output = 7,
};

/// Bits of Exit::flags.
enum ExitFlag : std::uint32_t {
    cancelled = 1,
    timed_out = 2,
    interrupted = 4,
    leftovers_killed = 8,
    killed_for_memory = 16,  ///< the kernel has killed processes of it for want of memory,
    over_memory_limit = 32,  ///< because the job used more than it may
};

/// Page 2, written by the supervisor: with it the outcome is known.
struct Exit {
    static constexpr std::uint32_t magic = 0x31584c47;  // "GLX1"
    Header header;
    Token token;
    Phase phase;
    std::uint32_t flags;
    std::int32_t wait_status;  ///< as waitpid(2) gives it; meaningless if failed_step is not none
    Step failed_step;
    std::int32_t error;       ///< errno of failed_step
    std::uint32_t leftovers;  ///< processes that were still there when the main process ended
    std::int64_t ended_at;    ///< nanoseconds of the wall clock
    std::uint64_t user_microseconds, system_microseconds;  ///< of all reaped processes
    std::uint64_t max_rss_kilobytes;                       ///< of the largest of them
};

/// Page 3, written by the daemon: the job is to end.
struct Cancel {
    static constexpr std::uint32_t magic = 0x314b4c47;  // "GLK1"
    Header header;
    Token token;
    std::int64_t at;  ///< nanoseconds of the wall clock
    std::uint32_t reason_length;
    char reason[256];
};

/// In the second half of page 3, written by the daemon: whether the job is to stand still.
struct Wish {
    static constexpr std::uint32_t magic = 0x31574c47;  // "GLW1"
    Header header;
    Token token;
    std::uint32_t suspended;
    std::int64_t at;  ///< nanoseconds of the wall clock
};
inline constexpr std::size_t wish_offset = cancel_page * page_size + page_size / 2;
static_assert(sizeof(Cancel) <= page_size / 2 && sizeof(Wish) <= page_size / 2);

template <typename Page>
inline constexpr bool is_page = std::is_trivially_copyable_v<Page> && sizeof(Page) <= page_size;
static_assert(is_page<Claim> && is_page<Run> && is_page<Exit> && is_page<Cancel> && is_page<Wish>);

/// CRC-32 (IEEE 802.3, reflected, as in zlib) of `size` bytes; `seed` continues an earlier one.
inline std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t seed = 0) {
    static constexpr auto table = [] {
        std::array<std::uint32_t, 256> out{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit)
                value = (value & 1) ? 0xEDB88320u ^ (value >> 1) : value >> 1;
            out[i] = value;
        }
        return out;
    }();
    const auto* bytes = static_cast<const unsigned char*>(data);
    std::uint32_t crc = ~seed;
    for (std::size_t i = 0; i < size; ++i)
        crc = table[(crc ^ bytes[i]) & 0xFF] ^ (crc >> 8);
    return ~crc;
}

/// Fills in the header of `page`, which is then ready to be written at page * page_size.
template <typename Page>
void seal(Page& page) {
    static_assert(is_page<Page>);
    page.header = Header{Page::magic, format, sizeof(Page), 0};
    page.header.checksum = crc32(&page, sizeof(Page));
}

enum class Validity { valid, absent, damaged, newer };

/// What `page`, as read from disk, is worth. An all-zero header is absent. Says nothing about the
/// token.
template <typename Page>
Validity check(const Page& page) {
    static_assert(is_page<Page>);
    const Header& header = page.header;
    if (header.magic == 0 && header.format == 0) return Validity::absent;
    if (header.magic == Page::magic && header.format > format) return Validity::newer;
    if (header.magic != Page::magic || header.format != format || header.size != sizeof(Page))
        return Validity::damaged;
    Page copy = page;
    copy.header.checksum = 0;
    return crc32(&copy, sizeof(Page)) == header.checksum ? Validity::valid : Validity::damaged;
}

/// What the daemon asks the zygote for: start the supervisor of this record.
struct StartRequest {
    static constexpr std::uint32_t magic_value = 0x31534c47;  // "GLS1"
    std::uint32_t magic;
    std::uint32_t record;  ///< N of .spool/records/N
    Token token;
    std::uint32_t gpus_length;         ///< goes to Run::gpus
    std::uint32_t environment_length;  ///< NUL-terminated KEY=VALUE strings, after the record's own
    char
        payload[32768];  ///< gpus, environment, Limits if there are any; only the used part is sent
};

/// What the kernel is to keep a job to. 0: no limit.
struct Limits {
    std::uint64_t memory;  ///< bytes
    std::uint64_t processors;
};

/// The zygote's answer to one StartRequest.
struct StartReply {
    std::uint32_t record;
    Token token;
    std::int32_t pid;    ///< of the supervisor, or 0
    std::int32_t error;  ///< errno of the failed fork, or 0
};

}  // namespace spool::record
