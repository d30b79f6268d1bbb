// gpuspool priority, top, hold, release: when waiting jobs have their turn; suspend, continue:
// running ones stand still for a while.
#include <cstdio>
#include <memory>

#include "cli/arguments.h"
#include "cli/format.h"
#include "cli/requests.h"
#include "cli/verbs.h"

namespace cli {
namespace {

struct Order {
    std::string verb, value;  ///< of "priority": the number
    std::vector<std::string> jobs;
    bool running = false;  ///< is about running jobs
    std::string group;     ///< all of it, instead of jobs
};

int ask(Context& context, spool::Spool& spool, const Order& order, const std::string& name,
        std::vector<Asked>& asked) {
    const auto job = find_numbered(context, spool, name);
    if (!job) return report_search(job.error());
    const std::string subject = "job " + job_text(job->id, job->name);
    if (job->task && !order.running) {
        complain(subject + " is a task: name its array, " + std::to_string(job->id));
        return failure;
    }
    // Whether it runs the daemon knows: what is published is a moment old.
    const bool fits = order.running ? job->running() || daemon_runs(context, spool)
                                    : job->waiting() || job->array();
    if (job->result() || !fits) {
        complain(subject + (job->result()   ? " has ended already: " + outcome_text(*job->result())
                            : order.running ? " does not run yet: gpuspool hold keeps it from "
                                              "being started"
                                            : " does not wait: it has been started"));
        return failure;
    }
    if (job->id == 0) {
        complain(subject + " has no number yet: it gets one when spoold runs");
        return failure;
    }
    spool::Request wish{{}, order.verb, job->id, 0, order.value, {}};
    if (job->task) wish.tasks = std::to_string(*job->task);
    const auto request = spool::send_request(spool, wish, context.clock);
    if (!request) return report(request.error());
    asked.push_back({*request, subject});
    return success;
}

int order_group(Context& context, spool::Spool& spool, const Order& order) {
    const auto request = spool::send_request(
        spool, {{}, "group-" + order.verb, std::nullopt, 0, order.group, {}}, context.clock);
    if (!request) return report(request.error());
    return print_replies(context, spool, {{*request, {}}});
}

int run_order(Context& context, Order order) {
    const auto spool = context.open();
    if (!spool) return report(spool.error());
    if (!order.group.empty()) return order_group(context, **spool, order);
    if (order.jobs.empty()) order.jobs.emplace_back();
    std::vector<Asked> asked;
    int code = success;
    for (const std::string& job : order.jobs)
        if (const int one = ask(context, **spool, order, job, asked); one != success) code = one;
    const int replies = print_replies(context, **spool, asked);
    return code != success ? code : replies;
}

void add_verb(CLI::App& app, Run& run, const std::string& name, const std::string& description) {
    CLI::App* verb = app.add_subcommand(name, description);
    const auto order = std::make_shared<Order>();
    order->verb = name;
    verb->add_option("jobs", order->jobs, "Numbers or names (default: the newest)")
        ->check(not_empty());
    order->running = name == "suspend" || name == "continue";
    if (name == "hold" || name == "release")
        verb->add_option("--group", order->group, "All jobs of this group, also later ones")
            ->check(not_empty())
            ->excludes("jobs");
    verb->callback(
        [&run, order] { run = [order](Context& context) { return run_order(context, *order); }; });
}

}  // namespace

void add_order(CLI::App& app, Run& run) {
    CLI::App* verb = app.add_subcommand("priority", "Let a waiting job go earlier or later");
    const auto order = std::make_shared<Order>();
    order->verb = "priority";
    const auto number = std::make_shared<int>();
    order->jobs.emplace_back();
    verb->add_option("job", order->jobs.front(), "Number or name")->required()->check(not_empty());
    verb->add_option("priority", *number, "Higher ones go first; 0 is usual")->required();
    verb->callback([&run, order, number] {
        order->value = std::to_string(*number);
        run = [order](Context& context) { return run_order(context, *order); };
    });
    add_verb(app, run, "top", "Let waiting jobs go before all others");
    add_verb(app, run, "hold", "Keep waiting jobs from being started");
    add_verb(app, run, "release", "Let held jobs go");
    add_verb(app, run, "suspend", "Let running jobs stand still; they keep their GPUs");
    add_verb(app, run, "continue", "Let suspended jobs go on");
}

}  // namespace cli
