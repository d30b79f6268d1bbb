#include "libspool/gpu_lock_text.h"

#include <algorithm>

#include "libspool/json_fields.h"
#include "libspool/json_text.h"
#include "libspool/json_writer.h"

namespace spool {
namespace {

template <typename Fields, Either<LockFileText> Text>
void each_member(Fields& fields, Text& text) {
    fields.bytes_list("gpus", text.gpus);
    fields.text("nonce", text.nonce);
    fields.bytes("spool", text.spool);
    fields.number("job", text.job);
    fields.number("pid", text.pid);
    fields.number("wants", text.wants);
    fields.time("since", text.since);
}

}  // namespace

std::string write_lock_text(const LockFileText& text) {
    JsonWriter out;
    each_member(out, text);
    return out.take().dump() + "\n";
}

std::optional<LockFileText> read_lock_text(std::string_view bytes) {
    const auto json = parse_json(bytes.substr(0, bytes.find('\n')), "lock file");
    if (!json || !json->is_object()) return std::nullopt;
    LockFileText text;
    std::string error;
    const JsonFields fields(*json, error);
    each_member(fields, text);
    if (!error.empty() || text.nonce.empty()) return std::nullopt;
    return text;
}

bool was_made_as(const LockFileText& text, const LockFileName& name) {
    if (text.nonce != name.nonce) return false;
    if (name.kind != LockFileName::Kind::lock) return true;
    return std::any_of(text.gpus.begin(), text.gpus.end(), [&](const std::string& gpu) {
        return escape_gpu_id(gpu) == escape_gpu_id(name.gpu);
    });
}

}  // namespace spool
