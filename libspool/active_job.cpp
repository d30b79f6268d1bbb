#include "libspool/active_job.h"

#include <algorithm>

#include "libspool/array_spec.h"
#include "libspool/json_fields.h"
#include "libspool/json_writer.h"
#include "libspool/result_json.h"

namespace spool {
namespace {

using nlohmann::json;

template <typename Fields, Either<ResultFacts> Facts>
void each_member(Fields& fields, Facts& facts) {
    fields.bytes("command", facts.command);
    fields.bytes("profile", facts.profile);
    fields.text("env_source", facts.environment_source);
    fields.number("submitted_at", facts.submitted_at);
    fields.bytes_list("notes", facts.notes);
    fields.bytes_list("secrets", facts.secrets);
    fields.number("retry_of", facts.retry_of);
    fields.flag("cpu_slot", facts.cpu_slot);
    fields.bytes("program", facts.program);
    fields.flag("interprets", facts.interprets);
    fields.number("priority", facts.wishes.priority);
    fields.number("array", facts.array);
    fields.number("task", facts.task);
    fields.bytes("group", facts.group);
    fields.number("mem", facts.memory);
    fields.number("cpus", facts.processors);
}

template <typename Fields, typename Facts>
void each_rule(Fields& fields, Facts& facts) {
    fields.number("retries", facts.rules.retries);
    fields.flag("requeue", facts.rules.requeue);
    fields.number("requeue_exit", facts.rules.requeue_exit);
    fields.number("max_restarts", facts.rules.max_restarts);
    fields.number("retries_so_far", facts.counts.retries);
    fields.number("losses_so_far", facts.counts.losses);
}

/// Most jobs ask for no further attempt: it is not in their records.
nlohmann::ordered_json rules_to_json(const ResultFacts& facts) {
    JsonWriter out;
    each_rule(out, facts);
    auto rules = out.take();
    rules["retry_delay_ms"] = facts.rules.retry_delay.count();
    rules["retry_on"] = exit_codes_text(facts.rules.retry_on);
    rules["earlier"] = attempts_to_json(facts.earlier);
    return rules;
}

void read_rules(const JsonFields& fields, ResultFacts& facts) {
    each_rule(fields, facts);
    std::int64_t delay = facts.rules.retry_delay.count();
    fields.number("retry_delay_ms", delay);
    facts.rules.retry_delay = std::chrono::milliseconds(delay);
    std::string codes;
    fields.text("retry_on", codes);
    facts.rules.retry_on = parse_exit_codes(codes).value_or(std::vector<ExitCodes>());
    facts.earlier = attempts_from_fields(fields, "earlier");
}

/// The devices of slots of which only the texts are known.
std::vector<std::string> make_devices(const std::vector<std::string>& slots) {
    std::vector<std::string> out;
    for (const std::string& slot : slots)
        for (std::string& device : make_gpu_slot(slot).devices)
            out.push_back(std::move(device));
    return out;
}

/// A job that is bound by it was given the same as what its GPU is known by.
bool is_uuid(const std::string& device) {
    return device.starts_with("GPU-") || device.starts_with("MIG-");
}

}  // namespace

std::string write_facts(const ResultFacts& facts) {
    JsonWriter out;
    each_member(out, facts);
    auto all = out.take();
    if (facts.rules.any()) all["again"] = rules_to_json(facts);
    return all.dump();
}

ResultFacts read_facts(std::string_view bytes) {
    ResultFacts facts;
    const json document = json::parse(bytes, nullptr, false);
    std::string ignored;  // facts are for display: what could be read is kept
    const JsonFields fields(document, ignored);
    each_member(fields, facts);
    if (const json* rules = fields.find("again")) read_rules({*rules, ignored}, facts);
    return facts;
}

std::vector<std::string> unenforced_limits(const ResultFacts& facts, const record::Run& run) {
    std::vector<std::string> out;
    if (facts.memory != 0 && (run.limits & record::memory_is_limited) == 0)
        out.push_back("--mem=" + memory_text(facts.memory));
    if (facts.processors != 0 && (run.limits & record::processors_are_limited) == 0)
        out.push_back("--cpus=" + std::to_string(facts.processors));
    return out;
}

GrantedGpus run_gpus(const record::Run& run) {
    const std::size_t length = std::min<std::size_t>(run.gpus_length, sizeof run.gpus);
    json document = json::parse(std::string_view(run.gpus, length), nullptr, false);
    if (document.is_array()) document = json{{"slots", std::move(document)}};
    GrantedGpus gpus;
    std::string ignored;  // what could be read is kept
    const JsonFields fields(document, ignored);
    fields.bytes_list("slots", gpus.texts);
    fields.bytes_list("devices", gpus.devices);
    fields.number("memory", gpus.memory);
    // A list by hand that names GPUs by UUID.
    if (gpus.devices.empty() && gpus.memory == 0) {
        auto devices = make_devices(gpus.texts);
        if (std::all_of(devices.begin(), devices.end(), is_uuid)) gpus.devices = std::move(devices);
    }
    return gpus;
}

std::string write_run_gpus(const GrantedGpus& gpus) {
    JsonWriter out;
    out.bytes_list("slots", gpus.texts);
    out.bytes_list("devices", gpus.devices);
    if (gpus.memory != 0) out.number("memory", gpus.memory);
    JsonWriter::Json document = out.take();
    const bool plain = gpus.memory == 0 && make_devices(gpus.texts) == gpus.devices;
    std::string text = plain ? document["slots"].dump() : document.dump();
    if (text.size() > sizeof(record::Run::gpus)) {
        document.erase("devices");
        text = document.dump();
    }
    return text;
}

std::string ActiveJob::shown_number() const {
    return job_number_text(facts.array != 0 ? facts.array : number, facts.task);
}

std::vector<std::uint32_t> attempts_with_logs(const ActiveJob& job) {
    std::vector<std::uint32_t> out;
    const auto& earlier = job.facts.earlier;
    // Of those that are listed no more, it is taken for granted.
    const auto unlisted = job.attempt - 1 - std::min<std::size_t>(earlier.size(), job.attempt - 1);
    for (std::uint32_t attempt = 1; attempt <= unlisted; ++attempt)
        out.push_back(attempt);
    for (const PastAttempt& past : earlier)
        if (!past.log.empty()) out.push_back(static_cast<std::uint32_t>(past.attempt));
    return out;
}

ActiveJob active_job(RecordFile record, const RecordContent& content, const RecordBody& body) {
    ActiveJob job;
    job.number = content.claim.job;
    job.attempt = content.claim.attempt;
    job.name = content.name();
    job.extension = content.claim.extension;
    job.file_name = content.file_name();
    job.token = content.claim.token;
    job.device = content.claim.device;
    job.inode = content.claim.inode;
    job.directory = body.directory;
    job.facts = read_facts(body.result);
    job.record = std::move(record);
    return job;
}

}  // namespace spool
