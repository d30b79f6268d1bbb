#include "active_jobs.h"

#include <algorithm>
#include <cerrno>

#include "libspool/outcome.h"
#include "libspool/system.h"
#include "log.h"

namespace spoold {
namespace {

using namespace std::chrono_literals;

constexpr auto result_delay = 100ms;          ///< how long barrier 3 waits for further results
constexpr std::size_t results_together = 64;  ///< at most

std::string title(const spool::ActiveJob& job) {
    return "job " + std::to_string(job.number) + " (" + job.name + ")";
}

bool has_supervisor(Stage stage) {
    return stage == Stage::starting || stage == Stage::running || stage == Stage::orphaned;
}

}  // namespace

ActiveJobs::ActiveJobs(spool::Spool& spool, const spool::Clock& clock,
                       const spool::record::BootId& boot, spool::RecordPool& pool,
                       spool::Journal& history, SyncThread& syncs, Executor& executor,
                       ActiveJobsListener listener)
    : spool_(spool),
      clock_(clock),
      boot_(boot),
      pool_(pool),
      history_(history),
      syncs_(syncs),
      executor_(executor),
      listener_(std::move(listener)) {}

Active* ActiveJobs::find(std::uint64_t number) {
    const auto found = jobs_.find(number);
    return found == jobs_.end() ? nullptr : &found->second;
}

void ActiveJobs::add(spool::ActiveJob job) {
    const std::uint64_t number = job.number;
    by_record_[job.record.index] = number;
    names_.insert(job.name);
    Active& active = jobs_[number];
    active.job = std::move(job);
    spool::SyncSet barrier;
    spool::add_claim_barrier(spool_, active.job, barrier);
    syncs_.sync(std::move(barrier),
                [this, number](const auto& failures) { claim_synced(number, failures); });
    listener_.changed();
}

void ActiveJobs::claim_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    Active* active = find(number);
    if (active == nullptr) return;
    if (!failures.empty()) {
        // Nothing was executed: the file goes back, and what could not be synced is not trusted
        // again.
        active->distrusted = failures.contains(active->job.record.file.get());
        listener_.trouble("claim",
                          "jobs cannot be claimed durably: " + failures.begin()->second.text());
        return undo_claim(*active, failures.begin()->second.text());
    }
    listener_.trouble("claim", "");
    active->job.record.fresh = false;
    active->stage = Stage::claimed;
    step(number);
}

/// May be repeated. Until it has succeeded the job counts neither as claimed nor as waiting.
void ActiveJobs::undo_claim(Active& active, const std::string& why) {
    const std::uint64_t number = active.job.number;
    if (active.stage != Stage::returning)
        log_warning(title(active.job) + " goes back to the queue: " + why);
    const auto undone = spool::unclaim(spool_, active.job);
    if (!undone) {
        if (undone.error().code == EBUSY) {  // a supervisor was faster: the job runs
            active.stage = Stage::starting;
            active.next_look = clock_.monotonic() + 10ms;
            return;
        }
        listener_.trouble("unclaim",
                          "a job cannot be put back into the queue: " + undone.error().text());
        active.stage = Stage::returning;
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    listener_.trouble("unclaim", "");
    listener_.not_started(active.job);
    listener_.freed(number);
    finish(number, *undone && !active.distrusted);
}

void ActiveJobs::give_up_claims(const std::string& why) {
    std::vector<std::uint64_t> unbound;
    for (const auto& [number, active] : jobs_)
        if (active.stage == Stage::claimed && !active.binding && !active.content.cancelled())
            unbound.push_back(number);
    for (const std::uint64_t number : unbound)
        undo_claim(jobs_.at(number), why);
}

void ActiveJobs::bind(std::uint64_t number, Binding binding) {
    Active* active = find(number);
    if (active == nullptr) return;
    active->binding = std::move(binding);
    step(number);
}

/// Takes the next step that can be taken now.
void ActiveJobs::step(std::uint64_t number) {
    Active* active = find(number);
    if (active == nullptr || active->stage != Stage::claimed) return;
    if (active->content.cancelled()) return exited(*active);
    if (active->binding) start(*active);
}

void ActiveJobs::start(Active& active) {
    Binding binding = *active.binding;
    for (std::string& variable : listener_.secrets(active.job))
        binding.environment.push_back(std::move(variable));
    if (auto asked = executor_.start(active.job, binding); !asked) {
        listener_.trouble("start", "jobs cannot be started: " + asked.error().text());
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    listener_.trouble("start", "");
    active.stage = Stage::starting;
    // Asking again is safe: whatever the first request came to, the job executes at most once.
    active.next_look = clock_.monotonic() + 5s;
}

void ActiveJobs::fork_failed(std::uint32_t record, int code) {
    const auto named = by_record_.find(record);
    if (named == by_record_.end()) return;
    Active* active = find(named->second);
    if (active == nullptr || active->stage != Stage::starting) return;
    listener_.trouble("start",
                      std::string("no process can be made for a job: ") + std::strerror(code));
    active->stage = Stage::claimed;
    active->next_look = clock_.monotonic() + 1s;
}

void ActiveJobs::look(std::uint32_t record) {
    const auto named = by_record_.find(record);
    if (named == by_record_.end()) return;
    const std::uint64_t number = named->second;
    if (Active* active = find(number)) look_at(*active);
    // A supervisor that dies is reported a moment before its lock is free: one more look.
    Active* active = find(number);
    if (active != nullptr &&
        (active->stage == Stage::running || (active->stage == Stage::starting && !active->binding)))
        active->next_look = clock_.monotonic() + 100ms;
}

void ActiveJobs::look_at_all() {
    std::vector<std::uint32_t> records;
    for (const auto& [record, number] : by_record_)
        records.push_back(record);
    for (const std::uint32_t record : records)
        look(record);
}

void ActiveJobs::look_at(Active& active) {
    if (!has_supervisor(active.stage)) return;
    auto standing = executor_.standing(active.job);
    if (!standing) {  // cannot be examined: keeps the state it has
        listener_.trouble("record", standing.error().text());
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    const bool was_started = active.content.started();
    const bool was_ended = active.content.ended();
    active.content = std::move(standing->content);
    const spool::RecordContent& content = active.content;
    if (content.started() && active.stage == Stage::starting) {
        active.stage = Stage::running;
        active.next_look.reset();
        if (!active.binding) listener_.adopted(active);
    }
    if (content.cancelled() && !active.cancel_sent && standing->alive && content.started()) {
        active.cancel_sent = executor_.notify_cancel(active.job, content).has_value();
        if (!active.cancel_sent) active.next_look = clock_.monotonic() + 1s;
    }
    // With a complete exit page nothing of the job is left but a supervisor on its way out.
    if (content.ended() && content.exit.phase == spool::record::Phase::complete)
        return exited(active);
    if (!standing->alive && (content.started() || content.ended())) {
        if (spool::token_is_alive(active.job.token)) {
            if (active.stage != Stage::orphaned) {
                log_warning(title(active.job) + ": its supervisor is dead, its processes are not");
                listener_.changed();
            }
            active.stage = Stage::orphaned;
            active.next_look = clock_.monotonic() + 1s;
        } else {
            return exited(active);
        }
    }
    if (active.stage == Stage::starting && !active.binding && !standing->alive)
        return undo_claim(active, "its supervisor died before it executed anything");
    if (content.started() != was_started || content.ended() != was_ended) listener_.changed();
}

std::optional<std::chrono::nanoseconds> ActiveJobs::advance() {
    const auto now = clock_.monotonic();
    if (results_due_ && *results_due_ <= now) sync_results();
    std::vector<std::uint64_t> due;
    for (auto& [number, active] : jobs_)
        if (active.next_look && *active.next_look <= now) due.push_back(number);
    for (const std::uint64_t number : due) {
        Active& active = jobs_.at(number);
        active.next_look.reset();
        if (active.stage == Stage::publishing) {
            publish(number);
        } else if (active.stage == Stage::returning) {
            undo_claim(active, {});
        } else if (active.stage == Stage::claimed) {
            step(number);
        } else {
            look_at(active);
            Active* still = find(number);
            if (still != nullptr && still->stage == Stage::starting && still->binding)
                start(*still);
        }
    }
    std::optional<std::chrono::nanoseconds> next = results_due_;
    for (const auto& [number, active] : jobs_)
        for (const auto& time :
             {active.next_look,
              active.missing_since ? std::optional(*active.missing_since + 1s) : std::nullopt})
            if (time && (!next || *time < *next)) next = time;
    return next;
}

void ActiveJobs::exited(Active& active) {
    const std::uint64_t number = active.job.number;
    active.stage = Stage::syncing_exit;
    active.next_look.reset();
    active.missing_since.reset();
    listener_.freed(number);
    listener_.changed();
    spool::SyncSet barrier;
    barrier.add(active.job.record.file.get(), false);
    syncs_.sync(std::move(barrier),
                [this, number](const auto& failures) { exit_synced(number, failures); });
}

void ActiveJobs::exit_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    // A result whose record may not survive is published all the same: what the page says is true,
    // and x.json is synced on its own.
    if (!failures.empty())
        listener_.trouble("record sync",
                          "a record could not be synced: " + failures.begin()->second.text());
    publish(number);
}

void ActiveJobs::publish(std::uint64_t number) {
    Active& active = jobs_.at(number);
    spool::JobResult result =
        spool::decide_outcome(active.job, active.content, boot_, clock_.wall());
    result.host = spool::host_name();
    auto published = spool::publish(spool_, active.job, result);
    if (!published) {
        listener_.trouble("publish",
                          "results cannot be written to done/: " + published.error().text());
        active.stage = Stage::publishing;
        active.next_look = clock_.monotonic() + 1s;
        return;
    }
    listener_.trouble("publish", "");
    // A supervisor that died with its machine, or was killed, has not tidied up.
    if ((active.content.claim.flags & spool::record::writes_script) != 0)
        (void)spool_.files->remove(spool_.scripts.get(), active.job.job_file());
    active.stage = Stage::syncing_result;
    active.published = std::move(*published);
    (void)history_.append_or_keep(spool::write_line(spool::HistoryEntry{
        result.id, result.name, result.state, result.exit_code, result.ended_at}));
    log_info(title(active.job) + ": " + std::string(spool::outcome_name(result.state)) +
             (result.reason ? ", " + *result.reason : ""));
    listener_.ended(result);
    sync_result_soon(number);
}

void ActiveJobs::sync_result_soon(std::uint64_t number) {
    results_to_sync_.push_back(number);
    if (!results_due_) results_due_ = clock_.monotonic() + result_delay;
    if (results_to_sync_.size() >= results_together) sync_results();
}

/// Barrier 3. Nobody waits for it, the record has the truth meanwhile: so it is put off until there
/// are many.
void ActiveJobs::sync_results() {
    results_due_.reset();
    // Without its line in the history a job that has ended would be taken for one that waits.
    const bool written = history_.append_or_keep({});
    listener_.trouble("history", written ? "" : "the history cannot be written");
    if (!written) {
        results_due_ = clock_.monotonic() + 1s;
        return;
    }
    spool::SyncSet barrier;
    for (const std::uint64_t number : results_to_sync_)
        spool::add_publish_barrier(spool_, *jobs_.at(number).published, barrier);
    barrier.add(history_.handle(), false);
    syncs_.sync(std::move(barrier), [this, numbers = std::exchange(results_to_sync_, {})](
                                        const SyncThread::Failures& failures) {
        for (const std::uint64_t number : numbers)
            result_synced(number, failures);
    });
}

void ActiveJobs::result_synced(std::uint64_t number, const SyncThread::Failures& failures) {
    const Active& active = jobs_.at(number);
    // Not on the disk for certain: the record keeps the truth until a later daemon publishes again.
    if (!failures.empty()) {
        listener_.trouble("result sync",
                          "results could not be synced: " + failures.begin()->second.text());
        return finish(number, false);
    }
    listener_.trouble("result sync", "");
    const bool released = spool::release(spool_, active.job).has_value();
    finish(number, released);
}

void ActiveJobs::finish(std::uint64_t number, bool reuse) {
    const auto found = jobs_.find(number);
    spool::ActiveJob job = std::move(found->second.job);
    jobs_.erase(found);
    by_record_.erase(job.record.index);
    names_.erase(names_.find(job.name));
    if (reuse)
        pool_.give_back(std::move(job.record));
    else
        pool_.discard(std::move(job.record));
    listener_.changed();
}

void ActiveJobs::adopt(spool::Recovered recovered) {
    using enum spool::RecoveryAction;
    const std::uint64_t number = recovered.job.number;
    if (jobs_.contains(number)) {
        listener_.trouble(
            "record " + std::to_string(recovered.job.record.index),
            "two records have job " + std::to_string(number) + ": the second is left alone");
        return;
    }
    if (recovered.action == start) return add(std::move(recovered.job));
    if (recovered.action == release) return release_published(std::move(recovered.job));
    by_record_[recovered.job.record.index] = number;
    names_.insert(recovered.job.name);
    Active& active = jobs_[number];
    active.job = std::move(recovered.job);
    active.content = std::move(recovered.content);
    active.stage = Stage::running;
    if (recovered.action == spool::RecoveryAction::finish) return exited(active);
    if (recovered.action == await_tree) active.stage = Stage::orphaned;
    if (!active.content.started())
        active.stage = Stage::starting;  // its run page comes in a moment
    active.next_look = clock_.monotonic() + 10ms;
}

/// Its x.json was written, the free mark was not. That it can be read does not say that the disk
/// has it: barrier 3 comes first, as ever.
void ActiveJobs::release_published(spool::ActiveJob job) {
    const std::uint64_t number = job.number;
    auto json =
        spool::open_file(*spool_.files, spool_.done.get(), job.json_file(), spool::OpenMode::read);
    // Without an answer the record stays as it is, for a later daemon.
    if (!json) return listener_.trouble("release", json.error().text());
    const auto bytes = spool::read_whole(*spool_.files, spool_.done.get(), job.json_file());
    const auto result =
        bytes.and_then([&](const auto& text) { return spool::read_result(text, job.json_file()); });
    if (result) {
        (void)history_.append_or_keep(spool::write_line(spool::HistoryEntry{
            result->id, result->name, result->state, result->exit_code, result->ended_at}));
        listener_.ended(*result);
    }
    by_record_[job.record.index] = number;
    names_.insert(job.name);
    Active& active = jobs_[number];
    active.published = spool::Published{job.name, std::move(*json)};
    active.job = std::move(job);
    active.stage = Stage::syncing_result;
    sync_result_soon(number);
}

bool ActiveJobs::has_inode(std::uint64_t device, std::uint64_t inode) const {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
        return entry.second.job.inode == inode && entry.second.job.device == device &&
               entry.second.stage < Stage::syncing_result;
    });
}

bool ActiveJobs::awaits_supervisor(std::uint32_t record) const {
    const auto named = by_record_.find(record);
    return named != by_record_.end() && has_supervisor(jobs_.at(named->second).stage);
}

bool ActiveJobs::holds_file(const std::string& name) const {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
        return entry.second.stage < Stage::syncing_exit && entry.second.job.job_file() == name;
    });
}

bool ActiveJobs::none_bound() const {
    return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
        return !entry.second.binding && entry.second.stage == Stage::claimed;
    });
}

std::size_t ActiveJobs::claimed_ahead() const {
    return static_cast<std::size_t>(
        std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) {
            return !entry.second.binding && (entry.second.stage == Stage::syncing_claim ||
                                             entry.second.stage == Stage::claimed);
        }));
}

bool ActiveJobs::all_bindings_known() const {
    return std::none_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
        const Active& active = entry.second;
        return active.stage == Stage::starting && !active.binding;
    });
}

}  // namespace spoold
