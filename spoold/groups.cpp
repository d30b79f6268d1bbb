#include "groups.h"

#include "libspool/names.h"

namespace spoold {

void Groups::load() {
    auto loaded = spool::load_groups(spool_);
    kept_ = known_ = loaded.has_value();
    changed_();
    troubles_.set("groups", loaded
                                ? ""
                                : "which groups were held is not known: " + loaded.error().text() +
                                      "; mend or remove it, until then no hold is kept for the "
                                      "next daemon");
    if (!loaded) return;
    if (!held_.empty()) kept_ = false;
    held_.merge(*loaded);
    for (const auto& [group, note] : held_)
        tell_policy(group);
}

void Groups::keep_again() {
    if (!kept_) (void)keep();
}

/// A file that could not be read is read again first.
spool::Result<void> Groups::keep() {
    if (!known_) load();
    if (!known_)
        return spool::content_error(spool_.path + "/.spool/groups.json", {}, "cannot be read");
    if (kept_) return {};
    auto kept = spool::store_groups(spool_, held_);
    kept_ = kept.has_value();
    troubles_.set("groups", kept ? ""
                                 : "which groups are held cannot be noted for the next daemon: " +
                                       kept.error().text());
    changed_();
    return kept;
}

void Groups::tell_policy(const std::string& group) {
    const auto held = held_.find(group);
    const bool holds = held != held_.end();
    const std::string why =
        holds ? held->second.reason + "; to let it go: " + spool::release_command(group) : "";
    policy_.hold_group(group, holds ? std::optional(why) : std::nullopt);
    troubles_.set("group " + group,
                  holds ? "group " + spool::printable(group) + " is held: " + why : "");
    changed_();
}

/// What the disk refuses holds all the same.
spool::Result<void> Groups::hold(const std::string& group, const std::string& reason) {
    held_[group] = {reason, clock_.wall()};
    tell_policy(group);
    kept_ = false;
    return keep();
}

void Groups::note_end(const spool::JobResult& result) {
    const auto why = failures_.note(result);
    if (!why) return;
    (void)hold(result.group, *why);
}

void Groups::change(const spool::Request& request, const RequestReply& reply) {
    const std::string& group = request.subject;
    const std::string called = "group " + spool::printable(group);
    spool::Result<void> kept;
    if (request.verb == "group-hold") {
        kept = hold(group, "by request");
    } else {
        if (held_.erase(group) == 0) return reply(true, called + " was not held");
        failures_.forget(group);
        tell_policy(group);
        kept_ = false;
        kept = keep();
    }
    const std::string done =
        request.verb == "group-hold"
            ? called + " is held: " + spool::release_command(group) + " lets it go"
            : called + " is released";
    reply(kept.has_value(), kept ? done : done + ", but not durably: " + kept.error().text());
}

}  // namespace spoold
