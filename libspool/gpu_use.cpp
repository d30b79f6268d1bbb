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

/// "jupyter (pid 812 of ada, 600 MiB)".
std::string described(const GpuProcess& process) {
    std::string text = (process.program.empty() ? "a process that cannot be seen from here"
                                                : printable(process.program)) +
                       " (pid " + std::to_string(process.pid);
    if (!process.owner.empty()) text += " of " + printable(process.owner);
    if (process.memory) text += ", " + megabytes(*process.memory);
    return text + ")";
}

std::string ignoring(const GpuProcess& process) {
    return "if that does not matter: gpuspool gpus ignore " + std::to_string(process.pid);
}

std::string trespass_of(const GpuJob& job, const GpuProcess& process) {
    const std::string number = job.shown.empty() ? std::to_string(job.number) : job.shown;
    return "used by job " + number + " (" + printable(job.name) +
           "), which was not given it: " + described(process) +
           "; to end that job: gpuspool cancel " + number;
}

/// Memory of the GPU by what it is for.
struct MemoryUse {
    std::uint64_t listed = 0;             ///< of all processes
    std::uint64_t desktop = 0;            ///< of those that draw
    const GpuProcess* largest = nullptr;  ///< of those that draw
    bool untold = false;                  ///< one that draws has not told how much it has
    bool accepted = false;                ///< one that the user ignores has not
};

MemoryUse memory_of(const Gpu& gpu, const GpuRules& rules) {
    MemoryUse use;
    if (!gpu.processes) return use;
    for (const GpuProcess& process : *gpu.processes) {
        use.listed += process.memory.value_or(0);
        const bool ignored = is_ignored(process, rules);
        if (ignored) use.accepted = use.accepted || !process.memory;
        if (ignored || process.kind != GpuProcess::Kind::graphics) continue;
        use.desktop += process.memory.value_or(0);
        use.untold = use.untold || !process.memory;
        if (!use.largest || process.memory.value_or(0) >= use.largest->memory.value_or(0))
            use.largest = &process;
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

std::string too_large_desktop(std::uint64_t bytes, const GpuProcess* largest) {
    return "the desktop uses " + megabytes(bytes) + " of its memory" +
           (largest ? ", most of it " + described(*largest) : std::string()) +
           "; how much may be: \"desktop_share\" in config.json" +
           (largest ? "; " + ignoring(*largest) : std::string());
}

std::string unexplained_memory(std::uint64_t bytes) {
    const std::uint64_t gigabytes = (bytes + (1u << 30) - 1) >> 30;
    return megabytes(bytes) +
           " of its memory are used by no process that can be seen (of a container, or left by one "
           "that died); if that does not matter: \"unexplained_memory\": \"" +
           std::to_string(gigabytes) + "G\" in config.json";
}

/// Memory that nobody explains is somebody's. It is taken for the desktop's where that cannot be
/// told: one that draws does not say how much it has, or the driver lists none that draw.
GpuUse judge_memory(const Gpu& gpu, const GpuRules& rules) {
    const MemoryUse use = memory_of(gpu, rules);
    std::uint64_t unexplained = 0;
    if (!use.accepted && gpu.memory_used > use.listed + kept_by_driver(gpu, rules))
        unexplained = gpu.memory_used - use.listed;
    const bool by_desktop = use.untold || (gpu.display && !gpu.graphics_listed);
    const std::uint64_t desktop = use.desktop + (by_desktop ? unexplained : 0);
    const double allowed = rules.desktop_share * static_cast<double>(gpu.memory_total);
    // Of a GPU that shares the machine's memory it is not known what a share would be.
    if (gpu.memory_total != 0 && static_cast<double>(desktop) > allowed)
        return busy(too_large_desktop(desktop, use.largest));
    if (unexplained > 0 && !by_desktop) return busy(unexplained_memory(unexplained));
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
            return busy("used by " + described(process) + "; " + ignoring(process));
        }
    }
    // Whoever was given it may use all of it, in whatever way.
    const bool given = std::any_of(jobs.begin(), jobs.end(),
                                   [&](const GpuJob& job) { return was_given(job, gpu); });
    return given ? GpuUse{} : judge_memory(gpu, rules);
}

}  // namespace spool
