// The counterpart of JsonFields: writes what that reads, member by member, in the order of the
// calls. So one function that names the members of a type serves both.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "libspool/name_table.h"
#include "libspool/names.h"
#include "libspool/utf8.h"
#include "libspool/values.h"

namespace spool {

/// Null for 0, which is a time that is not known.
[[nodiscard]] inline nlohmann::ordered_json time_to_json(std::int64_t wall_nanoseconds) {
    using Json = nlohmann::ordered_json;
    return wall_nanoseconds == 0 ? Json(nullptr) : Json(format_time(wall_nanoseconds));
}

/// A T that is read, or one that is only written.
template <typename Maybe, typename T>
concept Either = std::same_as<std::remove_const_t<Maybe>, T>;

class JsonWriter {
public:
    using Json = nlohmann::ordered_json;
    static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

    /// Strings of more than `longest` bytes are cut, visibly.
    explicit JsonWriter(std::size_t longest = no_limit) : longest_(longest) {}

    [[nodiscard]] Json take() { return std::move(json_); }

    void text(const char* key, const std::string& value) { json_[key] = valid_text(cut(value)); }
    void text(const char* key, const std::optional<std::string>& value) {
        value ? text(key, *value) : null(key);
    }
    void bytes(const char* key, const std::string& value) { json_[key] = to_json_text(cut(value)); }
    void flag(const char* key, bool value) { json_[key] = value; }
    template <typename Number>
    void number(const char* key, Number value) {
        json_[key] = value;
    }
    template <typename Number>
    void number(const char* key, const std::optional<Number>& value) {
        value ? number(key, *value) : null(key);
    }
    void time(const char* key, std::int64_t value) { json_[key] = time_to_json(value); }
    template <typename Value, typename Table>
    void word(const char* key, Value value, const Table& table) {
        json_[key] = name_in(table, value);
    }
    void list(const char* key, const std::vector<std::string>& values) {
        Json& out = json_[key] = Json::array();
        for (const std::string& value : values)
            out.push_back(valid_text(cut(value)));
    }
    template <typename Number>
    void numbers(const char* key, const std::vector<Number>& values) {
        json_[key] = values;
    }
    void bytes_list(const char* key, const std::vector<std::string>& values) {
        Json& out = json_[key] = Json::array();
        for (const std::string& value : values)
            out.push_back(to_json_text(cut(value)));
    }

private:
    void null(const char* key) { json_[key] = nullptr; }
    [[nodiscard]] std::string cut(const std::string& value) const {
        return shorten_utf8(value, longest_);
    }

    std::size_t longest_;
    Json json_ = Json::object();
};

}  // namespace spool
