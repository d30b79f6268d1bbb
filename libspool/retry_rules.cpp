#include "libspool/retry_rules.h"

#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {

std::optional<std::vector<ExitCodes>> parse_exit_codes(std::string_view text) {
    std::vector<ExitCodes> codes;
    for (const std::string_view item : split_at(text, ',')) {
        const std::size_t dash = item.find('-');
        const auto first = parse_integer(item.substr(0, dash));
        const auto last = dash == item.npos ? first : parse_integer(item.substr(dash + 1));
        if (!first || !last || *first < 1 || *last < *first || *last > 255) return std::nullopt;
        codes.push_back({static_cast<int>(*first), static_cast<int>(*last)});
    }
    if (codes.empty()) return std::nullopt;
    return codes;
}

std::string exit_codes_text(const std::vector<ExitCodes>& codes) {
    std::string text;
    for (const ExitCodes& range : codes) {
        text += (text.empty() ? "" : ",") + std::to_string(range.first);
        if (range.last != range.first) text += "-" + std::to_string(range.last);
    }
    return text;
}

}  // namespace spool
