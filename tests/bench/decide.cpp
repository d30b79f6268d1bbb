// What a decision costs with many waiting jobs: for each kind of queue a line of name, microseconds
// of a decision that starts nothing, of one after a job has ended, of one more job, and of the
// reasons that are published. usage: decide JOBS
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "libspool/policy.h"

namespace {

using Clock = std::chrono::steady_clock;

template <typename Work>
double microseconds(int times, Work work) {
    const auto begin = Clock::now();
    for (int i = 0; i < times; ++i)
        work(i);
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / times;
}

spool::Standing unknown(std::uint64_t) {
    return spool::Standing::unknown;
}

/// One of `shapes` kinds: GPUs, processors and time limits differ.
spool::Terms terms_of(std::uint64_t job, std::uint64_t shapes) {
    const std::uint64_t kind = job * 2654435761u % shapes;
    spool::Terms terms;
    terms.need.gpus = static_cast<int>(kind % 5);
    terms.need.cpus = static_cast<int>(kind / 5 % 16);
    if (kind % 2 == 0) terms.time_limit = std::chrono::seconds(60 + kind);
    terms.priority = static_cast<int>(job % 3);
    return terms;
}

void measure(const char* name, std::uint64_t jobs, std::uint64_t shapes) {
    spool::Pool pool;
    for (int gpu = 0; gpu < 8; ++gpu)
        pool.gpu_slots.push_back(spool::make_gpu_slot(std::to_string(gpu)));
    pool.amounts = {16, 64, UINT64_MAX};
    spool::Policy policy;
    policy.set_pool(pool);
    for (std::uint64_t job = 1; job <= jobs; ++job)
        policy.add(job, terms_of(job, shapes), unknown);
    spool::Moment now{std::chrono::seconds(1), 1};
    std::vector<std::uint64_t> running;
    for (const spool::Start& start : policy.decide(now))
        running.push_back(start.job);

    const double idle = microseconds(100, [&](int) { policy.decide(now); });
    std::size_t next = 0;
    const double event = microseconds(200, [&](int) {
        policy.release(running.at(next++));
        for (const spool::Start& start : policy.decide(now))
            running.push_back(start.job);
    });
    const double add = microseconds(1000, [&](int i) {
        policy.add(jobs + 1 + static_cast<std::uint64_t>(i), terms_of(i, shapes), unknown);
    });
    const double reasons = microseconds(20, [&](int) {
        for (const std::uint64_t job : policy.queue(200))
            if (!policy.why(job)) std::abort();
    });
    std::printf("%s\t%.1f\t%.1f\t%.2f\t%.1f\n", name, idle, event, add, reasons);
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t jobs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
    measure("5 kinds", jobs, 5);
    measure("1,000 kinds", jobs, 1000);
    measure("each another kind", jobs, jobs);
}
