#include "libspool/gpu_jobs.h"

#include <algorithm>

#include "libspool/active_job.h"
#include "libspool/array_spec.h"
#include "libspool/system.h"

namespace spool {
namespace {

bool may_use_gpus(const RecordContent& content) {
    const bool gone = content.ended() && content.exit.phase == record::Phase::complete;
    return content.claimed() && content.run_known() && !gone;
}

GpuJob gpu_job(Files& files, const RecordFile& record, const RecordContent& content) {
    GrantedGpus gpus = run_gpus(content.run);
    if (gpus.devices.empty())
        for (const std::string& text : gpus.texts)
            for (std::string& device : make_gpu_slot(text).devices)
                gpus.devices.push_back(std::move(device));
    GpuJob job{content.claim.job,       content.name(),          to_hex(content.claim.token),
               run_cgroup(content.run), std::move(gpus.devices), gpus.memory};
    if (const auto body = read_body(files, record, content.claim)) {
        const ResultFacts facts = read_facts(body->result);
        job.shown = job_number_text(facts.array != 0 ? facts.array : job.number, facts.task);
    }
    return job;
}

}  // namespace

std::string run_cgroup(const record::Run& run) {
    constexpr std::string_view mount = "/sys/fs/cgroup";
    const std::size_t length = std::min<std::size_t>(run.cgroup_length, sizeof run.cgroup);
    std::string_view directory(run.cgroup, length);
    if (directory.starts_with(mount)) directory.remove_prefix(mount.size());
    return std::string(directory);
}

std::vector<GpuJob> read_gpu_jobs(Spool& spool) {
    std::vector<GpuJob> jobs;
    const auto entries = spool.files->list(spool.records.get());
    if (!entries) return jobs;
    for (const DirectoryEntry& entry : *entries) {
        const auto index = record_index(entry.name);
        if (!index) continue;
        auto file = open_file(*spool.files, spool.records.get(), entry.name, OpenMode::read);
        if (!file) continue;
        const RecordFile record{*index, std::move(*file)};
        const auto content = read_record(*spool.files, record);
        if (content && may_use_gpus(*content))
            jobs.push_back(gpu_job(*spool.files, record, *content));
    }
    return jobs;
}

}  // namespace spool
