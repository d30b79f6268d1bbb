// gpuspool show: all that is known of one job.
#include <cstdio>
#include <memory>

#include "cli/arguments.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/verbs.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace cli {
namespace {

/// "key  value" lines; a key without a value is left out.
class Facts {
public:
    explicit Facts(const Terminal& terminal) : terminal_(terminal) {}

    void add(const std::string& key, const std::string& value, Style style = Style::plain) {
        if (value.empty()) return;
        const std::string padded = key + std::string(key.size() < 12 ? 12 - key.size() : 1, ' ');
        std::printf("%s%s\n", paint(terminal_, Style::dim, padded).c_str(),
                    paint(terminal_, style, spool::printable(value)).c_str());
    }
    void add_time(const std::string& key, std::int64_t time) {
        if (time != 0) add(key, spool::format_time(time));
    }

private:
    const Terminal& terminal_;
};

void print(Facts& facts, const spool::WaitingState& job) {
    facts.add("state", "waiting", Style::yellow);
    facts.add("reason", spool::wait_sentence(job.reason));
    facts.add("command", job.command);
    if (job.priority != 0) facts.add("priority", std::to_string(job.priority));
    facts.add_time("submitted", job.submitted_at);
}

void print(Facts& facts, const spool::RunningState& job, std::int64_t now) {
    facts.add("state", job.phase, Style::cyan);
    facts.add("detail", job.detail);
    facts.add("command", job.command);
    facts.add("directory", job.directory);
    facts.add("profile", job.profile);
    if (!job.gpus.empty()) facts.add("GPUs", gpus_text(job.gpus));
    facts.add_time("submitted", job.submitted_at);
    facts.add_time("started", job.started_at);
    if (job.started_at != 0) facts.add("running for", format_duration(now - job.started_at));
    if (job.attempt > 1) facts.add("attempt", std::to_string(job.attempt));
    if (job.pid != 0) facts.add("process", std::to_string(job.pid));
}

/// "failed (exit code 3), 12 s; then retry 1 of 3; x.try1.log"
std::string past_text(const spool::PastAttempt& past) {
    std::string text(spool::outcome_name(past.state));
    if (past.reason) text += " (" + *past.reason + ")";
    if (past.started_at != 0) text += ", " + format_duration(past.ended_at - past.started_at);
    text += "; then " + past.next;
    return past.log.empty() ? text : text + "; " + past.log;
}

void print(Facts& facts, const spool::JobResult& job) {
    facts.add("state", outcome_text(job), outcome_style(job.state));
    facts.add("reason", job.reason.value_or(""));
    if (job.line) facts.add("line", std::to_string(*job.line));
    facts.add("command", job.command);
    facts.add("directory", job.directory);
    facts.add("profile", job.profile);
    facts.add("host", job.host);
    if (!job.gpus.empty()) facts.add("GPUs", gpus_text(job.gpus));
    facts.add_time("submitted", job.submitted_at);
    facts.add_time("started", job.started_at);
    facts.add_time("ended", job.ended_at);
    facts.add("run time", run_time(job));
    if (job.cpu_seconds)
        facts.add("CPU time", format_duration(static_cast<std::int64_t>(*job.cpu_seconds * 1e9)));
    if (job.max_rss_bytes) facts.add("memory", spool::format_size(*job.max_rss_bytes));
    if (job.attempt > 1) facts.add("attempt", std::to_string(job.attempt));
    for (const spool::PastAttempt& past : job.attempts)
        facts.add("attempt " + std::to_string(past.attempt), past_text(past));
    if (job.retry_of) facts.add("retry of", std::to_string(*job.retry_of));
    facts.add("environment", job.environment_source);
    if (job.tasks)
        for (const auto& [outcome, tasks] : job.tasks->by_outcome)
            facts.add(std::string(spool::outcome_name(outcome)), tasks, outcome_style(outcome));
    for (const std::string& note : job.notes)
        facts.add("note", note);
}

void print(Facts& facts, const spool::ArrayState& array) {
    facts.add("state", "running", Style::cyan);
    facts.add("tasks", tasks_text(array));
    if (array.waiting > 0) facts.add("reason", spool::wait_sentence(array.reason));
    facts.add("command", array.command);
    if (array.priority != 0) facts.add("priority", std::to_string(array.priority));
    facts.add_time("submitted", array.submitted_at);
    facts.add_time("started", array.started_at);
}

void add_files(Facts& facts, const spool::Spool& spool, const spool::FoundJob& job) {
    const bool waits = job.place() == spool::Place::waiting;
    const bool runs = job.place() == spool::Place::running;
    const spool::OpenFile& directory = waits ? spool.incoming : runs ? spool.running : spool.done;
    const std::string path = spool.path + (waits ? "/incoming/" : runs ? "/running/" : "/done/");
    if (!job.file_name.empty() && !job.task) facts.add("file", path + job.file_name);
    const std::string log = job.name + ".log";  // a job that was rejected or withdrawn has none
    if (!waits && spool.files->stat_at(directory.get(), log)) facts.add("log", path + log);
}

void print_text(const Context& context, const spool::Spool& spool, const spool::FoundJob& job) {
    Facts facts(context.out);
    facts.add("job", number_text(job.id, job.task), Style::bold);
    facts.add("name", job.name);
    if (job.array()) print(facts, *job.array());
    if (job.waiting()) print(facts, *job.waiting());
    if (job.running()) print(facts, *job.running(), context.clock.wall());
    if (job.result()) print(facts, *job.result());
    add_files(facts, spool, job);
}

Json json_of(const spool::FoundJob& job) {
    Json out = std::visit([](const auto& state) { return to_json(state); }, job.state);
    if (job.task) out["task"] = *job.task;
    if (!job.result()) out["state"] = job.waiting() ? "waiting" : "running";
    return out;
}

int run_show(Context& context, const std::string& name, bool json) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    const auto job = spool::find_job(**spool, name, context.clock);
    if (!job) return report_search(job.error());
    if (json)
        print_json(json_of(*job));
    else
        print_text(context, **spool, *job);
    return success;
}

}  // namespace

void add_show(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("show", "Show all that is known of a job");
    struct Options {
        std::string job;
        bool json = false;
    };
    const auto options = std::make_shared<Options>();
    verb->add_option("job", options->job, "Number or name (default: the newest)")
        ->check(not_empty());
    verb->add_flag("--json", options->json, "Print JSON");
    verb->callback([&run, options] {
        run = [options](Context& context) {
            return run_show(context, options->job, options->json);
        };
    });
}

}  // namespace cli
