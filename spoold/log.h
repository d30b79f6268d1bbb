// The daemon's log: one line an event, on standard error, with the journal's priority prefixes
// where it is read by one.
#pragma once

#include <string>

namespace spoold {

enum class Level { error = 3, warning = 4, notice = 5, info = 6 };

/// Writes one line. Control bytes in `text` are escaped.
void log(Level level, const std::string& text);

inline void log_error(const std::string& text) {
    log(Level::error, text);
}
inline void log_warning(const std::string& text) {
    log(Level::warning, text);
}
inline void log_notice(const std::string& text) {
    log(Level::notice, text);
}
inline void log_info(const std::string& text) {
    log(Level::info, text);
}

}  // namespace spoold
