#include "libspool/job_file.h"

#include <algorithm>

#include "libspool/directives.h"
#include "libspool/json_job.h"
#include "libspool/json_text.h"
#include "libspool/names.h"
#include "libspool/submit_info.h"
#include "libspool/values.h"

namespace spool {

namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";

/// A script in two parts. `submit` is the text after the marker of the last line, if that is what
/// it is.
struct Parts {
    std::string_view script;
    std::optional<std::string_view> submit;
};

Parts split_submit_line(std::string_view bytes) {
    const std::string_view body = bytes.ends_with('\n') ? bytes.substr(0, bytes.size() - 1) : bytes;
    const std::size_t feed = body.rfind('\n');
    const std::size_t start = feed == body.npos ? 0 : feed + 1;
    const auto text = directive_text(body.substr(start), submit_marker);
    if (!text || is_json_job(bytes)) return {bytes, std::nullopt};
    return {bytes.substr(0, start), text};
}

/// What no shell and no JSON reader would take as it was meant.
Result<void> check_bytes(std::string_view bytes, const std::string& path) {
    using std::string_view_literals::operator""sv;
    for (const std::string_view mark : {"\xEF\xBB\xBF"sv, "\xFF\xFE"sv, "\xFE\xFF"sv})
        if (bytes.starts_with(mark))
            return content_error(path, 1,
                                 "the file begins with a byte order mark: save it as UTF-8 without "
                                 "one (sed -i '1s/^\\xEF\\xBB\\xBF//' removes that of UTF-8)");
    if (const std::size_t nul = bytes.find('\0'); nul != bytes.npos)
        return content_error(path, line_of(bytes, nul),
                             "NUL byte: this is no text file (or is UTF-16: save it as UTF-8)");
    std::size_t dos = bytes.find("\r\n");
    if (dos == bytes.npos && bytes.ends_with('\r')) dos = bytes.size() - 1;
    if (dos != bytes.npos)
        return content_error(path, line_of(bytes, dos),
                             "DOS line end; convert the file with: sed -i 's/\\r$//' " +
                                 printable(shell_quote({path.substr(path.rfind('/') + 1)})));
    return {};
}

std::string read_interpreter(std::string_view script) {
    if (!script.starts_with("#!")) return {};
    const std::string_view line = script.substr(2, script.find('\n') - 2);
    const std::size_t start = line.find_first_not_of(" \t");
    if (start == line.npos) return {};
    return std::string(line.substr(start, line.find_last_not_of(" \t\r") + 1 - start));
}

Result<void> read_submit_line(const Parts& parts, const std::string& path, JobSpec& spec) {
    if (!parts.submit) return {};
    const int line = line_of(parts.script, parts.script.size());
    const auto json = parse_json(*parts.submit, path);
    auto submit = json ? read_submit_info(*json) : tl::unexpected<std::string>("it is not JSON");
    if (!submit)
        return content_error(path, line,
                             "the #SPOOL-SUBMIT line cannot be understood (" + submit.error() +
                                 "): remove it to queue the file anew");
    spec.submit = std::move(*submit);
    return {};
}

Result<JobSpec> read_script(std::string_view bytes, const std::string& path,
                            Contradictions contradictions) {
    const Parts parts = split_submit_line(bytes);
    JobSpec spec;
    spec.interpreter = read_interpreter(parts.script);
    if (auto read = read_directives(parts.script, path, contradictions, spec); !read)
        return tl::unexpected(read.error());
    if (auto read = read_submit_line(parts, path, spec); !read) return tl::unexpected(read.error());
    return spec;
}

Result<JobSpec> read(std::string_view bytes, const std::string& path,
                     Contradictions contradictions) {
    if (bytes.size() > max_job_file_size)
        return content_error(path, std::nullopt, "the file is too large for a job: at most 4 MiB");
    if (auto checked = check_bytes(bytes, path); !checked) return tl::unexpected(checked.error());
    return is_json_job(bytes) ? read_json_job(bytes, path, contradictions)
                              : read_script(bytes, path, contradictions);
}

/// A line that a shell would execute, without the blanks around it; empty if there is none in it.
std::string_view command_of(std::string_view line) {
    if (is_idle_line(line)) return {};
    const std::size_t start = line.find_first_not_of(blanks);
    return line.substr(start, line.find_last_not_of(blanks) + 1 - start);
}

}  // namespace

bool has_command(std::string_view bytes) {
    if (is_json_job(bytes)) return true;
    const std::vector<std::string_view> lines = split_lines(split_submit_line(bytes).script);
    return !std::all_of(lines.begin(), lines.end(), is_idle_line);
}

Result<JobSpec> read_job_file(std::string_view bytes, const std::string& path) {
    return read(bytes, path, Contradictions::allowed);
}

Result<JobSpec> read_new_job_file(std::string_view bytes, const std::string& path) {
    return read(bytes, path, Contradictions::refused);
}

std::string executed_script(std::string_view bytes) {
    return std::string(split_submit_line(bytes).script);
}

Result<std::string> with_submit_info(std::string_view bytes, const SubmitInfo& submit) {
    if (is_json_job(bytes)) return json_with_submit_info(bytes, submit);
    std::string out = executed_script(bytes);
    if (!out.empty() && out.back() != '\n') out += '\n';
    return out + std::string(submit_marker) + " " + write_submit_info(submit) + "\n";
}

std::string command_line(const JobSpec& spec, std::string_view bytes) {
    if (spec.kind == JobSpec::Kind::command) return shell_quote(spec.command);
    std::string out;
    for (const std::string_view line : split_lines(split_submit_line(bytes).script)) {
        const std::string_view command = command_of(line);
        if (command.empty()) continue;
        if (!out.empty()) return out + " …";
        out = command;
    }
    return out;
}

}  // namespace spool
