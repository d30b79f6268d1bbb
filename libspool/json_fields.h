// Typed members of a JSON object that a program wrote: a wrong type is an error, never an
// exception; a member that is missing or null leaves its default; unknown members are ignored.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "libspool/name_table.h"
#include "libspool/names.h"
#include "libspool/values.h"

namespace spool {

class JsonFields {
public:
    using Json = nlohmann::json;

    /// `object` outlives this. `error` receives the first error, as a sentence, and belongs to the
    /// caller.
    JsonFields(const Json& object, std::string& error) : object_(object), error_(error) {
        if (!object.is_object()) fail("an object", "this");
    }

    /// The member, or null if it is missing or null.
    [[nodiscard]] const Json* find(const char* key) const {
        if (!object_.is_object()) return nullptr;
        const auto at = object_.find(key);
        return at == object_.end() || at->is_null() ? nullptr : &*at;
    }

    void fail(const std::string& wanted, const std::string& key) const {
        if (error_.empty()) error_ = "'" + key + "' is not " + wanted;
    }

    void text(const char* key, std::string& out) const {
        if (const Json* value = find(key)) {
            if (!value->is_string()) return fail("a string", key);
            out = value->get<std::string>();
        }
    }
    void text(const char* key, std::optional<std::string>& out) const {
        if (find(key)) text(key, out.emplace());
    }
    /// Bytes, written by to_json_text.
    void bytes(const char* key, std::string& out) const {
        text(key, out);
        if (find(key)) out = from_json_text(out);
    }
    void flag(const char* key, bool& out) const {
        if (const Json* value = find(key)) {
            if (!value->is_boolean()) return fail("true or false", key);
            out = value->get<bool>();
        }
    }
    template <typename Integer>
    void number(const char* key, Integer& out) const {
        static_assert(std::is_integral_v<Integer>);
        if (const Json* value = find(key)) {
            if (!in_range<Integer>(*value)) return fail("a whole number in range", key);
            out = value->get<Integer>();
        }
    }
    template <typename Integer>
    void number(const char* key, std::optional<Integer>& out) const {
        if (find(key)) number(key, out.emplace());
    }
    void number(const char* key, std::optional<double>& out) const {
        if (const Json* value = find(key)) {
            if (!value->is_number()) return fail("a number", key);
            out = value->get<double>();
        }
    }
    /// RFC 3339, in nanoseconds of the wall clock.
    void time(const char* key, std::int64_t& out) const {
        std::string written;
        text(key, written);
        if (written.empty()) return;
        const auto parsed = parse_time(written);
        if (!parsed) return fail("a time", key);
        out = *parsed;
    }
    /// A word of `table`; unlike the others it must be there.
    template <typename Value, typename Table>
    void word(const char* key, Value& out, const Table& table) const {
        std::string name;
        text(key, name);
        const auto value = value_in(table, name);
        if (!value) return fail("a word that this version knows", key);
        out = *value;
    }
    void list(const char* key, std::vector<std::string>& out) const {
        const Json* value = find(key);
        if (!value) return;
        if (!value->is_array()) return fail("a list", key);
        for (const Json& element : *value) {
            if (!element.is_string()) return fail("a list of strings", key);
            out.push_back(element.get<std::string>());
        }
    }
    template <typename Integer>
    void numbers(const char* key, std::vector<Integer>& out) const {
        const Json* value = find(key);
        if (!value) return;
        if (!value->is_array()) return fail("a list", key);
        for (const Json& element : *value) {
            if (!in_range<Integer>(element)) return fail("a list of whole numbers in range", key);
            out.push_back(element.get<Integer>());
        }
    }
    /// A list of bytes, each written by to_json_text.
    void bytes_list(const char* key, std::vector<std::string>& out) const {
        list(key, out);
        for (std::string& value : out)
            value = from_json_text(value);
    }
    /// A list of objects: `read` is called with the fields of each.
    template <typename Read>
    void objects(const char* key, Read read) const {
        const Json* value = find(key);
        if (!value) return;
        if (!value->is_array()) return fail("a list", key);
        for (const Json& element : *value)
            read(JsonFields(element, error_));
    }

private:
    template <typename Integer>
    [[nodiscard]] static bool in_range(const Json& value) {
        using Limits = std::numeric_limits<Integer>;
        if (value.is_number_unsigned())
            return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(Limits::max());
        if (!value.is_number_integer()) return false;
        const auto number = value.get<std::int64_t>();
        if constexpr (std::is_unsigned_v<Integer>)
            return number >= 0 && static_cast<std::uint64_t>(number) <= Limits::max();
        else
            return number >= Limits::min() && number <= Limits::max();
    }

    const Json& object_;
    std::string& error_;
};

}  // namespace spool
