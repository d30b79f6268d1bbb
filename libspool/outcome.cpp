#include "libspool/outcome.h"

#include <sys/wait.h>

#include <csignal>

#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {
namespace {

std::string program_of(const ActiveJob& job) {
    const std::string kind = job.facts.interprets ? "interpreter" : "program";
    return job.facts.program.empty() ? kind : kind + " " + printable(job.facts.program);
}

/// The system says the same of a script that is there and of which the interpreter is not.
std::string hint_at_interpreter(const ActiveJob& job, int error) {
    const bool unclear = error == ENOENT && !job.facts.interprets &&
                         job.facts.program.find('/') != std::string::npos;
    return unclear ? " (it, or the interpreter that its #! line names, is missing)" : "";
}

std::string failed_step(const ActiveJob& job, const record::Exit& exit) {
    const std::string why = std::string(": ") + std::strerror(exit.error);
    switch (exit.failed_step) {
        case record::Step::none:
            break;
        case record::Step::script:
            return "not started: its script could not be written to .spool/scripts/" + why;
        case record::Step::output:
            return "not started: its output file could not be opened" + why;
        case record::Step::error_output:
            return "not started: its error file could not be opened" + why;
        case record::Step::fork:
            return "not started: no process could be made" + why;
        case record::Step::directory:
            return "not started: cannot change to its directory " + job.directory + why;
        case record::Step::exec:
            return "not started: its " + program_of(job) + " could not be executed in " +
                   job.directory + why + hint_at_interpreter(job, exit.error);
        case record::Step::environment:
            return "not started: its environment could not be read" + why;
    }
    return "not started" + why;
}

std::string cancel_reason(const RecordContent& content) {
    if (!content.cancelled()) return "cancelled";
    const std::size_t length =
        std::min<std::size_t>(content.cancel.reason_length, sizeof content.cancel.reason);
    return {content.cancel.reason, length};
}

/// Why the kernel has killed processes of it for want of memory; empty: it has not.
std::string memory_reason(const ActiveJob& job, const record::Exit& exit) {
    if ((exit.flags & record::killed_for_memory) == 0) return {};
    if ((exit.flags & record::over_memory_limit) == 0) return "the machine had none left";
    return "more than --mem=" + memory_text(job.facts.memory);
}

/// Of a job that has ended by itself, and not well.
std::string failure_reason(const JobResult& result, const ActiveJob& job,
                           const record::Exit& exit) {
    const std::string memory = memory_reason(job, exit);
    // A bare file does not say where it runs: the first thing to look at when it fails.
    const std::string where = "; it ran in " + printable(job.directory);
    if (!memory.empty() && result.signal == SIGKILL) return "killed for memory: " + memory + where;
    std::string reason = result.signal
                             ? "ended by signal " + std::to_string(*result.signal) + " (" +
                                   strsignal(*result.signal) + ")"
                             : "exit code " + std::to_string(result.exit_code.value_or(-1));
    if (!memory.empty())
        reason += "; processes of it were killed for memory: " + memory;
    else if (result.signal == SIGKILL || result.exit_code == 128 + SIGKILL)
        reason += "; the kernel does that to a process when memory runs out (dmesg)";
    return reason + where;
}

void set_status(JobResult& result, const ActiveJob& job, const RecordContent& content) {
    const record::Exit& exit = content.exit;
    // Ended by itself, it ran, whether or not the run page can still be read.
    const bool by_itself =
        (exit.flags & (record::cancelled | record::timed_out | record::interrupted)) == 0;
    const bool ran = exit.failed_step == record::Step::none &&
                     (by_itself || (content.run_known() && content.run.main_pid != 0));
    if (ran && WIFEXITED(exit.wait_status)) result.exit_code = WEXITSTATUS(exit.wait_status);
    if (ran && WIFSIGNALED(exit.wait_status)) result.signal = WTERMSIG(exit.wait_status);

    if ((exit.flags & record::cancelled) != 0) {
        result.state = Outcome::cancelled;
        result.reason = cancel_reason(content);
    } else if ((exit.flags & record::timed_out) != 0) {
        result.state = Outcome::timeout;
        result.reason = "its time limit of " + std::to_string(content.claim.time_limit / 1000) +
                        " s was reached";
    } else if ((exit.flags & record::interrupted) != 0) {
        result.state = Outcome::interrupted;
        result.reason = "the machine was shutting down";
    } else if (exit.failed_step != record::Step::none) {
        result.state = Outcome::failed;
        result.reason = failed_step(job, exit);
    } else if (result.exit_code == 0) {
        result.state = Outcome::succeeded;
    } else {
        result.state = Outcome::failed;
        result.reason = failure_reason(result, job, exit);
    }
}

/// Cancelled after an attempt that another one would have followed: the user ended the job, not the
/// attempt.
void note_cancelled_retry(JobResult& result, const ActiveJob& job, const RecordContent& content) {
    if (!content.cancelled()) return;
    if (!decide_next_attempt(job.facts.rules, job.facts.counts, result, true)) return;
    result.state = Outcome::cancelled;
    result.reason = cancel_reason(content) + " before its next attempt" +
                    (result.reason ? " (the last one: " + *result.reason + ")" : "");
}

JobResult result_of_file(std::uint64_t number, const std::string& file_name, std::int64_t now) {
    JobResult result;
    result.id = number;
    result.file = file_name;
    const auto split = split_job_name(file_name);
    result.name = split ? split->stem : file_name;
    result.attempt = 0;
    result.submitted_at = result.ended_at = now;
    return result;
}

}  // namespace

JobResult decide_outcome(const ActiveJob& job, const RecordContent& content,
                         const record::BootId& boot, std::int64_t now) {
    JobResult result;
    result.id = job.facts.array != 0 ? job.facts.array : job.number;
    result.task = job.facts.task;
    result.name = job.name;
    result.file = job.file_name;
    result.command = job.facts.command;
    result.directory = job.directory;
    result.profile = job.facts.profile;
    result.attempt = static_cast<int>(job.attempt);
    result.submitted_at = job.facts.submitted_at;
    result.environment_source = job.facts.environment_source;
    result.notes = job.facts.notes;
    if (job.facts.retry_of != 0) result.retry_of = job.facts.retry_of;
    result.token = to_hex(job.token);
    result.attempts = job.facts.earlier;
    result.group = job.facts.group;
    if (content.run_known()) {
        result.started_at = content.run.started_at;
        GrantedGpus gpus = run_gpus(content.run);
        result.gpus = std::move(gpus.texts);
        result.gpu_ids = std::move(gpus.devices);
        if (const auto counted = unenforced_limits(job.facts, content.run); !counted.empty())
            result.notes.push_back(joined(counted, " and ") +
                                   (counted.size() == 1 ? " was" : " were") +
                                   " counted, not enforced: gpuspool doctor says why");
    }

    if (content.ended()) {
        const record::Exit& exit = content.exit;
        result.ended_at = exit.ended_at;
        if (content.run_known()) {
            result.cpu_seconds =
                static_cast<double>(exit.user_microseconds + exit.system_microseconds) / 1e6;
            result.max_rss_bytes = exit.max_rss_kilobytes * 1024;
        }
        set_status(result, job, content);
        note_cancelled_retry(result, job, content);
        return result;
    }
    result.ended_at = now;
    if (content.claim_validity == record::Validity::damaged) {
        result.state = Outcome::lost;
        result.reason = "its record in .spool/records was damaged, so how it ended is not known";
    } else if (content.cancelled() && !content.started()) {
        result.state = Outcome::cancelled;
        result.reason = cancel_reason(content);
    } else if (content.claim.boot_id != boot) {
        result.state = Outcome::interrupted;
        result.reason = "the machine went down while it ran; how far it came is not known";
    } else if (content.cancelled()) {
        result.state = Outcome::lost;
        result.reason = "its supervisor died while it was being cancelled";
    } else if (!content.started()) {
        result.state = Outcome::lost;
        result.reason = "its record in .spool/records is damaged, so this attempt was not started";
    } else {
        result.state = Outcome::lost;
        result.reason = "its supervisor died, so its exit code is not known";
    }
    note_cancelled_retry(result, job, content);
    return result;
}

JobResult rejected_result(std::uint64_t number, const std::string& file_name, const Error& error,
                          std::int64_t now) {
    JobResult result = result_of_file(number, file_name, now);
    result.state = Outcome::rejected;
    result.line = error.line;
    result.reason = error.text();
    return result;
}

JobResult withdrawn_result(std::uint64_t number, const std::string& file_name, std::int64_t now) {
    JobResult result = result_of_file(number, file_name, now);
    result.state = Outcome::cancelled;
    result.reason = "withdrawn: its file was removed from incoming/ before it started";
    return result;
}

}  // namespace spool
