// The full scan of incoming/, and the numbering of what was found: a part of `Incoming`.
#include <algorithm>

#include "libspool/claim.h"
#include "libspool/incoming.h"
#include "libspool/names.h"

namespace spool {

Result<void> Incoming::begin_scan() {
    auto entries = spool_.files->list(spool_.incoming.get());
    if (!entries) return tl::unexpected(entries.error());
    scan_.clear();
    scan_unseen_.clear();
    for (const auto& [name, job] : jobs_)
        scan_unseen_.insert(name);
    for (const std::string& mark : marks_)
        scan_unseen_.insert(mark);
    for (const std::string& name : ignored_)
        scan_unseen_.insert(name);
    for (DirectoryEntry& entry : *entries) {
        scan_unseen_.erase(entry.name);
        scan_.push_back(std::move(entry.name));
    }
    // What has gone comes first: a file that was renamed is then found under its new name.
    scan_.insert(scan_.end(), scan_unseen_.begin(), scan_unseen_.end());
    return {};
}

bool Incoming::continue_scan(std::chrono::nanoseconds budget) {
    const auto until = clock_.monotonic() + budget;
    while (!scan_.empty()) {
        look(scan_.back(), Hint::none);
        scan_.pop_back();
        if (clock_.monotonic() >= until) break;
    }
    return !scan_.empty();
}

/// A number that came with the file counts if it was given by this spool and names nothing else.
bool Incoming::may_keep_number(std::uint64_t number, const WaitingJob& job) const {
    if (number == 0 || number_used_(number)) return false;
    const auto holder = by_number_.find(number);
    if (holder != by_number_.end() && holder->second != job.file_name) return false;
    const auto counter = counter_value(spool_);
    return counter && number <= *counter;
}

Result<void> Incoming::number_new() {
    std::vector<WaitingJob*> jobs;
    for (const std::string& name : unnumbered_)
        if (const auto found = jobs_.find(name); found != jobs_.end())
            jobs.push_back(&found->second);
    std::sort(jobs.begin(), jobs.end(), [](const WaitingJob* a, const WaitingJob* b) {
        return std::tie(a->stat.changed, a->file_name) < std::tie(b->stat.changed, b->file_name);
    });
    std::vector<WaitingJob*> bare;
    for (WaitingJob* job : jobs) {
        if (job->number != 0) continue;  // numbered before, and not written down
        const auto wanted = submitted_numbers_.find(job->file_name);
        if (wanted != submitted_numbers_.end() && may_keep_number(wanted->second, *job)) {
            job->number = wanted->second;
            by_number_[job->number] = job->file_name;
        } else {
            bare.push_back(job);
        }
    }
    if (!bare.empty()) {
        auto first = take_numbers(spool_, bare.size(), false);
        if (!first) return tl::unexpected(first.error());
        for (WaitingJob* job : bare) {
            job->number = (*first)++;
            by_number_[job->number] = job->file_name;
        }
    }
    std::string lines;
    for (const WaitingJob* job : jobs) {
        lines += write_line(job->entry());
        if (job->phase == WaitingJob::Phase::ready) changes_.ready.push_back(job->number);
    }
    unnumbered_.clear();
    changes_.numbered = changes_.numbered || !jobs.empty();
    return journal_->append_or_keep(lines);
}

Result<IncomingChanges> Incoming::take_changes() {
    if (auto numbered = number_new(); !numbered) return tl::unexpected(numbered.error());
    for (auto& [name, error] : rejections_)
        if (const auto found = jobs_.find(name); found != jobs_.end())
            changes_.rejected.push_back(
                {name, found->second.number, std::move(error), found->second.stat});
    rejections_.clear();
    std::erase_if(changes_.withdrawn, [this](const IncomingChanges::Withdrawn& gone) {
        const WaitingJob* job = find(gone.number);
        return job == nullptr || job->phase != WaitingJob::Phase::vanished || job->deadline;
    });
    // The journal is written anew when most of it is about jobs that wait no more.
    constexpr std::uint64_t line_length = 120, small = 64 << 10;
    if (journal_->size() > small + 2 * line_length * jobs_.size()) {
        // A file whose line goes must not come back after a loss of power.
        if (auto synced = spool_.files->sync(spool_.incoming.get(), true); !synced)
            return tl::unexpected(synced.error());
        if (auto written = journal_->rewrite(written_entries()); !written)
            return tl::unexpected(written.error());
    }
    return std::exchange(changes_, {});
}

void Incoming::add_barrier(SyncSet& barrier) const {
    barrier.add(sequence_.get(), false);
    barrier.add(journal_->handle(), false);
}

}  // namespace spool
