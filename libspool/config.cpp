#include "libspool/config.h"

#include <algorithm>

#include "libspool/json_text.h"
#include "libspool/keyed_object.h"
#include "libspool/names.h"
#include "libspool/settings.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {

namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr int most_cpu_slots = 65'536, most_settle_ms = 600'000, most_gpus = 1024;

std::optional<std::string> as_text(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    auto text = value.get<std::string>();
    if (text.find('\0') != text.npos) return std::nullopt;
    return text;
}

/// A whole number as written; nothing for any other value, or one that 64 bits do not hold.
std::optional<std::int64_t> as_integer(const Json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    return parse_integer(value.dump());
}

bool set_text(std::string& out, const Json& value) {
    const auto text = as_text(value);
    if (text) out = *text;
    return text.has_value();
}

bool set_duration(milliseconds& out, const Json& value) {
    const auto text = value.is_number_integer() ? value.dump() : as_text(value);
    const auto duration = text ? parse_duration(*text) : std::nullopt;
    if (duration) out = *duration;
    return duration.has_value();
}

bool set_settle(Config& config, const Json& value) {
    const auto number = number_up_to(most_settle_ms, value);
    if (number) config.settle = milliseconds(*number);
    return number.has_value();
}

bool set_cpus(Config& config, const Json& value) {
    config.cpus = number_up_to(most_cpu_slots, value);
    return config.cpus && *config.cpus > 0;
}

bool set_memory(Config& config, const Json& value) {
    config.memory =
        parse_memory(value.is_number_integer() ? value.dump() : as_text(value).value_or(""));
    return config.memory && *config.memory > 0;
}

/// A list of texts, in which numbers are allowed.
std::optional<std::vector<std::string>> as_list(const Json& value) {
    if (!value.is_array()) return std::nullopt;
    std::vector<std::string> list;
    for (const Json& entry : value) {
        const auto number = as_integer(entry);
        const auto text = number && *number >= 0 ? std::to_string(*number) : as_text(entry);
        if (!text) return std::nullopt;
        list.push_back(*text);
    }
    return list;
}

bool set_gpus(Config& config, const Json& value) {
    config.gpus.reset();
    if (value == "auto") return true;
    config.gpus = as_list(value);
    return config.gpus &&
           std::all_of(config.gpus->begin(), config.gpus->end(),
                       [](const std::string& slot) { return slot_problem(slot).empty(); });
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// "0", "GPU-8f6d…", "MIG-…", "81:00.0"
bool may_be_gpu(std::string_view part) {
    const bool is_index = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    return is_index || part.starts_with("GPU-") || part.starts_with("MIG-") ||
           part.starts_with("AMD-") || part.find(':') != part.npos;
}

bool set_drained(Config& config, const Json& value) {
    const auto list = as_list(value);
    if (list) config.gpus_drained = *list;
    return list.has_value();
}

bool set_bind(Config& config, const Json& value) {
    config.bind_by_id = value == "uuid";
    return config.bind_by_id || value == "index";
}

bool set_desktop_share(Config& config, const Json& value) {
    if (!value.is_number()) return false;
    config.gpu_rules.desktop_share = value.get<double>();
    return config.gpu_rules.desktop_share >= 0 && config.gpu_rules.desktop_share <= 1;
}

bool set_ignored_programs(Config& config, const Json& value) {
    const bool are_names =
        value.is_array() && std::all_of(value.begin(), value.end(),
                                        [](const Json& v) { return v.is_string() && v != ""; });
    const auto list = are_names ? as_list(value) : std::nullopt;
    if (list) config.gpu_rules.ignored_programs = {list->begin(), list->end()};
    return list.has_value();
}

bool set_unexplained_memory(Config& config, const Json& value) {
    const auto amount =
        parse_memory(value.is_number_integer() ? value.dump() : as_text(value).value_or(""));
    config.gpu_rules.unexplained = amount.value_or(0);
    return amount.has_value();
}

bool set_labels(Config& config, const Json& value) {
    const auto list = as_list(value);
    if (list) config.labels = {list->begin(), list->end()};
    return list && std::all_of(list->begin(), list->end(), [](const std::string& label) {
               return !label.empty() && label.find_first_of(", \t") == label.npos;
           });
}

bool set_number(std::optional<int>& out, int most, const Json& value) {
    out = number_up_to(most, value);
    return out.has_value();
}

bool set_flag(bool& out, const Json& value) {
    if (value.is_boolean()) out = value.get<bool>();
    return value.is_boolean();
}

bool set_environment(Config& config, const Json& value) {
    if (!value.is_object()) return false;
    for (const auto& [name, entry] : value.items()) {
        const auto text = entry.is_number() ? entry.dump() : as_text(entry);
        if (!text || name.empty() || name.find_first_of(std::string("=\0", 2)) != name.npos)
            return false;
        config.environment[name] = *text;
    }
    return true;
}

constexpr std::string_view a_duration = "seconds, or a time such as \"10s\" or \"2m\"";

constexpr ObjectKey<Config> keys[] = {
    {"gpus",
     "\"auto\" or a list of slots such as [0, 1] or [\"0,1\", \"2,3\"], of indexes, UUIDs or PCI "
     "addresses, \"\" for a slot without a GPU",
     set_gpus},
    {"bind", "\"index\" or \"uuid\"", set_bind},
    {"max_gpus", "a number from 0 to 1024",
     [](Config& c, const Json& v) { return set_number(c.max_gpus, most_gpus, v); }},
    {"gpus_drained", "a list of GPUs such as [2, \"GPU-8f6d02a1\"]", set_drained},
    {"desktop_share", "a number from 0 to 1", set_desktop_share},
    {"ignored_programs", "a list of programs such as [\"Xorg\"]", set_ignored_programs},
    {"unexplained_memory", "an amount of memory such as 1000 (megabytes) or \"2G\"",
     set_unexplained_memory},
    {"cpu_slots", "a number from 0 to 65536",
     [](Config& c, const Json& v) { return set_number(c.cpu_slots, most_cpu_slots, v); }},
    {"cpus", "a number from 1 to 65536", set_cpus},
    {"mem", "an amount of memory such as 64000 (megabytes) or \"64G\"", set_memory},
    {"labels", "a list of words without commas and blanks, such as [\"nvlink\", \"bigmem\"]",
     set_labels},
    {"settle_ms", "milliseconds, from 0 to 600000", set_settle},
    {"grace", a_duration, [](Config& c, const Json& v) { return set_duration(c.grace, v); }},
    {"leftover_grace", a_duration,
     [](Config& c, const Json& v) { return set_duration(c.leftover_grace, v); }},
    {"enforce_limits", "true or false",
     [](Config& c, const Json& v) { return set_flag(c.enforce_limits, v); }},
    {"inhibit_sleep", "true or false",
     [](Config& c, const Json& v) { return set_flag(c.inhibit_sleep, v); }},
    {"hook_timeout", a_duration,
     [](Config& c, const Json& v) { return set_duration(c.hook_timeout, v); }},
    {"cwd", "a directory, as a string",
     [](Config& c, const Json& v) { return set_text(c.directory, v); }},
    {"env", "an object such as {\"NAME\": \"value\"}", set_environment},
    {"shell", "a program and its options, as a string",
     [](Config& c, const Json& v) { return set_text(c.shell, v); }},
};

}  // namespace

Result<Config> read_config(std::string_view bytes, const std::string& path) {
    const std::string text = without_comments(bytes);
    if (text.find_first_not_of(" \t\r\n") == text.npos)
        return content_error(path, std::nullopt,
                             "the file is empty: write {} into it, or remove it, for the defaults");
    const auto json = parse_json(text, path);
    if (!json) return tl::unexpected(json.error());
    if (!json->is_object())
        return content_error(path, line_of(text, text.find_first_not_of(" \t\r\n")),
                             "the settings are one object: {\"gpus\": [0, 1]}");
    Config config;
    if (auto read = read_keyed_object(config, *json, text, path, keys); !read)
        return tl::unexpected(read.error());
    return config;
}

std::string slot_problem(const std::string& text) {
    static constexpr std::string_view accepted =
        ": a slot is a list of indexes (0,1), UUIDs (GPU-..., MIG-...) or PCI addresses; \"\" is a "
        "slot without a GPU; auto alone means all GPUs of the machine";
    const auto problem = [](std::string_view what) { return std::string(what).append(accepted); };
    if (text.empty()) return {};
    if (std::any_of(text.begin(), text.end(), is_control))
        return problem("'" + printable(text) + "' has control characters");
    for (std::string_view part : split_at(text, ',')) {
        part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
        part = part.substr(0, part.find_last_not_of(' ') + 1);
        if (part.empty()) return problem("'" + printable(text) + "' names nothing at one place");
        if (!may_be_gpu(part)) return problem("'" + printable(part) + "' can be no GPU");
    }
    return {};
}

std::vector<std::string> gpu_slots_from_arguments(const std::vector<std::string>& arguments) {
    if (arguments.size() != 1) return arguments;
    const auto slots = split_at(arguments.front(), ',');
    return {slots.begin(), slots.end()};
}

}  // namespace spool
