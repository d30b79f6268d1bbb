// The results of done/, with a progress line where there are many.
#pragma once

#include <vector>

#include "libspool/reader.h"

namespace cli {

/// As spool::read_results.
[[nodiscard]] spool::Result<std::vector<spool::JobResult>> list_results(
    spool::Spool& spool, std::size_t limit, std::vector<spool::Error>* unreadable = nullptr);

}  // namespace cli
