#include "libspool/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "libspool/own_files.h"
#include "libspool/posix_files.h"
#include "libspool/system.h"

namespace spool {
namespace {

using nlohmann::json;

constexpr std::uint64_t spool_format = 1;

/// Where each directory of the spool is kept in `Spool`, parents first.
struct Seat {
    OpenFile Spool::*parent;
    const char* name;
    OpenFile Spool::*directory;
};
constexpr Seat seats[] = {
    {&Spool::root, "incoming", &Spool::incoming},   {&Spool::root, "running", &Spool::running},
    {&Spool::root, "done", &Spool::done},           {&Spool::root, "control", &Spool::control},
    {&Spool::root, ".spool", &Spool::internal},     {&Spool::internal, "records", &Spool::records},
    {&Spool::internal, "scripts", &Spool::scripts}, {&Spool::internal, "env", &Spool::environments},
    {&Spool::internal, "tmp", &Spool::temporary},
};

/// Refuses an ancestor through which somebody else could exchange the spool.
Result<void> check_ancestors(const std::string& path) {
    for (std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
        const std::string ancestor = path.substr(0, slash);
        struct stat raw {};
        if (::stat(ancestor.c_str(), &raw) != 0) return system_error("examine", ancestor, errno);
        if (raw.st_uid != 0 && raw.st_uid != geteuid())
            return content_error(ancestor, {},
                                 "belongs to another user: a spool below it is not safe");
        const bool others_write = (raw.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        if (others_write && (raw.st_mode & S_ISVTX) == 0)
            return content_error(ancestor, {},
                                 "can be written by others: chmod go-w '" + ancestor + "'");
    }
    return {};
}

Result<void> check_owner(const FileStat& stat, const std::string& path) {
    if (stat.owner == geteuid()) return {};
    return content_error(path, {},
                         "belongs to another user: set GPUSPOOL_DIR to a directory of your own");
}

/// The spool itself is closed, and so is all below it, whatever mode `rsync -a` and `tar` give
/// incoming/.
Result<void> check_root(const FileStat& stat, const std::string& path) {
    if (auto own = check_owner(stat, path); !own) return own;
    if ((stat.mode & 077) != 0)
        return content_error(path, {}, "is open to others: chmod 700 '" + path + "'");
    return {};
}

Result<void> make_root(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) {
        // The new name is durable before anything is put below it.
        auto parent =
            PosixFiles::open_root(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
        if (!parent) return tl::unexpected(parent.error());
        fsync(static_cast<int>(*parent));
        ::close(static_cast<int>(*parent));
        return {};
    }
    if (errno == EEXIST) return {};
    return system_error("make directory", path, errno);
}

Result<OpenFile> open_directory(Files& files, const OpenFile& parent, const char* name,
                                IfMissing if_missing, const std::string& path) {
    auto opened = open_file(files, parent.get(), name, OpenMode::directory);
    if (!opened && opened.error().code == ENOENT && if_missing == IfMissing::create) {
        if (auto made = files.make_directory(parent.get(), name);
            !made && made.error().code != EEXIST)
            return tl::unexpected(made.error());
        if (auto synced = files.sync(parent.get(), true); !synced)
            return tl::unexpected(synced.error());
        opened = open_file(files, parent.get(), name, OpenMode::directory);
    }
    if (!opened) {
        opened.error().path = path;
        return opened;
    }
    const auto stat = files.stat(opened->get());
    if (!stat) return tl::unexpected(stat.error());
    if (auto own = check_owner(*stat, path); !own) return tl::unexpected(own.error());
    return opened;
}

Result<std::string> read_identity(Spool& spool) {
    auto bytes = read_whole(*spool.files, spool.internal.get(), "format", 4096);
    if (!bytes) return bytes;
    const auto document = json::parse(*bytes, nullptr, false);
    const std::string path = spool.path + "/.spool/format";
    const auto not_understood = [&] {
        return content_error(
            path, 1, "cannot be understood; is this a spool? Move it away to have a new one made");
    };
    if (!document.is_object() || !document.contains("format") ||
        !document["format"].is_number_unsigned())
        return not_understood();
    if (document["format"].get<std::uint64_t>() > spool_format)
        return content_error(path, 1,
                             "was written by a newer gpuspool (format " +
                                 document["format"].dump() +
                                 "): install that version; nothing was changed");
    if (!document.contains("spool") || !document["spool"].is_string()) return not_understood();
    return document["spool"].get<std::string>();
}

Result<std::string> ensure_identity(Spool& spool, IfMissing if_missing) {
    auto found = read_identity(spool);
    if (found || found.error().code != ENOENT || if_missing == IfMissing::fail) return found;
    const json format = {{"format", spool_format}, {"spool", random_hex()}};
    // Two programs may get here at once: whoever links first has named the spool.
    const std::string name = "format." + random_hex();
    auto file = open_file(*spool.files, spool.temporary.get(), name, OpenMode::create_exclusive);
    if (!file) return tl::unexpected(file.error());
    auto written = spool.files->write(file->get(), 0, format.dump() + "\n")
                       .and_then([&] { return spool.files->sync(file->get(), true); })
                       .and_then([&] {
                           return spool.files->rename(spool.temporary.get(), name,
                                                      spool.internal.get(), "format");
                       });
    if (!written && written.error().code != EEXIST) return tl::unexpected(written.error());
    if (!written) (void)spool.files->remove(spool.temporary.get(), name);
    if (auto synced = spool.files->sync(spool.internal.get(), true); !synced)
        return tl::unexpected(synced.error());
    return read_identity(spool);
}

/// The time of the format file says since when there are records: what was taken before may have
/// been executed.
Result<void> stamp_again(Spool& spool) {
    const auto bytes = read_whole(*spool.files, spool.internal.get(), "format", 4096);
    if (!bytes) return tl::unexpected(bytes.error());
    return write_atomically(spool, spool.internal.get(), "format", *bytes, true);
}

}  // namespace

Result<bool> keep_identity(Spool& spool) {
    const auto found = read_identity(spool);
    if (found && *found == spool.identity) return false;
    if (!found && found.error().code != ENOENT) return tl::unexpected(found.error());
    const json format = {{"format", spool_format}, {"spool", spool.identity}};
    return write_atomically(spool, spool.internal.get(), "format", format.dump() + "\n", true)
        .map([] { return true; });
}

std::string default_spool_path() {
    if (const char* set = std::getenv("GPUSPOOL_DIR"); set != nullptr && *set != '\0')
        return absolute_path(set);
    return home_directory() + "/.gpuspool";
}

Result<Spool> open_spool(Files& files, const std::string& path, IfMissing if_missing) {
    if (auto safe = check_ancestors(path); !safe) return tl::unexpected(safe.error());
    if (if_missing == IfMissing::create)
        if (auto made = make_root(path); !made) return tl::unexpected(made.error());
    auto root = PosixFiles::open_root(path);
    if (!root) return tl::unexpected(root.error());

    Spool spool;
    spool.files = &files;
    spool.path = path;
    spool.root = OpenFile(files, *root);
    const auto stat = files.stat(spool.root.get());
    if (!stat) return tl::unexpected(stat.error());
    if (auto safe = check_root(*stat, path); !safe) return tl::unexpected(safe.error());

    bool records_lost = false;
    for (const Seat& seat : seats) {
        if (seat.directory == &Spool::records)
            records_lost = !files.stat_at(spool.internal.get(), "records") &&
                           files.stat_at(spool.internal.get(), "format");
        const OpenFile& parent = spool.*seat.parent;
        const std::string inside = seat.parent == &Spool::internal ? "/.spool/" : "/";
        auto opened =
            open_directory(files, parent, seat.name, if_missing, path + inside + seat.name);
        if (!opened) return tl::unexpected(opened.error());
        spool.*seat.directory = std::move(*opened);
    }
    auto identity = ensure_identity(spool, if_missing);
    if (!identity) return tl::unexpected(identity.error());
    spool.identity = *identity;
    if (records_lost)
        if (auto stamped = stamp_again(spool); !stamped) return tl::unexpected(stamped.error());
    return spool;
}

Result<std::string> read_whole(Files& files, Handle directory, std::string_view name,
                               std::uint64_t limit) {
    auto file = open_file(files, directory, name, OpenMode::read);
    if (!file) return tl::unexpected(file.error());
    const auto stat = files.stat(file->get());
    if (!stat) return tl::unexpected(stat.error());
    if (stat->kind != FileKind::regular)
        return content_error(std::string(name), {}, "is not a regular file");
    if (stat->size > limit)
        return content_error(std::string(name), {},
                             "is larger than " + std::to_string(limit) + " bytes");
    return files.read(file->get(), 0, static_cast<std::size_t>(stat->size));
}

Result<void> write_atomically(Spool& spool, Handle directory, std::string_view name,
                              std::string_view bytes, bool durable) {
    Files& files = *spool.files;
    const std::string temporary = std::string(name) + "." + random_hex();
    auto file = open_file(files, spool.temporary.get(), temporary, OpenMode::create_exclusive);
    // Errors name the file that was wanted: a sentence with a random name is a new one every time.
    if (!file) file.error().path = name;
    if (!file) return tl::unexpected(file.error());
    auto done = files.write(file->get(), 0, bytes);
    if (done && durable) done = files.sync(file->get(), true);
    if (done) done = files.replace(spool.temporary.get(), temporary, directory, name);
    if (done && durable) return files.sync(directory, true);
    if (done) return done;
    (void)files.remove(spool.temporary.get(), temporary);
    done.error().path = name;
    return done;
}

}  // namespace spool
