#include "libspool/active_job.h"

#include <algorithm>

#include "libspool/array_spec.h"
#include "libspool/json_fields.h"
#include "libspool/json_writer.h"

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
    return out.take().dump();
}

ResultFacts read_facts(std::string_view bytes) {
    ResultFacts facts;
    const json document = json::parse(bytes, nullptr, false);
    std::string ignored;  // facts are for display: what could be read is kept
    const JsonFields fields(document, ignored);
    each_member(fields, facts);
    return facts;
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
