// The daemon's own files, where somebody has removed or damaged them under it.
#pragma once

#include <optional>

#include "libspool/layout.h"

namespace spool {

/// Writes .spool/format anew where it is gone or names another identity than that of `spool`, which
/// is open. True if it was. One that cannot be understood is left alone.
Result<bool> keep_identity(Spool& spool);

/// Makes the counter anew where it is another file than `held`, or has not reached `number` or what
/// `held` says; returns it then, open, else nothing.
Result<std::optional<OpenFile>> keep_counter(Spool& spool, Handle held, std::uint64_t number);

}  // namespace spool
