// The numbers of job files that no published state names (docs/protocol.md §3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "libspool/job_spec.h"
#include "libspool/layout.h"

namespace spool {

class JobNumbers {
public:
    /// Reads .spool/waiting and the counter.
    explicit JobNumbers(Spool& spool);

    /// 0 if it has none yet. `submit` is what the file itself says. No number is given twice.
    std::uint64_t of(const std::string& file_name, const FileStat& stat,
                     const std::optional<SubmitInfo>& submit);

private:
    struct Numbered {
        std::uint64_t device = 0, number = 0;
    };
    [[nodiscard]] bool counts(const SubmitInfo& submit, const std::string& file_name) const;

    Spool& spool_;
    std::uint64_t counter_;
    std::unordered_map<std::uint64_t, Numbered> by_inode_;
    std::unordered_map<std::string, std::uint64_t> by_name_;
    std::unordered_set<std::uint64_t> given_;
};

}  // namespace spool
