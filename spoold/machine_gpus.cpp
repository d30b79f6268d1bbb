#include "machine_gpus.h"

#include <algorithm>

#include "libspool/names.h"
#include "libspool/system.h"
#include "libspool/text.h"
#include "libspool/values.h"

namespace spoold {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds fresh_for = 1800ms;    ///< seen within 2 s, while jobs wait
constexpr std::chrono::nanoseconds without_driver = 10s;  ///< where there is nobody to ask
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
    settled_ = watch_.survey() || !watch_.problem().empty();
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

std::string MachineGpus::failed_gpus() const {
    std::vector<std::string> all;
    for (const std::string& device : notes_.failed) {
        const auto drained = notes_.drained.find(device);
        if (drained == notes_.drained.end()) continue;
        all.push_back("nothing more is started on GPU " + label(device) + ": " + drained->second +
                      "; when it is well again: gpuspool gpus undrain " + spool::printable(device));
    }
    return spool::joined(all, "; ");
}

std::string MachineGpus::unknown_drained() const {
    if (!settled_ || !watch_.survey() || !problem().empty()) return {};
    std::vector<std::string> unknown;
    for (const auto& [name, why] : wishes_.drained)
        if (devices_called(name).empty() && !name.empty())
            unknown.push_back("'" + spool::printable(name) + "'");
    if (unknown.empty()) return {};
    return "\"gpus_drained\" in config.json names " + spool::joined(unknown, ", ") +
           ", which is no GPU or slot of this machine's pool: gpuspool gpus shows what there is";
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
    const bool released = !idle && watch_.surveyed_at() < stale_since_;
    const bool stale = released || now + a_little >= due;
    if (stale || !watch_.problem().empty()) watch_.ask();
    // An answer, or that there is none, is told by `changed`.
    const bool told = watch_.is_asking() || !watch_.problem().empty();
    return std::max(due, now + (told ? fresh_for : a_little));
}

void MachineGpus::ask_for_new() {
    if (!watch_.survey() || !watch_.problem().empty() || !nobody_to_ask(*watch_.survey())) return;
    if (clock_.monotonic() >= watch_.answered_at() + without_driver) watch_.ask();
}

spool::Reply MachineGpus::apply(const spool::Request& request) {
    if (request.verb == "gpu-drain") return drain(request.subject, request.reason);
    if (request.verb == "gpu-undrain") return undrain(request.subject);
    return request.verb == "gpu-ignore" ? ignore(request.subject) : heed(request.subject);
}

/// The ids of what may be called so, or the text of a slot.
std::vector<std::string> MachineGpus::devices_called(const std::string& name) const {
    std::vector<std::string> found;
    for (const auto& [device, gpu] : pool_.gpus) {
        if (device == name) return {device};
        if (!device.empty() && spool::is_called(gpu, name)) found.push_back(device);
    }
    if (!found.empty()) return found;
    for (const spool::GpuSlot& slot : pool_.gpu_slots)
        if (slot.text == name ||
            std::find(slot.devices.begin(), slot.devices.end(), name) != slot.devices.end())
            return {name};
    return {};
}

/// "1 (GPU-8f6d…)"
std::string MachineGpus::label(const std::string& device) const {
    for (const spool::DeviceState& known : pool_.devices)
        if (known.gpu.id == device && known.gpu.parent.empty())
            return std::to_string(known.gpu.index) + " (" + spool::printable(device) + ")";
    return spool::printable(device);
}

std::string MachineGpus::no_such(const std::string& name) const {
    const std::string trouble = problem();
    if (!trouble.empty() && pool_.gpus.empty())
        return "what GPUs this machine has is not known: " + trouble;
    return "there is no GPU '" + spool::printable(name) + "' in the pool";
}

std::string MachineGpus::ambiguous(const std::string& name,
                                   const std::vector<std::string>& devices) const {
    std::vector<std::string> labels;
    for (const std::string& device : devices)
        labels.push_back(label(device));
    return "'" + spool::printable(name) + "' may be any of " + spool::joined(labels, ", ") +
           ": say which";
}

spool::Reply MachineGpus::keep(spool::GpuNotes notes, const std::string& message) {
    if (const auto stored = spool::store_notes(spool_, notes); !stored)
        return {false, "cannot be noted: " + stored.error().text()};
    notes_ = std::move(notes);
    made_ = false;
    return {true, message};
}

spool::Reply MachineGpus::drain(const std::string& name, const std::string& reason) {
    const auto devices = devices_called(name);
    if (devices.empty()) return {false, no_such(name)};
    if (devices.size() > 1) return {false, ambiguous(name, devices)};
    spool::GpuNotes notes = notes_;
    notes.drained[devices.front()] = reason;
    notes.failed.erase(devices.front());
    return keep(std::move(notes), "is drained: nothing more is started there");
}

spool::Reply MachineGpus::undrain(const std::string& name) {
    spool::GpuNotes notes = notes_;
    const auto devices = devices_called(name);
    if (devices.size() > 1) return {false, ambiguous(name, devices)};
    const std::string device = devices.empty() ? name : devices.front();
    // What was drained by its text alone, while nobody knew more of it, is known by that.
    if (notes.drained.erase(device) + notes.drained.erase(name) == 0) {
        const bool configured = wishes_.drained.contains(name) || wishes_.drained.contains(device);
        return {false, configured
                           ? "is drained by \"gpus_drained\" in config.json: take it out there"
                           : "is not drained"};
    }
    notes.failed.erase(device);
    notes.failed.erase(name);
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
    // What was never executed says nothing of its GPU.
    const bool ran = result.started_at != 0 && (result.exit_code || result.signal);
    // What was cancelled says nothing either, and may have been counted as an attempt.
    if (!ran || result.state == spool::Outcome::cancelled) return std::nullopt;
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
        // One job that fails again and again is at fault itself.
        if (std::find(jobs.begin(), jobs.end(), result.id) == jobs.end()) jobs.push_back(result.id);
        if (jobs.size() >= failures_to_drain && !notes_.drained.contains(device))
            message = drain_failed(device);
    }
    return message;
}

/// After failures. Returns what is to be said of it.
std::string MachineGpus::drain_failed(const std::string& device) {
    std::vector<std::string> numbers;
    for (const std::uint64_t job : failures_[device])
        numbers.push_back(std::to_string(job));
    failures_[device].clear();
    const std::string reason =
        "jobs " + spool::joined(numbers, ", ") + " failed within a minute of their start";
    spool::GpuNotes notes = notes_;
    notes.drained[device] = reason;
    notes.failed.insert(device);
    const spool::Reply kept = keep(notes, {});
    notes_ = std::move(notes);  // also where the disk is full: until this daemon ends
    return "GPU " + device + " is drained: " + reason +
           "; when it is well again: gpuspool gpus undrain " + device +
           (kept.ok ? "" : " (" + kept.message + ")");
}

}  // namespace spoold
