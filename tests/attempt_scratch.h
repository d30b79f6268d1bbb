// Jobs with rules for further attempts, claimed by hand: verdicts, records of attempts that follow
// one another, and what a starting daemon makes of them.
#pragma once

#include "libspool/job_file.h"
#include "libspool/next_attempt.h"
#include "libspool/recover.h"
#include "tests/claim_scratch.h"

namespace test {

inline constexpr std::int64_t ended = 1'000'000'000'000;

inline spool::JobResult verdict(spool::Outcome state, int exit_code = -1, int signal = -1) {
    spool::JobResult out;
    out.state = state;
    out.ended_at = ended;
    if (exit_code >= 0) out.exit_code = exit_code;
    if (signal >= 0) out.signal = signal;
    return out;
}

inline spool::RetryRules rules_of(const std::string& directives) {
    const auto spec = spool::read_job_file("#SPOOL " + directives + "\ntrue\n", "x.job");
    if (!spec) qFatal("%s", spec.error().text().c_str());
    return spec->rules;
}

}  // namespace test

struct AttemptScratch : ClaimScratch {
    /// A first attempt of a job that asks for two more after the exit codes 3 and 4.
    spool::ActiveJob claimed_with_rules() {
        put(spool.incoming, "x.job", script);
        auto request = this->request("x.job");
        request.launch = [](const spool::ClaimIdentity& identity, const std::string&) {
            spool::Launch launch;
            launch.arguments = {"/bin/sh", "x"};
            launch.directory = "/somewhere";
            launch.flags = spool::record::truncate_output;
            launch.environment = {"A=B", "GPUSPOOL_ATTEMPT=1", "SLURM_JOB_ID=42",
                                  "GPUSPOOL_TOKEN=" + spool::to_hex(identity.token)};
            launch.facts.rules = test::rules_of("--retries=2 --retry-on=3-4");
            return launch;
        };
        auto claim = this->claim(request);
        if (!claim || !std::holds_alternative<spool::ActiveJob>(*claim)) qFatal("not claimed");
        return std::move(std::get<spool::ActiveJob>(*claim));
    }
    template <typename Page>
    void write(const spool::ActiveJob& job, std::size_t number, Page page) {
        page.token = job.token;
        if (!spool::write_page(files, job.record, number, page)) qFatal("page");
    }
    template <typename Page>
    void write_empty(const spool::ActiveJob& job, std::size_t number) {
        write(job, number, Page{});
    }
    /// The exit page says that it has failed.
    void fail(const spool::ActiveJob& job) {
        spool::record::Exit exit{};
        exit.phase = spool::record::Phase::complete;
        exit.wait_status = 3 << 8;
        write(job, spool::record::exit_page, exit);
    }
    spool::ActiveJob next_of(const spool::ActiveJob& job) {
        auto next = spool::claim_next_attempt(spool, pool, clock, boot, job,
                                              test::verdict(spool::Outcome::failed, 3),
                                              {0, "a rule", {1, 0}}, no_name_taken);
        if (!next) qFatal("%s", next.error().text().c_str());
        return std::move(*next);
    }
    spool::Recovery recover(const spool::record::BootId& now = boot) {
        pool = spool::RecordPool(spool);
        auto recovery = spool::recover(spool, pool, clock, now,
                                       [](const spool::RecordContent&) { return false; });
        if (!recovery) qFatal("%s", recovery.error().text().c_str());
        return std::move(*recovery);
    }
};
