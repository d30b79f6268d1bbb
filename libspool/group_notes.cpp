#include "libspool/group_notes.h"

#include <cerrno>

#include "libspool/json_fields.h"
#include "libspool/json_text.h"
#include "libspool/json_writer.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spool {
namespace {

constexpr const char* file_name = "groups.json";
constexpr std::uint64_t largest = 1 << 20;
constexpr std::int64_t quick = 60'000'000'000;

}  // namespace

std::string write_groups(const HeldGroups& groups) {
    auto held = JsonWriter::Json::array();
    for (const auto& [group, note] : groups) {
        JsonWriter out;
        out.bytes("group", group);
        out.bytes("reason", note.reason);
        out.time("since", note.since);
        held.push_back(out.take());
    }
    return JsonWriter::Json{{"held", held}}.dump(2) + "\n";
}

Result<HeldGroups> read_groups(std::string_view bytes, const std::string& path) {
    const auto json = parse_json(bytes, path);
    if (!json) return tl::unexpected(json.error());
    HeldGroups groups;
    std::string error;
    JsonFields(*json, error).objects("held", [&](const JsonFields& entry) {
        std::string group;
        HeldGroup note;
        entry.bytes("group", group);
        entry.bytes("reason", note.reason);
        entry.time("since", note.since);
        groups[group] = note;
    });
    if (!error.empty()) return content_error(path, std::nullopt, error);
    return groups;
}

Result<HeldGroups> load_groups(Spool& spool) {
    const auto bytes = read_whole(*spool.files, spool.internal.get(), file_name, largest);
    if (!bytes && bytes.error().code == ENOENT) return HeldGroups{};
    if (!bytes) return tl::unexpected(bytes.error());
    return read_groups(*bytes, spool.path + "/.spool/" + file_name);
}

Result<void> store_groups(Spool& spool, const HeldGroups& groups) {
    return write_atomically(spool, spool.internal.get(), file_name, write_groups(groups), true);
}

std::optional<std::string> GroupFailures::note(const JobResult& result) {
    // What was never executed says nothing of the set-up that its group shares.
    const bool ran = result.started_at != 0 && (result.exit_code || result.signal);
    const bool counts = result.state == Outcome::failed || result.state == Outcome::succeeded;
    if (result.group.empty() || !ran || !counts) return std::nullopt;
    if (result.state == Outcome::succeeded || result.ended_at - result.started_at >= quick) {
        jobs_.erase(result.group);
        return std::nullopt;
    }
    auto& jobs = jobs_[result.group];
    jobs.push_back(result.id);
    if (jobs.size() < most) return std::nullopt;
    std::vector<std::string> numbers;
    for (const std::uint64_t job : jobs)
        numbers.push_back(std::to_string(job));
    jobs_.erase(result.group);
    return "jobs " + joined(numbers, ", ") + " failed within a minute of their start";
}

std::string release_command(const std::string& group) {
    return "gpuspool release --group=" + shell_quote({group});
}

}  // namespace spool
