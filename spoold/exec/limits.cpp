#include "spoold/exec/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include "spoold/exec/system.h"
#include "spoold/exec/text.h"

namespace spool::exec {

namespace {

constexpr std::uint64_t cpu_period = 100'000;  ///< microseconds, as the kernel's default is
constexpr std::uint64_t most_processors = 1'000'000;

bool write_setting(int cgroup, const char* name, const char* value) {
    const Fd file(openat(cgroup, name, O_WRONLY | O_CLOEXEC));
    return file && write_all(file.get(), value, strlen(value)) == 0;
}

/// All processes go together, so that the job has one end. Swap, where there is any, counts as
/// memory that it may not have: else the job would become slow, and the machine with it.
bool limit_memory(int cgroup, std::uint64_t bytes) {
    Text<32> text;
    text.add_number(bytes);
    if (!write_setting(cgroup, "memory.max", text.c_str())) return false;
    (void)write_setting(cgroup, "memory.oom.group", "1");
    (void)write_setting(cgroup, "memory.swap.max", "0");
    return true;
}

bool limit_processors(int cgroup, std::uint64_t count) {
    Text<64> text;
    text.add_number((count < most_processors ? count : most_processors) * cpu_period);
    text.add(" ").add_number(cpu_period);
    return write_setting(cgroup, "cpu.max", text.c_str());
}

/// Whether a file of "key number" lines has more than 0 for this key.
bool has_counted(int cgroup, const char* name, const char* key) {
    char lines[512];
    lines[0] = '\n';
    const ssize_t count = read_file(cgroup, name, lines + 1, sizeof lines - 2);
    if (count <= 0) return false;
    lines[1 + count] = 0;
    Text<64> wanted;
    wanted.add("\n").add(key).add(" ");
    const char* found = strstr(lines, wanted.c_str());
    return found && found[wanted.size()] != '0';
}

}  // namespace

std::uint32_t set_limits(int cgroup, const record::Limits& limits) {
    std::uint32_t taken = 0;
    if (limits.memory && limit_memory(cgroup, limits.memory)) taken |= record::memory_is_limited;
    if (limits.processors && limit_processors(cgroup, limits.processors))
        taken |= record::processors_are_limited;
    return taken;
}

std::uint32_t memory_kills(int cgroup) {
    // Of the whole tree; but the limit that was reached may be one that the job has set below.
    if (!has_counted(cgroup, "memory.events", "oom_kill")) return 0;
    const bool own = has_counted(cgroup, "memory.events.local", "oom");
    return record::killed_for_memory | (own ? record::over_memory_limit : 0U);
}

}  // namespace spool::exec
