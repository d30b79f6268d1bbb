#include "libspool/gpu_use.h"

#include <algorithm>
#include <map>

#include "libspool/names.h"

namespace spool {
namespace {

bool was_given(const GpuJob& job, const Gpu& gpu) {
    return std::find(job.gpus.begin(), job.gpus.end(), gpu.id) != job.gpus.end();
}

/// The job that a process belongs to: by its token, which children inherit, or by its cgroup, which
/// a process cannot leave.
const GpuJob* job_of(const GpuProcess& process, const std::vector<GpuJob>& jobs) {
    const auto found = std::find_if(jobs.begin(), jobs.end(), [&](const GpuJob& job) {
        if (!process.token.empty() && process.token == job.token) return true;
        return !job.cgroup.empty() &&
               (process.cgroup == job.cgroup || process.cgroup.starts_with(job.cgroup + "/"));
    });
    return found == jobs.end() ? nullptr : &*found;
}

/// The kernel keeps so much of a program's name.
constexpr std::size_t longest_program = 15;

bool is_ignored(const GpuProcess& process, const GpuRules& rules) {
    return rules.ignored_pids.contains(process.pid) ||
           std::any_of(rules.ignored_programs.begin(), rules.ignored_programs.end(),
                       [&](const std::string& name) {
                           return !name.empty() &&
                                  process.program == name.substr(0, longest_program);
                       });
}

std::string megabytes(std::uint64_t bytes) {
    return std::to_string(bytes >> 20) + " MiB";
}

/// "used by jupyter (pid 812 of ada, 600 MiB); gpuspool gpus ignore 812, if it does not matter".
std::string used_by(const GpuProcess& process) {
    std::string text = "used by " +
                       (process.program.empty() ? "a process that cannot be seen from here"
                                                : printable(process.program)) +
                       " (pid " + std::to_string(process.pid);
    if (!process.owner.empty()) text += " of " + printable(process.owner);
    if (process.memory) text += ", " + megabytes(*process.memory);
    return text + "); if that does not matter: gpuspool gpus ignore " + std::to_string(process.pid);
}

std::string trespass_of(const GpuJob& job, const GpuProcess& process) {
    return "used by job " + std::to_string(job.number) + " (" + printable(job.name) +
           "), which was not given it (pid " + std::to_string(process.pid) + ")";
}

/// Memory of the GPU by what it is for.
struct MemoryUse {
    std::uint64_t listed = 0;   ///< of all processes
    std::uint64_t desktop = 0;  ///< of those that draw
    bool complete = true;       ///< every process has told its share
};

MemoryUse memory_of(const std::vector<GpuProcess>& processes) {
    MemoryUse use;
    for (const GpuProcess& process : processes) {
        use.listed += process.memory.value_or(0);
        if (process.kind == GpuProcess::Kind::graphics) use.desktop += process.memory.value_or(0);
        use.complete = use.complete && process.memory;
    }
    return use;
}

GpuUse busy(std::string reason) {
    return {GpuUse::Kind::busy, std::move(reason)};
}

/// Bytes that no process explains and that are taken for the driver's own.
std::uint64_t kept_by_driver(const Gpu& gpu, const GpuRules& rules) {
    // What an old driver counts for itself grows with the memory that it has to manage.
    return rules.unexplained + (gpu.used_with_reserve ? gpu.memory_total / 32 : 0);
}

GpuUse judge_memory(const Gpu& gpu, const GpuRules& rules) {
    const MemoryUse use = memory_of(gpu.processes.value_or(std::vector<GpuProcess>{}));
    std::uint64_t unexplained = 0;
    if (use.complete && gpu.memory_used > use.listed + kept_by_driver(gpu, rules))
        unexplained = gpu.memory_used - use.listed;
    // A desktop has more than the processes that it lists.
    const std::uint64_t desktop = use.desktop + (gpu.display ? unexplained : 0);
    const double allowed = rules.desktop_share * static_cast<double>(gpu.memory_total);
    if (static_cast<double>(desktop) > allowed)
        return busy("the desktop uses " + megabytes(desktop) +
                    " of its memory; \"desktop_share\" "
                    "in config.json says how much may be");
    if (unexplained > 0 && !gpu.display)
        return busy(megabytes(unexplained) +
                    " of its memory are used by no process that can be seen (of a container, or "
                    "left by one that died)");
    return {};
}

}  // namespace

std::uint64_t shared_memory(const Gpu& gpu, const std::vector<GpuJob>& jobs,
                            const GpuRules& rules) {
    std::map<const GpuJob*, std::uint64_t> used;
    std::uint64_t taken = 0, listed = 0;
    for (const GpuProcess& process : gpu.processes.value_or(std::vector<GpuProcess>{})) {
        const std::uint64_t bytes = process.memory.value_or(0);
        const GpuJob* job = job_of(process, jobs);
        (job != nullptr && was_given(*job, gpu) ? used[job] : taken) += bytes;
        listed += bytes;
    }
    // The larger of what a job has asked for, which is counted where it was granted, and of what
    // it uses.
    for (const auto& [job, bytes] : used)
        taken += bytes - std::min(bytes, job->gpu_memory);
    const std::uint64_t unlisted = gpu.memory_used - std::min(gpu.memory_used, listed);
    taken += unlisted - std::min(unlisted, kept_by_driver(gpu, rules));
    return gpu.memory_total - std::min(gpu.memory_total, taken);
}

GpuUse gpu_use(const Gpu& gpu, const std::vector<GpuJob>& jobs, const GpuRules& rules) {
    if (!gpu.problem.empty()) return {GpuUse::Kind::unknown, gpu.problem};
    for (const GpuProcess& process : gpu.processes.value_or(std::vector<GpuProcess>{})) {
        if (const GpuJob* job = job_of(process, jobs)) {
            if (!was_given(*job, gpu)) return busy(trespass_of(*job, process));
        } else if (process.kind == GpuProcess::Kind::compute && !is_ignored(process, rules)) {
            return busy(used_by(process));
        }
    }
    // Whoever was given it may use all of it, in whatever way.
    const bool given = std::any_of(jobs.begin(), jobs.end(),
                                   [&](const GpuJob& job) { return was_given(job, gpu); });
    return given ? GpuUse{} : judge_memory(gpu, rules);
}

}  // namespace spool
