#include "libspool/json_job.h"

#include <algorithm>
#include <set>

#include "libspool/job_file.h"
#include "libspool/json_text.h"
#include "libspool/names.h"
#include "libspool/settings.h"
#include "libspool/submit_info.h"

namespace spool {

namespace {

using Json = nlohmann::json;

constexpr std::string_view command_key = "command", submit_key = "spool_submit";
/// True where the strings of a job are written by `to_json_text`, because one of them is not UTF-8.
constexpr std::string_view escaped_key = "escaped";
constexpr std::string_view default_shell = "bash -eo pipefail";

/// All keys as they are usually written in JSON, for suggestions.
std::vector<std::string> known_keys() {
    std::vector<std::string> keys = setting_names();
    for (std::string& key : keys)
        std::replace(key.begin(), key.end(), '-', '_');
    for (const std::string_view key : {command_key, submit_key, escaped_key})
        keys.emplace_back(key);
    return keys;
}

/// Reads one job; holds what is needed for the line of an error.
class JsonJob {
public:
    JsonJob(std::string_view text, const std::string& path, Contradictions contradictions)
        : text_(text), path_(path), contradictions_(contradictions) {}

    Result<JobSpec> read() {
        auto parsed = parse_json(text_, path_);
        if (!parsed) return tl::unexpected(with_hint(parsed.error()));
        json_ = std::move(*parsed);
        if (!json_.is_object()) return content_error(path_, 1, "a JSON job is one object");
        spec_.kind = JobSpec::Kind::command;
        const std::vector<JsonMember> members = object_members(text_);
        if (auto prepared = prepare(members); !prepared) return tl::unexpected(prepared.error());
        ContradictionWatch watch;
        for (const JsonMember& member : members) {
            if (auto read = read_member(member); !read) return tl::unexpected(read.error());
            watch.note(spec_, line(member.key_begin));
        }
        const bool refuses = contradictions_ == Contradictions::refused;
        if (auto good = watch.verdict(spec_, path_); refuses && !good)
            return tl::unexpected(good.error());
        if (spec_.command.empty() && !has_shell_text_)
            return content_error(path_, 1,
                                 "a JSON job needs \"command\": a list of strings, or a string");
        if (has_shell_text_) use_shell();
        return std::move(spec_);
    }

private:
    static Error with_hint(Error error) {
        error.message +=
            " (a file that begins with { is read as JSON; begin a shell script with a #! line)";
        return error;
    }

    [[nodiscard]] int line(std::size_t offset) const { return line_of(text_, offset); }

    tl::unexpected<Error> fail(const JsonMember& member, const std::string& message) const {
        return content_error(path_, line(member.key_begin), message);
    }

    /// Whole-object rules: no key twice; whether strings are escaped.
    Result<void> prepare(const std::vector<JsonMember>& members) {
        std::set<std::string_view> seen;
        for (const JsonMember& member : members)
            if (!seen.insert(member.key).second)
                return fail(member, "the key '" + printable(member.key) + "' is given twice");
        const auto escaped = json_.find(std::string(escaped_key));
        escaped_ = escaped != json_.end() && *escaped == true;
        return {};
    }

    Result<void> read_member(const JsonMember& member) {
        const Json& value = json_.at(member.key);
        if (member.key == command_key) return read_command(member, value);
        if (member.key == submit_key) return read_submit(member, value);
        if (member.key == escaped_key) {
            if (!value.is_boolean()) return fail(member, "'escaped' is true or false");
            return {};
        }
        const Setting* setting = find_setting(member.key);
        if (!setting)
            return fail(member, "unknown key '" + printable(member.key) + "'" +
                                    suggestion(member.key, known_keys()));
        if (setting->name == "env") return read_environment(member, value, *setting);
        if (value.is_array() && setting->list) {
            for (const Json& element : value)
                if (auto set = apply(member, element, *setting); !set) return set;
            return {};
        }
        return apply(member, value, *setting);
    }

    /// A scalar as the text that a directive would have. Nothing for what has no such text.
    [[nodiscard]] std::optional<std::string> scalar(const Json& value) const {
        std::string text;
        if (value.is_string())
            text = decoded(value);
        else if (value.is_number_integer())
            text = value.dump();
        else
            return std::nullopt;
        if (text.find('\0') != text.npos) return std::nullopt;
        return text;
    }

    [[nodiscard]] std::string decoded(const Json& value) const {
        const auto& text = value.get_ref<const std::string&>();
        return escaped_ ? from_json_text(text) : text;
    }

    Result<void> apply(const JsonMember& member, const Json& value, const Setting& setting) {
        const auto text = setting.flag && value.is_boolean()
                              ? std::optional<std::string>(value.get<bool>() ? "yes" : "no")
                              : scalar(value);
        if (text && setting.apply(spec_, *text)) return {};
        return fail(member, bad_value(setting, "'" + member.key + "'", shown(value, text)));
    }

    static std::string shown(const Json& value, const std::optional<std::string>& text) {
        if (text) return *text;
        if (value.is_structured()) return value.is_array() ? "a list" : "an object";
        return value.is_string() ? "a string with a NUL byte" : value.dump();
    }

    Result<void> read_environment(const JsonMember& member, const Json& value,
                                  const Setting& setting) {
        if (!value.is_object()) return fail(member, "'env' is an object: {\"NAME\": \"value\"}");
        for (const JsonMember& variable : object_members(text_, member.value_begin)) {
            const auto text = scalar(value.at(variable.key));
            const std::string name = escaped_ ? from_json_text(variable.key) : variable.key;
            const bool named =
                !name.empty() && name.find_first_of(std::string("=\0", 2)) == name.npos;
            if (!text)
                return fail(variable,
                            "the value of '" + printable(name) + "' in 'env' is not a string");
            if (!named || !setting.apply(spec_, name + "=" + *text))
                return fail(variable, "'" + printable(name) + "' is no name of a variable");
        }
        return {};
    }

    Result<void> read_command(const JsonMember& member, const Json& value) {
        if (value.is_string()) return read_shell_text(member, value);
        const std::vector<std::size_t> places = list_elements(text_, member.value_begin);
        if (!value.is_array() || value.empty())
            return fail(member, "'command' is a list of strings, or a string for the shell");
        for (std::size_t i = 0; i < value.size(); ++i) {
            const auto text = value[i].is_string() ? scalar(value[i]) : std::nullopt;
            if (!text)
                return content_error(path_, line(places.at(i)),
                                     "'command' is a list of strings: element " +
                                         std::to_string(i + 1) + " is " +
                                         shown(value[i], std::nullopt));
            spec_.command.push_back(*text);
        }
        if (spec_.command.front().empty()) return fail(member, "the program in 'command' is empty");
        return {};
    }

    Result<void> read_shell_text(const JsonMember& member, const Json& value) {
        const auto text = scalar(value);
        if (!text) return fail(member, "'command' has a NUL byte in it");
        if (text->find_first_not_of(" \t\r\n") == text->npos)
            return fail(member, "'command' is empty");
        shell_text_ = *text;
        has_shell_text_ = true;
        return {};
    }

    /// After all keys: "shell" may stand behind "command".
    void use_shell() {
        const std::string shell = spec_.shell.empty() ? std::string(default_shell) : spec_.shell;
        if (!split_words(shell, spec_.command) || spec_.command.empty()) spec_.command = {shell};
        spec_.command.push_back("-c");
        spec_.command.push_back(shell_text_);
    }

    Result<void> read_submit(const JsonMember& member, const Json& value) {
        auto submit = read_submit_info(value);
        if (!submit)
            return fail(member, "'spool_submit' cannot be understood (" + submit.error() +
                                    "): remove it to queue the file anew");
        spec_.submit = std::move(*submit);
        return {};
    }

    std::string_view text_;
    const std::string& path_;
    Contradictions contradictions_;
    Json json_;
    JobSpec spec_;
    std::string shell_text_;
    bool has_shell_text_ = false;
    bool escaped_ = false;
};

/// `bytes` without the member at `index`, its comma included.
std::string without_member(std::string_view bytes, const std::vector<JsonMember>& members,
                           std::size_t index) {
    std::size_t begin = members[index].key_begin, end = members[index].value_end;
    if (index > 0)
        begin = members[index - 1].value_end;
    else if (members.size() > 1)
        end = members[1].key_begin;
    return std::string(bytes.substr(0, begin)) + std::string(bytes.substr(end));
}

}  // namespace

bool is_json_job(std::string_view bytes) {
    const std::size_t start = bytes.find_first_not_of(" \t\r\n");
    return start != bytes.npos && bytes[start] == '{';
}

Result<JobSpec> read_json_job(std::string_view bytes, const std::string& path,
                              Contradictions contradictions) {
    return JsonJob(bytes, path, contradictions).read();
}

Result<std::string> json_with_submit_info(std::string_view bytes, const SubmitInfo& submit) {
    const auto parsed = parse_json(bytes, {});
    if (!parsed) return tl::unexpected(parsed.error());
    std::string text(bytes);
    std::vector<JsonMember> members = object_members(text);
    const auto is_submit = [](const JsonMember& member) { return member.key == submit_key; };
    const auto older = std::find_if(members.begin(), members.end(), is_submit);
    if (std::count_if(members.begin(), members.end(), is_submit) > 1)
        return content_error({}, std::nullopt, "the key 'spool_submit' is given twice");
    if (older != members.end()) {
        text = without_member(text, members, static_cast<std::size_t>(older - members.begin()));
        members = object_members(text);
    }
    const std::string member = "\"" + std::string(submit_key) + "\": " + write_submit_info(submit);
    const std::size_t at = members.empty() ? text.find('{') + 1 : members.back().value_end;
    return text.insert(at, (members.empty() ? "" : ",\n  ") + member);
}

}  // namespace spool
