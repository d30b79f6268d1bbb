#include "spool_lock.h"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "libspool/system.h"
#include "libspool/values.h"
#include "log.h"

namespace spoold {

using namespace std::chrono_literals;

/// The directory itself is locked too: a lock file that somebody removes would let a second daemon
/// in.
spool::Result<bool> SpoolLock::lock(spool::Handle file) {
    return spool_.files->lock(file).map([this](bool taken) {
        return taken && (::flock(static_cast<int>(spool_.internal.get()), LOCK_EX | LOCK_NB) == 0 ||
                         errno != EWOULDBLOCK);
    });
}

bool SpoolLock::owner_is_dead() const {
    const auto owner = spool::read_owner(spool_);
    return owner && owner->machine_id == machine_id_ && !spool::process_start(owner->pid);
}

spool::Result<void> SpoolLock::take() {
    auto file =
        spool::open_file(*spool_.files, spool_.internal.get(), "lock", spool::OpenMode::create);
    if (!file) return tl::unexpected(file.error());
    auto taken = lock(file->get());
    // A process that a killed daemon was just starting has its descriptors until it executes.
    for (int tries = 0; taken && !*taken && tries < 50 && owner_is_dead(); ++tries) {
        std::this_thread::sleep_for(20ms);
        taken = lock(file->get());
    }
    if (!taken) return tl::unexpected(taken.error());
    if (*taken) {
        held_ = std::move(*file);
        return {};
    }
    const auto owner = spool::read_owner(spool_);
    return spool::content_error(
        spool_.path, {},
        "another spoold" +
            (owner ? " (pid " + std::to_string(owner->pid) + " on " + owner->host + ")" : "") +
            " has this spool already; there is nothing to do");
}

/// A spool belongs to one host: a home directory may be shared, GPUs are not.
spool::Result<void> SpoolLock::check_owner() const {
    const auto owner = spool::read_owner(spool_);
    if (!owner && owner.error().code != ENOENT) log_warning(owner.error().text());
    if (!owner || owner->machine_id == machine_id_) return {};
    return spool::content_error(
        spool_.path, {},
        "belongs to spoold on host " + owner->host + ", last heard of at " +
            spool::format_time(owner->heartbeat) +
            ". For a spool of this host set GPUSPOOL_DIR; if that host is gone for good: spoold "
            "--take-over");
}

}  // namespace spoold
