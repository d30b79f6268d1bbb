#include "libspool/wait_reason.h"

#include "libspool/name_table.h"
#include "libspool/names.h"

namespace spool {

namespace {

using Kind = WaitReason::Kind;

constexpr Named<Kind> kind_table[] = {
    {Kind::next, "next"},
    {Kind::settling, "settling"},
    {Kind::no_command, "no_command"},
    {Kind::editor, "editor"},
    {Kind::open, "open"},
    {Kind::paused, "paused"},
    {Kind::draining, "draining"},
    {Kind::machine_drained, "machine_drained"},
    {Kind::gpus, "gpus"},
    {Kind::gpus_unknown, "gpus_unknown"},
    {Kind::max_gpus, "max_gpus"},
    {Kind::cpu_slots, "cpu_slots"},
    {Kind::cpus, "cpus"},
    {Kind::memory, "memory"},
    {Kind::reserved, "reserved"},
    {Kind::held, "held"},
    {Kind::group_held, "group_held"},
    {Kind::group_limit, "group_limit"},
    {Kind::array_limit, "array_limit"},
    {Kind::begin, "begin"},
    {Kind::dependency, "dependency"},
    {Kind::never_dependency, "never_dependency"},
    {Kind::never_cpus, "never_cpus"},
    {Kind::never_memory, "never_memory"},
    {Kind::never_label, "never_label"},
    {Kind::never_gpus, "never_gpus"},
    {Kind::profile, "profile"},
    {Kind::environment, "environment"},
    {Kind::previous_run, "previous_run"},
    {Kind::trouble, "trouble"},
    {Kind::unknown, "unknown"},
    {Kind::daemon_down, "daemon_down"},
};

std::string counted(int number, std::string_view noun) {
    return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

std::string waiting_for(const WaitReason& reason, std::string_view noun) {
    constexpr std::size_t shown = 4;
    std::string out = "waiting for " + counted(reason.wanted, noun) + reason.detail + ": ";
    const auto& all = reason.obstacles;
    for (std::size_t i = 0; i < all.size() && i < shown; ++i)
        out += all[i] + "; ";
    if (all.size() > shown) out += std::to_string(all.size() - shown) + " more; ";
    return out + std::to_string(reason.free) + " free";
}

/// An editor from the mark that it leaves, and what to do about a stale one.
std::string editor_sentence(const std::string& mark) {
    std::string editor = "an editor";
    if (mark.ends_with(".swp") && !mark.ends_with("kate-swp")) editor = "vim or nano";
    if (mark.ends_with(".kate-swp")) editor = "kate";
    if (mark.starts_with(".#")) editor = "emacs";
    if (mark.starts_with(".~lock.")) editor = "LibreOffice";
    if (mark.empty()) return "open in " + editor + ": close it there";
    return "open in " + editor + ": close it there, or remove incoming/" + printable(mark) +
           " if nobody edits it";
}

std::string never_sentence(const WaitReason& reason) {
    const std::string asks =
        "asks for " + counted(reason.wanted, "GPU") + reason.detail + "; this machine's pool has ";
    if (reason.free == 0)
        return asks + "none" +
               (reason.detail.empty() ? ": add GPUs to the pool, or use --gpus=0"
                                      : " such: gpuspool gpus shows what there is");
    return asks + std::to_string(reason.free) + " at most: lower --gpus or add GPUs to the pool";
}

std::string unknown_sentence(const std::string& problem) {
    if (problem.empty()) return "the GPUs of this machine are being looked at";
    return "what GPUs this machine has is not known: " + printable(problem);
}

std::string drained_sentence(const std::string& why) {
    return "the administrator of this machine lets nothing start" +
           (why.empty() ? "" : ": " + printable(why)) + " (/run/gpuspool/drain)";
}

std::string limit_sentence(const WaitReason& reason) {
    return "waiting for " + counted(reason.wanted, "GPU") + ": \"max_gpus\" allows this spool " +
           std::to_string(reason.free) + " at once";
}

std::string paused_sentence(const std::string& why) {
    return "the queue is paused" + (why.empty() ? "" : " (" + printable(why) + ")") +
           ": go on with gpuspool resume";
}

std::string previous_sentence(const std::string& job) {
    return (job.empty() ? "its earlier run" : "its earlier run " + printable(job)) +
           " has not ended yet";
}

std::string profile_sentence(const std::string& name) {
    return "there is no profile '" + printable(name) + "'; known: local, auto";
}

}  // namespace

std::string hopeless_text(const Dependency& dependency, const std::string& label,
                          const std::string& name) {
    const std::string job = dependency.job == 0 ? std::string("a job") : "job " + label;
    const std::string first =
        "it was to follow " + job + (name.empty() ? "" : " (" + printable(name) + ")");
    if (dependency.after == After::success) return first + " after its success, which did not come";
    if (dependency.after == After::failure) return first + " after its failure, which did not come";
    return first + ", which there is not";
}

std::string_view wait_kind_name(Kind kind) {
    return name_in(kind_table, kind);
}

std::optional<Kind> wait_kind_from_name(std::string_view name) {
    return value_in(kind_table, name);
}

std::string wait_sentence(const WaitReason& reason) {
    switch (reason.kind) {
        case Kind::next:
            return "next to start";
        case Kind::settling:
            return "the file is still changing";
        case Kind::no_command:
            return "the file has no command yet";
        case Kind::editor:
            return editor_sentence(reason.detail);
        case Kind::open:
            return "a program still has the file open for writing: close it there";
        case Kind::paused:
            return paused_sentence(reason.detail);
        case Kind::draining:
            return "the daemon starts nothing more: it ends when the running jobs have ended";
        case Kind::gpus:
            return waiting_for(reason, "GPU");
        case Kind::gpus_unknown:
            return unknown_sentence(reason.detail);
        case Kind::max_gpus:
            return limit_sentence(reason);
        case Kind::machine_drained:
            return drained_sentence(reason.detail);
        case Kind::cpu_slots:
            return waiting_for(reason, "CPU slot");
        case Kind::cpus:
            return waiting_for(reason, "processor");
        case Kind::memory:
            return "waiting for " + printable(reason.detail) + " of memory free";
        case Kind::reserved:
            return "would delay job " + printable(reason.detail) +
                   ", whose turn is before: a shorter time limit (--time) could let it go first";
        case Kind::held:
            return "held: let it go with gpuspool release";
        case Kind::group_held:
            return "its group is held: " + printable(reason.detail);
        case Kind::group_limit:
            return counted(reason.free, "job") + " of its group " + printable(reason.detail) +
                   " run, as many as it allows at once";
        case Kind::array_limit:
            return counted(reason.free, "task") + (reason.free == 1 ? " runs" : " run") +
                   ", as many as the array allows at once";
        case Kind::begin:
            return "not before " + printable(reason.detail);
        case Kind::dependency:
            return "waiting for " + printable(reason.detail);
        case Kind::never_dependency:
            return "can never start: " + printable(reason.detail);
        case Kind::never_cpus:
            return "asks for " + counted(reason.wanted, "processor") + "; this machine has " +
                   std::to_string(reason.free) + ": lower --cpus";
        case Kind::never_memory:
            return "asks for " + printable(reason.detail) + " of memory: lower --mem";
        case Kind::never_label:
            return "asks for a machine with the label '" + printable(reason.detail) +
                   "', which this one does not have (\"labels\" in config.json)";
        case Kind::never_gpus:
            return never_sentence(reason);
        case Kind::profile:
            return profile_sentence(reason.detail);
        case Kind::environment:
            return "the environment of the login shell is still being read";
        case Kind::previous_run:
            return previous_sentence(reason.detail);
        case Kind::trouble:
            return "nothing can be started: " + printable(reason.detail);
        case Kind::unknown:
            return "waits for something that this version of gpuspool does not know (" +
                   printable(reason.detail) + "): update it to the daemon's version";
        case Kind::daemon_down:
            break;
    }
    return "the daemon is not running: start it with spoold";
}

}  // namespace spool
