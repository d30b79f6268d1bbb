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
    {Kind::gpus, "gpus"},
    {Kind::cpu_slots, "cpu_slots"},
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

std::string held_by(const std::vector<std::string>& holders) {
    constexpr std::size_t shown = 4;
    std::string out;
    for (std::size_t i = 0; i < holders.size() && i < shown; ++i)
        out += (i == 0 ? "held by job " : ", job ") + printable(holders[i]);
    if (holders.size() > shown) out += " and " + std::to_string(holders.size() - shown) + " more";
    return out.empty() ? out : out + ", ";
}

std::string waiting_for(const WaitReason& reason, std::string_view noun) {
    return "waiting for " + counted(reason.wanted, noun) + ": " + held_by(reason.holders) +
           std::to_string(reason.free) + " free";
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
        "asks for " + counted(reason.wanted, "GPU") + "; this machine's pool has ";
    if (reason.free == 0) return asks + "none: add GPUs to the pool, or use --gpus=0";
    return asks + std::to_string(reason.free) + " at most: lower --gpus or add GPUs to the pool";
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
    return "there is no profile '" + printable(name) + "' in config.json; known: local";
}

}  // namespace

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
        case Kind::cpu_slots:
            return waiting_for(reason, "CPU slot");
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
