#include "log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/values.h"

namespace spoold {
namespace {

/// Whether the journal reads standard error. The variable alone says only that it read that of
/// somebody before us.
bool is_read_by_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat facts {};
    return stream != nullptr && fstat(STDERR_FILENO, &facts) == 0 &&
           std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino) == stream;
}

std::string prefix(Level level) {
    static const bool journal = is_read_by_journal();
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
