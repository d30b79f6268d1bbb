#include "machine_gpus.h"

#include <algorithm>

#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds fresh_for = 1500ms;    ///< a survey, while jobs wait
constexpr std::chrono::nanoseconds without_driver = 60s;  ///< where there is nobody to ask
constexpr std::chrono::nanoseconds a_little = 10ms;
constexpr std::int64_t quick_failure = 60'000'000'000;  ///< nanoseconds after the start
constexpr std::size_t failures_to_drain = 3;

bool nobody_to_ask(const spool::GpuSurvey& survey) {
    return survey.gpus.empty() && survey.problems.empty();
}

}  // namespace

MachineGpus::MachineGpus(boost::asio::io_context& io, spool::Spool& spool,
                         const spool::Clock& clock, GpuWatchOptions options,
                         std::function<void()> changed)
    : spool_(spool),
      clock_(clock),
      watch_(io, clock, std::move(options), [this, changed = std::move(changed)] {
          made_ = false;
          changed();
      }) {}

spool::Result<void> MachineGpus::load() {
    auto notes = spool::load_notes(spool_);
    if (!notes) return tl::unexpected(notes.error());
    notes_ = std::move(*notes);
    return {};
}

void MachineGpus::set_wishes(spool::GpuPoolWishes wishes) {
    wishes_ = std::move(wishes);
    watch_.forget_lost_gpus();
    made_ = false;
    watch_.ask();
}

bool MachineGpus::update(std::vector<spool::GpuJob> jobs,
                         std::map<std::string, std::string> elsewhere) {
    spool::GpuPoolWishes wishes = wishes_;
    wishes.drained.insert(notes_.drained.begin(), notes_.drained.end());
    forget_ended_processes();
    for (const auto& [pid, start] : notes_.ignored_processes)
        wishes.rules.ignored_pids.insert(pid);
    wishes.rules.ignored_programs.insert(notes_.ignored_programs.begin(),
                                         notes_.ignored_programs.end());
    spool::GpuPool pool = spool::make_gpu_pool(
        wishes, {watch_.survey(), watch_.problem(), std::move(jobs), std::move(elsewhere)});
    const bool changed = !std::exchange(made_, true) || pool != pool_;
    pool_ = std::move(pool);
    return changed;
}

/// A number that was a process's is another's by now.
void MachineGpus::forget_ended_processes() {
    std::erase_if(notes_.ignored_processes, [](const auto& entry) {
        return spool::process_start(entry.first) != entry.second;
    });
}

std::string MachineGpus::problem() const {
    std::vector<std::string> all;
    if (watch_.survey()) all = watch_.survey()->problems;
    if (!watch_.problem().empty()) all.insert(all.begin(), watch_.problem());
    return spool::joined(all, "; ");
}

bool MachineGpus::fresh() const {
    if (!made_) return false;
    // The pool gives nothing away then: see GpuSlot::State::unknown.
    if (!watch_.problem().empty()) return true;
    if (!watch_.survey()) return false;
    if (nobody_to_ask(*watch_.survey())) return true;
    return watch_.surveyed_at() >= stale_since_ &&
           clock_.monotonic() - watch_.answered_at() <= fresh_for;
}

std::optional<MachineGpus::Time> MachineGpus::fresh_until() const {
    if (!watch_.problem().empty() || !watch_.survey() || nobody_to_ask(*watch_.survey()))
        return std::nullopt;
    return watch_.answered_at() + fresh_for;
}

MachineGpus::Time MachineGpus::ask_while_wanted() {
    const bool idle =
        watch_.survey() && nobody_to_ask(*watch_.survey()) && watch_.problem().empty();
    const Time due = watch_.answered_at() + (idle ? without_driver : fresh_for);
    const Time now = clock_.monotonic();
    // The timer was set with the question, a little before the answer: one wake-up is enough.
    const bool stale = now + a_little >= due || watch_.surveyed_at() < stale_since_;
    if (stale || !watch_.problem().empty()) watch_.ask();
    // An answer, or that there is none, is told by `changed`.
    const bool told = watch_.is_asking() || !watch_.problem().empty();
    return std::max(due, now + (told ? fresh_for : a_little));
}

spool::Reply MachineGpus::apply(const spool::Request& request) {
    if (request.verb == "gpu-drain") return drain(request.subject, request.reason);
    if (request.verb == "gpu-undrain") return undrain(request.subject);
    return request.verb == "gpu-ignore" ? ignore(request.subject) : heed(request.subject);
}

/// The id of what is called so, or the text of a slot; empty if there is no such thing.
std::string MachineGpus::device_called(const std::string& name) const {
    for (const auto& [device, gpu] : pool_.gpus)
        if (spool::is_called(gpu, name)) return device;
    for (const spool::GpuSlot& slot : pool_.gpu_slots)
        if (slot.text == name ||
            std::find(slot.devices.begin(), slot.devices.end(), name) != slot.devices.end())
            return name;
    return {};
}

spool::Reply MachineGpus::keep(spool::GpuNotes notes, const std::string& message) {
    if (const auto stored = spool::store_notes(spool_, notes); !stored)
        return {false, "cannot be noted: " + stored.error().text()};
    notes_ = std::move(notes);
    made_ = false;
    return {true, message};
}

spool::Reply MachineGpus::drain(const std::string& name, const std::string& reason) {
    const std::string device = device_called(name);
    if (device.empty())
        return {false, "there is no GPU '" + spool::printable(name) + "' in the pool"};
    spool::GpuNotes notes = notes_;
    notes.drained[device] = reason;
    return keep(std::move(notes), "is drained: nothing more is started there");
}

spool::Reply MachineGpus::undrain(const std::string& name) {
    spool::GpuNotes notes = notes_;
    const std::string device = device_called(name);
    if (notes.drained.erase(device.empty() ? name : device) == 0) {
        const bool configured = wishes_.drained.contains(name) || wishes_.drained.contains(device);
        return {false, configured
                           ? "is drained by \"gpus_drained\" in config.json: take it out there"
                           : "is not drained"};
    }
    failures_.erase(device);
    return keep(std::move(notes), "is used again");
}

spool::Reply MachineGpus::ignore(const std::string& process) {
    spool::GpuNotes notes = notes_;
    const auto pid = spool::parse_integer(process);
    if (!pid) {
        notes.ignored_programs.insert(process);
        return keep(std::move(notes), "is ignored: GPUs that this program uses count as free");
    }
    const auto start = spool::process_start(static_cast<int>(*pid));
    if (!start) return {false, "there is no process " + process};
    notes.ignored_processes[static_cast<int>(*pid)] = *start;
    return keep(std::move(notes), "is ignored until it ends: its GPUs count as free");
}

spool::Reply MachineGpus::heed(const std::string& process) {
    spool::GpuNotes notes = notes_;
    const auto pid = spool::parse_integer(process);
    const std::size_t removed = pid ? notes.ignored_processes.erase(static_cast<int>(*pid))
                                    : notes.ignored_programs.erase(process);
    if (removed == 0) return {false, "was not ignored"};
    return keep(std::move(notes), "is heeded again");
}

std::optional<std::string> MachineGpus::note_end(const spool::JobResult& result) {
    if (result.started_at == 0) return std::nullopt;
    const bool quick = result.state == spool::Outcome::failed &&
                       result.ended_at - result.started_at < quick_failure;
    std::vector<std::string> devices = result.gpu_ids;
    if (devices.empty())
        for (const std::string& slot : result.gpus)
            for (std::string& device : spool::make_gpu_slot(slot).devices)
                devices.push_back(std::move(device));
    std::optional<std::string> message;
    for (const std::string& device : devices) {
        if (!quick) {
            failures_.erase(device);
            continue;
        }
        auto& jobs = failures_[device];
        jobs.push_back(result.id);
        if (jobs.size() < failures_to_drain || notes_.drained.contains(device)) continue;
        std::string numbers;
        for (const std::uint64_t job : jobs)
            numbers += (numbers.empty() ? "" : ", ") + std::to_string(job);
        const std::string reason = "jobs " + numbers + " failed within a minute of their start";
        jobs.clear();
        spool::GpuNotes notes = notes_;
        notes.drained[device] = reason;
        const spool::Reply kept = keep(notes, {});
        notes_ = std::move(notes);  // also where the disk is full: until this daemon ends
        message.emplace("GPU ").append(device).append(" is drained: ").append(reason);
        message->append("; when it is well again: gpuspool gpus undrain ").append(device);
        if (!kept.ok) message->append(" (").append(kept.message).append(")");
    }
    return message;
}

}  // namespace spoold
