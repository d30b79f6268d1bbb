#include "libspool/job_numbers.h"

#include "libspool/done.h"
#include "libspool/journal_reader.h"
#include "libspool/names.h"

namespace spool {

JobNumbers::JobNumbers(Spool& spool) : spool_(spool), counter_(counter_value(spool).value_or(0)) {
    for (WaitingEntry& line : read_waiting_entries(spool)) {
        by_inode_[line.inode] = {line.device, line.number};
        by_name_[std::move(line.file_name)] = line.number;
    }
}

std::uint64_t JobNumbers::of(const std::string& file_name, const FileStat& stat,
                             const std::optional<SubmitInfo>& submit) {
    if (submit && counts(*submit, file_name) && given_.insert(submit->number).second)
        return submit->number;
    if (const auto at = by_inode_.find(stat.inode); at != by_inode_.end() &&
                                                    at->second.device == stat.device &&
                                                    given_.insert(at->second.number).second)
        return at->second.number;
    if (const auto at = by_name_.find(file_name);
        at != by_name_.end() && given_.insert(at->second).second)
        return at->second;
    return 0;
}

bool JobNumbers::counts(const SubmitInfo& submit, const std::string& file_name) const {
    if (submit.spool != spool_.identity || submit.number == 0 || submit.number > counter_)
        return false;
    const auto name = split_job_name(file_name);  // moved back from done/: that number is used
    if (!name) return false;
    const auto ended = read_done(spool_, name->stem);
    return !ended || ended->id != submit.number;
}

}  // namespace spool
