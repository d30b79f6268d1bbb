#include "libspool/next_attempt.h"

#include <cerrno>

#include "libspool/array_steps.h"
#include "libspool/finish.h"
#include "libspool/system.h"

namespace spool {
namespace {

/// Whether the attempt has a log of its own from now on. With a name that is too long it has not:
/// then the next attempt writes behind it.
Result<bool> move_log_aside(Spool& spool, const ActiveJob& ended, const std::string& aside) {
    Files& files = *spool.files;
    const Handle running = spool.running.get();
    const auto log = files.stat_at(running, ended.log_file());
    if (!log && log.error().code != ENOENT) return tl::unexpected(log.error());
    if (!log && aside.size() > longest_name) return false;
    if (!log) return is_there(spool, running, aside);
    if (log->kind != FileKind::regular) return false;
    const auto moved = files.rename(running, ended.log_file(), running, aside);
    if (!moved && moved.error().code == ENAMETOOLONG) return false;
    if (!moved && moved.error().code == EEXIST) return true;  // by an earlier try
    if (!moved) return tl::unexpected(moved.error());
    auto fresh = open_file(files, running, ended.log_file(), OpenMode::create_exclusive);
    if (!fresh && fresh.error().code != EEXIST) return tl::unexpected(fresh.error());
    return true;
}

void set_variable(std::vector<std::string>& environment, const std::string& name,
                  const std::string& value) {
    std::erase_if(environment, [&](const std::string& variable) {
        return variable.starts_with(name + "=") || variable == name;
    });
    environment.push_back(std::string(name).append("=").append(value));
}

bool has_variable(const std::vector<std::string>& environment, std::string_view name) {
    for (const std::string& variable : environment)
        if (variable.starts_with(name) && variable.substr(name.size(), 1) == "=") return true;
    return false;
}

void set_variables(std::vector<std::string>& environment, const ActiveJob& job) {
    set_variable(environment, "GPUSPOOL_ATTEMPT", std::to_string(job.attempt));
    set_variable(environment, "GPUSPOOL_TOKEN", to_hex(job.token));
    if (has_variable(environment, "SLURM_JOB_ID"))
        set_variable(environment, "SLURM_RESTART_COUNT", std::to_string(job.attempt - 1));
}

void add_past_attempt(ResultFacts& facts, const JobResult& verdict, const NextAttempt& next,
                      const std::string& log) {
    facts.counts = next.counts;
    facts.earlier.push_back(past_attempt(verdict, next));
    facts.earlier.back().log = log;
    if (facts.earlier.size() > most_past_attempts) facts.earlier.erase(facts.earlier.begin());
}

record::Claim claim_page(const record::Claim& ended, const ActiveJob& job,
                         const record::BootId& boot, const Clock& clock) {
    record::Claim page = ended;
    page.token = job.token;
    page.boot_id = boot;
    page.state = record::ClaimState::claimed;
    page.attempt = job.attempt;
    page.claimed_at = clock.wall();
    // What an earlier attempt wrote to a file of the user's stays in it.
    page.flags &= ~static_cast<std::uint32_t>(record::truncate_output);
    return page;
}

/// The same job without its record.
ActiveJob next_job(const ActiveJob& ended) {
    ActiveJob job{ended.number,
                  ended.attempt + 1,
                  ended.name,
                  ended.extension,
                  ended.file_name,
                  random_token(),
                  ended.device,
                  ended.inode,
                  ended.directory,
                  ended.facts,
                  {}};
    return job;
}

}  // namespace

Result<ActiveJob> claim_next_attempt(Spool& spool, RecordPool& pool, const Clock& clock,
                                     const record::BootId& boot, const ActiveJob& ended,
                                     const JobResult& verdict, const NextAttempt& next,
                                     const std::function<bool(const std::string&)>& name_taken) {
    Files& files = *spool.files;
    const auto content = read_record(files, ended.record);
    if (!content) return tl::unexpected(content.error());
    auto body = read_body(files, ended.record, content->claim);
    if (!body) return tl::unexpected(body.error());
    if (ended.is_task())
        if (auto made = make_task_directories(spool, ended.name); !made)
            return tl::unexpected(made.error());
    const std::string log = attempt_log(ended.name, ended.attempt);
    // Another job may be called so, and have that log.
    const bool free = !name_taken(log.substr(0, log.size() - std::string_view(".log").size()));
    const auto moved = free ? move_log_aside(spool, ended, log) : Result<bool>(false);
    if (!moved) return tl::unexpected(moved.error());

    ActiveJob job = next_job(ended);
    add_past_attempt(job.facts, verdict, next, *moved ? log : std::string());
    set_variables(body->environment, job);
    body->result = write_facts(job.facts);
    auto record = pool.take();
    if (!record) return tl::unexpected(record.error());
    job.record = std::move(*record);
    record::Claim page = claim_page(content->claim, job, boot, clock);
    const auto written = write_claim(files, job.record, page, *body);
    if (written) return job;
    undo_next_attempt(spool, job).value_or(false) ? pool.give_back(std::move(job.record))
                                                  : pool.discard(std::move(job.record));
    return tl::unexpected(written.error());
}

void put_log_back(Spool& spool, const ActiveJob& undone) {
    if (undone.facts.earlier.empty() || undone.facts.earlier.back().log.empty()) return;
    Files& files = *spool.files;
    const Handle running = spool.running.get();
    const std::string& aside = undone.facts.earlier.back().log;
    if (!files.stat_at(running, aside)) return;
    const auto fresh = files.stat_at(running, undone.log_file());
    if (fresh && (fresh->kind != FileKind::regular || fresh->size != 0)) return;
    if (fresh && !files.remove(running, undone.log_file())) return;
    (void)files.rename(running, aside, running, undone.log_file());
}

Result<bool> undo_next_attempt(Spool& spool, const ActiveJob& job) {
    put_log_back(spool, job);
    if (release(spool, job)) return true;
    return spool.files->remove(spool.records.get(), std::to_string(job.record.index)).map([] {
        return false;
    });
}

}  // namespace spool
