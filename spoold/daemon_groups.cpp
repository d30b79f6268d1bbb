// Groups that are held (docs/protocol.md, «A group that fails»): a part of `Daemon`.
#include "daemon.h"
#include "libspool/names.h"

namespace spoold {

void Daemon::load_groups() {
    auto loaded = spool::load_groups(spool_);
    troubles_.set("groups",
                  loaded ? "" : "which groups were held is lost: " + loaded.error().text());
    if (loaded) held_groups_ = std::move(*loaded);
    for (const auto& [group, note] : held_groups_)
        tell_policy(group);
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

/// What the disk refuses holds until this daemon ends.
spool::Result<void> Daemon::hold_group(const std::string& group, const std::string& reason) {
    held_groups_[group] = {reason, clock_.wall()};
    tell_policy(group);
    return spool::store_groups(spool_, held_groups_);
}

void Daemon::note_group(const spool::JobResult& result) {
    const auto why = group_failures_.note(result);
    if (!why) return;
    const auto kept = hold_group(result.group, *why);
    troubles_.set("groups", kept ? ""
                                 : "that a group is held cannot be noted for the next daemon: " +
                                       kept.error().text());
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
        kept = spool::store_groups(spool_, held_groups_);
    }
    const std::string done =
        request.verb == "group-hold"
            ? called + " is held: " + spool::release_command(group) + " lets it go"
            : called + " is released";
    reply(kept.has_value(), kept ? done : done + ", but not durably: " + kept.error().text());
}

}  // namespace spoold
