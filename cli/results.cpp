#include "cli/results.h"

#include "cli/terminal.h"

namespace cli {

spool::Result<std::vector<spool::JobResult>> list_results(spool::Spool& spool, std::size_t limit,
                                                          std::vector<spool::Error>* unreadable) {
    constexpr std::size_t step = 500;
    Progress progress;
    return spool::read_results(spool, limit, unreadable, [&](std::size_t read, std::size_t all) {
        if (read % step == 0)
            progress.show("reading results: " + std::to_string(read) + " of " +
                          std::to_string(all));
    });
}

}  // namespace cli
