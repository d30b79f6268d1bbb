// A JSON object of known keys, as people write it: what is not understood is named with its line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libspool/json_text.h"
#include "libspool/names.h"
#include "libspool/settings.h"
#include "libspool/values.h"

namespace spool {

template <typename Target>
struct ObjectKey {
    std::string_view name;
    std::string_view accepted;  ///< what values there are, to follow "expected"
    bool (*set)(Target& target, const nlohmann::json& value);  ///< false: not accepted
};

/// A whole number from 0 to `most` as written; nothing for any other value.
[[nodiscard]] inline std::optional<int> number_up_to(int most, const nlohmann::json& value) {
    const auto number = value.is_number_integer() ? parse_integer(value.dump()) : std::nullopt;
    if (!number || *number < 0 || *number > most) return std::nullopt;
    return static_cast<int>(*number);
}

/// Sets the members of `json`, which `text` is the source of. Unknown keys become
/// `target.warnings`; the first value that is not accepted is the error.
template <typename Target, std::size_t N>
Result<void> read_keyed_object(Target& target, const nlohmann::json& json, const std::string& text,
                               const std::string& path, const ObjectKey<Target> (&keys)[N]) {
    for (const JsonMember& member : object_members(text)) {
        const int line = line_of(text, member.key_begin);
        const ObjectKey<Target>* known = nullptr;
        std::vector<std::string> names;
        for (const auto& key : keys) {
            names.emplace_back(key.name);
            if (key.name == member.key) known = &key;
        }
        if (!known)
            target.warnings.push_back(path + ":" + std::to_string(line) + ": unknown key '" +
                                      printable(member.key) + "'" + suggestion(member.key, names));
        else if (!known->set(target, json.at(member.key)))
            return content_error(
                path, line,
                "'" + member.key + "' is wrong: expected " + std::string(known->accepted));
    }
    return {};
}

}  // namespace spool
