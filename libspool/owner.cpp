// .spool/owner, and whether the daemon that wrote it runs (docs/protocol.md §1).
#include <cerrno>

#include "libspool/json_fields.h"
#include "libspool/json_writer.h"
#include "libspool/layout.h"
#include "libspool/system.h"

namespace spool {
namespace {

template <typename Fields, Either<Owner> Daemon>
void each_member(Fields& fields, Daemon& owner) {
    fields.text("host", owner.host);
    fields.text("machine_id", owner.machine_id);
    fields.text("boot_id", owner.boot_id);
    fields.number("pid", owner.pid);
    fields.text("started_at", owner.started_at);
    fields.text("version", owner.version);
}

}  // namespace

Result<Owner> read_owner(Spool& spool) {
    auto bytes = read_whole(*spool.files, spool.internal.get(), "owner", 4096);
    if (!bytes) return tl::unexpected(bytes.error());
    auto stat = spool.files->stat_at(spool.internal.get(), "owner");
    if (!stat) return tl::unexpected(stat.error());
    const auto document = nlohmann::json::parse(*bytes, nullptr, false);
    Owner owner;
    owner.heartbeat = stat->modified;
    std::string error;
    const JsonFields fields(document, error);
    each_member(fields, owner);
    if (!error.empty())
        return content_error(spool.path + "/.spool/owner", 1, "cannot be understood: " + error);
    return owner;
}

Result<void> write_owner(Spool& spool, const Owner& owner) {
    JsonWriter out;
    each_member(out, owner);
    return write_atomically(spool, spool.internal.get(), "owner", out.take().dump() + "\n", false);
}

Result<DaemonPresence> daemon_presence(Spool& spool, const Clock& clock) {
    const auto owner = read_owner(spool);
    const auto own = machine_id();
    if (!own) return tl::unexpected(own.error());
    if (owner && owner->machine_id != *own) {
        return clock.wall() - owner->heartbeat < silent_after ? DaemonPresence::other_host_running
                                                              : DaemonPresence::other_host_silent;
    }
    if (!owner && owner.error().code != ENOENT) return tl::unexpected(owner.error());
    auto lock = open_file(*spool.files, spool.internal.get(), "lock", OpenMode::read);
    if (!lock && lock.error().code == ENOENT) return DaemonPresence::stopped;
    if (!lock) return tl::unexpected(lock.error());
    return spool.files->is_locked(lock->get()).map([](bool locked) {
        return locked ? DaemonPresence::running : DaemonPresence::stopped;
    });
}

}  // namespace spool
