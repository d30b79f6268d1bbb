#include "log.h"

#include <unistd.h>

#include <cstdlib>

#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/values.h"

namespace spoold {
namespace {

std::string prefix(Level level) {
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    if (journal) return "<" + std::to_string(static_cast<int>(level)) + ">";
    static const char* const words[] = {"", "", "", "error: ", "warning: ", "", ""};
    return spool::format_time(spool::wall_time()) + " spoold: " + words[static_cast<int>(level)];
}

}  // namespace

void log(Level level, const std::string& text) {
    const std::string line = prefix(level) + spool::printable(text) + "\n";
    // A log that cannot be written (a closed terminal, a full disk) must not disturb the work.
    (void)!write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace spoold
