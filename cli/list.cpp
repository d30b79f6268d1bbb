// gpuspool list: all jobs that have ended.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>

#include "cli/format.h"
#include "cli/json.h"
#include "cli/results.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "libspool/names.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace cli {
namespace {

struct ListOptions {
    std::vector<std::string> states;
    std::size_t limit = std::numeric_limits<std::size_t>::max();
    bool json = false;
};

/// The outcomes asked for; empty: all. Nothing if a word is none.
std::optional<std::vector<spool::Outcome>> wanted_outcomes(const std::vector<std::string>& words) {
    std::vector<spool::Outcome> out;
    for (const std::string& word : words) {
        const auto outcome = spool::outcome_from_name(word);
        if (!outcome) {
            const auto meant = spool::nearest(word, spool::outcome_names());
            complain("--state " + spool::printable(word) + ": " +
                     (meant ? "did you mean " + *meant + '?' : "no such state.") +
                     " The states are " + spool::joined(spool::outcome_names(), ", "));
            return std::nullopt;
        }
        out.push_back(*outcome);
    }
    return out;
}

void print_table(const Context& context, const std::vector<spool::JobResult>& results) {
    const std::int64_t now = context.clock.wall();
    Table table({{"JOB", true},
                 {"NAME", false, true},
                 {"OUTCOME"},
                 {"TIME", true},
                 {"GPU"},
                 {"ENDED"},
                 {"COMMAND", false, true}});
    for (const spool::JobResult& job : results) {
        const std::string time = run_time(job);
        table.add({{number_text(job.id), Style::bold},
                   {spool::printable(job.name)},
                   {outcome_text(job), outcome_style(job.state)},
                   {time.empty() ? "-" : time},
                   {gpus_text(job.gpus)},
                   {job.ended_at == 0 ? "-" : format_age(now - job.ended_at)},
                   {spool::printable(job.command)}});
    }
    if (table.empty())
        complain("no such job has ended");
    else
        std::fputs(table.render(context.out).c_str(), stdout);
}

int run_list(Context& context, const ListOptions& options) {
    const auto wanted = wanted_outcomes(options.states);
    if (!wanted) return usage_error;
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    const std::size_t read =
        wanted->empty() ? options.limit : std::numeric_limits<std::size_t>::max();
    std::vector<spool::Error> unreadable;
    auto results = list_results(**spool, read, &unreadable);
    if (!results) return report(results.error());
    for (const spool::Error& error : unreadable)
        complain("left out: " + error.text());
    if (!wanted->empty())
        std::erase_if(*results, [&](const spool::JobResult& job) {
            return std::find(wanted->begin(), wanted->end(), job.state) == wanted->end();
        });
    if (results->size() > options.limit) results->resize(options.limit);
    if (!options.json) {
        print_table(context, *results);
        return success;
    }
    Json json = Json::array();
    for (const spool::JobResult& job : *results)
        json.push_back(to_json(job));
    print_json(json);
    return success;
}

}  // namespace

void add_list(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("list", "List the jobs that have ended, the newest first");
    const auto options = std::make_shared<ListOptions>();
    verb->add_option("--state", options->states,
                     "Only these: " + spool::joined(spool::outcome_names(), ", "))
        ->delimiter(',')
        ->allow_extra_args(false);
    verb->add_option("-n,--limit", options->limit, "At most N");
    verb->add_flag("--json", options->json, "Print JSON");
    verb->callback([&run, options] {
        run = [options](Context& context) { return run_list(context, *options); };
    });
}

}  // namespace cli
