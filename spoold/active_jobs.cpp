#include "active_jobs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "libspool/orphans.h"
#include "log.h"

namespace spoold {
namespace {

using namespace std::chrono_literals;

bool has_supervisor(Stage stage) {
    return stage == Stage::starting || stage == Stage::running || stage == Stage::orphaned;
}

/// 0 while it is not noted: the run page is written a second time, with it.
int main_process(const spool::RecordContent& content) {
    return content.run_known() ? content.run.main_pid : 0;
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

std::string title(const spool::ActiveJob& job) {
    return "job " + job.shown_number() + " (" + job.name + ")";
}

std::string damage_of(const spool::ActiveJob& job) {
    return "damaged record " + std::to_string(job.record.index);
}

Active* ActiveJobs::find(std::uint64_t number) {
    const auto found = jobs_.find(number);
    return found == jobs_.end() ? nullptr : &found->second;
}

bool ActiveJobs::bind(std::uint64_t number, Binding binding) {
    Active* active = find(number);
    if (active == nullptr) return false;
    const Stage stage = active->stage;
    if (stage != Stage::syncing_claim && stage != Stage::claimed && stage != Stage::retrying)
        return false;
    active->binding = std::move(binding);
    step(number);
    return true;
}

/// Takes the next step that can be taken now.
void ActiveJobs::step(std::uint64_t number) {
    Active* active = find(number);
    if (active != nullptr && active->stage == Stage::retrying) return step_retry(*active);
    if (active == nullptr || active->stage != Stage::claimed) return;
    if (active->content.cancelled()) return exited(*active);
    if (!active->binding) return queue(*active);
    const auto until = active->binding->valid_until;
    if (until && clock_.monotonic() > *until) return unbind(*active);
    start(*active);
}

void ActiveJobs::unbind(Active& active) {
    active.binding.reset();
    listener_.unbound(active.job.number);
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

/// Takes note of what the record says. False if somebody has damaged it: then what was seen before
/// still holds, and those of its pages count that are whole.
bool ActiveJobs::take_content(Active& active, spool::RecordContent content) {
    const spool::ActiveJob& job = active.job;
    if (content.claimed() && content.claim.token == job.token) {
        active.content = std::move(content);
        return true;
    }
    spool::RecordContent& known = active.content;
    if (known.claim.token != job.token) known.claim.boot_id = boot_;  // never read
    known.claim_validity = spool::record::Validity::damaged;
    if (const auto pages = spool::read_pages_of(*spool_.files, job.record, job.token)) {
        const auto keep = [](auto& page, auto& validity, const auto& found) {
            page = found;
            validity = spool::record::Validity::valid;
        };
        if (pages->run_known()) keep(known.run, known.run_validity, pages->run);
        if (pages->ended()) keep(known.exit, known.exit_validity, pages->exit);
        if (pages->cancelled()) keep(known.cancel, known.cancel_validity, pages->cancel);
        if (pages->has_wish()) keep(known.wish, known.wish_validity, pages->wish);
    }
    active.damaged = active.distrusted = true;
    listener_.trouble(damage_of(job),
                      ".spool/records/" + std::to_string(job.record.index) + " was damaged while " +
                          title(job) + " ran: its outcome may be lost; do not write into .spool");
    return false;
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
    const int pid_before = main_process(active.content);
    const bool sound = take_content(active, std::move(standing->content));
    if (!sound) active.next_look = clock_.monotonic() + 1s;
    const spool::RecordContent& content = active.content;
    if (content.started() && active.stage == Stage::starting) {
        active.stage = Stage::running;
        if (sound) active.next_look.reset();
        listener_.started(active.job);
        if (!active.binding) listener_.adopted(active);
    }
    if (content.cancelled() && !active.cancel_sent && standing->alive && content.started()) {
        active.cancel_sent = executor_.notify_cancel(active.job, content).has_value();
        if (!active.cancel_sent) active.next_look = clock_.monotonic() + 1s;
    }
    tell_wish(active, standing->alive);
    // With a complete exit page nothing of the job is left but a supervisor on its way out.
    if (content.ended() && content.exit.phase == spool::record::Phase::complete)
        return exited(active);
    // Of a damaged one nothing more is executed: a supervisor finds no claim.
    if (!standing->alive && (content.started() || content.ended() || !sound)) {
        if (!tree_lives_on(active)) return exited(active);
    }
    if (active.stage == Stage::starting && !active.binding && !standing->alive)
        return undo_claim(active, "its supervisor died before it executed anything");
    if (content.started() != was_started || content.ended() != was_ended ||
        main_process(content) != pid_before)
        listener_.changed();
}

/// Of a job whose supervisor is dead. Nobody is left who could let go on what it had suspended, or
/// stopped in order to end it, and the GPUs are held until that ends.
bool ActiveJobs::tree_lives_on(Active& active) {
    if (!spool::attempt_is_alive(active.job.token, active.content)) return false;
    spool::let_go_on(active.job.token, active.content);
    if (active.stage != Stage::orphaned) {
        log_warning(title(active.job) + ": its supervisor is dead, its processes are not");
        listener_.changed();
    }
    active.stage = Stage::orphaned;
    active.next_look = clock_.monotonic() + 1s;
    return true;
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
        } else if (active.stage == Stage::claimed || active.stage == Stage::retrying) {
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

void ActiveJobs::adopt(spool::Recovered recovered) {
    using enum spool::RecoveryAction;
    const std::uint64_t number = recovered.job.number;
    if (jobs_.contains(number)) {
        listener_.trouble(
            "record " + std::to_string(recovered.job.record.index),
            "two records have job " + std::to_string(number) + ": the second is left alone");
        return;
    }
    if (recovered.action == start) {
        add(std::move(recovered.job));
        jobs_.at(number).content = std::move(recovered.content);
        return;
    }
    by_record_[recovered.job.record.index] = number;
    names_.insert(recovered.job.name);
    Active& active = jobs_[number];
    active.job = std::move(recovered.job);
    active.content = std::move(recovered.content);
    active.has_ended = recovered.has_ended;
    active.stage = Stage::running;
    active.has_result = recovered.action == release;
    if (active.has_result) return release_published(number);
    if (recovered.action == spool::RecoveryAction::finish) return exited(active);
    if (recovered.action == undo) {
        active.stage = Stage::returning;
        active.next_look = clock_.monotonic();
        return;
    }
    if (recovered.action == await_tree) active.stage = Stage::orphaned;
    if (!active.content.started())
        active.stage = Stage::starting;  // its run page comes in a moment
    active.next_look = clock_.monotonic() + 10ms;
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
        return owns_file(entry.second) && entry.second.job.job_file() == name;
    });
}

bool ActiveJobs::misses_file(const std::string& name) const {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
        return entry.second.missing_since && entry.second.job.job_file() == name;
    });
}

bool ActiveJobs::none_bound() const {
    return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
        const Stage stage = entry.second.stage;
        return !entry.second.binding && (stage == Stage::claimed || stage == Stage::retrying);
    });
}

bool ActiveJobs::none_has_supervisor() const {
    return std::none_of(jobs_.begin(), jobs_.end(),
                        [](const auto& entry) { return has_supervisor(entry.second.stage); });
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
