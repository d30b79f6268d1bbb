#include "cli/job_options.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libspool/directives.h"
#include "libspool/job_file.h"
#include "libspool/json_job.h"
#include "libspool/submit_info.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;

/// One #SPOOL line; a value that does not fit on a line is refused.
spool::Result<std::string> directive(const std::string& word) {
    if (word.find_first_of(std::string_view("\n\r\0", 3)) != word.npos)
        return spool::content_error({}, std::nullopt,
                                    "the value of " + word.substr(0, word.find('=')) +
                                        " has a line feed in it; put it into the script itself");
    const bool plain = word.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                           "-_=./:,+@%") == word.npos;
    return "#SPOOL " + (plain ? word : spool::shell_quote({word})) + '\n';
}

std::string assignment(std::string name, const std::string& value) {
    name += '=';
    return name += value;
}

spool::Result<std::string> directives(const JobOptions& options, bool with_environment) {
    std::vector<std::string> words;
    for (const auto& [key, value] : options.settings)
        words.push_back(assignment("--" + key, value));
    if (with_environment)
        for (const auto& [name, value] : options.environment)
            words.push_back(assignment("--env=" + name, value));
    std::string out;
    for (const std::string& word : words) {
        const auto line = directive(word);
        if (!line) return line;
        out += *line;
    }
    return out;
}

/// The offset of the first line that is neither blank nor a comment, or of a last line that was
/// added by an earlier submit.
std::size_t first_command(const std::string& script) {
    std::size_t start = 0;
    for (const std::string_view line : spool::split_lines(script)) {
        if (!spool::is_idle_line(line) || line.starts_with(spool::submit_marker)) return start;
        start += line.size() + 1;
    }
    return std::min(start, script.size());
}

spool::Result<std::string> json_with_options(const std::string& bytes, const JobOptions& options) {
    Json job = Json::parse(bytes, nullptr, false, true);
    if (!job.is_object())
        return spool::content_error({}, std::nullopt,
                                    "the file begins with { and is not a JSON object");
    for (const auto& [key, value] : options.settings) {
        const auto number = spool::parse_integer(value);
        job[key] = number && key != "time" ? Json(*number) : Json(value);
    }
    for (const auto& [name, value] : options.environment)
        job["env"][name] = value;
    return job.dump(2, ' ', false, Json::error_handler_t::strict) + '\n';
}

bool is_interpreter(const std::string& program) {
    static constexpr std::string_view known[] = {"python", "bash", "sh",         "Rscript",
                                                 "julia",  "perl", "accelerate", "torchrun",
                                                 "uv",     "srun", "node"};
    const std::string letters = program.substr(0, program.find_first_of("0123456789."));
    return std::find(std::begin(known), std::end(known), letters) != std::end(known);
}

}  // namespace

spool::Result<std::string> command_job(const std::vector<std::string>& command,
                                       const JobOptions& options,
                                       spool::Contradictions contradictions) {
    // The directives' own reader checks the values, so that there is one table of what is allowed.
    const auto lines = directives(options, false);
    if (!lines) return lines;
    const auto read = contradictions == spool::Contradictions::refused ? spool::read_new_job_file
                                                                       : spool::read_job_file;
    auto spec = read(*lines + "true\n", "options");
    if (!spec) {
        spec.error().line.reset();
        spec.error().path.clear();
        return tl::unexpected(spec.error());
    }
    spec->kind = spool::JobSpec::Kind::command;
    spec->command = command;
    spec->environment = options.environment;
    return spool::write_command_job(*spec);
}

spool::Result<std::string> with_options(const std::string& bytes, const JobOptions& options) {
    if (options.settings.empty() && options.environment.empty()) return bytes;
    if (spool::is_json_job(bytes)) return json_with_options(bytes, options);
    return directives(options, true).map([&](const std::string& lines) {
        std::string out = bytes;
        const std::size_t at = first_command(bytes);
        const bool unfinished_line = at > 0 && bytes[at - 1] != '\n';
        return out.insert(at, unfinished_line ? '\n' + lines : lines);
    });
}

std::string name_of_command(const std::vector<std::string>& command) {
    if (command.empty()) return {};
    const std::string program = spool::base_name(command.front());
    if (!is_interpreter(program)) return program;
    for (std::size_t i = 1; i < command.size(); ++i) {
        if (command[i] == "-m" && i + 1 < command.size()) return command[i + 1];
        if (command[i].starts_with('-')) continue;
        const std::string script = spool::base_name(command[i]);
        const std::size_t dot = script.rfind('.');
        if (dot != script.npos && dot > 0) return script.substr(0, dot);
    }
    return program;
}

}  // namespace cli
