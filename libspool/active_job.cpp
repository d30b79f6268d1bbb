#include "libspool/active_job.h"

#include <nlohmann/json.hpp>

#include "libspool/names.h"

namespace spool {

using nlohmann::json;

namespace {

std::vector<std::string> texts(const json& list) {
    std::vector<std::string> out;
    if (list.is_array())
        for (const json& entry : list)
            if (entry.is_string()) out.push_back(from_json_text(entry.get<std::string>()));
    return out;
}

json json_list(const std::vector<std::string>& texts) {
    json out = json::array();
    for (const std::string& text : texts)
        out.push_back(to_json_text(text));
    return out;
}

/// The devices of slots of which only the texts are known.
std::vector<std::string> make_devices(const std::vector<std::string>& slots) {
    std::vector<std::string> out;
    for (const std::string& slot : slots)
        for (std::string& device : make_gpu_slot(slot).devices)
            out.push_back(std::move(device));
    return out;
}

}  // namespace

std::string write_facts(const ResultFacts& facts) {
    json notes = json::array();
    json secrets = json::array();
    for (const std::string& name : facts.secrets)
        secrets.push_back(to_json_text(name));
    for (const std::string& note : facts.notes)
        notes.push_back(to_json_text(note));
    json document = {{"command", to_json_text(facts.command)},
                     {"profile", to_json_text(facts.profile)},
                     {"env_source", facts.environment_source},
                     {"submitted_at", facts.submitted_at},
                     {"notes", notes},
                     {"secrets", secrets},
                     {"retry_of", facts.retry_of},
                     {"cpu_slot", facts.cpu_slot},
                     {"program", to_json_text(facts.program)},
                     {"interprets", facts.interprets}};
    if (facts.wishes.priority) document["priority"] = *facts.wishes.priority;
    if (facts.wishes.held) document["held"] = *facts.wishes.held;
    return document.dump();
}

ResultFacts read_facts(std::string_view bytes) {
    ResultFacts facts;
    const json document = json::parse(bytes, nullptr, false);
    if (!document.is_object()) return facts;
    try {
        facts.command = from_json_text(document.value("command", ""));
        facts.profile = from_json_text(document.value("profile", ""));
        facts.environment_source = document.value("env_source", "");
        facts.submitted_at = document.value("submitted_at", std::int64_t{0});
        for (const json& note : document.value("notes", json::array()))
            facts.notes.push_back(from_json_text(note.get<std::string>()));
        for (const json& name : document.value("secrets", json::array()))
            facts.secrets.push_back(from_json_text(name.get<std::string>()));
        facts.retry_of = document.value("retry_of", std::uint64_t{0});
        facts.cpu_slot = document.value("cpu_slot", false);
        facts.program = from_json_text(document.value("program", ""));
        facts.interprets = document.value("interprets", false);
        if (document.contains("priority")) facts.wishes.priority = document["priority"].get<int>();
        if (document.contains("held")) facts.wishes.held = document["held"].get<bool>();
    } catch (const json::exception&) {
        // Facts are for display: what could be read is kept.
    }
    return facts;
}

GrantedGpus run_gpus(const record::Run& run) {
    const std::size_t length = std::min<std::size_t>(run.gpus_length, sizeof run.gpus);
    const json document = json::parse(std::string_view(run.gpus, length), nullptr, false);
    GrantedGpus gpus;
    if (document.is_array()) gpus.texts = texts(document);
    if (!document.is_object()) return gpus;
    gpus.texts = texts(document.value("slots", json::array()));
    gpus.devices = texts(document.value("devices", json::array()));
    const json memory = document.value("memory", json());
    if (memory.is_number_unsigned()) gpus.memory = memory.get<std::uint64_t>();
    return gpus;
}

std::string write_run_gpus(const GrantedGpus& gpus) {
    json document = {{"slots", json_list(gpus.texts)}, {"devices", json_list(gpus.devices)}};
    if (gpus.memory != 0) document["memory"] = gpus.memory;
    const bool plain = gpus.memory == 0 && make_devices(gpus.texts) == gpus.devices;
    std::string text = plain ? document["slots"].dump() : document.dump();
    if (text.size() > sizeof(record::Run::gpus)) {
        document.erase("devices");
        text = document.dump();
    }
    return text;
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
