#include "cli/held_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>

#include <cerrno>

#include "libspool/job_file.h"
#include "libspool/system.h"

namespace cli {

spool::Result<HeldFile> HeldFile::open(spool::Spool& spool, const std::string& name) {
    spool::Files& files = *spool.files;
    auto file = spool::open_file(files, spool.incoming.get(), name, spool::OpenMode::read_write);
    if (!file) return tl::unexpected(file.error());
    HeldFile held(spool, name, std::move(*file));
    const auto stat = files.stat(held.file_.get());
    if (!stat) return tl::unexpected(stat.error());
    held.stat_ = *stat;
    auto bytes = files.read(held.file_.get(), 0, spool::max_job_file_size);
    if (!bytes) return tl::unexpected(bytes.error());
    held.bytes_ = std::move(*bytes);
    return held;
}

bool HeldFile::is_still_there() const {
    const auto now = spool_.files->stat_at(spool_.incoming.get(), name_);
    return now && now->unchanged(stat_);
}

/// The two change names at once: what is gone does not come back, and what was put there by
/// somebody else is seen, and put back.
spool::Result<bool> HeldFile::swap_in(const std::string& temporary) {
    const auto exchange = [&] {
        return renameat2(static_cast<int>(spool_.temporary.get()), temporary.c_str(),
                         static_cast<int>(spool_.incoming.get()), name_.c_str(),
                         RENAME_EXCHANGE) == 0;
    };
    if (!is_still_there()) return false;
    if (!exchange()) {
        if (errno == ENOENT) return false;
        if (errno != EINVAL) return spool::system_error("replace", name_, errno);
        // A file system without this: what is left of the danger is the moment after the look.
        return spool_.files
            ->replace(spool_.temporary.get(), temporary, spool_.incoming.get(), name_)
            .map([] { return true; });
    }
    const auto swapped = spool_.files->stat_at(spool_.temporary.get(), temporary);
    if (swapped && swapped->same_file(stat_)) return true;
    if (exchange()) return false;
    // Ours was taken at once: the other file is a job of its own.
    if (auto back =
            spool_.files->rename(spool_.temporary.get(), temporary, spool_.incoming.get(), name_);
        !back)
        return tl::unexpected(back.error());
    return true;
}

spool::Result<bool> HeldFile::replace(const std::string& bytes) {
    spool::Files& files = *spool_.files;
    const std::string temporary = "edited." + spool::random_hex();
    auto file = spool::open_file(files, spool_.temporary.get(), temporary,
                                 spool::OpenMode::create_exclusive);
    if (!file) return tl::unexpected(file.error());
    const auto written =
        files.write(file->get(), 0, bytes).and_then([&] { return files.sync(file->get(), true); });
    auto replaced = written ? swap_in(temporary) : tl::unexpected(written.error());
    (void)files.remove(spool_.temporary.get(), temporary);
    if (!replaced || !*replaced) return replaced;
    return files.sync(spool_.incoming.get(), true).map([] { return true; });
}

}  // namespace cli
