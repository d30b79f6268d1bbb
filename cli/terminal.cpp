#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>

namespace cli {
namespace {

int columns_of(int descriptor) {
    if (const char* set = std::getenv("COLUMNS"); set != nullptr)
        if (const int columns = std::atoi(set); columns > 0) return columns;
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

bool is_set(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

const char* code_of(Style style) {
    switch (style) {
        case Style::plain:
            return "";
        case Style::bold:
            return "1";
        case Style::dim:
            return "2";
        case Style::red:
            return "31";
        case Style::green:
            return "32";
        case Style::yellow:
            return "33";
        case Style::cyan:
            return "36";
    }
    return "";
}

/// One character of UTF-8: how many bytes it has, and how many columns.
struct Glyph {
    std::size_t bytes = 1;
    int columns = 1;
};

/// wcwidth knows UTF-8 only in a locale that does, whatever the user's is.
Glyph next_glyph(std::string_view text) {
    static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    const locale_t before = utf8 != nullptr ? ::uselocale(utf8) : nullptr;
    wchar_t wide = 0;
    std::mbstate_t state{};
    const std::size_t used = std::mbrtowc(&wide, text.data(), text.size(), &state);
    Glyph out;
    if (used != 0 && used <= text.size()) {
        const int columns = ::wcwidth(wide);
        out = {used, columns < 0 ? 1 : columns};
    }
    if (before != nullptr) ::uselocale(before);
    return out;
}

}  // namespace

Terminal terminal_of(int descriptor) {
    Terminal out;
    out.is_terminal = ::isatty(descriptor) == 1;
    if (!out.is_terminal) return out;
    const char* kind = std::getenv("TERM");
    out.colours = !is_set("NO_COLOR") && kind != nullptr && std::string_view(kind) != "dumb";
    out.width = columns_of(descriptor);
    return out;
}

std::string paint(const Terminal& terminal, Style style, const std::string& text) {
    if (!terminal.colours || style == Style::plain || text.empty()) return text;
    return std::string("\033[") + code_of(style) + 'm' + text + "\033[0m";
}

int display_width(std::string_view text) {
    int width = 0;
    while (!text.empty()) {
        const Glyph glyph = next_glyph(text);
        width += glyph.columns;
        text.remove_prefix(glyph.bytes);
    }
    return width;
}

std::string fit(std::string_view text, int width) {
    if (width <= 0 || display_width(text) <= width) return std::string(text);
    int used = 0;
    std::size_t end = 0;
    while (end < text.size()) {
        const Glyph glyph = next_glyph(text.substr(end));
        if (used + glyph.columns > width - 1) break;
        used += glyph.columns;
        end += glyph.bytes;
    }
    return std::string(text.substr(0, end)) + "…";
}

Progress::Progress()
    : terminal_(terminal_of(STDERR_FILENO)), start_(std::chrono::steady_clock::now()) {}

void Progress::show(const std::string& text) {
    if (!terminal_.is_terminal) return;
    if (std::chrono::steady_clock::now() - start_ < std::chrono::seconds(1)) return;
    if (text == shown_) return;
    std::fprintf(stderr, "\r\033[K%s", fit(text, terminal_.width - 1).c_str());
    std::fflush(stderr);
    shown_ = text;
}

void Progress::clear() {
    if (!shown_.empty()) std::fputs("\r\033[K", stderr);
    shown_.clear();
}

}  // namespace cli
