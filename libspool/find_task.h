// Single tasks of arrays, for readers. A part of `find_job`.
#pragma once

#include "libspool/reader.h"

namespace spool {

/// A task of `array`, which is what the user called the array. The error says which tasks there
/// are.
Result<FoundJob> find_task(Spool& spool, const SpoolState& state, const FoundJob& array,
                           std::uint32_t task);

}  // namespace spool
