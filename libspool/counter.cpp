// .spool/seq: the last job number that was given (docs/protocol.md §3).
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "libspool/journal_reader.h"
#include "libspool/layout.h"
#include "libspool/own_files.h"

namespace spool {
namespace {

std::uint64_t decode(const std::string& bytes) {
    std::uint64_t value = 0;
    if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// The last number given. A counter that is new, or was lost, goes on behind what is there.
std::uint64_t last_number(Spool& spool, const std::string& bytes) {
    return bytes.size() >= sizeof(std::uint64_t) ? decode(bytes) : highest_known_number(spool);
}

std::string encode(std::uint64_t value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

}  // namespace

Result<std::uint64_t> take_numbers(Spool& spool, std::uint64_t count, bool durable) {
    Files& files = *spool.files;
    auto file = open_file(files, spool.internal.get(), "seq", OpenMode::create);
    if (!file) return tl::unexpected(file.error());
    if (auto locked = files.lock_wait(file->get()); !locked) return tl::unexpected(locked.error());
    auto bytes = files.read(file->get(), 0, 8);
    if (!bytes) return tl::unexpected(bytes.error());
    const std::uint64_t last = last_number(spool, *bytes);
    if (last > UINT64_MAX - count) return content_error(".spool/seq", {}, "is damaged: remove it");
    if (auto written = files.write(file->get(), 0, encode(last + count)); !written)
        return tl::unexpected(written.error());
    if (durable)
        if (auto synced = files.sync(file->get(), true); !synced)
            return tl::unexpected(synced.error());
    if (durable && bytes->empty())  // made just now: its name is not on the disk yet
        if (auto synced = files.sync(spool.internal.get(), true); !synced)
            return tl::unexpected(synced.error());
    return last + 1;
}

Result<void> raise_counter(Spool& spool, std::uint64_t number) {
    Files& files = *spool.files;
    auto file = open_file(files, spool.internal.get(), "seq", OpenMode::create);
    if (!file) return tl::unexpected(file.error());
    if (auto locked = files.lock_wait(file->get()); !locked) return locked;
    auto bytes = files.read(file->get(), 0, 8);
    if (!bytes) return tl::unexpected(bytes.error());
    const std::uint64_t stored = decode(*bytes), last = last_number(spool, *bytes);
    // What a process that was killed has written can be read, and may not be on the disk.
    if (stored >= std::max(number, last)) return files.sync(file->get(), false);
    return files.write(file->get(), 0, encode(std::max(number, last))).and_then([&] {
        return files.sync(file->get(), true);
    });
}

Result<std::optional<OpenFile>> keep_counter(Spool& spool, Handle held, std::uint64_t number) {
    Files& files = *spool.files;
    const auto own = files.stat(held), named = files.stat_at(spool.internal.get(), "seq");
    if (!own) return tl::unexpected(own.error());
    if (!named && named.error().code != ENOENT) return tl::unexpected(named.error());
    // A file that has lost its name keeps the last number.
    const auto bytes = files.read(held, 0, 8);
    if (!bytes) return tl::unexpected(bytes.error());
    const std::uint64_t said = decode(*bytes);
    if (named && named->same_file(*own) && said >= number) return std::nullopt;
    if (auto raised = raise_counter(spool, std::max(number, said)); !raised)
        return tl::unexpected(raised.error());
    auto again = open_file(files, spool.internal.get(), "seq", OpenMode::create);
    if (!again) return tl::unexpected(again.error());
    return std::optional(std::move(*again));
}

Result<std::uint64_t> counter_value(Spool& spool) {
    auto bytes = read_whole(*spool.files, spool.internal.get(), "seq", 4096);
    if (!bytes && bytes.error().code == ENOENT) return 0;
    return bytes.map(decode);
}

}  // namespace spool
