#include "libspool/submit_info.h"

#include "libspool/json_fields.h"
#include "libspool/names.h"
#include "libspool/utf8.h"

namespace spool {

std::string write_submit_info(const SubmitInfo& submit) {
    nlohmann::ordered_json out;
    out["spool"] = valid_text(submit.spool);
    out["number"] = submit.number;
    out["directory"] = to_json_text(submit.directory);
    if (!submit.environment.empty()) out["environment"] = to_json_text(submit.environment);
    for (const std::string& secret : submit.secrets)
        out["secrets"].push_back(to_json_text(secret));
    for (const std::string& argument : submit.arguments)
        out["arguments"].push_back(to_json_text(argument));
    out["submitted_at"] = valid_text(submit.submitted_at);
    if (submit.retry_of) out["retry_of"] = *submit.retry_of;
    return out.dump(-1, ' ', true);
}

tl::expected<SubmitInfo, std::string> read_submit_info(const nlohmann::json& json) {
    SubmitInfo out;
    std::string error;
    const JsonFields fields(json, error);
    fields.text("spool", out.spool);
    fields.number("number", out.number);
    fields.bytes("directory", out.directory);
    fields.bytes("environment", out.environment);
    fields.list("secrets", out.secrets);
    for (std::string& secret : out.secrets)
        secret = from_json_text(secret);
    fields.list("arguments", out.arguments);
    for (std::string& argument : out.arguments)
        argument = from_json_text(argument);
    fields.text("submitted_at", out.submitted_at);
    fields.number("retry_of", out.retry_of);
    const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
    if (has_nul(out.directory) || has_nul(out.environment)) error = "a value has a NUL byte in it";
    if (!error.empty()) return tl::unexpected(error);
    return out;
}

}  // namespace spool
