// What jobs ask of the queue: their terms, what they follow, what was asked of them by request.
#include <algorithm>

#include "daemon.h"
#include "libspool/job_file.h"
#include "libspool/names.h"
#include "libspool/outcome.h"
#include "libspool/settings.h"
#include "libspool/values.h"
#include "libspool/wait_reason.h"

namespace spoold {

void Daemon::enqueue(std::uint64_t number) {
    const spool::WaitingJob* job = incoming_->find(number);
    if (job == nullptr || job->phase != spool::WaitingJob::Phase::ready) return;
    if (job->bare && !launcher_->has_environment()) return;  // enqueued when it is there
    spool::Terms terms = job->terms;
    terms.priority = job->wishes.priority.value_or(terms.priority);
    terms.held = job->wishes.held.value_or(terms.held);
    arrays_->note_follower(*job);
    terms.after = arrays_->standings().conditions(*job);
    policy_.add(number, std::move(terms),
                [this](std::uint64_t other) { return arrays_->standings().of(other); });
}

void Daemon::note_standing(std::uint64_t number, const std::string& name,
                           spool::Standing standing) {
    index_.note(number, name, standing);
    policy_.note(number, standing);
}

/// The condition that cannot be met any more; nothing if jobs wait for each other.
std::optional<std::string> Daemon::why_hopeless(const spool::WaitingJob& job) const {
    const TaskStandings& standings = arrays_->standings();
    for (const spool::Dependency& condition : standings.conditions(job).list)
        if (spool::judge(condition.after, standings.of(condition.job)) == spool::Verdict::never)
            return spool::hopeless_text(condition, standings.label(condition.job),
                                        index_.name_of(condition.job));
    return std::nullopt;
}

/// Jobs that follow others which have not become what they wait for.
void Daemon::end_hopeless() {
    // Each end may leave others without hope.
    while (!policy_.hopeless().empty()) {
        const std::uint64_t number = *policy_.hopeless().begin();
        const spool::WaitingJob* job = incoming_->find(number);
        const auto why = policy_.why(number);
        if (job == nullptr || !why) return policy_.remove(number);
        spool::JobResult result = spool::withdrawn_result(number, job->file_name, clock_.wall());
        result.command = job->command;
        result.submitted_at = job->submitted_at;
        result.reason = "never started: " + why_hopeless(*job).value_or(why->detail);
        if (!end_unstarted(std::move(result), {})) return;  // tried again when it is ready again
    }
}

/// What an active job asked for when it was claimed.
spool::Result<spool::Terms> Daemon::terms_of(const spool::ActiveJob& job,
                                             const spool::record::Claim& claim) const {
    const auto body = spool::read_body(files_, job.record, claim);
    const auto spec = body.and_then(
        [&](const auto& read) { return spool::read_job_file(read.job_file, job.job_file()); });
    if (!spec) return tl::unexpected(spec.error());
    spool::Terms terms = spool::terms_of(*spec, job.facts.submitted_at);
    terms.priority = job.facts.wishes.priority.value_or(terms.priority);
    terms.held = false;
    terms.begin = 0;
    return terms;
}

/// A further attempt has its turn like the first one.
bool Daemon::wants_slots(const Active& active) {
    if (!active.job.facts.secrets.empty() && !launcher_->has_environment()) return false;
    if (arrays_->keeps_back(active.job.number)) return false;
    auto terms = terms_of(active.job, active.content.claim);
    if (troubles_.set(
            "terms " + std::to_string(active.job.number),
            terms ? ""
                  : "a further attempt of " + title(active.job) +
                        " cannot begin, what it asked for cannot be read: " + terms.error().text()))
        state_changed_ = true;
    if (!terms) return false;
    queue_again(active.job.number, std::move(*terms));
    return true;
}

/// A job that was claimed already. What it followed had come as far as it must.
void Daemon::queue_again(std::uint64_t number, spool::Terms terms) {
    if (arrays_->queue_again(number)) return;
    policy_.add(number, std::move(terms), [](auto) { return spool::Standing::unknown; });
}

}  // namespace spoold
