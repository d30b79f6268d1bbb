#include "requests.h"

#include <algorithm>

namespace spoold {

bool Requests::have_changed() {
    const auto stat = spool_.files->stat(spool_.control.get());
    return stat && std::exchange(changed_at_, stat->modified) != stat->modified;
}

void Requests::apply() {
    auto requests = spool::read_requests(spool_);
    troubles_.set("control", requests ? "" : "control/ cannot be read: " + requests.error().text());
    if (!requests) return;
    for (const spool::Request& request : *requests)
        apply(request);
}

void Requests::apply(const spool::Request& request) {
    if (const auto owed = owed_.find(request.nonce); owed != owed_.end())
        return answer(request, spool::Reply(owed->second));
    if (!in_hand_.insert(request.nonce).second) return;
    if (!must_be_deferred(request)) return carry_out(request);
    deferred_.push_back({request, scans_.begun + 1, std::nullopt});
    if (!scans_.under_way) listener_.scan();
}

void Requests::carry_out(const spool::Request& request) {
    listener_.carry_out(request, [this, request](bool ok, const std::string& message) {
        answer(request, {ok, message});
    });
}

void Requests::answer(const spool::Request& request, const spool::Reply& reply) {
    const auto answered = spool::answer(spool_, request, reply);
    troubles_.set("reply",
                  answered ? "" : "a request cannot be answered: " + answered.error().text());
    if (answered) {
        in_hand_.erase(request.nonce);
        owed_.erase(request.nonce);
    } else {
        owed_[request.nonce] = reply;
    }
    listener_.changed();
}

bool Requests::must_be_deferred(const spool::Request& request) const {
    if (!request.job || !spool::is_job_verb(request.verb) || listener_.knows(*request.job))
        return false;
    // A number that was never given is nobody's.
    const auto counter = spool::counter_value(spool_);
    return !counter || *request.job <= std::max(*counter, index_.highest());
}

/// Whether every file has been read that was in incoming/ when the request came.
bool Requests::looked_through(Deferred& deferred) const {
    if (scans_.done < deferred.scan) return false;
    if (!deferred.unread) deferred.unread = incoming_.unread();
    std::erase_if(*deferred.unread,
                  [this](const std::string& name) { return !incoming_.is_unread(name); });
    return deferred.unread->empty();
}

void Requests::apply_deferred() {
    for (Deferred& deferred : std::exchange(deferred_, {})) {
        if (listener_.knows(*deferred.request.job) || looked_through(deferred))
            carry_out(deferred.request);
        else
            deferred_.push_back(std::move(deferred));
    }
    // A scan that cannot be made is tried again in its time.
    if (deferred_.empty() || scans_.under_way || troubles_.has("scan")) return;
    if (deferred_.back().scan > scans_.begun) listener_.scan();
}

}  // namespace spoold
