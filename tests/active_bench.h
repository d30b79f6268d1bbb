// The active jobs of a daemon over files that can be made to fail, with an executor that only
// counts.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "spoold/active_jobs.h"
#include "tests/attempt_scratch.h"
#include "tests/loop.h"
#include "tests/record_executor.h"

namespace test {

/// Starts nothing.
class CountingExecutor : public RecordExecutor {
public:
    using RecordExecutor::RecordExecutor;

    spool::Result<void> start(const spool::ActiveJob&, const spoold::Binding&) override {
        ++starts;
        return {};
    }

    int starts = 0;
};

struct ActiveBench : AttemptScratch {
    ActiveBench() {
        if (!spool::load_history(spool, history)) qFatal("no history");
        syncs = std::make_unique<spoold::SyncThread>(io, files);
        active = std::make_unique<spoold::ActiveJobs>(spool, clock, boot, pool, *history, *syncs,
                                                      executor, listener());
    }
    ~ActiveBench() { syncs.reset(); }

    /// Takes up the only job that a daemon before this one has left.
    void adopt_what_is_left() {
        auto recovery = recover();
        if (recovery.jobs.size() != 1) qFatal("%zu jobs are left", recovery.jobs.size());
        active->adopt(std::move(recovery.jobs.front()));
    }
    /// Works, a second of the clock after the other, until it is so.
    template <typename Condition>
    bool work_until(Condition condition) {
        return run_until(io, [&] {
            if (condition()) return true;
            clock.advance(std::chrono::seconds(1));
            (void)active->advance();
            return condition();
        });
    }
    [[nodiscard]] std::string trouble(const std::string& what) const {
        const auto found = troubles.find(what);
        return found == troubles.end() ? std::string() : found->second;
    }

    boost::asio::io_context io;
    CountingExecutor executor{files};
    std::optional<spool::Journal> history;
    std::unique_ptr<spoold::SyncThread> syncs;
    std::unique_ptr<spoold::ActiveJobs> active;
    std::map<std::string, std::string> troubles;
    int troubles_told = 0, ended = 0, freed = 0;
    /// The content with which slots were asked for.
    std::vector<spool::RecordContent> asked;

private:
    spoold::ActiveJobsListener listener() {
        spoold::ActiveJobsListener out;
        out.freed = [this](std::uint64_t) { ++freed; };
        out.unbound = [](std::uint64_t) {};
        out.not_started = out.started = [](const spool::ActiveJob&) {};
        out.adopted = [](const spoold::Active&) {};
        out.attempt_ended = [](const spool::JobResult&) {};
        out.wants_slots = [this](const spoold::Active& job) {
            asked.push_back(job.content);
            return true;
        };
        out.ended = [this](const spool::JobResult&) { ++ended; };
        out.changed = [] {};
        out.secrets = [](const spool::ActiveJob&) { return std::vector<std::string>(); };
        out.trouble = [this](const std::string& what, const std::string& problem) {
            troubles[what] = problem;
            troubles_told += !problem.empty();
        };
        return out;
    }
};

}  // namespace test
