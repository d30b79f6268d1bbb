#include "libspool/canaries.h"

#include <utility>
#include <vector>

namespace spool {

Trial trial_of(const JobResult& result) {
    if (result.state == Outcome::succeeded) return Trial::passed;
    if (result.state != Outcome::failed && result.state != Outcome::timeout) return Trial::unknown;
    const bool late = result.started_at != 0 &&
                      result.ended_at - result.started_at >= Canaries::trial_time.count();
    if (late) return Trial::passed;
    return result.state == Outcome::failed ? Trial::failed : Trial::unknown;
}

std::string canary_failed_text(const std::string& spool_path, const std::string& name) {
    return " ran alone (--canary) and failed: see " + spool_path + "/done/" + name + ".log";
}

std::uint64_t Canaries::on_trial(const Flock& flock) const {
    const auto found = trials_.find(flock);
    return found == trials_.end() ? 0 : found->second.job;
}

bool Canaries::blocks(const Flock& flock, std::uint64_t job) const {
    const std::uint64_t canary = on_trial(flock);
    return canary != 0 && canary != job;
}

void Canaries::begin(const Flock& flock, std::uint64_t job) {
    if (has_passed(flock)) return;
    if (blocks(flock, job)) return pass(flock);
    trials_[flock] = {job};
    by_job_[job] = flock;
}

void Canaries::runs(std::uint64_t job, Time since) {
    if (const auto found = by_job_.find(job); found != by_job_.end())
        trials_.at(found->second).since = since;
}

void Canaries::pause(std::uint64_t job) {
    if (const auto found = by_job_.find(job); found != by_job_.end())
        trials_.at(found->second).since.reset();
}

bool Canaries::end(std::uint64_t job, Trial trial) {
    const auto found = by_job_.find(job);
    if (found == by_job_.end()) return false;
    const Flock flock = found->second;
    forget(flock);
    if (trial == Trial::passed) pass(flock);
    return true;
}

void Canaries::pass(const Flock& flock) {
    forget(flock);
    passed_.insert(flock);
}

void Canaries::forget(const Flock& flock) {
    passed_.erase(flock);
    const auto trial = trials_.find(flock);
    if (trial == trials_.end()) return;
    by_job_.erase(trial->second.job);
    trials_.erase(trial);
}

bool Canaries::advance(Time now) {
    std::vector<Flock> through;
    for (const auto& [flock, trial] : trials_)
        if (trial.since && *trial.since + trial_time <= now) through.push_back(flock);
    for (const Flock& flock : through)
        pass(flock);
    return !through.empty();
}

std::optional<Canaries::Time> Canaries::next() const {
    std::optional<Time> next;
    for (const auto& [flock, trial] : trials_)
        if (trial.since && (!next || *trial.since + trial_time < *next))
            next = *trial.since + trial_time;
    return next;
}

}  // namespace spool
