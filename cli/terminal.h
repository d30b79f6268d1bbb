// What a terminal can show: colours, its width, and how wide text is on it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace cli {

enum class Style { plain, bold, dim, red, green, yellow, cyan };

struct Terminal {
    bool is_terminal = false;
    bool colours = false;
    int width = 0;  ///< columns; 0: no limit (not a terminal)
};

/// What `descriptor` is. NO_COLOR and TERM=dumb mean no colours; COLUMNS wins over the terminal's
/// own width.
[[nodiscard]] Terminal terminal_of(int descriptor);

[[nodiscard]] std::string paint(const Terminal& terminal, Style style, const std::string& text);

/// Columns that UTF-8 text takes: wide characters two, combining ones none. Invalid bytes count as
/// one each.
[[nodiscard]] int display_width(std::string_view text);

/// `text` if it fits into `width` columns, else its beginning and "…". A width of 0 means no limit.
[[nodiscard]] std::string fit(std::string_view text, int width);

/// A line on stderr that says what is waited for; shown on a terminal only, and only after a
/// second.
class Progress {
public:
    Progress();
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void show(const std::string& text);
    void clear();

private:
    Terminal terminal_;
    std::chrono::steady_clock::time_point start_;
    std::string shown_;  ///< empty: no line
};

}  // namespace cli
