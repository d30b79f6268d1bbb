#include "libspool/recover_attempts.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <tuple>

#include "libspool/names.h"
#include "libspool/next_attempt.h"

namespace spool {
namespace {

bool began(const Recovered& one) {
    return one.content.started() || one.content.ended();
}

class Settler {
public:
    Settler(Spool& spool, RecordPool& pool, const record::BootId& boot,
            const std::set<std::uint32_t>& broken)
        : spool_(spool), pool_(pool), boot_(boot), broken_(broken) {}

    /// `records` are all of one job.
    Result<Recovered> settle(std::vector<Recovered> records) {
        std::sort(records.begin(), records.end(),
                  [this](const Recovered& a, const Recovered& b) { return rank(a) < rank(b); });
        while (records.size() > 1 && is_void(records.back(), records[records.size() - 2])) {
            const auto undone = undo(records.back(), records[records.size() - 2]);
            if (!undone) return tl::unexpected(undone.error());
            if (!*undone) break;
            pool_.discard(std::move(records.back().job.record));
            records.pop_back();
        }
        Recovered best = std::move(records.back());
        records.pop_back();
        for (Recovered& superseded : records)
            drop(std::move(superseded));
        return best;
    }

private:
    /// What did not reach the disk as a whole, and was not started, is void.
    [[nodiscard]] std::tuple<bool, std::uint32_t, bool> rank(const Recovered& one) const {
        return {began(one) || !broken_.contains(one.job.record.index), one.job.attempt, began(one)};
    }

    /// In this boot the record before it is marked free before an attempt is started: while that is
    /// not, nothing was executed, and it may be the only one that the disk has. After a loss of
    /// power what can be read is on the disk, and whether it was started is not known.
    [[nodiscard]] bool is_void(const Recovered& last, const Recovered& before) const {
        return last.job.attempt > before.job.attempt && !began(last) &&
               last.action != RecoveryAction::adopt && last.content.claim.boot_id == boot_;
    }

    /// False if it was started after all. A cancellation goes over to the one before.
    Result<bool> undo(Recovered& last, Recovered& before) {
        if (last.content.cancelled()) {
            record::Cancel& cancel = before.content.cancel = last.content.cancel;
            cancel.token = before.job.token;
            before.content.cancel_validity = record::Validity::valid;
            if (auto noted =
                    write_page(*spool_.files, before.job.record, record::cancel_page, cancel)
                        .and_then(
                            [&] { return spool_.files->sync(before.job.record.file.get(), true); });
                !noted)
                return tl::unexpected(noted.error());
        }
        const auto voided = void_claim(spool_, last.job);
        if (!voided && voided.error().code == EBUSY) {
            last.action = RecoveryAction::adopt;
            return false;
        }
        if (!voided) return tl::unexpected(voided.error());
        put_log_back(spool_, last.job);
        return true;
    }

    void drop(Recovered recovered) {
        (void)release(spool_, recovered.job);
        // A supervisor that is on its way out still has the lock.
        recovered.action == RecoveryAction::adopt
            ? pool_.discard(std::move(recovered.job.record))
            : pool_.give_back(std::move(recovered.job.record));
    }

    Spool& spool_;
    RecordPool& pool_;
    const record::BootId& boot_;
    const std::set<std::uint32_t>& broken_;
};

}  // namespace

Result<void> settle_attempts(Spool& spool, RecordPool& pool, const record::BootId& boot,
                             const std::set<std::uint32_t>& broken, std::vector<Recovered>& jobs) {
    std::stable_sort(jobs.begin(), jobs.end(), [](const Recovered& a, const Recovered& b) {
        return a.job.number < b.job.number;
    });
    std::vector<Recovered> kept;
    Settler settler(spool, pool, boot, broken);
    for (auto first = jobs.begin(); first != jobs.end();) {
        const auto last = std::find_if(first, jobs.end(), [&](const Recovered& other) {
            return other.job.number != first->job.number;
        });
        // Two first attempts are a fault of somebody's: both are left, and the daemon says so.
        const bool settles =
            std::any_of(first, last, [](const Recovered& one) { return one.job.attempt > 1; });
        if (last - first == 1 || !settles) {
            std::move(first, last, std::back_inserter(kept));
        } else {
            auto best =
                settler.settle({std::make_move_iterator(first), std::make_move_iterator(last)});
            if (!best) return tl::unexpected(best.error());
            kept.push_back(std::move(*best));
        }
        first = last;
    }
    jobs = std::move(kept);
    return {};
}

Result<bool> has_attempt_logs(Spool& spool, const std::string& stem) {
    const auto entries = spool.files->list(spool.running.get());
    if (!entries) return tl::unexpected(entries.error());
    std::set<std::string> others;  // jobs that are called like the log of an attempt
    for (const DirectoryEntry& entry : *entries)
        if (const auto split = split_job_name(entry.name)) others.insert(split->stem + ".log");
    return std::any_of(entries->begin(), entries->end(), [&](const DirectoryEntry& entry) {
        return job_of_attempt_log(entry.name) == stem && !others.contains(entry.name);
    });
}

}  // namespace spool
