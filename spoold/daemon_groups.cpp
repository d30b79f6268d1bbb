// Groups that are held (docs/protocol.md, «A group that fails»): a part of `Daemon`.
#include "daemon.h"
#include "libspool/names.h"

namespace spoold {

/// A file that cannot be read is left to the user, and read again with each slow rescan.
void Daemon::load_groups() {
    auto loaded = spool::load_groups(spool_);
    groups_kept_ = groups_known_ = loaded.has_value();
    state_changed_ = true;
    troubles_.set("groups", loaded
                                ? ""
                                : "which groups were held is not known: " + loaded.error().text() +
                                      "; mend or remove it, until then no hold is kept for the "
                                      "next daemon");
    if (!loaded) return;
    if (!held_groups_.empty()) groups_kept_ = false;
    held_groups_.merge(*loaded);
    for (const auto& [group, note] : held_groups_)
        tell_policy(group);
}

/// Called after each change, and until it has succeeded with each slow rescan.
spool::Result<void> Daemon::keep_groups() {
    if (!groups_known_) load_groups();
    if (!groups_known_)
        return spool::content_error(spool_.path + "/.spool/groups.json", {}, "cannot be read");
    if (groups_kept_) return {};
    auto kept = spool::store_groups(spool_, held_groups_);
    groups_kept_ = kept.has_value();
    troubles_.set("groups", kept ? ""
                                 : "which groups are held cannot be noted for the next daemon: " +
                                       kept.error().text());
    state_changed_ = true;
    return kept;
}

void Daemon::tell_policy(const std::string& group) {
    const auto held = held_groups_.find(group);
    const bool holds = held != held_groups_.end();
    const std::string why =
        holds ? held->second.reason + "; to let it go: " + spool::release_command(group) : "";
    policy_.hold_group(group, holds ? std::optional(why) : std::nullopt);
    troubles_.set("group " + group,
                  holds ? "group " + spool::printable(group) + " is held: " + why : "");
    state_changed_ = true;
    ask_for_pass();
}

/// What the disk refuses holds all the same.
spool::Result<void> Daemon::hold_group(const std::string& group, const std::string& reason) {
    held_groups_[group] = {reason, clock_.wall()};
    tell_policy(group);
    groups_kept_ = false;
    return keep_groups();
}

void Daemon::note_group(const spool::JobResult& result) {
    const auto why = group_failures_.note(result);
    if (!why) return;
    (void)hold_group(result.group, *why);
}

void Daemon::change_group(const spool::Request& request, const RequestReply& reply) {
    const std::string& group = request.subject;
    const std::string called = "group " + spool::printable(group);
    spool::Result<void> kept;
    if (request.verb == "group-hold") {
        kept = hold_group(group, "by request");
    } else {
        if (held_groups_.erase(group) == 0) return reply(true, called + " was not held");
        group_failures_.forget(group);
        tell_policy(group);
        groups_kept_ = false;
        kept = keep_groups();
    }
    const std::string done =
        request.verb == "group-hold"
            ? called + " is held: " + spool::release_command(group) + " lets it go"
            : called + " is released";
    reply(kept.has_value(), kept ? done : done + ", but not durably: " + kept.error().text());
}

}  // namespace spoold
