// Enumerations that have a name in files: one table for both directions.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace spool {

template <typename Value>
struct Named {
    Value value;
    std::string_view name;
};

/// Every value must be in the table.
template <typename Value, std::size_t count>
[[nodiscard]] constexpr std::string_view name_in(const Named<Value> (&table)[count], Value value) {
    for (const Named<Value>& entry : table)
        if (entry.value == value) return entry.name;
    return {};
}

template <typename Value, std::size_t count>
[[nodiscard]] constexpr std::optional<Value> value_in(const Named<Value> (&table)[count],
                                                      std::string_view name) {
    for (const Named<Value>& entry : table)
        if (entry.name == name) return entry.value;
    return std::nullopt;
}

}  // namespace spool
