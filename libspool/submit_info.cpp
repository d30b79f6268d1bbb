#include "libspool/submit_info.h"

#include "libspool/json_fields.h"
#include "libspool/json_writer.h"

namespace spool {

std::string write_submit_info(const SubmitInfo& submit) {
    JsonWriter out;
    out.text("spool", submit.spool);
    out.number("number", submit.number);
    out.bytes("directory", submit.directory);
    if (!submit.environment.empty()) out.bytes("environment", submit.environment);
    if (!submit.secrets.empty()) out.bytes_list("secrets", submit.secrets);
    if (!submit.arguments.empty()) out.bytes_list("arguments", submit.arguments);
    out.text("submitted_at", submit.submitted_at);
    if (submit.retry_of) out.number("retry_of", *submit.retry_of);
    if (!submit.array.empty()) out.text("array", submit.array);
    return out.take().dump(-1, ' ', true);
}

tl::expected<SubmitInfo, std::string> read_submit_info(const nlohmann::json& json) {
    SubmitInfo out;
    std::string error;
    const JsonFields fields(json, error);
    fields.text("spool", out.spool);
    fields.number("number", out.number);
    fields.bytes("directory", out.directory);
    fields.bytes("environment", out.environment);
    fields.bytes_list("secrets", out.secrets);
    fields.bytes_list("arguments", out.arguments);
    fields.text("submitted_at", out.submitted_at);
    fields.number("retry_of", out.retry_of);
    fields.text("array", out.array);
    if (!out.array.empty() && !parse_tasks(out.array)) error = "'array' is no list of tasks";
    const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
    if (has_nul(out.directory) || has_nul(out.environment)) error = "a value has a NUL byte in it";
    if (!error.empty()) return tl::unexpected(error);
    return out;
}

}  // namespace spool
