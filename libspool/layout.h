// The spool directory: which directories there are, and how they are opened (docs/protocol.md §1).
#pragma once

#include <string>

#include "libspool/files.h"

namespace spool {

/// $GPUSPOOL_DIR, else ~/.gpuspool, as an absolute path.
[[nodiscard]] std::string default_spool_path();

/// An open spool: a descriptor for each of its directories. Movable; owns them.
struct Spool {
    Files* files = nullptr;
    std::string path;      ///< absolute
    std::string identity;  ///< 32 hexadecimal digits from .spool/format
    OpenFile root, incoming, running, done, control;
    OpenFile internal;  ///< .spool
    OpenFile records, scripts, environments, temporary;
};

enum class IfMissing { create, fail };

/// Opens the spool at `path`; with `create`, makes (mode 0700) and syncs what is missing. Fails,
/// saying what to do, if an ancestor can be written by others, a directory belongs to somebody
/// else, the spool itself is open to others, or the format is newer.
Result<Spool> open_spool(Files& files, const std::string& path, IfMissing if_missing);

/// The owner file: which host's daemon has, or last had, this spool.
struct Owner {
    std::string host, machine_id, boot_id, started_at, version;
    int pid = 0;
    std::int64_t heartbeat = 0;  ///< mtime of the file, nanoseconds of the wall clock
};
Result<Owner> read_owner(Spool& spool);
Result<void> write_owner(Spool& spool, const Owner& owner);

/// A daemon whose heartbeat is older (nanoseconds) cannot write, or is dead.
inline constexpr std::int64_t silent_after = 120'000'000'000;

/// Whether a daemon holds the lock: on this host by the lock, on another by a heartbeat of less
/// than two minutes ago.
enum class DaemonPresence { running, stopped, other_host_running, other_host_silent };
Result<DaemonPresence> daemon_presence(Spool& spool, const Clock& clock);

/// The whole content of a file below a directory of the spool, at most `limit` bytes (more is an
/// error).
Result<std::string> read_whole(Files& files, Handle directory, std::string_view name,
                               std::uint64_t limit = 64u << 20);

/// Writes `bytes` to a temporary file and renames it over `name`: readers see the old or the new
/// content, whole. With `durable`, file and directory are synced too.
Result<void> write_atomically(Spool& spool, Handle directory, std::string_view name,
                              std::string_view bytes, bool durable);

/// Adds `count` to the job-number counter and returns the first of the new numbers; with `durable`
/// it is synced before. Takes the counter's lock. A counter that was lost goes on behind every
/// number that anything in the spool names.
Result<std::uint64_t> take_numbers(Spool& spool, std::uint64_t count, bool durable);
/// Makes sure that the counter is at least `number` (recovery).
Result<void> raise_counter(Spool& spool, std::uint64_t number);
/// The last number given.
Result<std::uint64_t> counter_value(Spool& spool);

}  // namespace spool
