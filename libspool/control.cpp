#include "libspool/control.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <tuple>

#include "libspool/array_spec.h"
#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view request_ending = ".request", reply_ending = ".reply";
constexpr std::uint64_t largest_request = 64 << 10;
constexpr std::int64_t millisecond = 1'000'000, reply_lifetime = 60'000 * millisecond;

std::string in_control(const Spool& spool, std::string_view name) {
    return spool.path + "/control/" + std::string(name);
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

/// The nonce in the name of a request or reply file, if it is one that may become part of a name.
std::optional<std::string> nonce_of(std::string_view name, std::string_view ending) {
    if (!name.ends_with(ending)) return std::nullopt;
    const std::string_view nonce = name.substr(0, name.size() - ending.size());
    const bool plain =
        !nonce.empty() && nonce.size() <= 64 && std::all_of(nonce.begin(), nonce.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        });
    return plain ? std::optional(std::string(nonce)) : std::nullopt;
}

constexpr std::string_view job_verbs[] = {"cancel",  "priority", "top",     "hold",
                                          "release", "suspend",  "continue"};
constexpr std::string_view verbs[] = {"cancel",     "priority",      "top",        "hold",
                                      "release",    "drain",         "undrain",    "reload",
                                      "gpu-drain",  "gpu-undrain",   "gpu-ignore", "gpu-heed",
                                      "group-hold", "group-release", "suspend",    "continue"};

bool is_verb(std::string_view verb) {
    return std::find(std::begin(verbs), std::end(verbs), verb) != std::end(verbs);
}

std::string text_of(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? from_json_text(found->get<std::string>())
                                                     : std::string();
}

Result<Request> parse_request(const std::string& bytes, const std::string& path) {
    const Json json = Json::parse(bytes, nullptr, false);
    if (!json.is_object()) return content_error(path, std::nullopt, "not a JSON object");
    const auto verb = json.find("verb"), job = json.find("job"), at = json.find("at");
    if (verb == json.end() || !verb->is_string() || !is_verb(verb->get<std::string>()))
        return content_error(
            path, std::nullopt,
            "'verb' must be one of " + joined({std::begin(verbs), std::end(verbs)}, ", "));
    Request out;
    out.verb = verb->get<std::string>();
    if (job != json.end() && job->is_number_unsigned()) out.job = job->get<std::uint64_t>();
    if (is_job_verb(out.verb) && !out.job)
        return content_error(path, std::nullopt,
                             "'" + out.verb + "' needs 'job', the number of a job");
    out.subject = text_of(json, "subject");
    out.reason = text_of(json, "reason");
    out.tasks = text_of(json, "tasks");
    const bool may_have_tasks =
        out.verb == "cancel" || out.verb == "suspend" || out.verb == "continue";
    if (!out.tasks.empty() && (!may_have_tasks || !parse_tasks(out.tasks)))
        return content_error(path, std::nullopt,
                             "'tasks' is a list such as 3-5,8, and goes with cancel, suspend and "
                             "continue");
    if ((out.verb.starts_with("gpu-") || out.verb.starts_with("group-") ||
         out.verb == "priority") &&
        out.subject.empty())
        return content_error(path, std::nullopt,
                             "'" + out.verb + "' needs 'subject': what is meant");
    if (at != json.end() && at->is_string())
        out.at = parse_time(at->get<std::string>()).value_or(0);
    return out;
}

/// Waits for nothing and changes nothing: an entry that is no regular file, or is still empty, is
/// passed over.
bool is_request_file(Spool& spool, const std::string& name) {
    const Result<FileStat> stat = spool.files->stat_at(spool.control.get(), name);
    return stat && stat->kind == FileKind::regular && stat->size > 0;
}

}  // namespace

bool is_job_verb(std::string_view verb) {
    return std::find(std::begin(job_verbs), std::end(job_verbs), verb) != std::end(job_verbs);
}

Result<Request> send_request(Spool& spool, Request request, const Clock& clock) {
    request.nonce = random_hex();
    request.at = clock.wall() / millisecond * millisecond;  // as much as the file can say
    Json json{{"verb", request.verb}};
    if (request.job) json["job"] = *request.job;
    if (!request.subject.empty()) json["subject"] = to_json_text(request.subject);
    if (!request.tasks.empty()) json["tasks"] = request.tasks;
    if (!request.reason.empty()) json["reason"] = to_json_text(request.reason);
    json["at"] = format_time(request.at);
    const std::string name = request.nonce + std::string(request_ending);
    return write_atomically(spool, spool.control.get(), name, dump(json), true).map([&] {
        return request;
    });
}

Result<std::optional<Reply>> read_reply(Spool& spool, const Request& request) {
    const std::string name = request.nonce + std::string(reply_ending);
    const Result<std::string> bytes =
        read_whole(*spool.files, spool.control.get(), name, largest_request);
    if (!bytes && bytes.error().code == ENOENT) return std::nullopt;
    if (!bytes) return tl::unexpected(bytes.error());
    const Json json = Json::parse(*bytes, nullptr, false);
    if (!json.is_object())
        return content_error(in_control(spool, name), std::nullopt, "not a JSON object");
    Reply out;
    if (const auto ok = json.find("ok"); ok != json.end() && ok->is_boolean())
        out.ok = ok->get<bool>();
    if (const auto message = json.find("message"); message != json.end() && message->is_string())
        out.message = message->get<std::string>();
    return std::optional(std::move(out));
}

Result<std::vector<Request>> read_requests(Spool& spool) {
    const Result<std::vector<DirectoryEntry>> entries = spool.files->list(spool.control.get());
    if (!entries) return tl::unexpected(entries.error());
    std::vector<Request> out;
    for (const DirectoryEntry& entry : *entries) {
        const std::optional<std::string> nonce = nonce_of(entry.name, request_ending);
        if (!nonce || !is_request_file(spool, entry.name)) continue;
        Result<Request> request =
            read_whole(*spool.files, spool.control.get(), entry.name, largest_request)
                .and_then([&](const std::string& bytes) {
                    return parse_request(bytes, in_control(spool, entry.name));
                });
        if (!request && request.error().code != 0)
            continue;  // not readable now; looked at again later
        Request known = request.value_or(Request{});
        known.nonce = *nonce;
        if (request)
            out.push_back(std::move(known));
        else  // whoever asked knows nothing of the file's name
            (void)answer(spool, known, Reply{false, request.error().message});
    }
    std::sort(out.begin(), out.end(), [](const Request& a, const Request& b) {
        return std::tie(a.at, a.nonce) < std::tie(b.at, b.nonce);
    });
    return out;
}

Result<void> answer(Spool& spool, const Request& request, const Reply& reply) {
    const Json json{{"ok", reply.ok}, {"message", reply.message}};
    return write_atomically(spool, spool.control.get(), request.nonce + std::string(reply_ending),
                            dump(json), false)
        .and_then([&] {
            return spool.files->remove(spool.control.get(),
                                       request.nonce + std::string(request_ending));
        });
}

Result<std::optional<std::string>> pause_reason(Spool& spool) {
    const Result<FileStat> stat = spool.files->stat_at(spool.control.get(), "pause");
    if (!stat && stat.error().code == ENOENT) return std::nullopt;
    if (!stat) return tl::unexpected(stat.error());
    if (stat->kind != FileKind::regular) return std::optional(std::string());
    const Result<OpenFile> file =
        open_file(*spool.files, spool.control.get(), "pause", OpenMode::read);
    if (!file) return std::optional(std::string());  // that it is there is what counts
    std::string text = spool.files->read(file->get(), 0, 4096).value_or(std::string());
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.pop_back();
    return std::optional(std::move(text));
}

Result<void> set_pause(Spool& spool, const std::string& reason) {
    return write_atomically(spool, spool.control.get(), "pause",
                            reason.empty() ? "" : reason + '\n', true);
}

Result<void> clear_pause(Spool& spool) {
    const Result<void> removed = spool.files->remove(spool.control.get(), "pause");
    if (!removed && removed.error().code != ENOENT) return removed;
    return spool.files->sync(spool.control.get(), true);
}

void remove_old_replies(Spool& spool, const Clock& clock) {
    const Result<std::vector<DirectoryEntry>> entries = spool.files->list(spool.control.get());
    if (!entries) return;
    for (const DirectoryEntry& entry : *entries) {
        if (!nonce_of(entry.name, reply_ending)) continue;
        const Result<FileStat> stat = spool.files->stat_at(spool.control.get(), entry.name);
        if (stat && stat->kind == FileKind::regular &&
            clock.wall() - stat->modified > reply_lifetime)
            (void)spool.files->remove(spool.control.get(), entry.name);
    }
}

}  // namespace spool
